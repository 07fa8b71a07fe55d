#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "balance/pool.h"
#include "rondo/base/rng.h"

namespace rondo::balance {
namespace {

constexpr Instant kStart{std::chrono::hours(5)};

// How often each is picked, from the definition: the first is drawn by weight, the second by weight
// among the others, and beats() says which of the two it is.
template <typename Beats>
std::vector<double> SharesByPairs(const std::vector<uint32_t>& weights, Beats beats) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<double> shares(weights.size());
  for (size_t a = 0; a < weights.size(); ++a) {
    for (size_t b = 0; b < weights.size(); ++b) {
      if (a == b) continue;
      const double chance = weights[a] / total * weights[b] / (total - weights[a]);
      shares[beats(b, a) ? b : a] += chance;
    }
  }
  return shares;
}

void ExpectShares(Policy& policy, const std::vector<double>& shares) {
  constexpr int kPicks = 200000;
  std::vector<int> counts(shares.size());
  for (int i = 0; i < kPicks; ++i) ++counts[policy.Pick({0, kStart}, {})];
  for (size_t i = 0; i < shares.size(); ++i) {
    const double expected = kPicks * shares[i];
    EXPECT_NEAR(counts[i], expected, 5 * std::sqrt(expected) + 1) << i;
  }
}

TEST(RandomTwo, PicksEachAsOftenAsASumOverAllPairsSays) {
  Rng rng(1);
  for (int round = 0; round < 10; ++round) {
    std::vector<uint32_t> weights;
    for (int i = 0; i < 6; ++i) weights.push_back(static_cast<uint32_t>(1 + rng.Below(4)));
    Pool pool(weights);
    for (size_t i = 0; i < 6; ++i) pool.in_flight(i) = static_cast<uint32_t>(rng.Below(12));
    const auto load = [&](size_t i) { return (pool.in_flight(i) + 1.0) / weights[i]; };
    ExpectShares(*pool.Make(PolicyKind::kRandomTwo, static_cast<uint64_t>(round)),
                 SharesByPairs(weights, [&](size_t b, size_t a) { return load(b) < load(a); }));
  }
}

// Requests are held open and end at random, over workers that share the counts.
uint32_t Peak(PolicyKind kind, Pool& pool, size_t workers, size_t open_max, int requests) {
  std::vector<std::unique_ptr<Policy>> policies;
  for (size_t i = 0; i < workers; ++i) policies.push_back(pool.Make(kind, i));
  Rng rng(4);
  std::vector<size_t> open;
  uint32_t peak = 0;
  for (int i = 0; i < requests; ++i) {
    if (open.size() == open_max) {
      std::swap(open[rng.Below(open.size())], open.back());
      --pool.in_flight(open.back());
      open.pop_back();
    }
    const size_t index = policies[static_cast<size_t>(i) % workers]->Pick({0, kStart}, {});
    open.push_back(index);
    const uint32_t weight = pool.members()[index].weight;
    peak = std::max(peak, (++pool.in_flight(index) + weight - 1) / weight);
  }
  return peak;
}

TEST(RandomTwo, AndPeakEwmaKeepLoadNearTheMeanWithOneAndWithFourWorkers) {
  for (const PolicyKind kind : {PolicyKind::kRandomTwo, PolicyKind::kPeakEwma}) {
    for (const size_t workers : {1u, 4u}) {
      for (const size_t size : {2u, 10u, 1000u}) {
        Pool equal(std::vector<uint32_t>(size, 1));
        EXPECT_LE(Peak(kind, equal, workers, 8 * size, 100000), 13u) << size << " members";
        std::vector<uint32_t> weights;
        uint32_t total = 0;
        for (size_t i = 0; i < size; ++i) {
          weights.push_back(static_cast<uint32_t>(1 + i % 4));
          total += weights.back();
        }
        Pool mixed(weights);
        EXPECT_LE(Peak(kind, mixed, workers, 8 * total, 100000), 13u) << size << " members";
      }
    }
  }
}

}  // namespace
}  // namespace rondo::balance
