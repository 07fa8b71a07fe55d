#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "balance/pool.h"
#include "rondo/base/rng.h"

namespace rondo::balance {
namespace {

constexpr auto kKind = PolicyKind::kIpHash;

TEST(StableHash, GivesTheSameValuesForever) {
  // FNV-1a of "a" and "foobar" are published: af63dc4c8601ec8c and 85944171f73967e8.
  EXPECT_EQ(StableHash(""), Mix64(0xcbf29ce484222325ull));
  EXPECT_EQ(StableHash("a"), Mix64(0xaf63dc4c8601ec8cull));
  EXPECT_EQ(StableHash("foobar"), Mix64(0x85944171f73967e8ull));
  EXPECT_EQ(Mix64(0), 0xe220a8397b1dcdafull);  // the first value of splitmix64 seeded with 0
}

TEST(AddressKey, TakesTheWholeOfIpv4AndTheNetworkOfIpv6) {
  const auto key = [](const char* text) { return AddressKey(*IpAddress::Parse(text)); };
  EXPECT_EQ(key("10.1.2.3"), Mix64(0x0a010203));
  EXPECT_NE(key("10.1.2.3"), key("10.1.2.4"));
  EXPECT_EQ(key("10.1.2.3"), key("::ffff:10.1.2.3"));
  EXPECT_EQ(key("2001:db8:1:2::1"), Mix64(0x20010db800010002ull));
  EXPECT_EQ(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::9"));
  EXPECT_NE(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
}

TEST(IpHash, SendsAClientToTheSameBackendInEveryVersion) {
  Pool equal({1, 1, 1, 1, 1});
  Pool mixed({1, 2, 3, 4, 5});
  const auto one = equal.Make(kKind);
  const auto two = mixed.Make(kKind);
  std::string picks;
  for (uint32_t i = 0; i < 16; ++i) {
    const uint64_t key = AddressKey(IpAddress::V4(0xc0000200 + i));
    picks.push_back(static_cast<char>('a' + one->Pick({key, {}}, {})));
    picks.push_back(static_cast<char>('a' + two->Pick({key, {}}, {})));
  }
  EXPECT_EQ(picks, "ddaeccaebccccceeeebbaaaeaeddeecc");  // changing this moves the clients of
                                                         // everyone who upgrades
}

TEST(IpHash, SharesOutByWeight) {
  for (const size_t size : {2u, 10u, 64u, 65u, 1000u}) {
    for (const bool mixed : {false, true}) {
      std::vector<uint32_t> weights;
      for (size_t i = 0; i < size; ++i)
        weights.push_back(mixed ? static_cast<uint32_t>(1 + i % 4) : 1);
      Pool pool(weights);
      const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
      const auto policy = pool.Make(kKind);
      const int keys = size > 100 ? 200000 : 50000;
      std::vector<int> counts(size);
      for (int i = 0; i < keys; ++i) {
        ++counts[policy->Pick(
            {AddressKey(IpAddress::V4(0x0a000000u + static_cast<uint32_t>(i))), {}}, {})];
      }
      double chi_squared = 0;
      for (size_t i = 0; i < size; ++i) {
        const double expected = keys * weights[i] / total;
        EXPECT_NEAR(counts[i], expected, 5 * std::sqrt(expected) + expected * 0.003);
        chi_squared += (counts[i] - expected) * (counts[i] - expected) / expected;
      }
      const double freedom = static_cast<double>(size - 1);
      EXPECT_LT(chi_squared, freedom + 5 * std::sqrt(2 * freedom)) << size << " members";
    }
  }
}

TEST(IpHash, HoldsExtremeWeights) {
  Pool pool({65535, 1, 65535});
  const auto policy = pool.Make(kKind);
  std::vector<int> counts(3);
  for (uint64_t i = 0; i < 500000; ++i) ++counts[policy->Pick({Mix64(i), {}}, {})];
  EXPECT_NEAR(counts[1], 3.8, 8);
  EXPECT_NEAR(counts[0], 250000, 2500);
}

TEST(IpHash, DoesNotDependOnTheOrderOfMembers) {
  for (const size_t size : {5u, 300u}) {
    std::vector<uint32_t> weights;
    for (size_t i = 0; i < size; ++i) weights.push_back(static_cast<uint32_t>(1 + i % 3));
    Pool pool(weights);
    std::vector<Member> reversed(pool.members().rbegin(), pool.members().rend());
    const auto one = pool.Make(kKind);
    const auto two = MakePolicy(kKind, reversed, 77);
    for (uint64_t key = 0; key < 20000; ++key) {
      ASSERT_EQ(one->Pick({key, {}}, {}), size - 1 - two->Pick({key, {}}, {}));
    }
  }
}

TEST(IpHash, MovesFewKeysWhenAMemberLeaves) {
  for (const size_t size : {2u, 10u, 64u, 65u, 1000u}) {
    Pool pool(std::vector<uint32_t>(size, 1));
    const auto whole = pool.Make(kKind);
    constexpr uint64_t kKeys = 20000;
    double moved_sum = 0;
    const size_t rounds = std::min<size_t>(size, 16);
    for (size_t round = 0; round < rounds; ++round) {
      const size_t gone = round * size / rounds;
      std::vector<Member> rest = pool.members();
      rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(gone));
      const auto smaller = MakePolicy(kKind, rest, 0);
      for (uint64_t key = 0; key < kKeys; ++key) {
        const size_t before = whole->Pick({key, {}}, {});
        size_t after = smaller->Pick({key, {}}, {});
        if (after >= gone) ++after;
        if (before != after) ++moved_sum;
      }
    }
    const double moved =
        moved_sum / static_cast<double>(rounds * kKeys) * static_cast<double>(size);
    // In members' worth of keys: one must move; up to one more does where members share groups.
    EXPECT_GE(moved, 0.9);
    EXPECT_LE(moved, size <= 10 ? 1.1 : size <= 65 ? 1.6 : 2.2) << size << " members";
  }
}

TEST(IpHash, SpreadsTheKeysOfATriedMemberOverTheOthers) {
  Pool pool(std::vector<uint32_t>(10, 1));
  const auto policy = pool.Make(kKind);
  std::vector<int> counts(10);
  int all = 0;
  for (uint64_t key = 0; key < 100000; ++key) {
    if (policy->Pick({key, {}}, {}) != 4) continue;
    ++all;
    const size_t second = policy->Pick({key, {}}, TriedOf({4}));
    EXPECT_EQ(second, policy->Pick({key, {}}, TriedOf({4})));
    ++counts[second];
  }
  EXPECT_EQ(counts[4], 0);
  for (size_t i = 0; i < 10; ++i) {
    if (i != 4) EXPECT_NEAR(counts[i], all / 9.0, all * 0.03) << i;
  }
}

}  // namespace
}  // namespace rondo::balance
