// Waiting for places over several workers: in every order of small scenarios, and under real
// threads. Drawn loads are in tests/sim/queue_sim_test.cc.
#include "rondo/upstream/wait_board.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "rondo/base/rng.h"
#include "rondo/rt/cancel.h"
#include "rondo/rt/task.h"
#include "rondo/upstream/worker_upstream.h"
#include "upstream/post_engine.h"

namespace rondo::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::PostEngine;

std::shared_ptr<const UpstreamConfig> Limited(const std::vector<uint32_t>& limits, size_t workers,
                                              uint32_t queue_size) {
  config::Upstream upstream;
  upstream.name = "a";
  for (size_t i = 0; i < limits.size(); ++i) {
    config::Backend backend;
    backend.id = "10.0.0." + std::to_string(i + 1) + ":80";
    backend.address = *SocketAddress::Parse(backend.id);
    backend.max_connections = limits[i];
    upstream.backends.push_back(backend);
  }
  upstream.queue.size = queue_size;
  return std::make_shared<const UpstreamConfig>(upstream, workers);
}

// -- the board alone --

TEST(WaitBoard, TakesNoMoreWaitersThanTheLimit) {
  WaitBoard board(1);
  EXPECT_FALSE(board.Enter(0));
  EXPECT_TRUE(board.Enter(2));
  EXPECT_TRUE(board.Enter(2));
  EXPECT_FALSE(board.Enter(2));
  EXPECT_EQ(board.waiting(), 2u);
  board.Leave();
  EXPECT_TRUE(board.Enter(2));
}

TEST(WaitBoard, PokesTheWorkerWhoseFirstWaiterCameFirst) {
  WaitBoard board(3);
  PostEngine engines[3];
  for (size_t i = 0; i < 3; ++i) board.Join(i, engines[i]);
  board.PokeOldest(0);  // nobody waits
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(board.Take(i), WaitBoard::Poke::kNone);
  board.SetOldest(0, Instant(milliseconds(30)));
  board.SetOldest(1, Instant(milliseconds(10)));
  board.SetOldest(2, Instant(milliseconds(20)));
  EXPECT_EQ(board.OldestElsewhere(0), Instant(milliseconds(10)));
  EXPECT_EQ(board.OldestElsewhere(1), Instant(milliseconds(20)));
  board.PokeOldest(0);
  EXPECT_TRUE(engines[1].TakeWake());
  EXPECT_FALSE(engines[0].TakeWake() || engines[2].TakeWake());
  EXPECT_EQ(board.Take(1), WaitBoard::Poke::kFreed);
  EXPECT_EQ(board.Take(1), WaitBoard::Poke::kNone);
  board.SetOldest(1, kNever);
  board.PokeOldest(2);  // itself: it looks at the end of its tick, without a wake
  EXPECT_FALSE(engines[2].TakeWake());
  EXPECT_EQ(board.Take(2), WaitBoard::Poke::kFreed);
}

TEST(WaitBoard, AFreedPlaceIsNotMadeLessByALaterCheck) {
  WaitBoard board(2);
  PostEngine engine;
  board.Join(0, engine);
  board.SetOldest(0, Instant(milliseconds(1)));
  board.PokeOthers(1);
  board.PokeOldest(1);
  board.PokeOthers(1);
  EXPECT_EQ(board.Take(0), WaitBoard::Poke::kFreed);
  board.PokeOthers(0);  // not itself
  EXPECT_EQ(board.Take(0), WaitBoard::Poke::kNone);
}

// -- every order --

// A request that waits for a place and holds it until it is told to end.
struct Request {
  Request(rt::Loop& loop, WorkerUpstream& upstream)
      : loop(loop), upstream(upstream), token(loop.engine()) {}
  Freelist& frames() { return loop.frames(); }
  static rt::Task<> Run(Request& self) {
    Lease lease;
    if (self.upstream.Acquire({}, nullptr, &lease) != WorkerUpstream::Acquired::kLease) {
      QueueWait wait(self.upstream);
      self.state = State::kWaiting;
      const int32_t result = co_await self.upstream.Wait(wait, {}, nullptr, self.token);
      if (result == 0) lease = std::move(wait.lease);
    }
    if (lease) {
      self.state = State::kHolding;
      if (!self.token.cancelled()) co_await self;
      lease.Reset();
    }
    self.state = State::kEnded;
  }
  // Awaited: until End.
  bool await_ready() const { return false; }
  void await_suspend(std::coroutine_handle<> handle) { holder = handle; }
  void await_resume() {}
  void End() {
    if (holder) {
      std::exchange(holder, {}).resume();
    } else {
      token.Cancel(rt::CancelReason::kClientGone);
    }
  }

