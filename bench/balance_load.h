// Simulated load for the policies: how evenly they keep requests in flight, and how long requests
// take where backends differ in speed. Not benchmarks of time: the numbers are in the counters.
#pragma once

#include <benchmark/benchmark.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rondo/balance/latency.h"
#include "rondo/balance/policy.h"
#include "rondo/balance/stable_hash.h"
#include "rondo/base/rng.h"

namespace rondo::balance {

// Compares every member: what the policies that compare a few are measured against. Begins at a
// random one, so that equals are taken alike.
class FullScan final : public Policy {
 public:
  FullScan(std::vector<Member> members, bool by_latency, uint64_t seed)
      : members_(std::move(members)), by_latency_(by_latency), rng_(seed) {}

  size_t Pick(PickContext context, const Tried&) override {
    size_t best = kNone;
    double best_cost = 0;
    size_t i = rng_.Below(members_.size());
    for (size_t n = 0; n < members_.size(); ++n) {
      const Member& member = members_[i];
      double cost = (member.in_flight->load(std::memory_order_relaxed) + 1.0) / member.weight;
      if (by_latency_) cost *= std::max(member.latency->Cost(context.now), 1.0);
      if (best == kNone || cost < best_cost) {
        best = i;
        best_cost = cost;
      }
      if (++i == members_.size()) i = 0;
    }
    return best;
  }
  bool AnyFree() const override { return true; }

