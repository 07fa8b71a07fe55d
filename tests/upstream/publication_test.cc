// Workers on threads of their own while control changes states and publishes configurations: nobody
// is left waiting, no count is lost, and what was acknowledged holds.
#include <gtest/gtest.h>

#include <atomic>
#include <cerrno>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "rondo/base/rng.h"
#include "rondo/rt/cancel.h"
#include "rondo/rt/task.h"
#include "rondo/upstream/worker_upstream.h"
#include "upstream/post_engine.h"

namespace rondo::upstream::testing {
namespace {

using Config = std::shared_ptr<const UpstreamConfig>;

class Worker {
 public:
  Worker(const Config& config, size_t index, size_t count)
      : loop_(engine_), upstream_(loop_, config, index, count, index), rng_(index + 1) {
    engine_.sleeps = true;
  }
  // Control.
  void Publish(const Config& config, uint64_t epoch) {
    {
      const std::lock_guard lock(mutex_);
      published_ = config;
      published_epoch_ = epoch;
    }
    engine_.Wake();
  }
  uint64_t acknowledged() const { return acknowledged_.load(std::memory_order_acquire); }
  uint64_t served() const { return served_.load(std::memory_order_relaxed); }
  void Stop() {
    stop_.store(true);
    engine_.Wake();
  }

  // The worker's thread.
  void Run(size_t flows) {
    for (size_t i = 0; i < flows; ++i) scope_.Spawn(Flow(*this));
    while (scope_.count() > 0) {
      Adopt();
      loop_.Tick();
      upstream_.ServeQueue();
    }
  }
  Freelist& frames() { return loop_.frames(); }

 private:
  struct Yield : io::Op {
    explicit Yield(io::Engine& of) : Op(&OnDeliver), engine(of) {}
    static void OnDeliver(io::Op& op) {
      std::exchange(static_cast<Yield&>(op).waiter, {}).resume();
    }
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
      waiter = handle;
      engine.Post(*this, 0);
    }
    void await_resume() {}
    io::Engine& engine;
    std::coroutine_handle<> waiter;
  };
  void Adopt() {
    Config config;
    uint64_t epoch = 0;
    {
      const std::lock_guard lock(mutex_);
      config = std::exchange(published_, nullptr);
      epoch = published_epoch_;
    }
    if (config == nullptr) return;
    upstream_.Adopt(config);
    acknowledged_.store(epoch, std::memory_order_release);
  }
  static rt::Task<> Flow(Worker& worker) {
    Yield yield(worker.engine_);
    while (!worker.stop_.load(std::memory_order_relaxed)) {
      Lease lease;
      const auto got = worker.upstream_.Acquire({}, nullptr, &lease);
      if (got == WorkerUpstream::Acquired::kFull) co_await Wait(worker, &lease);
      if (lease) {
        const BackendRef logged(*lease.backend());
        const Outcome outcome = worker.rng_.Below(4) == 0 ? Outcome::kRefused : Outcome::kSuccess;
        worker.upstream_.Report(*lease.backend(), outcome);
        worker.served_.fetch_add(1, std::memory_order_relaxed);
        for (uint64_t ticks = worker.rng_.Below(3); ticks > 0; --ticks) co_await yield;
        lease.Reset();
      }
      co_await yield;
    }
  }
  static rt::Task<> Wait(Worker& worker, Lease* lease) {
    rt::CancelToken token(worker.engine_);
    QueueWait wait(worker.upstream_);
    const int32_t result = co_await worker.upstream_.Wait(wait, {}, nullptr, token);
    if (result == 0) *lease = std::move(wait.lease);
    EXPECT_TRUE(result == 0 || result == -ENOENT) << result;
  }

