// The threads that workers run on. Each makes its engine and its worker itself (an io_uring belongs
// to the thread that made it) and ends when its worker has finished.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "rondo/io/engine.h"
#include "rondo/proxy/worker.h"

namespace rondo::control {

struct WorkerStart {
  io::EngineKind engine = io::EngineKind::kEpoll;
  std::shared_ptr<const upstream::Snapshot> snapshot;
  uint64_t epoch = 0;                                 // of that snapshot
  std::vector<std::vector<proxy::ListenFd>> sockets;  // for each worker
  proxy::AccessLogSink* log_sink = nullptr;           // null: no access log
  upstream::ControlBell* bell = nullptr;              // also rung when a worker's thread is done
};

class WorkerThreads {
 public:
  WorkerThreads() = default;
  WorkerThreads(const WorkerThreads&) = delete;
  WorkerThreads& operator=(const WorkerThreads&) = delete;
  ~WorkerThreads();  // joins; REQUIRES: finished(), or nothing was started

  // Returns once all workers accept, or with the first error after which all that did start are
  // told to end: wait for finished().
  absl::Status Start(WorkerStart start);
  // WebSockets are closed by `until`.
  void Drain(Instant until);
  void Cancel();
  std::vector<proxy::Worker*> workers() const;
  // CPU time that a worker's thread has used.
  Duration CpuTime(size_t worker) const;
  const proxy::ProcessCounters& counters() const { return counters_; }
  // Every worker has finished.
  bool finished() const { return done_.load(std::memory_order_acquire) == threads_.size(); }

 private:
  struct Thread {
    std::thread thread;
    proxy::Worker* worker =
        nullptr;  // lives on its thread until that is joined; null where its engine failed
  };
  std::atomic<size_t> done_{0};
  std::atomic<bool> released_{false};
  proxy::ProcessCounters counters_;
  std::vector<Thread> threads_;
};

}  // namespace rondo::control
