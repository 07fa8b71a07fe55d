// What a pick costs: each policy at 2 to 5,000 members, with equal and with mixed weights.
// allocs_per_op must be 0.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <new>
#include <string>
#include <vector>

#include "rondo/balance/policy.h"
#include "rondo/balance/stable_hash.h"

namespace {

uint64_t allocations = 0;

}  // namespace

void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace {

using namespace rondo;
using namespace rondo::balance;

// As the counters stand in the real thing: each on a line of its own.
struct alignas(64) Counter {
  std::atomic<uint32_t> value;
};

std::vector<Member> MakeMembers(size_t size, bool mixed, std::deque<Counter>& counters) {
  std::vector<Member> members;
  for (size_t i = 0; i < size; ++i) {
    Counter& counter = counters.emplace_back();
    counter.value = static_cast<uint32_t>(i * 7 % 5);
    members.push_back(Member{mixed ? static_cast<uint32_t>(1 + i % 5) : 1,
                             StableHash("backend-" + std::to_string(i)), &counter.value});
  }
  return members;
}

void Pick(benchmark::State& state, PolicyKind kind, bool mixed, bool retry) {
  std::deque<Counter> counters;
  const auto size = static_cast<size_t>(state.range(0));
  const auto policy = MakePolicy(kind, MakeMembers(size, mixed, counters), 1);
  uint64_t key = 0;
  const uint64_t before = allocations;
  for (auto _ : state) {
    Tried tried;
    if (retry) tried.Add(1);
    benchmark::DoNotOptimize(
        policy->Pick(AddressKey(IpAddress::V4(static_cast<uint32_t>(++key))), tried));
  }
  state.counters["allocs_per_op"] = benchmark::Counter(static_cast<double>(allocations - before),
                                                       benchmark::Counter::kAvgIterations);
}

void Build(benchmark::State& state, PolicyKind kind) {
  std::deque<Counter> counters;
  const auto members = MakeMembers(static_cast<size_t>(state.range(0)), true, counters);
  for (auto _ : state) benchmark::DoNotOptimize(MakePolicy(kind, members, 1));
}

}  // namespace

int main(int argc, char** argv) {
  for (const PolicyKind kind : kPolicyKinds) {
    const std::string name = "pick_" + std::string(PolicyName(kind));
    for (const bool mixed : {false, true}) {
      const std::string weights = mixed ? "/mixed" : "/equal";
      for (const bool retry : {false, true}) {
        auto* bench = benchmark::RegisterBenchmark(
            (name + weights + (retry ? "/retry" : "")).c_str(), Pick, kind, mixed, retry);
        for (const int size : {2, 10, 64, 1000, 5000}) bench->Arg(size);
      }
    }
    benchmark::RegisterBenchmark(("build_" + std::string(PolicyName(kind))).c_str(), Build, kind)
        ->Arg(10)
        ->Arg(5000);
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
