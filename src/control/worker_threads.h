// The threads that workers run on. Each makes its engine and its worker itself (an io_uring belongs to the
// thread that made it) and ends when its worker has finished.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "rondo/io/engine.h"
#include "rondo/proxy/worker.h"

namespace rondo::control {

class WorkerThreads {
 public:
  // `done_fd`: an eventfd that every worker adds 1 to when it has finished.
  explicit WorkerThreads(int done_fd) : done_fd_(done_fd) {}
  ~WorkerThreads();  // joins

  // Returns once all workers accept, or with the first error after which all have ended again.
  absl::Status Start(io::EngineKind engine, std::shared_ptr<const upstream::Snapshot> snapshot,
                     std::vector<std::vector<proxy::ListenFd>> sockets, proxy::AccessLogSink* log_sink);
  void Drain();
  void Cancel();
  size_t count() const { return threads_.size(); }

 private:
  struct Thread {
    std::thread thread;
    proxy::Worker* worker = nullptr;  // lives on its thread until that is joined
  };
  int done_fd_;
  std::atomic<bool> released_{false};
  proxy::ProcessCounters counters_;
  std::vector<Thread> threads_;
};

}  // namespace rondo::control