  enum class State : uint8_t { kNew, kWaiting, kHolding, kEnded };
  rt::Loop& loop;
  WorkerUpstream& upstream;
  rt::CancelToken token;
  std::coroutine_handle<> holder;
  State state = State::kNew;
  bool end_asked = false;
  Instant came{};
};

// Two workers, one place, and as many requests as there are in `home`, which says on which worker
// each is.
class Scenario {
 public:
  explicit Scenario(const std::vector<size_t>& home) : config_(Limited({1}, 2, 10)), home_(home) {
    for (size_t i = 0; i < 2; ++i) {
      loops_.push_back(std::make_unique<rt::Loop>(engines_[i]));
      workers_.push_back(std::make_unique<WorkerUpstream>(*loops_[i], config_, i, 2, i));
    }
    for (const size_t worker : home) requests_.emplace_back(*loops_[worker], *workers_[worker]);
  }

  // Steps 0 and 1 are a worker's tick, 2 + n is the next thing that request n does: come, then end.
  // A worker that did something owes a tick's end. False where the step has no meaning now.
  bool Step(size_t step) {
    now_ += milliseconds(1);
    for (PostEngine& engine : engines_) engine.SetNow(now_);
    if (step < 2) return Tick(step);
    Request& request = requests_[step - 2];
    const size_t worker = home_[step - 2];
    if (request.state == Request::State::kNew) {
      request.came = now_;
      scope_.Spawn(Request::Run(request));
    } else if (!request.end_asked && request.state != Request::State::kEnded) {
      request.end_asked = true;
      request.End();
    } else {
      return false;
    }
    owes_[worker] = true;
    return true;
  }

  // Lets the workers do what they were told, and checks that nobody waits while the place is free.
  std::string Settle() {
    for (int rounds = 0; TickBoth(); ++rounds) {
      if (rounds > 50) return "the workers poke each other for ever";
    }
    const uint32_t held = config_->backends[0]->in_flight.load();
    if (held > 1) return "two hold one place";
    if (held == 0 && config_->shared->board.waiting() > 0) return "one waits for a free place";
    return "";
  }

  // Ends what holds the place until all were served, oldest first.
  std::string Finish() {
    std::string wrong = Settle();
    for (size_t left = requests_.size(); wrong.empty() && left > 0; --left) {
      const Request* before = Oldest();
      for (size_t i = 0; i < requests_.size(); ++i) {
        if (requests_[i].state == Request::State::kHolding && !requests_[i].end_asked) Step(2 + i);
      }
      wrong = Settle();
      if (wrong.empty() && before != nullptr && before->state == Request::State::kWaiting) {
        wrong = "not the oldest was served";
      }
    }
    if (!wrong.empty()) return wrong;
    if (scope_.count() > 0) return "a request never ends";
    if (config_->backends[0]->in_flight.load() != 0) return "the place was not given back";
    return config_->shared->board.waiting() == 0 ? "" : "somebody is counted waiting";
  }

 private:
  // Whether there was anything to do.
  bool Tick(size_t worker) {
    const bool woken = engines_[worker].TakeWake();
    if (!woken && !owes_[worker] && !engines_[worker].has_ready()) return false;
    owes_[worker] = false;
    loops_[worker]->Tick();
    workers_[worker]->ServeQueue();
    return true;
  }
  bool TickBoth() {
    const bool first = Tick(0);
    const bool second = Tick(1);
    return first || second;
  }
  const Request* Oldest() const {
    const Request* oldest = nullptr;
    for (const Request& request : requests_) {
      if (request.state != Request::State::kWaiting || request.end_asked) continue;
      if (oldest == nullptr || request.came < oldest->came) oldest = &request;
    }
    return oldest;
  }

