#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "balance/pool.h"
#include "rondo/base/rng.h"

namespace rondo::balance {
namespace {

constexpr auto kKind = PolicyKind::kLeastConnections;

TEST(LeastConnections, TakesTheLeastLoadedForItsWeight) {
  const struct {
    std::vector<uint32_t> weights;
    std::vector<uint32_t> in_flight;
    std::vector<size_t> tried;
    size_t expected;
  } cases[] = {
      {{1, 1, 1}, {3, 2, 4}, {}, 1},
      {{1, 1, 1}, {3, 2, 4}, {1}, 0},
      {{1, 1, 1}, {3, 2, 4}, {1, 0}, 2},
      {{4, 1}, {6, 1}, {}, 0},  // 7/4 < 2/1
      {{4, 1}, {8, 1}, {}, 1},  // 9/4 > 2/1
      {{5, 1}, {0, 0}, {}, 0},
      {{1, 65535}, {0, 65533}, {}, 1},
      {{1, 65535}, {0, 65536}, {}, 0},
      {{4294967295u, 4294967294u}, {2147483647, 2147483647}, {}, 0},  // no overflow
  };
  for (const auto& each : cases) {
    Pool pool(each.weights);
    Tried tried;
    for (const size_t index : each.tried) tried.Add(index);
    for (size_t i = 0; i < each.in_flight.size(); ++i) pool.in_flight(i) = each.in_flight[i];
    for (uint64_t seed = 0; seed < 3; ++seed) {
      EXPECT_EQ(pool.Make(kKind, seed)->Pick({0, {}}, tried), each.expected);
    }
  }
}

TEST(LeastConnections, TakesEqualMembersInTurn) {
  Pool pool({1, 1, 1});
  const auto policy = pool.Make(kKind);
  EXPECT_EQ(Letters(*policy, 6), "abcabc");
  pool.in_flight(1) = 1;
  EXPECT_EQ(Letters(*policy, 4), "acac");
  EXPECT_EQ(pool.Make(kKind, 2)->Pick({0, {}}, {}), 2u);  // the seed says where to begin
}

// Requests are held open and end at random, over some workers that share the counts. Returns the
// largest count for a weight of one that a member ever had.
uint32_t Peak(Pool& pool, size_t workers, size_t open_max, int requests) {
  std::vector<std::unique_ptr<Policy>> policies;
  for (size_t i = 0; i < workers; ++i) policies.push_back(pool.Make(kKind, i));
  Rng rng(4);
  std::vector<size_t> open;
  uint32_t peak = 0;
  for (int i = 0; i < requests; ++i) {
    if (open.size() == open_max) {
      std::swap(open[rng.Below(open.size())], open.back());
      --pool.in_flight(open.back());
      open.pop_back();
    }
    const size_t index = policies[static_cast<size_t>(i) % workers]->Pick({0, {}}, {});
    open.push_back(index);
    const uint32_t weight = pool.members()[index].weight;
    peak = std::max(peak, (++pool.in_flight(index) + weight - 1) / weight);
  }
  return peak;
}

TEST(LeastConnections, KeepsWorkersThatShareTheCountsAsEvenAsOne) {
  for (const size_t workers : {1u, 4u}) {
    Pool ten(std::vector<uint32_t>(10, 1));
    EXPECT_EQ(Peak(ten, workers, 80, 50000), 8u);
    Pool mixed({1, 2, 3, 4});
    EXPECT_EQ(Peak(mixed, workers, 80, 50000), 8u);
  }
}

TEST(LeastConnections, StaysNearTheBestWhereOnlySomeAreCompared) {
  for (const size_t workers : {1u, 4u}) {
    Pool pool(std::vector<uint32_t>(1000, 1));
    EXPECT_LE(Peak(pool, workers, 8000, 200000), 10u);
  }
}

TEST(LeastConnections, DrawsHeavyMembersOfABigPoolOftenEnough) {
  std::vector<uint32_t> weights(1000, 1);
  for (size_t i = 0; i < 10; ++i) weights[i * 100] = 100;
  Pool pool(weights);
  Peak(pool, 1, 8 * 1990, 200000);
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_NEAR(pool.in_flight(i * 100), 800, 80);
  }
}

TEST(LeastConnections, FindsTheLastUntriedOneOfABigPool) {
  Pool pool(std::vector<uint32_t>(500, 1));
  Tried tried;
  for (size_t i = 0; i < 500; ++i) {
    if (i != 321) tried.Add(i);
  }
  EXPECT_EQ(pool.Make(kKind)->Pick({0, {}}, tried), 321u);
}

}  // namespace
}  // namespace rondo::balance
