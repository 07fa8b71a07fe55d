// What a pick costs: each policy at 2 to 5,000 members, with equal and with mixed weights, as a
// first pick, as a retry, and where half of the members or all but one are full. allocs_per_op must
// be 0.
#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <deque>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "balance_load.h"
#include "rondo/balance/latency.h"
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
  LatencyCell latency;
};

enum class Case { kFirst, kRetry, kLimited, kHalfFull, kAllButOneFull };

constexpr Instant kNow{std::chrono::hours(1)};

std::vector<Member> MakeMembers(size_t size, bool mixed, Case which,
                                std::deque<Counter>& counters) {
  std::vector<Member> members;
  for (size_t i = 0; i < size; ++i) {
    Counter& counter = counters.emplace_back();
    counter.value = static_cast<uint32_t>(i * 7 % 5);
    counter.latency.Observe(std::chrono::microseconds(500 + i * 13 % 100), kNow);
    const bool full = (which == Case::kHalfFull && i % 2 == 1) ||
                      (which == Case::kAllButOneFull && i != size / 2);
    if (full) counter.value = 10;
    const bool limited = which != Case::kFirst && which != Case::kRetry;
    members.push_back(Member{mixed ? static_cast<uint32_t>(1 + i % 5) : 1,
                             StableHash("backend-" + std::to_string(i)), &counter.value,
                             limited ? 10u : 0u, &counter.latency});
  }
  return members;
}

void Pick(benchmark::State& state, PolicyKind kind, bool mixed, Case which) {
  std::deque<Counter> counters;
  const auto size = static_cast<size_t>(state.range(0));
  const auto policy = MakePolicy(kind, MakeMembers(size, mixed, which, counters), 1);
  uint64_t key = 0;
  const uint64_t before = allocations;
  const Instant now = kNow + std::chrono::milliseconds(5);
  for (auto _ : state) {
    Tried tried;
    if (which == Case::kRetry) tried.Add(1);
    const uint64_t hashed = AddressKey(IpAddress::V4(static_cast<uint32_t>(++key)));
    benchmark::DoNotOptimize(policy->Pick({hashed, now}, tried));
  }
  state.counters["allocs_per_op"] = benchmark::Counter(static_cast<double>(allocations - before),
                                                       benchmark::Counter::kAvgIterations);
}

void Build(benchmark::State& state, PolicyKind kind) {
  std::deque<Counter> counters;
  const auto members =
      MakeMembers(static_cast<size_t>(state.range(0)), true, Case::kFirst, counters);
  for (auto _ : state) benchmark::DoNotOptimize(MakePolicy(kind, members, 1));
}

constexpr std::pair<Case, const char*> kCases[] = {
    {Case::kFirst, ""},
    {Case::kRetry, "/retry"},
    {Case::kLimited, "/limited"},
    {Case::kHalfFull, "/half_full"},
    {Case::kAllButOneFull, "/all_but_one_full"},
};

}  // namespace

int main(int argc, char** argv) {
  for (const PolicyKind kind : kPolicyKinds) {
    const std::string name = "pick_" + std::string(PolicyName(kind));
    for (const bool mixed : {false, true}) {
      const std::string weights = mixed ? "/mixed" : "/equal";
      for (const auto& [which, suffix] : kCases) {
        auto* bench = benchmark::RegisterBenchmark((name + weights + suffix).c_str(), Pick, kind,
                                                   mixed, which);
        for (const int size : {2, 10, 64, 1000, 5000}) bench->Arg(size);
      }
    }
    benchmark::RegisterBenchmark(("build_" + std::string(PolicyName(kind))).c_str(), Build, kind)
        ->Arg(10)
        ->Arg(5000);
  }
  RegisterLoads();
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