  PostEngine engines_[2];
  std::shared_ptr<const UpstreamConfig> config_;
  std::vector<size_t> home_;
  std::vector<std::unique_ptr<rt::Loop>> loops_;
  std::vector<std::unique_ptr<WorkerUpstream>> workers_;
  std::deque<Request> requests_;
  rt::Scope scope_;
  bool owes_[2] = {};
  Instant now_{seconds(1)};
};

std::string TextOf(const std::vector<size_t>& steps) {
  std::string text;
  for (const size_t step : steps) {
    text += step < 2 ? " tick" + std::to_string(step) : " request" + std::to_string(step - 2);
  }
  return text;
}

// Runs all sequences of up to `length` steps that differ in what is done; returns how many those
// are.
size_t RunAllOrders(const std::vector<size_t>& home, size_t length) {
  const size_t kinds = 2 + home.size();
  std::vector<size_t> steps(length, 0);
  size_t runs = 0;
  for (;;) {
    size_t done = 0;
    {
      Scenario scenario(home);
      while (done < length && scenario.Step(steps[done])) ++done;
      const std::string wrong = scenario.Finish();
      if (!wrong.empty()) {
        ADD_FAILURE() << wrong << ":"
                      << TextOf({steps.begin(), steps.begin() + static_cast<long>(done)});
        std::_Exit(1);  // what still waits cannot be taken back
      }
    }
    ++runs;
    // The next sequence that differs in what was done.
    size_t at = std::min(done + 1, length);
    while (at > 0 && steps[at - 1] + 1 == kinds) --at;
    if (at == 0) return runs;
    ++steps[at - 1];
    std::fill(steps.begin() + static_cast<long>(at), steps.end(), 0);
  }
}

TEST(WaitBoard, InEveryOrderOfTwoRequestsNobodyWaitsForAFreePlace) {
  EXPECT_GT(RunAllOrders({0, 1}, 10), 100u);
  EXPECT_GT(RunAllOrders({0, 0}, 8), 50u);
}

TEST(WaitBoard, InEveryOrderOfThreeRequestsNobodyWaitsForAFreePlace) {
  EXPECT_GT(RunAllOrders({0, 1, 1}, 8), 1000u);
  EXPECT_GT(RunAllOrders({0, 1, 0}, 8), 1000u);
}

TEST(WaitBoard, InEveryOrderOfFourRequestsNobodyWaitsForAFreePlace) {
  EXPECT_GT(RunAllOrders({0, 1, 0, 1}, 7), 1000u);
}

// -- threads --

struct ThreadCounts {
  size_t served = 0;
  size_t waited = 0;
  size_t left = 0;
  size_t full = 0;
  uint32_t most = 0;
};

// One worker on its thread: so many requests at a time, each of which comes back as often as is
// asked.
class ThreadWorker {
 public:
  ThreadWorker(std::shared_ptr<const UpstreamConfig> config, size_t index, size_t count,
               uint64_t seed)
      : config_(std::move(config)),
        loop_(engine_),
        upstream_(loop_, config_, index, count, index),
        rng_(seed) {
    engine_.sleeps = true;
  }
  void Run(size_t flows, size_t rounds) {
    for (size_t i = 0; i < flows; ++i) scope_.Spawn(Flow(*this, rounds));
    while (scope_.count() > 0) {
      loop_.Tick();
      upstream_.ServeQueue();
    }
  }
  const ThreadCounts& counts() const { return counts_; }
  Freelist& frames() { return loop_.frames(); }