 private:
  const std::vector<Member> members_;
  const bool by_latency_;
  Rng rng_;
};

enum class Chooser { kPolicy, kScan, kLatencyScan };

struct LoadPool {
  struct alignas(64) Shared {
    std::atomic<uint32_t> in_flight{0};
    LatencyCell latency;
  };
  explicit LoadPool(size_t size) {
    for (size_t i = 0; i < size; ++i) {
      Shared& each = shared.emplace_back();
      members.push_back(
          Member{1, StableHash("backend-" + std::to_string(i)), &each.in_flight, 0, &each.latency});
    }
  }
  std::unique_ptr<Policy> Make(Chooser chooser, PolicyKind kind, uint64_t seed) const {
    if (chooser == Chooser::kPolicy) return MakePolicy(kind, members, seed);
    return std::make_unique<FullScan>(members, chooser == Chooser::kLatencyScan, seed);
  }
  std::deque<Shared> shared;
  std::vector<Member> members;
};

// Requests arrive as a Poisson process and stay for times of an exponential law, eight for each
// member on average. Counters: the largest count of any member over the mean of all, on average
// over moments and at worst.
inline void Spread(benchmark::State& state, Chooser chooser, PolicyKind kind, size_t workers) {
  const auto size = static_cast<size_t>(state.range(0));
  LoadPool pool(size);
  std::vector<std::unique_ptr<Policy>> policies;
  for (size_t i = 0; i < workers; ++i) policies.push_back(pool.Make(chooser, kind, i));
  Rng rng(42);
  std::vector<uint32_t> open;
  double sum = 0;
  double worst = 0;
  int samples = 0;
  for (auto _ : state) {
    const size_t events = 100 * size;
    for (size_t event = 0; event < events; ++event) {
      // Arrivals at 8 * size a unit of time, and each that is open ends at a rate of one.
      const double arrivals = 8.0 * static_cast<double>(size);
      if (rng.Chance(arrivals / (arrivals + static_cast<double>(open.size())))) {
        const size_t index = policies[rng.Below(workers)]->Pick({rng.Next(), {}}, {});
        pool.shared[index].in_flight.fetch_add(1, std::memory_order_relaxed);
        open.push_back(static_cast<uint32_t>(index));
      } else {
        std::swap(open[rng.Below(open.size())], open.back());
        pool.shared[open.back()].in_flight.fetch_sub(1, std::memory_order_relaxed);
        open.pop_back();
      }
      // The first half is for settling.
      if (event < events / 2 || event % size != 0) continue;
      uint32_t peak = 0;
      for (const auto& each : pool.shared) peak = std::max(peak, each.in_flight.load());
      const double over =
          peak * static_cast<double>(size) / static_cast<double>(std::max<size_t>(open.size(), 1));
      sum += over;
      worst = std::max(worst, over);
      ++samples;
    }
  }
  state.counters["peak_over_mean"] = sum / samples;
  state.counters["worst"] = worst;
}

// Backends share their speed among their requests; each tenth is five times slower than the others.
// Requests come as a Poisson process at `load` of what all can do together. Counters: the mean and
// the 99th percentile of how long requests take, in the time that a fast idle backend needs, and
// the share of requests that the busiest backend gets over its fair one.
inline void Response(benchmark::State& state, Chooser chooser, PolicyKind kind, double load) {
  constexpr double kServiceSeconds = 0.010;
  const auto size = static_cast<size_t>(state.range(0));
  LoadPool pool(size);
  const auto policy = pool.Make(chooser, kind, 1);
  const auto speed = [](size_t i) { return i % 10 == 3 ? 0.2 : 1.0; };
  double capacity = 0;
  for (size_t i = 0; i < size; ++i) capacity += speed(i);
  std::vector<std::vector<double>> began(size);
  std::vector<double> times;
  std::vector<size_t> picks(size);
  Rng rng(7);
  double now = 100;  // seconds
  const auto instant = [&] { return Instant(Duration(static_cast<int64_t>(now * 1e9))); };
  for (auto _ : state) {
    const size_t requests = 20000 + 1000 * size;
    for (size_t arrived = 0; arrived < requests;) {
      double busy = 0;
      for (size_t i = 0; i < size; ++i) busy += began[i].empty() ? 0 : speed(i);
      const double arrivals = load * capacity;
      now -= std::log(1 - static_cast<double>(rng.Next() >> 11) * 0x1.0p-53) / (arrivals + busy) *
             kServiceSeconds;
      double drawn = static_cast<double>(rng.Next() >> 11) * 0x1.0p-53 * (arrivals + busy);
      if ((drawn -= arrivals) < 0) {
        const size_t index = policy->Pick({rng.Next(), instant()}, {});
        pool.shared[index].in_flight.fetch_add(1, std::memory_order_relaxed);
        began[index].push_back(now);
        if (++arrived > requests / 5) ++picks[index];
        continue;
      }
      size_t i = 0;
      while (i + 1 < size && (began[i].empty() || (drawn -= speed(i)) >= 0)) ++i;
      if (began[i].empty()) continue;  // rounding
      std::swap(began[i][rng.Below(began[i].size())], began[i].back());
      const double took = now - began[i].back();
      began[i].pop_back();
      pool.shared[i].in_flight.fetch_sub(1, std::memory_order_relaxed);
      pool.shared[i].latency.Observe(Duration(static_cast<int64_t>(took * 1e9)), instant());
      if (arrived > requests / 5) times.push_back(took / kServiceSeconds);
    }
  }
  std::ranges::sort(times);
  double sum = 0;
  for (const double each : times) sum += each;
  double all = 0;
  for (const size_t each : picks) all += static_cast<double>(each);
  state.counters["mean"] = sum / static_cast<double>(times.size());
  state.counters["p99"] = times[times.size() * 99 / 100];
  state.counters["busiest"] =
      static_cast<double>(*std::ranges::max_element(picks)) * static_cast<double>(size) / all;
}

inline void RegisterLoads() {
  const struct {
    const char* name;
    Chooser chooser;
    PolicyKind kind;
  } choosers[] = {
      {"full_scan", Chooser::kScan, PolicyKind::kLeastConnections},
      {"least_connections", Chooser::kPolicy, PolicyKind::kLeastConnections},
      {"random_two", Chooser::kPolicy, PolicyKind::kRandomTwo},
      {"round_robin", Chooser::kPolicy, PolicyKind::kRoundRobin},
      {"peak_ewma", Chooser::kPolicy, PolicyKind::kPeakEwma},
      {"latency_full_scan", Chooser::kLatencyScan, PolicyKind::kPeakEwma},
  };
  for (const auto& each : choosers) {
    for (const size_t workers : {1u, 4u}) {
      if (each.chooser == Chooser::kLatencyScan || each.kind == PolicyKind::kPeakEwma) continue;
      auto* bench = benchmark::RegisterBenchmark(
          ("spread_" + std::string(each.name) + "/workers:" + std::to_string(workers)).c_str(),
          Spread, each.chooser, each.kind, workers);
      for (const int size : {10, 100, 1000, 5000}) bench->Arg(size);
      bench->Iterations(1)->Unit(benchmark::kMillisecond);
    }
    for (const int percent : {5, 30, 70, 90}) {
      auto* bench = benchmark::RegisterBenchmark(
          ("response_" + std::string(each.name) + "/load:" + std::to_string(percent)).c_str(),
          Response, each.chooser, each.kind, percent / 100.0);
      for (const int size : {10, 100}) bench->Arg(size);
      bench->Iterations(1)->Unit(benchmark::kMillisecond);
    }
  }
}

}  // namespace rondo::balance
