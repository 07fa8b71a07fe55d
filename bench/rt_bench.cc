// What awaiting costs: a child coroutine, a leaf op, a flow from its start to its end, a deadline,
// and an echo over sockets to hold against the one on bare ops in io_bench. "allocations" counts
// calls of malloc for each iteration by frames and by operator new; on the steady path it is 0.
#include <benchmark/benchmark.h>
#include <sys/socket.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include "rondo/rt/receiver.h"
#include "rondo/rt/sender.h"
#include "rondo/rt/task.h"

namespace {
uint64_t news = 0;
}  // namespace

void* operator new(size_t size) {
  ++news;
  void* block = std::malloc(size);
  if (block == nullptr) std::abort();
  return block;
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, size_t) noexcept { std::free(block); }

namespace rondo::rt {
namespace {

// Reports what was allocated from its making to its end.
class AllocationCount {
 public:
  AllocationCount(benchmark::State& state, const Freelist& frames)
      : state_(state), frames_(frames), before_(Now()) {}
  AllocationCount(const AllocationCount&) = delete;
  AllocationCount& operator=(const AllocationCount&) = delete;
  ~AllocationCount() {
    state_.counters["allocations"] = benchmark::Counter(static_cast<double>(Now() - before_),
                                                        benchmark::Counter::kAvgIterations);
  }

