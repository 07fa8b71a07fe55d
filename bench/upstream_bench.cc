// What a pick costs while nothing changes, and what a change costs: one worker's view of an
// upstream of 10 and of 5,000 backends. "allocations" counts calls of operator new for each
// iteration; on the steady path it is 0.
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "rondo/upstream/worker_upstream.h"

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

namespace rondo::upstream {
namespace {

config::Upstream UpstreamOf(size_t size, balance::PolicyKind kind) {
  config::Upstream upstream;
  upstream.name = "a";
  upstream.balance = kind;
  for (size_t i = 0; i < size; ++i) {
    config::Backend backend;
    backend.id = absl::StrCat("10.", i >> 16, ".", (i >> 8) & 255, ".", i & 255, ":80");
    backend.address = *SocketAddress::Parse(backend.id);
    upstream.backends.push_back(backend);
  }
  return upstream;
}

struct Pool {
  Pool(size_t size, balance::PolicyKind kind)
      : engine(*io::MakeEngine(io::EngineKind::kEpoll, {})),
        loop(*engine),
        settings(UpstreamOf(size, kind)),
        config(std::make_shared<const UpstreamConfig>(settings, 4)),
        worker(loop, config, 0, 4, 1) {}
  std::unique_ptr<io::Engine> engine;
  rt::Loop loop;
  config::Upstream settings;
  std::shared_ptr<const UpstreamConfig> config;
  WorkerUpstream worker;
};

void BM_AcquireAndRelease(benchmark::State& state) {
  const auto kind = static_cast<balance::PolicyKind>(state.range(1));
  Pool pool(static_cast<size_t>(state.range(0)), kind);
  state.SetLabel(std::string(balance::PolicyName(kind)));
  const uint64_t before = news;
  uint64_t key = 0;
  for (auto _ : state) {
    Lease lease;
    pool.worker.Acquire({.hash = ++key, .sticky = {}}, nullptr, &lease);
    pool.worker.Report(*lease.backend(), Outcome::kSuccess);
    benchmark::DoNotOptimize(lease);
  }
  state.counters["allocations"] =
      benchmark::Counter(static_cast<double>(news - before), benchmark::Counter::kAvgIterations);
}
BENCHMARK(BM_AcquireAndRelease)->ArgsProduct({{10, 5000}, {0, 1, 2, 3, 4, 5}});

// One weight of all is another: what a worker does between two ticks.
void BM_AdoptOneChange(benchmark::State& state) {
  const auto kind = static_cast<balance::PolicyKind>(state.range(1));
  Pool pool(static_cast<size_t>(state.range(0)), kind);
  state.SetLabel(std::string(balance::PolicyName(kind)));
  pool.settings.backends[3].weight = 2;
  const std::shared_ptr<const UpstreamConfig> configs[] = {
      std::make_shared<const UpstreamConfig>(pool.settings, pool.config->shared,
                                             pool.config->backends),
      pool.config};
  size_t next = 0;
  for (auto _ : state) pool.worker.Adopt(configs[next++ % 2]);
}
BENCHMARK(BM_AdoptOneChange)->ArgsProduct({{10, 5000}, {0, 1, 3}})->Unit(benchmark::kMicrosecond);

// A backend goes down or comes up: what the next pick costs.
void BM_StateChange(benchmark::State& state) {
  Pool pool(static_cast<size_t>(state.range(0)), balance::PolicyKind::kRoundRobin);
  bool up = true;
  for (auto _ : state) {
    up = !up;
    pool.config->backends[7]->state = up ? health::State::kUp : health::State::kDown;
    pool.config->shared->StatesChanged();
    Lease lease;
    pool.worker.Acquire({}, nullptr, &lease);
  }
}
BENCHMARK(BM_StateChange)->Arg(10)->Arg(5000)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace rondo::upstream

BENCHMARK_MAIN();
