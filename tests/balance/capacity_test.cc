// Members at their limit, under every policy.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>

#include "balance/pool.h"
#include "rondo/base/rng.h"

namespace rondo::balance {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

bool Full(const Member& member) {
  return member.max_in_flight != 0 && *member.in_flight >= member.max_in_flight;
}

class Capacity : public testing::TestWithParam<PolicyKind> {};

INSTANTIATE_TEST_SUITE_P(All, Capacity, testing::ValuesIn(kPolicyKinds),
                         [](const auto& info) { return std::string(PolicyName(info.param)); });

std::vector<uint32_t> Weights(size_t size, bool mixed) {
  std::vector<uint32_t> weights;
  for (size_t i = 0; i < size; ++i) {
    weights.push_back(mixed ? static_cast<uint32_t>(1 + i % 5) : 1);
  }
  return weights;
}

TEST_P(Capacity, FillsEveryMemberToItsLimitAndThenPicksNobody) {
  for (const size_t size : {1u, 2u, 10u, 64u, 65u, 300u}) {
    for (const bool mixed : {false, true}) {
      Pool pool(Weights(size, mixed));
      uint64_t places = 0;
      for (size_t i = 0; i < size; ++i) {
        pool.members()[i].max_in_flight = static_cast<uint32_t>(1 + i * 7 % 4);
        places += pool.members()[i].max_in_flight;
      }
      const auto policy = pool.Make(GetParam(), 3);
      for (uint64_t i = 0; i < places; ++i) {
        EXPECT_TRUE(policy->AnyFree());
        const size_t index = policy->Pick({Mix64(i), {}}, {});
        ASSERT_LT(index, size) << "with " << places - i << " places left";
        ASSERT_FALSE(Full(pool.members()[index]));
        ++pool.in_flight(index);
      }
      EXPECT_FALSE(policy->AnyFree());
      EXPECT_EQ(policy->Pick({1, {}}, {}), Policy::kNone);
      EXPECT_EQ(policy->Pick({1, {}}, TriedOf({0})), Policy::kNone);
      --pool.in_flight(size / 2);
      EXPECT_TRUE(policy->AnyFree());
      EXPECT_EQ(policy->Pick({1, {}}, {}), size / 2) << "the place that came free";
      EXPECT_EQ(policy->Pick({1, {}}, TriedOf({size / 2})), Policy::kNone);
    }
  }
}

TEST_P(Capacity, HasRoomWhereAMemberHasNoLimit) {
  Pool pool({1, 1, 1}, 1);
  pool.members()[1].max_in_flight = 0;
  const auto policy = pool.Make(GetParam());
  for (size_t i = 0; i < 3; ++i) pool.in_flight(i) = 1000000;
  EXPECT_TRUE(policy->AnyFree());
  for (uint64_t key = 0; key < 20; ++key) EXPECT_EQ(policy->Pick({key, {}}, {}), 1u);
  EXPECT_EQ(policy->Pick({0, {}}, TriedOf({1})), Policy::kNone);
}

TEST_P(Capacity, IsNobodysInAnEmptyPool) { EXPECT_FALSE(Pool({}).Make(GetParam())->AnyFree()); }

TEST_P(Capacity, SharesOutByWeightAmongThoseThatAreNotFull) {
  for (const size_t size : {10u, 64u, 100u, 1000u}) {
    for (const bool mixed : {false, true}) {
      const auto weights = Weights(size, mixed);
      Pool pool(weights, 1000000000);
      // Loads in proportion to weights and so high that a policy that counts sees no differences;
      // half of the members are full, in runs.
      double total = 0;
      for (size_t i = 0; i < size; ++i) {
        pool.in_flight(i) = 1000000 * weights[i] - 1;
        pool.latency(i).Observe(milliseconds(10), Instant{});
        if (i / 5 % 2 == 0) {
          pool.members()[i].max_in_flight = 5;
        } else {
          total += weights[i];
        }
      }
      const auto policy = pool.Make(GetParam(), 1);
      const int picks = size > 100 ? 200000 : 50000;
      std::vector<int> counts(size);
      for (int i = 0; i < picks; ++i) {
        const size_t index = policy->Pick({Mix64(static_cast<uint64_t>(i)), Instant{}}, {});
        ASSERT_LT(index, size);
        ++counts[index];
      }
      // Above 64 members those that compare draw by weight among equals; below they take equals in
      // turn whatever their weights, and here no cost differs.
      const bool compares =
          GetParam() == PolicyKind::kLeastConnections || GetParam() == PolicyKind::kPeakEwma;
      const bool in_turn = compares && size <= 64;
      const double among = in_turn ? static_cast<double>(size) / 2 : total;
      for (size_t i = 0; i < size; ++i) {
        if (pool.members()[i].max_in_flight == 5) {
          ASSERT_EQ(counts[i], 0) << "a full member was picked";
          continue;
        }
        const double expected = picks * (in_turn ? 1 : weights[i]) / among;
        EXPECT_NEAR(counts[i], expected, 6 * std::sqrt(expected) + expected * 0.2)
            << i << " of " << size << " weight " << weights[i];
      }
    }
  }
}

// Requests come, are held, fail over and end at random, on several workers that share the counts.
// What is asked of each pick is what is asked of a list: is it there, is it free, was it tried, and
// if nobody was picked, was there really nobody?
void Churn(PolicyKind kind, size_t size, size_t workers, int steps, uint64_t seed) {
  Rng rng(seed);
  Pool pool(Weights(size, rng.Chance(0.5)));
  for (Member& member : pool.members()) {
    if (rng.Chance(0.9)) member.max_in_flight = static_cast<uint32_t>(1 + rng.Below(4));
  }
  std::vector<std::unique_ptr<Policy>> policies(workers);
  std::vector<size_t> held;
  Instant now{};
  for (int step = 0; step < steps; ++step) {
    now += microseconds(rng.Below(2000));
    const size_t worker = rng.Below(workers);
    // A worker takes up a new configuration now and then; counts go on.
    if (policies[worker] == nullptr || rng.Chance(0.002)) {
      policies[worker] = pool.Make(kind, rng.Next());
    }
    if (!held.empty() && rng.Chance(step / 500 % 2 == 0 ? 0.4 : 0.6)) {
      std::swap(held[rng.Below(held.size())], held.back());
      --pool.in_flight(held.back());
      pool.latency(held.back()).Observe(microseconds(rng.Below(50000)), now);
      held.pop_back();
      continue;
    }
    Tried tried;
    while (rng.Chance(0.3)) tried.Add(rng.Below(size));
    bool any = false;
    bool free = false;
    for (size_t i = 0; i < size; ++i) {
      free = free || !Full(pool.members()[i]);
      any = any || (!Full(pool.members()[i]) && !tried.Contains(i));
    }
    ASSERT_EQ(policies[worker]->AnyFree(), free);
    const size_t index = policies[worker]->Pick({rng.Next(), now}, tried);
    ASSERT_EQ(index != Policy::kNone, any) << "step " << step << " seed " << seed;
    if (index == Policy::kNone) continue;
    ASSERT_LT(index, size);
    ASSERT_FALSE(Full(pool.members()[index])) << "step " << step << " seed " << seed;
    ASSERT_FALSE(tried.Contains(index)) << "step " << step << " seed " << seed;
    ++pool.in_flight(index);
    held.push_back(index);
  }
  for (const size_t index : held) --pool.in_flight(index);
  for (size_t i = 0; i < size; ++i) ASSERT_EQ(pool.in_flight(i), 0u);
}

TEST_P(Capacity, IsKeptThroughRandomChurnByOneAndByFourWorkers) {
  for (const size_t workers : {1u, 4u}) {
    for (uint64_t seed = 0; seed < 12; ++seed) {
      Churn(GetParam(), 2, workers, 3000, seed);
      Churn(GetParam(), 10, workers, 3000, seed + 100);
    }
    Churn(GetParam(), 100, workers, 10000, 7);
    Churn(GetParam(), 1000, workers, 8000, 8);
  }
}

// Round robin where only some may go: a list from which the first free one is taken, and all up to
// it go to the end.
TEST(RoundRobinCapacity, AgreesWithAPlainList) {
  constexpr size_t kSize = 7;
  Pool pool(std::vector<uint32_t>(kSize, 1), 1);
  const auto policy = pool.Make(PolicyKind::kRoundRobin);
  std::vector<size_t> list(kSize);
  std::iota(list.begin(), list.end(), 0);
  Rng rng(5);
  for (int i = 0; i < 20000; ++i) {
    for (size_t each = 0; each < kSize; ++each) pool.in_flight(each) = rng.Chance(0.5) ? 1 : 0;
    const auto free = std::ranges::find_if(list, [&](size_t j) { return pool.in_flight(j) == 0; });
    const size_t expected = free == list.end() ? Policy::kNone : *free;
    if (free != list.end()) std::rotate(list.begin(), free + 1, list.end());
    ASSERT_EQ(policy->Pick({}, {}), expected) << "after " << i;
  }
}

// The scan of a few weighted members: nginx's rule over those that are free.
TEST(RoundRobinCapacity, AgreesWithPlainCredits) {
  const std::vector<uint32_t> weights = {5, 3, 1, 1, 8};
  Pool pool(weights, 1);
  const auto policy = pool.Make(PolicyKind::kRoundRobin);
  std::vector<int> credit(weights.size());
  Rng rng(6);
  for (int i = 0; i < 20000; ++i) {
    size_t best = Policy::kNone;
    int total = 0;
    for (size_t j = 0; j < weights.size(); ++j) {
      pool.in_flight(j) = rng.Chance(0.4) ? 1 : 0;
      if (pool.in_flight(j) == 1) continue;
      credit[j] += static_cast<int>(weights[j]);
      total += static_cast<int>(weights[j]);
      if (best == Policy::kNone || credit[j] > credit[best]) best = j;
    }
    if (best != Policy::kNone) credit[best] -= total;
    ASSERT_EQ(policy->Pick({}, {}), best) << "after " << i;
  }
}

TEST(RoundRobinCapacity, GivesAMemberThatWasFullNoMoreThanItsTurnAfterwards) {
  for (const size_t size : {4u, 100u}) {
    for (const bool mixed : {false, true}) {
      auto weights = Weights(size, mixed);
      Pool pool(weights, 1);
      const auto policy = pool.Make(PolicyKind::kRoundRobin);
      const int total = std::accumulate(weights.begin(), weights.end(), 0);
      pool.in_flight(2) = 1;
      for (const int count : {0, 0, 0}) EXPECT_EQ(Counts(*policy, size, total)[2], count);
      pool.in_flight(2) = 0;
      EXPECT_NEAR(Counts(*policy, size, 4 * total)[2], 4 * static_cast<int>(weights[2]), 4);
    }
  }
}

TEST(LeastConnectionsCapacity, AgreesWithAPlainSearchThroughRandomLoads) {
  const std::vector<uint32_t> weights = {5, 3, 1, 1, 8, 2};
  Pool pool(weights, 20);
  const auto policy = pool.Make(PolicyKind::kLeastConnections);
  Rng rng(8);
  for (int i = 0; i < 20000; ++i) {
    double least = 1e9;
    for (size_t j = 0; j < weights.size(); ++j) {
      pool.in_flight(j) = static_cast<uint32_t>(rng.Below(25));
      if (pool.in_flight(j) < 20) least = std::min(least, (pool.in_flight(j) + 1.0) / weights[j]);
    }
    const size_t picked = policy->Pick({}, {});
    ASSERT_EQ(picked == Policy::kNone, least == 1e9);
    if (picked == Policy::kNone) continue;
    ASSERT_LT(pool.in_flight(picked), 20u);
    ASSERT_EQ((pool.in_flight(picked) + 1.0) / weights[picked], least) << "after " << i;
  }
}

TEST(IpHashCapacity, FallsFromAFullMemberWhereARetryWouldFall) {
  Rng rng(9);
  for (const size_t size : {10u, 300u, 1000u}) {
    Pool pool(Weights(size, true), 1);
    const auto policy = pool.Make(PolicyKind::kIpHash);
    for (const double share : {0.1, 0.5, 0.95}) {
      Tried out;
      for (size_t i = 0; i < size; ++i) {
        if (rng.Chance(share)) out.Add(i);
      }
      for (uint64_t key = 0; key < 100; ++key) {
        const size_t retried = policy->Pick({key, {}}, out);
        for (const uint32_t index : out.indices()) pool.in_flight(index) = 1;
        EXPECT_EQ(policy->Pick({key, {}}, {}), retried);
        for (const uint32_t index : out.indices()) pool.in_flight(index) = 0;
      }
    }
  }
}

}  // namespace
}  // namespace rondo::balance