 private:
  uint64_t Now() const { return news + frames_.allocations(); }
  benchmark::State& state_;
  const Freelist& frames_;
  uint64_t before_;
};

struct Place {
  Freelist& frames() { return freelist; }
  Freelist freelist;
};

// -- children --

Task<int> Child(Place& place, int depth) {
  if (depth == 0) co_return 1;
  const int below = co_await Child(place, depth - 1);
  co_return below + 1;
}

Task<> AwaitChildren(Place& place, benchmark::State* state, int depth) {
  int sum = 0;
  {
    const int warm = co_await Child(place, depth);
    sum += warm;
  }
  const AllocationCount allocations(*state, place.freelist);
  for (auto _ : *state) {
    const int result = co_await Child(place, depth);
    sum += result;
  }
  benchmark::DoNotOptimize(sum);
}

// A child that does not suspend, and chains of them; an item is one await.
void BM_AwaitChild(benchmark::State& state) {
  Place place;
  Scope scope;
  const auto depth = static_cast<int>(state.range(0));
  scope.Spawn(AwaitChildren(place, &state, depth - 1));
  state.SetItemsProcessed(state.iterations() * depth);
}
BENCHMARK(BM_AwaitChild)->ArgName("depth")->Arg(1)->Arg(2)->Arg(6);

Task<> Nothing(Place&) { co_return; }

// A flow that ends at once.
void BM_Spawn(benchmark::State& state) {
  Place place;
  Scope scope;
  scope.Spawn(Nothing(place));
  const AllocationCount allocations(state, place.freelist);
  for (auto _ : state) scope.Spawn(Nothing(place));
}
BENCHMARK(BM_Spawn);

// -- leaf ops --

std::unique_ptr<io::Engine> EngineOf(int64_t kind) {
  auto engine = io::MakeEngine(kind == 0 ? io::EngineKind::kIoUring : io::EngineKind::kEpoll,
                               io::EngineOptions{});
  return engine.ok() ? std::move(*engine) : nullptr;
}

// An await of an op that the engine completes with its next deliveries.
struct Posted : io::Op {
  explicit Posted(io::Engine& on)
      : Op([](io::Op& op) { static_cast<Posted&>(op).waiter.resume(); }), engine(on) {}
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) {
    waiter = handle;
    engine.Post(*this, 0);
  }
  void await_resume() const noexcept {}
  io::Engine& engine;
  std::coroutine_handle<> waiter;
};

Task<> AwaitLeaves(Loop& loop, const bool* stop) {
  Posted leaf(loop.engine());
  while (!*stop) co_await leaf;
}

// Suspending at a leaf and being resumed, by 256 flows; an item is one await. The engine's own part
// is BM_PostAndDeliver in io_bench.
void BM_AwaitLeaf(benchmark::State& state) {
  const auto engine = EngineOf(state.range(0));
  if (engine == nullptr) return state.SkipWithError("the engine is not available");
  Loop loop(*engine);
  Scope scope;
  bool stop = false;
  constexpr int kFlows = 256;
  for (int i = 0; i < kFlows; ++i) scope.Spawn(AwaitLeaves(loop, &stop));
  loop.Tick(engine->Now());
  {
    const AllocationCount allocations(state, loop.frames());
    for (auto _ : state) loop.Tick(engine->Now());
  }
  stop = true;
  while (scope.count() > 0) loop.Tick(engine->Now());
  state.SetItemsProcessed(state.iterations() * kFlows);
}
BENCHMARK(BM_AwaitLeaf)->ArgName("epoll")->Arg(0)->Arg(1);

// -- deadlines --

class DeadlineBench {
 public:
  DeadlineBench() : engine(EngineOf(1)), wheel(engine->Now()), token(*engine) {}
  std::unique_ptr<io::Engine> engine;
  io::TimerWheel wheel;
  CancelToken token;
};

// As a connection does with every read: later and later.
void BM_DeadlineLater(benchmark::State& state) {
  DeadlineBench bench;
  Deadline deadline(bench.wheel, bench.token);
  Instant at = bench.engine->Now() + std::chrono::seconds(60);
  for (auto _ : state) {
    at += std::chrono::microseconds(10);
    deadline.Set(at);
  }
}
BENCHMARK(BM_DeadlineLater);

// As an exchange does: a short one inside a long one, so that the timer moves each time.
void BM_DeadlineEarlier(benchmark::State& state) {
  DeadlineBench bench;
  const Instant now = bench.engine->Now();
  for (auto _ : state) {
    Deadline deadline(bench.wheel, bench.token);
    deadline.Set(now + std::chrono::seconds(60));
    deadline.Set(now + std::chrono::seconds(3));
  }
}
BENCHMARK(BM_DeadlineEarlier);

// -- sockets --

struct Side {
  Side(Loop& loop, int fd, uint64_t* messages)
      : receiver(
            loop.engine(), [](Receiver&) {}, this),
        sender(loop.engine()),
        token(loop.engine()),
        count(messages) {
    receiver.Open(fd);
    sender.Open(fd);
  }
  Receiver receiver;
  Sender sender;
  CancelToken token;
  uint64_t* count;
  char bytes[128] = {};
};

Task<int32_t> SendMessage(Loop&, Side* side) {
  side->sender.Add(side->bytes, sizeof(side->bytes));
  const int32_t result = co_await side->sender.Send(side->token);
  co_return result;
}

// Receives and answers until the token ends it; the answer goes through a child.
Task<> Echo(Loop& loop, Side* side, bool begins) {
  if (begins) {
    const int32_t sent = co_await SendMessage(loop, side);
    if (sent < 0) co_return;
  }
  for (;;) {
    const int32_t received = co_await side->receiver.Wait(side->token);
    if (received <= 0) co_return;
    side->receiver.TakeBuffer().Reset();
    ++*side->count;
    const int32_t sent = co_await SendMessage(loop, side);
    if (sent < 0) co_return;
  }
}

// A message of 128 bytes back and forth on each of many unix socket pairs; an item is one message
// in one direction.
void BM_Echo(benchmark::State& state) {
  const auto engine = EngineOf(state.range(0));
  if (engine == nullptr) return state.SkipWithError("the engine is not available");
  Loop loop(*engine);
  Scope scope;
  uint64_t messages = 0;
  std::vector<std::unique_ptr<Side>> sides;
  for (int64_t i = 0; i < state.range(1); ++i) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0) {
      return state.SkipWithError("socketpair failed");
    }
    for (const int fd : fds) sides.push_back(std::make_unique<Side>(loop, fd, &messages));
  }
  for (size_t i = 0; i < sides.size(); ++i) scope.Spawn(Echo(loop, sides[i].get(), i % 2 == 0));
  // Buffers, frames and the ring reach their size.
  for (int i = 0; i < 2000; ++i) loop.Tick();
  const uint64_t before = messages;
  {
    const AllocationCount allocations(state, loop.frames());
    for (auto _ : state) loop.Tick();
  }
  state.SetItemsProcessed(static_cast<int64_t>(messages - before));
  for (auto& side : sides) side->token.Cancel(CancelReason::kShutdown);
  while (scope.count() > 0) loop.Tick(engine->Now() + std::chrono::milliseconds(1));
  for (auto& side : sides) engine->Close(side->receiver.fd);
}
BENCHMARK(BM_Echo)->ArgNames({"epoll", "pairs"})->ArgsProduct({{0, 1}, {1, 64, 500}});

}  // namespace
}  // namespace rondo::rt

BENCHMARK_MAIN();
