#include "rondo/route/weighted_split.h"

#include <gtest/gtest.h>

#include "rondo/base/rng.h"

namespace rondo::route {
namespace {

std::vector<size_t> Counts(const WeightedSplit& split, size_t keys) {
  std::vector<size_t> counts(split.size());
  for (uint64_t key = 0; key < keys; ++key) ++counts[split.Pick(key)];
  return counts;
}

TEST(WeightedSplit, GivesEachItsShareOfKeysThatFollowEachOther) {
  const std::vector<size_t> counts =
      Counts(WeightedSplit(std::vector<uint32_t>{90, 0, 10}), 100'000);
  // Within five standard deviations of a fair draw.
  EXPECT_NEAR(static_cast<double>(counts[0]), 90'000, 475);
  EXPECT_EQ(counts[1], 0u);
  EXPECT_NEAR(static_cast<double>(counts[2]), 10'000, 475);
}

TEST(WeightedSplit, GivesAllToTheOnlyOneWithAWeight) {
  EXPECT_EQ(Counts(WeightedSplit(std::vector<uint32_t>{0, 1}), 1000),
            (std::vector<size_t>{0, 1000}));
  EXPECT_EQ(Counts(WeightedSplit(std::vector<uint32_t>{1000}), 1000), (std::vector<size_t>{1000}));
  EXPECT_TRUE(WeightedSplit().empty());
}

TEST(WeightedSplit, MovesOnlyWhatAWeightGains) {
  const WeightedSplit before(std::vector<uint32_t>{90, 10});
  const WeightedSplit after(std::vector<uint32_t>{80, 20});
  size_t moved = 0;
  Rng rng(3);
  for (int i = 0; i < 100'000; ++i) {
    const uint64_t key = rng.Next();
    EXPECT_GE(after.Pick(key), before.Pick(key)) << "whoever has the canary keeps it";
    moved += after.Pick(key) != before.Pick(key) ? 1 : 0;
  }
  EXPECT_NEAR(static_cast<double>(moved), 10'000, 475);
}

// These never change: a client must not move because Rondo was upgraded.
TEST(WeightedSplit, IsTheSameInEveryVersion) {
  const WeightedSplit split(std::vector<uint32_t>{1, 2, 3, 4});
  std::string picks;
  for (uint64_t key = 0; key < 40; ++key) picks += static_cast<char>('0' + split.Pick(key));
  EXPECT_EQ(picks, "3233230133331333022013023332313331112322");
}

}  // namespace
}  // namespace rondo::route
