#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "balance/pool.h"
#include "rondo/base/rng.h"

namespace rondo::balance {
namespace {

constexpr auto kKind = PolicyKind::kRoundRobin;

TEST(RoundRobin, GivesTheKnownSmoothSequences) {
  const struct {
    std::vector<uint32_t> weights;
    uint64_t seed;
    const char* sequence;
  } cases[] = {
      {{1}, 0, "aaaa"},
      {{1, 1, 1}, 0, "abcabcabc"},
      {{7, 7, 7}, 1, "bcabcabca"},
      {{1, 1, 1}, 5, "cabcab"},
      {{5, 1, 1}, 0, "aabacaaaabacaa"},
      {{50, 10, 10}, 0, "aabacaaaabacaa"},
      {{5, 1, 1}, 2, "bacaaaabacaa"},
      {{5, 1, 1}, 9, "bacaaaabacaa"},
      {{4, 2, 1}, 0, "abacabaabacaba"},
      {{1, 2}, 0, "babbab"},
  };
  for (const auto& each : cases) {
    Pool pool(each.weights);
    const auto policy = pool.Make(kKind, each.seed);
    EXPECT_EQ(Letters(*policy, static_cast<int>(std::string(each.sequence).size())), each.sequence);
  }
}

TEST(RoundRobin, KeepsTheTurnOfWhatARetryHadToPassOver) {
  Pool pool({1, 1, 1});
  const auto policy = pool.Make(kKind);
  EXPECT_EQ(Letters(*policy, 1), "a");
  EXPECT_EQ(Letters(*policy, 1, TriedOf({0})), "b");  // a failed
  // b has served out of turn and goes behind c; the failing a keeps its place at the end.
  EXPECT_EQ(Letters(*policy, 3), "cba");
  EXPECT_EQ(Letters(*policy, 1, TriedOf({0, 1})), "c");
  EXPECT_EQ(Letters(*policy, 6), "cbacba");
}

TEST(RoundRobin, LeavesTheSequenceOfFirstPicksAloneWhenWeightedRetriesComeBetween) {
  Pool pool({5, 1, 1});
  const auto policy = pool.Make(kKind);
  std::string first;
  std::string retries;
  for (int i = 0; i < 14; ++i) {
    first += Letters(*policy, 1);
    retries += Letters(*policy, 1, TriedOf({1}));
  }
  EXPECT_EQ(first, "aabacaaaabacaa");
  EXPECT_EQ(retries, "aaacaaaaacaaaa");
}

TEST(RoundRobin, SharesOutEvenlyBetweenWorkersStartedAtDifferentPlaces) {
  Pool pool({1, 1, 1, 1});
  std::vector<int> first(4);
  for (uint64_t worker = 0; worker < 4; ++worker)
    ++first[pool.Make(kKind, worker)->Pick({0, {}}, {})];
  EXPECT_EQ(first, std::vector<int>({1, 1, 1, 1}));
}

// A member that always fails gets its share of first picks and no more, and what it refuses is
// spread over the others by weight. This is where skipping goes wrong: credit that piles up, or one
// neighbour that gets it all.
void FailOne(const std::vector<uint32_t>& weights, size_t failing, int requests, double tolerance) {
  Pool pool(weights);
  const auto policy = pool.Make(kKind, 1);
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<int> served(weights.size());
  int failures = 0;
  for (int i = 0; i < requests; ++i) {
    size_t index = policy->Pick({0, {}}, {});
    if (index == failing) {
      ++failures;
      Tried tried;
      tried.Add(failing);
      index = policy->Pick({0, {}}, tried);
    }
    ASSERT_NE(index, failing);
    ++served[index];
  }
  EXPECT_NEAR(failures, requests * weights[failing] / total, requests * 0.01);
  for (size_t i = 0; i < weights.size(); ++i) {
    if (i == failing) continue;
    const double expected = requests * weights[i] / (total - weights[failing]);
    EXPECT_NEAR(served[i], expected, expected * tolerance + 2) << i << " of " << weights.size();
  }
  // Healed: all are back at their shares at once, with nothing to catch up on.
  const auto counts = Counts(*policy, weights.size(), static_cast<int>(10 * total));
  EXPECT_NEAR(counts[failing], 10.0 * weights[failing], weights[failing] + 2.0);
}

TEST(RoundRobin, SpreadsTheRequestsOfAFailingMemberByWeight) {
  FailOne({1, 1}, 0, 10000, 0.02);
  FailOne({1, 1, 1, 1, 1}, 2, 10000, 0.02);
  FailOne({5, 1}, 0, 10000, 0.02);
  FailOne({5, 3, 2, 1}, 0, 10000, 0.02);
  std::vector<uint32_t> many(100, 1);
  many[0] = 300;
  FailOne(many, 0, 200000, 0.15);
  FailOne(std::vector<uint32_t>(100, 1), 7, 200000, 0.02);
}

TEST(RoundRobin, GivesEachItsWeightInEveryRoundHoweverMany) {
  for (const size_t size : {3u, 64u, 65u, 1000u}) {
    for (const bool mixed : {false, true}) {
      std::vector<uint32_t> weights;
      for (size_t i = 0; i < size; ++i)
        weights.push_back(mixed ? static_cast<uint32_t>(1 + i % 7) : 4);
      Pool pool(weights);
      const int total = std::accumulate(weights.begin(), weights.end(), 0);
      const auto policy = pool.Make(kKind, 12345);
      for (int round = 0; round < 5; ++round) {
        const auto counts = Counts(*policy, size, total);
        for (size_t i = 0; i < size; ++i) {
          // The scan and the queue are exact in every round; deadlines may put a turn just over its
          // edge.
          EXPECT_NEAR(counts[i], static_cast<int>(weights[i]),
                      mixed && size > 64 ? 1
                      : mixed            ? 0
                                         : 4);
        }
      }
    }
  }
}

TEST(RoundRobin, NeverGivesAMemberTwoTurnsTogetherWhereTheHeapServesMany) {
  std::vector<uint32_t> weights(200, 1);
  weights[17] = 20;  // every 11th pick
  Pool pool(weights);
  const auto policy = pool.Make(kKind, 3);
  int last = -1;
  for (int i = 0; i < 5000; ++i) {
    if (policy->Pick({0, {}}, {}) != 17) continue;
    if (last >= 0) EXPECT_NEAR(i - last, 11, 11);
    EXPECT_NE(i - last, 1);
    last = i;
  }
}

// The rule of the equal queue, as slowly and obviously as can be: a list.
TEST(RoundRobin, AgreesWithAPlainListThroughRandomRetries) {
  constexpr size_t kSize = 7;
  Pool pool(std::vector<uint32_t>(kSize, 1));
  const auto policy = pool.Make(kKind);
  std::vector<size_t> list(kSize);
  std::iota(list.begin(), list.end(), 0);
  Rng rng(99);
  for (int i = 0; i < 20000; ++i) {
    Tried tried;
    while (rng.Chance(0.4)) tried.Add(rng.Below(kSize));
    size_t expected = Policy::kNone;
    std::vector<size_t> untried;
    for (const size_t index : list) {
      if (!tried.Contains(index)) untried.push_back(index);
    }
    if (!untried.empty()) {
      expected = untried.front();
      const auto last = std::find(list.begin(), list.end(), untried.back());
      const auto first = std::find(list.begin(), list.end(), expected);
      std::rotate(first, first + 1, last + 1);
    }
    ASSERT_EQ(policy->Pick({0, {}}, tried), expected) << "after " << i;
  }
}

}  // namespace
}  // namespace rondo::balance
