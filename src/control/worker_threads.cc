#include "control/worker_threads.h"

#include <pthread.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include <future>
#include <string>

namespace rondo::control {
namespace {

uint64_t Entropy() {
  uint64_t value = 0;
  if (getrandom(&value, sizeof(value), 0) != static_cast<ssize_t>(sizeof(value))) {
    value = static_cast<uint64_t>(getpid()) ^ static_cast<uint64_t>(time(nullptr));
  }
  return value;
}

size_t BuffersFor(size_t workers) {
  // Half of the memory that this machine has may go into receive buffers, all workers together; far
  // less is used as long as peers are not slow.
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long page_bytes = sysconf(_SC_PAGE_SIZE);
  const size_t memory = static_cast<size_t>(pages) * static_cast<size_t>(page_bytes);
  const size_t buffers = memory / 2 / io::BufferPool::kBufferBytes / workers;
  return buffers < 1024 ? 1024 : buffers;
}

struct Startup {
  absl::Status status;
  proxy::Worker* worker = nullptr;
};

}  // namespace

absl::Status WorkerThreads::Start(WorkerStart start) {
  const size_t count = start.sockets.size();
  absl::Status first_error;
  for (size_t i = 0; i < count; ++i) {
    std::promise<Startup> started;
    std::future<Startup> startup = started.get_future();
    proxy::WorkerOptions options;
    options.index = i;
    options.count = count;
    options.seed = Entropy();
    options.bell = start.bell;
    options.epoch = start.epoch;
    std::thread thread([this, options, kind = start.engine, snapshot = start.snapshot,
                        log_sink = start.log_sink, bell = start.bell,
                        listen_fds = std::move(start.sockets[i]), started = std::move(started),
                        count]() mutable {
      pthread_setname_np(pthread_self(), ("worker-" + std::to_string(options.index)).c_str());
      io::EngineOptions engine_options;
      engine_options.buffers_max = BuffersFor(count);
      auto engine = io::MakeEngine(kind, engine_options);
      if (!engine.ok()) {
        for (const auto& socket : listen_fds) close(socket.fd);
        done_.fetch_add(1, std::memory_order_release);
        started.set_value(Startup{engine.status(), nullptr});
        return;
      }
      proxy::Worker worker(**engine, std::move(snapshot), std::move(listen_fds), counters_,
                           log_sink, options);
      worker.Start();
      started.set_value(Startup{absl::OkStatus(), &worker});
      while (!worker.finished()) worker.Tick();
      done_.fetch_add(1, std::memory_order_release);
      if (bell != nullptr) bell->Ring();
      // The worker must stay where it is until nobody can call anything of it any more.
      released_.wait(false, std::memory_order_acquire);
    });
    Startup result = startup.get();
    threads_.push_back(Thread{std::move(thread), result.worker});
    if (!result.status.ok() && first_error.ok()) first_error = result.status;
  }
  if (!first_error.ok()) Cancel();
  return first_error;
}

WorkerThreads::~WorkerThreads() {
  released_.store(true, std::memory_order_release);
  released_.notify_all();
  for (Thread& each : threads_) each.thread.join();
}

void WorkerThreads::Drain(Instant until) {
  for (Thread& each : threads_) {
    if (each.worker != nullptr) each.worker->RequestDrain(until);
  }
}

void WorkerThreads::Cancel() {
  for (Thread& each : threads_) {
    if (each.worker != nullptr) each.worker->RequestCancel();
  }
}

std::vector<proxy::Worker*> WorkerThreads::workers() const {
  std::vector<proxy::Worker*> result;
  for (const Thread& each : threads_) {
    if (each.worker != nullptr) result.push_back(each.worker);
  }
  return result;
}

Duration WorkerThreads::CpuTime(size_t worker) const {
  clockid_t clock{};
  timespec time{};
  const pthread_t thread = const_cast<std::thread&>(threads_[worker].thread).native_handle();
  if (pthread_getcpuclockid(thread, &clock) != 0 || clock_gettime(clock, &time) != 0)
    return Duration::zero();
  return std::chrono::seconds(time.tv_sec) + Duration(time.tv_nsec);
}

}  // namespace rondo::control
