#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "balance/pool.h"
#include "rondo/base/rng.h"

namespace rondo::balance {
namespace {

using std::chrono::milliseconds;

constexpr Instant kStart{std::chrono::hours(5)};

TEST(PeakEwma, AgreesWithAPlainSearchForTheCheapest) {
  Rng rng(2);
  const std::vector<uint32_t> weights = {5, 3, 1, 1, 8, 2, 2};
  Pool pool(weights, 20);
  const auto policy = pool.Make(PolicyKind::kPeakEwma);
  Instant now = kStart;
  for (size_t i = 0; i < weights.size(); ++i) pool.latency(i).Observe(milliseconds(5), now);
  for (int round = 0; round < 20000; ++round) {
    now += milliseconds(rng.Below(40));
    double least = 1e18;
    for (size_t i = 0; i < weights.size(); ++i) {
      pool.in_flight(i) = static_cast<uint32_t>(rng.Below(25));
      if (rng.Chance(0.3)) pool.latency(i).Observe(milliseconds(1 + rng.Below(50)), now);
      if (pool.in_flight(i) >= 20) continue;
      least = std::min(least, pool.latency(i).Cost(now) * (pool.in_flight(i) + 1.0) / weights[i]);
    }
    const size_t picked = policy->Pick({0, now}, {});
    ASSERT_EQ(picked == Policy::kNone, least == 1e18);
    if (picked == Policy::kNone) continue;
    ASSERT_LT(pool.in_flight(picked), 20u);
    ASSERT_NEAR(pool.latency(picked).Cost(now) * (pool.in_flight(picked) + 1.0) / weights[picked],
                least, least * 1e-9);
  }
}

// A hundred sequential requests a second to members of nearly equal speed: the fastest does not get
// them all, since the others fade while they wait: one that is 6 % slower for 600 ms.
TEST(PeakEwma, KeepsAskingMembersThatAreALittleSlower) {
  Pool pool({1, 1, 1, 1});
  const auto policy = pool.Make(PolicyKind::kPeakEwma);
  std::vector<int> counts(4);
  Instant now = kStart;
  for (int i = 0; i < 6000; ++i) {
    now += milliseconds(10);
    const size_t index = policy->Pick({0, now}, {});
    ++counts[index];
    pool.latency(index).Observe(std::chrono::microseconds(1000 + 20 * index), now);
  }
  EXPECT_GT(counts[0], counts[3]);
  for (const int count : counts) EXPECT_GT(count, 60);
}

TEST(PeakEwma, TakesAMemberThatHangsOutOfUse) {
  for (const size_t size : {4u, 100u}) {
    Pool pool(std::vector<uint32_t>(size, 1));
    const auto policy = pool.Make(PolicyKind::kPeakEwma);
    Instant now = kStart;
    for (int i = 0; i < 20000; ++i) {
      now += milliseconds(1);
      const size_t index = policy->Pick({0, now}, {});
      if (index == 2) {
        ++pool.in_flight(2);  // never answers again
      } else {
        pool.latency(index).Observe(milliseconds(5), now);
      }
    }
    EXPECT_LE(pool.in_flight(2), 3u) << size << " members";
  }
}

TEST(PeakEwma, ComparesTheLatencyOfThoseThatHaveOneAndAsksTheOthers) {
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
      {"no unknown one that has as many in flight", {5, 0}, {1, 1}, {1, 1}, 0},
      {"an unknown one that has fewer in flight", {5, 0}, {9, 1}, {1, 1}, 1},
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

}  // namespace
}  // namespace rondo::balance
