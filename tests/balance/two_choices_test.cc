// random_two and peak_ewma: which of two, how often each pair, and the latencies behind it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <thread>

#include "balance/pool.h"
#include "rondo/base/rng.h"

namespace rondo::balance {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kStart{std::chrono::hours(5)};

double Ms(const LatencyCell& cell, Instant now) { return cell.Cost(now) / 1e6; }

TEST(LatencyCell, KnowsNothingBeforeTheFirstAnswer) {
  LatencyCell cell;
  EXPECT_EQ(cell.Cost(kStart), 0);
  cell.Observe(milliseconds(-1), kStart);
  EXPECT_EQ(cell.Cost(kStart), 0);
  cell.Observe(Duration(0), Instant{});
  EXPECT_NEAR(cell.Cost(Instant{}), 1000, 1);
}

TEST(LatencyCell, TakesASlowerAnswerAtOnceAndComesDownSlowly) {
  LatencyCell cell;
  cell.Observe(milliseconds(10), kStart);
  EXPECT_NEAR(Ms(cell, kStart), 10, 1e-4);
  cell.Observe(milliseconds(200), kStart);
  EXPECT_NEAR(Ms(cell, kStart), 200, 1e-3);
  cell.Observe(milliseconds(10), kStart);  // within the same millisecond: the peak stands
  EXPECT_NEAR(Ms(cell, kStart), 200, 1e-3);
  cell.Observe(milliseconds(10), kStart + seconds(10));
  EXPECT_NEAR(Ms(cell, kStart + seconds(10)), 10 + 190 * std::exp(-1), 0.05);
}

TEST(LatencyCell, ComesDownAlikeHoweverOftenItIsToldTheSame) {
  for (const int each_ms : {2, 10, 100, 1000}) {
    LatencyCell cell;
    cell.Observe(milliseconds(500), kStart);
    Instant now = kStart;
    while (now < kStart + seconds(20)) {
      now += milliseconds(each_ms);
      cell.Observe(milliseconds(20), now);
    }
    EXPECT_NEAR(Ms(cell, now), 20 + 480 * std::exp(-2), 1.5) << "one each " << each_ms << " ms";
  }
}

TEST(LatencyCell, FadesWithoutAnswersAndIsForgottenInTheEnd) {
  LatencyCell cell;
  cell.Observe(milliseconds(100), kStart);
  EXPECT_NEAR(Ms(cell, kStart + seconds(10)), 100 * std::exp(-1), 0.05);
  EXPECT_NEAR(Ms(cell, kStart + seconds(50)), 100 * std::exp(-5), 0.05);
  EXPECT_EQ(Ms(cell, kStart + seconds(101)), 0);
  EXPECT_NEAR(Ms(cell, kStart - milliseconds(5)), 100, 1e-3);  // a worker whose time lags
  cell.Observe(milliseconds(3), kStart + seconds(200));
  EXPECT_NEAR(Ms(cell, kStart + seconds(200)), 3, 1e-4);
}

TEST(LatencyCell, LosesNoPeakBetweenWorkers) {
  for (int round = 0; round < 50; ++round) {
    LatencyCell cell;
    std::thread other([&] {
      for (int i = 0; i < 2000; ++i) cell.Observe(milliseconds(1), kStart + milliseconds(2 * i));
    });
    cell.Observe(seconds(100), kStart + seconds(4));
    other.join();
    EXPECT_GT(Ms(cell, kStart + seconds(4)), 90000);
  }
}

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

TEST(PeakEwma, PicksEachAsOftenAsASumOverAllPairsSays) {
  Rng rng(2);
  for (int round = 0; round < 10; ++round) {
    std::vector<uint32_t> weights;
    for (int i = 0; i < 6; ++i) weights.push_back(static_cast<uint32_t>(1 + rng.Below(4)));
    Pool pool(weights);
    for (size_t i = 0; i < 6; ++i) {
      pool.in_flight(i) = static_cast<uint32_t>(rng.Below(12));
      pool.latency(i).Observe(milliseconds(1 + rng.Below(50)), kStart);
    }
    const auto cost = [&](size_t i) {
      return pool.latency(i).Cost(kStart) * (pool.in_flight(i) + 1.0) / weights[i];
    };
    ExpectShares(*pool.Make(PolicyKind::kPeakEwma, static_cast<uint64_t>(round)),
                 SharesByPairs(weights, [&](size_t b, size_t a) { return cost(b) < cost(a); }));
  }
}

TEST(PeakEwma, ComparesTheLatencyOfThoseThatHaveOneAndAsksTheOthersOneAtATime) {
  const struct {
    const char* what;
    int latency_ms[2];  // 0: not known
    uint32_t in_flight[2];
    uint32_t weights[2];
    size_t expected;
  } cases[] = {
      {"the faster", {10, 5}, {0, 0}, {1, 1}, 1},
      {"the faster for its load", {10, 5}, {0, 2}, {1, 1}, 0},
      {"the faster for its weight", {10, 5}, {0, 0}, {3, 1}, 0},
      {"an unknown one with nothing in flight", {5, 0}, {0, 0}, {1, 1}, 1},
      {"no unknown one that is being asked", {5, 0}, {9, 1}, {1, 1}, 0},
      {"of two unknown ones that with less", {0, 0}, {2, 1}, {1, 1}, 1},
      {"of two unknown ones that with less for its weight", {0, 0}, {2, 1}, {2, 1}, 0},
  };
  for (const auto& each : cases) {
    Pool pool({each.weights[0], each.weights[1]});
    for (size_t i = 0; i < 2; ++i) {
      pool.in_flight(i) = each.in_flight[i];
      if (each.latency_ms[i] > 0) {
        pool.latency(i).Observe(milliseconds(each.latency_ms[i]), kStart);
      }
    }
    const auto policy = pool.Make(PolicyKind::kPeakEwma);
    int hits = 0;
    for (int i = 0; i < 20; ++i) hits += policy->Pick({0, kStart}, {}) == each.expected;
    EXPECT_GE(hits, 19) << each.what;
  }
}

TEST(PeakEwma, WorksWithoutLatencyCells) {
  Pool pool({1, 1});
  for (Member& member : pool.members()) member.latency = nullptr;
  pool.in_flight(0) = 3;
  EXPECT_EQ(pool.Make(PolicyKind::kPeakEwma)->Pick({}, {}), 1u);
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

TEST(TwoChoices, KeepLoadNearTheMeanWithOneAndWithFourWorkers) {
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