  PostEngine engine_;
  rt::Loop loop_;
  WorkerUpstream upstream_;
  Rng rng_;
  std::mutex mutex_;
  Config published_;
  uint64_t published_epoch_ = 0;
  std::atomic<uint64_t> acknowledged_{0};
  std::atomic<uint64_t> served_{0};
  std::atomic<bool> stop_{false};
  rt::Scope scope_;
};

config::Backend BackendOf(size_t number, uint32_t max_connections) {
  config::Backend backend;
  backend.id = "10.0.0." + std::to_string(number + 1) + ":80";
  backend.address = *SocketAddress::Parse(backend.id);
  backend.max_connections = max_connections;
  return backend;
}

// Control and its workers.
class Process {
 public:
  explicit Process(size_t workers)
      : shared_(std::make_shared<UpstreamShared>("a", workers, &bell_)) {
    bell_.Attach(&control_);
    settings_.name = "a";
    for (size_t i = 0; i < kBackends; ++i) {
      backends_.push_back(std::make_shared<BackendShared>(
          BackendOf(i, 0).id, BackendOf(i, 0).address, BackendShared::NextSerial(), workers));
      limits_.push_back(1);
    }
    for (size_t i = 0; i < workers; ++i) {
      workers_.push_back(std::make_unique<Worker>(Next(kBackends), i, workers));
    }
    for (auto& worker : workers_) threads_.emplace_back([&worker] { worker->Run(4); });
  }
  void Stop() {
    for (const auto& each : backends_) each->state = health::State::kUp;
    shared_->StatesChanged();
    Publish(kBackends);
    for (auto& worker : workers_) worker->Stop();
    for (std::thread& thread : threads_) thread.join();
  }
  // The configuration without `missing`.
  Config Next(size_t missing) {
    settings_.backends.clear();
    std::vector<std::shared_ptr<BackendShared>> backends;
    for (size_t i = 0; i < kBackends; ++i) {
      if (i == missing) continue;
      settings_.backends.push_back(BackendOf(i, limits_[i]));
      backends.push_back(backends_[i]);
    }
    return std::make_shared<const UpstreamConfig>(settings_, shared_, std::move(backends));
  }
  uint64_t Publish(size_t missing) {
    // The last reference is control's: the workers destroy nothing large.
    held_.push_back(Next(missing));
    ++epoch_;
    for (auto& worker : workers_) worker->Publish(held_.back(), epoch_);
    return epoch_;
  }

  static constexpr size_t kBackends = 3;
  PostEngine control_;
  ControlBell bell_;
  config::Upstream settings_;
  std::shared_ptr<UpstreamShared> shared_;
  std::vector<std::shared_ptr<BackendShared>> backends_;
  std::vector<uint32_t> limits_;
  std::vector<Config> held_;
  uint64_t epoch_ = 0;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::vector<std::thread> threads_;
};

TEST(Publication, HoldsOnAllThreadsOnceAcknowledged) {
  constexpr size_t kWorkers = 2;
  Process process(kWorkers);
  Rng rng(1);
  for (int round = 0; round < 100; ++round) {
    // States flip without a publication.
    const size_t flipped = rng.Below(Process::kBackends);
    process.backends_[flipped]->state = static_cast<health::State>(rng.Below(health::kStateCount));
    process.shared_->StatesChanged();
    if (process.bell_.Take()) process.shared_->TakeAttention();
    process.limits_[rng.Below(Process::kBackends)] = static_cast<uint32_t>(rng.Below(4));
    const size_t removed = rng.Below(Process::kBackends);
    const uint64_t epoch = process.Publish(removed);
    for (const auto& worker : process.workers_) {
      while (worker->acknowledged() < epoch) std::this_thread::yield();
    }
    // No new lease begins there, and those that were end.
    while (process.backends_[removed]->in_flight.load() > 0) std::this_thread::yield();
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(process.backends_[removed]->in_flight.load(), 0u);
      std::this_thread::yield();
    }
    process.backends_[removed]->state = health::State::kUp;
    process.shared_->StatesChanged();
    process.Publish(Process::kBackends);
  }
  process.Stop();
  for (const auto& backend : process.backends_) EXPECT_EQ(backend->in_flight.load(), 0u);
  EXPECT_EQ(process.shared_->board.waiting(), 0u);
  for (const auto& worker : process.workers_) EXPECT_GT(worker->served(), 100u);
}

}  // namespace
}  // namespace rondo::upstream::testing
