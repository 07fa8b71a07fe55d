#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "balance/pool.h"
#include "rondo/base/rng.h"

namespace rondo::balance {
namespace {

constexpr auto kKind = PolicyKind::kConsistentHash;

// The definition, as slowly and obviously as can be: the least distance on the circle from any of
// the key's 12 places to any of the member's 16 points, divided by the weight.
size_t ByDefinition(const std::vector<Member>& members, uint64_t key, const Tried& tried) {
  size_t best = Policy::kNone;
  long double best_score = 0;
  for (size_t i = 0; i < members.size(); ++i) {
    const Member& member = members[i];
    const bool full = member.max_in_flight != 0 && *member.in_flight >= member.max_in_flight;
    if (full || tried.Contains(i)) continue;
    uint64_t least = UINT64_MAX;
    for (uint64_t j = 0; j < 16; ++j) {
      for (uint64_t k = 0; k < 12; ++k) {
        const uint64_t apart = Mix64(key ^ Mix64(16 + k)) - Mix64(member.id_hash ^ Mix64(j));
        least = std::min({least, apart, -apart});
      }
    }
    const long double score = static_cast<long double>(least) / member.weight;
    if (best == Policy::kNone || score < best_score) {
      best = i;
      best_score = score;
    }
  }
  return best;
}

std::vector<uint32_t> Weights(size_t size, bool mixed) {
  std::vector<uint32_t> weights;
  for (size_t i = 0; i < size; ++i) {
    weights.push_back(mixed ? static_cast<uint32_t>(1 + i % 4) : 1);
  }
  return weights;
}

TEST(ConsistentHash, SendsAKeyToTheSameBackendInEveryVersion) {
  Pool equal({1, 1, 1, 1, 1});
  Pool mixed({1, 2, 30, 4, 500});
  const auto one = equal.Make(kKind);
  const auto two = mixed.Make(kKind, 9);
  std::string picks;
  for (int i = 0; i < 24; ++i) {
    const uint64_t key = StableHash("/cart/" + std::to_string(i));
    picks.push_back(static_cast<char>('a' + one->Pick({key, {}}, {})));
    picks.push_back(static_cast<char>('a' + two->Pick({key, {}}, {})));
  }
  // Changing this moves the keys of everyone who upgrades.
  EXPECT_EQ(picks, "aedeeeaededeeedeeeeeaededededebedeccaeeeceeeceee");
}

TEST(ConsistentHash, AgreesWithItsDefinition) {
  Rng rng(11);
  const struct {
    size_t size;
    uint64_t weight_max;
    int rounds;
  } cases[] = {
      {1, 1, 50},        {2, 1, 300},      {2, 65535, 300},       {3, 10, 300},  {10, 1, 500},
      {10, 20, 500},     {10, 65535, 500}, {64, 300, 300},        {300, 1, 100}, {300, 15, 100},
      {300, 65535, 100}, {1000, 4, 50},    {50, 4294967295u, 100}};
  for (const auto& each : cases) {
    std::vector<uint32_t> weights;
    for (size_t i = 0; i < each.size; ++i) {
      weights.push_back(1 + static_cast<uint32_t>(rng.Below(each.weight_max)));
    }
    Pool pool(weights);
    const auto policy = pool.Make(kKind);
    for (int i = 0; i < each.rounds; ++i) {
      const uint64_t key = rng.Next();
      Tried tried;
      if (i % 3 == 0) {
        while (rng.Chance(0.7)) tried.Add(rng.Below(each.size));
      }
      ASSERT_EQ(policy->Pick({key, {}}, tried), ByDefinition(pool.members(), key, tried))
          << each.size << " members, weights to " << each.weight_max << ", pick " << i;
    }
  }
}

TEST(ConsistentHash, AgreesWithItsDefinitionHoweverManyAreFull) {
  Rng rng(12);
  for (const size_t size : {2u, 10u, 200u, 1000u}) {
    for (const double full : {0.1, 0.5, 0.9, 0.99, 1.0}) {
      Pool pool(Weights(size, true), 7);
      for (size_t i = 0; i < size; ++i) pool.in_flight(i) = rng.Chance(full) ? 7 : 6;
      const auto policy = pool.Make(kKind);
      for (int i = 0; i < (size > 100 ? 20 : 100); ++i) {
        const uint64_t key = rng.Next();
        Tried tried;
        if (i % 2 == 0) tried.Add(rng.Below(size));
        ASSERT_EQ(policy->Pick({key, {}}, tried), ByDefinition(pool.members(), key, tried))
            << size << " members, " << full << " full";
      }
    }
  }
}

TEST(ConsistentHash, SharesOutByWeight) {
  for (const size_t size : {2u, 10u, 1000u}) {
    for (const bool mixed : {false, true}) {
      const auto weights = Weights(size, mixed);
      Pool pool(weights);
      const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
      const auto policy = pool.Make(kKind);
      const uint64_t keys = size > 100 ? 500000 : 100000;
      std::vector<int> counts(size);
      for (uint64_t key = 0; key < keys; ++key) ++counts[policy->Pick({key, {}}, {})];
      double squares = 0;
      for (size_t i = 0; i < size; ++i) {
        const double expected = static_cast<double>(keys) * weights[i] / total;
        const double error = counts[i] / expected - 1;
        // Four and a half deviations of the circle's, and as many of the sample's.
        EXPECT_NEAR(error, 0, 4.5 * (0.036 + 1 / std::sqrt(expected))) << i << " of " << size;
        squares += error * error - 1 / expected;
      }
      EXPECT_LT(std::sqrt(std::max(0.0, squares / static_cast<double>(size))), 0.06) << size;
    }
  }
}

TEST(ConsistentHash, HoldsExtremeWeights) {
  Pool pool({65535, 1, 65535});
  const auto policy = pool.Make(kKind);
  std::vector<int> counts(3);
  for (uint64_t i = 0; i < 300000; ++i) ++counts[policy->Pick({Mix64(i), {}}, {})];
  EXPECT_NEAR(counts[1], 2.3, 7);
  EXPECT_NEAR(counts[0], 150000, 15000);
}

TEST(ConsistentHash, DoesNotDependOnTheOrderOfMembersNorOnTheSeed) {
  for (const size_t size : {5u, 300u}) {
    Pool pool(Weights(size, true));
    const std::vector<Member> reversed(pool.members().rbegin(), pool.members().rend());
    const auto one = pool.Make(kKind);
    const auto two = MakePolicy(kKind, reversed, 77);
    for (uint64_t key = 0; key < 10000; ++key) {
      ASSERT_EQ(one->Pick({key, {}}, {}), size - 1 - two->Pick({key, {}}, {}));
    }
  }
}

TEST(ConsistentHash, MovesOnlyTheKeysOfAMemberThatLeavesOrJoins) {
  for (const size_t size : {2u, 10u, 64u, 65u, 1000u}) {
    for (const bool mixed : {false, true}) {
      const auto weights = Weights(size, mixed);
      const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
      Pool pool(weights);
      const auto whole = pool.Make(kKind);
      constexpr uint64_t kKeys = 8000;
      double moved = 0;
      double allowed = 0;
      const size_t rounds = std::min<size_t>(size, 20);
      for (size_t round = 0; round < rounds; ++round) {
        const size_t gone = round * size / rounds;
        std::vector<Member> rest = pool.members();
        rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(gone));
        const auto smaller = MakePolicy(kKind, rest, 0);
        for (uint64_t key = 0; key < kKeys; ++key) {
          const size_t before = whole->Pick({key, {}}, {});
          size_t after = smaller->Pick({key, {}}, {});
          if (after >= gone) ++after;
          if (before == after) continue;
          // Read the other way round: one that joins takes keys, and the others exchange none.
          ASSERT_EQ(before, gone) << "a key moved between two that stayed";
          ++moved;
        }
        allowed += kKeys * weights[gone] / total;
      }
      // The member's share; the noise is that of the keys and of twenty members' places.
      EXPECT_LT(moved, 1.1 * allowed + 4 * std::sqrt(allowed)) << size << " members";
      EXPECT_GT(moved, 0.9 * allowed - 4 * std::sqrt(allowed)) << size << " members";
    }
  }
}

TEST(ConsistentHash, MovesKeysOnlyTowardsAMemberWhoseWeightGrows) {
  for (const uint32_t grown : {2u, 16u, 300u}) {
    auto weights = Weights(20, true);
    Pool before(weights);
    weights[8] = grown;
    Pool after(weights);
    const auto one = before.Make(kKind);
    const auto two = after.Make(kKind);
    int moved = 0;
    for (uint64_t key = 0; key < 20000; ++key) {
      const size_t was = one->Pick({key, {}}, {});
      const size_t is = two->Pick({key, {}}, {});
      if (was == is) continue;
      ASSERT_EQ(is, 8u);
      ++moved;
    }
    EXPECT_GT(moved, 0);
  }
}

TEST(ConsistentHash, SpreadsTheKeysOfATriedOrFullMemberOverTheOthers) {
  Pool pool(std::vector<uint32_t>(10, 1), 5);
  const auto policy = pool.Make(kKind);
  std::vector<int> counts(10);
  int all = 0;
  for (uint64_t key = 0; key < 100000; ++key) {
    if (policy->Pick({key, {}}, {}) != 4) continue;
    ++all;
    const size_t second = policy->Pick({key, {}}, TriedOf({4}));
    pool.in_flight(4) = 5;
    EXPECT_EQ(second, policy->Pick({key, {}}, {})) << "full and tried differ";
    pool.in_flight(4) = 0;
    ++counts[second];
  }
  EXPECT_EQ(counts[4], 0);
  for (size_t i = 0; i < 10; ++i) {
    if (i != 4) EXPECT_NEAR(counts[i], all / 9.0, all / 9.0 * 0.3) << i;
  }
}

}  // namespace
}  // namespace rondo::balance
