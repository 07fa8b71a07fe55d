// What holds for every policy, whatever it is called.
#include "rondo/balance/policy.h"

#include <gtest/gtest.h>

#include <set>

#include "balance/pool.h"

namespace rondo::balance {
namespace {

TEST(Tried, HoldsEachIndexOnceAlsoBeyondItsInlineRoom) {
  Tried tried;
  EXPECT_TRUE(tried.empty());
  for (size_t i = 0; i < 3 * Tried::kInline; ++i) {
    EXPECT_FALSE(tried.Contains(i * 7));
    tried.Add(i * 7);
    tried.Add(i * 7);
    EXPECT_TRUE(tried.Contains(i * 7));
    EXPECT_EQ(tried.count(), i + 1);
  }
  const Tried copy = tried;
  for (size_t i = 0; i < 3 * Tried::kInline; ++i) EXPECT_EQ(copy.indices()[i], i * 7);
  EXPECT_FALSE(copy.Contains(1));
}

class EveryPolicy : public testing::TestWithParam<PolicyKind> {};

TEST_P(EveryPolicy, HasNobodyToPickInAnEmptyPool) {
  const auto policy = Pool({}).Make(GetParam(), 7);
  EXPECT_EQ(policy->Pick({1, {}}, {}), Policy::kNone);
  EXPECT_EQ(policy->Pick({1, {}}, TriedOf({0})), Policy::kNone);
}

TEST_P(EveryPolicy, NeverPicksWhatWasTriedAndReachesEveryMemberOnce) {
  for (const size_t size : {1u, 2u, 3u, 17u, 64u, 65u, 300u}) {
    for (const bool mixed : {false, true}) {
      std::vector<uint32_t> weights(size, 3);
      if (mixed) {
        for (size_t i = 0; i < size; ++i)
          weights[i] = i == 0 ? 65535 : static_cast<uint32_t>(1 + i % 5);
      }
      Pool pool(weights);
      const auto policy = pool.Make(GetParam(), 5);
      for (uint64_t key = 0; key < 3; ++key) {
        Tried tried;
        std::set<size_t> seen;
        for (size_t i = 0; i < size; ++i) {
          const size_t index = policy->Pick({key, {}}, tried);
          ASSERT_LT(index, size);
          ASSERT_TRUE(seen.insert(index).second) << "size " << size;
          tried.Add(index);
        }
        EXPECT_EQ(policy->Pick({key, {}}, tried), Policy::kNone);
      }
    }
  }
}

TEST_P(EveryPolicy, ReadsAWeightOfZeroAsOne) {
  Pool pool({0, 0});
  const auto policy = pool.Make(GetParam());
  EXPECT_LT(policy->Pick({1, {}}, {}), 2u);
}

TEST_P(EveryPolicy, GivesTheSamePicksForTheSameSeed) {
  Pool pool(std::vector<uint32_t>(100, 2));
  const auto one = pool.Make(GetParam(), 3);
  const auto two = pool.Make(GetParam(), 3);
  for (uint64_t key = 0; key < 500; ++key) {
    ASSERT_EQ(one->Pick({key, {}}, {}), two->Pick({key, {}}, {}));
  }
}

INSTANTIATE_TEST_SUITE_P(All, EveryPolicy, testing::ValuesIn(kPolicyKinds),
                         [](const auto& info) { return std::string(PolicyName(info.param)); });

TEST(PolicyKind, NamesGoBothWays) {
  for (const PolicyKind kind : kPolicyKinds) EXPECT_EQ(PolicyFromName(PolicyName(kind)), kind);
  EXPECT_EQ(PolicyFromName("roundrobin"), std::nullopt);
}

}  // namespace
}  // namespace rondo::balance