 private:
  // Resumes in the next tick.
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
  // Cancels a token some ticks later.
  static rt::Task<> Leave(ThreadWorker& worker, rt::CancelToken* token, bool* waiting,
                          size_t ticks) {
    Yield yield(worker.engine_);
    for (size_t i = 0; i < ticks && *waiting; ++i) co_await yield;
    if (*waiting) token->Cancel(rt::CancelReason::kClientGone);
  }
  static rt::Task<> Flow(ThreadWorker& worker, size_t rounds) {
    Yield yield(worker.engine_);
    for (size_t i = 0; i < rounds; ++i) {
      Lease lease;
      if (worker.upstream_.Acquire({}, nullptr, &lease) != WorkerUpstream::Acquired::kLease) {
        co_await Wait(worker, &lease);
      }
      if (lease) {
        ++worker.counts_.served;
        const uint32_t held = lease.backend()->shared->in_flight.load(std::memory_order_relaxed);
        worker.counts_.most = std::max(worker.counts_.most, held);
        // Lets other threads find the place taken, also on a machine with few processors.
        if (worker.rng_.Below(8) == 0) std::this_thread::yield();
        for (uint64_t ticks = worker.rng_.Below(3); ticks > 0; --ticks) co_await yield;
      }
      lease.Reset();
      if (worker.rng_.Below(2) == 0) co_await yield;
    }
  }
  static rt::Task<> Wait(ThreadWorker& worker, Lease* lease) {
    rt::CancelToken token(worker.engine_);
    rt::Scope leaving;
    bool waiting = true;
    QueueWait wait(worker.upstream_);
    // Only those who leave are awake while they wait: the others depend on being woken.
    if (worker.rng_.Below(8) == 0) {
      leaving.Spawn(Leave(worker, &token, &waiting, 1 + worker.rng_.Below(20)));
    }
    const int32_t result = co_await worker.upstream_.Wait(wait, {}, nullptr, token);
    waiting = false;
    if (result == 0) {
      *lease = std::move(wait.lease);
      ++worker.counts_.waited;
    } else {
      ++(result == -ENOSPC ? worker.counts_.full : worker.counts_.left);
    }
    co_await leaving.Join();
  }

  std::shared_ptr<const UpstreamConfig> config_;
  PostEngine engine_;
  rt::Loop loop_;
  WorkerUpstream upstream_;
  Rng rng_;
  ThreadCounts counts_;
  rt::Scope scope_;
};

// A worker whose requests have all ended does not tick any more: nothing may depend on it.
void RunThreads(const std::vector<uint32_t>& limits, size_t threads, size_t flows,
                uint32_t queue_size) {
  const auto config = Limited(limits, threads, queue_size);
  constexpr size_t kRounds = 1000;
  std::vector<std::unique_ptr<ThreadWorker>> workers;
  for (size_t i = 0; i < threads; ++i) {
    workers.push_back(std::make_unique<ThreadWorker>(config, i, threads, i + 1));
  }
  std::vector<std::thread> running;
  for (auto& worker : workers)
    running.emplace_back([&worker, flows] { worker->Run(flows, kRounds); });
  for (std::thread& thread : running) thread.join();
  ThreadCounts sum;
  for (const auto& worker : workers) {
    const ThreadCounts& one = worker->counts();
    sum.served += one.served;
    sum.waited += one.waited;
    sum.left += one.left;
    sum.full += one.full;
    EXPECT_LE(one.most, *std::max_element(limits.begin(), limits.end()));
  }
  EXPECT_EQ(sum.served + sum.left + sum.full, threads * flows * kRounds);
  if (flows > std::accumulate(limits.begin(), limits.end(), 0u)) EXPECT_GT(sum.waited, 0u);
  if (queue_size >= threads * flows) {
    EXPECT_EQ(sum.full, 0u);
  } else {
    EXPECT_GT(sum.full, 0u);
  }
  for (const auto& backend : config->backends) EXPECT_EQ(backend->in_flight.load(), 0u);
  EXPECT_EQ(config->shared->board.waiting(), 0u);
  EXPECT_EQ(config->shared->board.OldestElsewhere(threads), kNever);
}

TEST(WaitBoard, ThreadsThatShareOnePlaceAllGetIt) { RunThreads({1}, 4, 3, 1000); }
TEST(WaitBoard, ThreadsWithOneRequestEachAllGetThePlace) { RunThreads({1}, 3, 1, 1000); }
TEST(WaitBoard, ThreadsThatShareSeveralBackendsAllGetPlaces) { RunThreads({1, 2, 1}, 4, 4, 1000); }
TEST(WaitBoard, ThreadsWithAShortQueueLoseNoCount) { RunThreads({1, 1}, 4, 4, 3); }

}  // namespace
}  // namespace rondo::upstream
