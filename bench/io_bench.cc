// What the floor below the coroutines costs: the timer wheel, the buffer pool, and both engines on
// loopback.
#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "rondo/base/rng.h"
#include "rondo/io/engine.h"
#include "rondo/io/timer_wheel.h"

namespace rondo::io {
namespace {

struct IdleTimer : Timer {
  IdleTimer() : Timer([](Timer&) {}) {}
};

// The usual life of a timeout: armed, then cancelled or armed again, beside many others.
void BM_TimerArmAndCancel(benchmark::State& state) {
  const Instant start{std::chrono::hours(5)};
  TimerWheel wheel(start);
  std::vector<IdleTimer> others(static_cast<size_t>(state.range(0)));
  Rng rng(1);
  for (IdleTimer& timer : others) wheel.Arm(timer, start + Duration(rng.Below(60'000'000'000)));
  IdleTimer timer;
  for (auto _ : state) {
    wheel.Arm(timer, start + std::chrono::seconds(10));
    timer.Cancel();
  }
}
BENCHMARK(BM_TimerArmAndCancel)->Arg(10)->Arg(10'000);

void BM_TimerNextDeadline(benchmark::State& state) {
  const Instant start{std::chrono::hours(5)};
  TimerWheel wheel(start);
  std::vector<IdleTimer> timers(10'000);
  Rng rng(1);
  for (IdleTimer& timer : timers) wheel.Arm(timer, start + Duration(rng.Below(60'000'000'000)));
  for (auto _ : state) benchmark::DoNotOptimize(wheel.NextDeadline());
}
BENCHMARK(BM_TimerNextDeadline);

// A tick of a busy worker: the clock goes on by 100 us, one in ten ticks reaches a new millisecond.
void BM_TimerAdvance(benchmark::State& state) {
  Instant now{std::chrono::hours(5)};
  TimerWheel wheel(now);
  std::vector<IdleTimer> timers(10'000);
  Rng rng(1);
  for (auto _ : state) {
    now += std::chrono::microseconds(100);
    wheel.Advance(now);
    IdleTimer& timer = timers[rng.Below(timers.size())];
    wheel.Arm(timer, now + std::chrono::seconds(10));
  }
}
BENCHMARK(BM_TimerAdvance);

void BM_BufferTakeAndReturn(benchmark::State& state) {
  BufferPool pool(1024);
  for (auto _ : state) {
    char* buffer = pool.Take();
    benchmark::DoNotOptimize(buffer);
    pool.Return(buffer);
  }
}
BENCHMARK(BM_BufferTakeAndReturn);

std::unique_ptr<Engine> EngineOf(int64_t kind) {
  auto engine = MakeEngine(kind == 0 ? EngineKind::kIoUring : EngineKind::kEpoll, EngineOptions{});
  return engine.ok() ? std::move(*engine) : nullptr;
}

// The engine alone: posting and delivering.
void BM_PostAndDeliver(benchmark::State& state) {
  const auto engine = EngineOf(state.range(0));
  if (engine == nullptr) return state.SkipWithError("the engine is not available");
  std::vector<std::unique_ptr<Op>> ops(256);
  for (auto& op : ops) op = std::make_unique<Op>([](Op&) {});
  for (auto _ : state) {
    for (auto& op : ops) engine->Post(*op, 0);
    engine->Run(engine->Now());
  }
  state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(ops.size()));
}
BENCHMARK(BM_PostAndDeliver)->ArgName("epoll")->Arg(0)->Arg(1);

// Echo: a receive and a send of 128 bytes for each message on every one of many unix socket pairs,
// driven from both sides by the one engine. An item is one message in one direction.
struct Echo : Op {  // the receive
  Echo(Engine* e, int descriptor, uint64_t* messages)
      : Op(&Echo::OnReceive), send([](Op&) {}), engine(e), count(messages) {
    fd = send.fd = descriptor;
    kind = Op::Kind::kReceiveProvided;
    send.kind = Op::Kind::kSend;
    send.data = bytes;
    send.size = sizeof(bytes);
  }
  static void OnReceive(Op& op) {
    auto& self = static_cast<Echo&>(op);
    op.buffer.Reset();
    if (op.result <= 0 || self.stopping) return;
    ++*self.count;
    self.engine->Submit(self.send);
    self.engine->Submit(self);
  }

  Op send;
  Engine* engine;
  uint64_t* count;
  bool stopping = false;
  char bytes[128] = {};
};

void BM_Echo(benchmark::State& state) {
  const auto engine = EngineOf(state.range(0));
  if (engine == nullptr) return state.SkipWithError("the engine is not available");
  uint64_t messages = 0;
  std::vector<std::unique_ptr<Echo>> sides;
  for (int64_t i = 0; i < state.range(1); ++i) {
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) != 0) {
      return state.SkipWithError("socketpair failed");
    }
    for (const int fd : fds) sides.push_back(std::make_unique<Echo>(engine.get(), fd, &messages));
  }
  for (auto& side : sides) engine->Submit(*side);
  for (size_t i = 0; i < sides.size(); i += 2) engine->Submit(sides[i]->send);
  for (auto _ : state) engine->Run(kNever);
  state.SetItemsProcessed(static_cast<int64_t>(messages));
  for (auto& side : sides) {
    side->stopping = true;
    engine->Cancel(*side);
    engine->Cancel(side->send);
  }
  for (auto& side : sides) {
    while (side->in_flight() || side->send.in_flight()) {
      engine->Run(engine->Now() + std::chrono::milliseconds(1));
    }
    engine->Close(side->fd);
  }
}
BENCHMARK(BM_Echo)->ArgNames({"epoll", "pairs"})->ArgsProduct({{0, 1}, {1, 64, 500}});

}  // namespace
}  // namespace rondo::io

BENCHMARK_MAIN();
