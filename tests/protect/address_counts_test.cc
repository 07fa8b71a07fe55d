#include "rondo/protect/address_counts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "rondo/base/rng.h"

namespace rondo::protect {
namespace {

IpAddress V4(uint32_t number) { return IpAddress::V4(0x0a000000 + number); }

TEST(AddressCounts, LetsInAsManyAsItMay) {
  AddressCounts counts(64);
  const uint32_t first = counts.Enter(V4(1), 2);
  const uint32_t second = counts.Enter(V4(1), 2);
  EXPECT_LT(first, AddressCounts::kUncounted);
  EXPECT_EQ(first, second);
  EXPECT_EQ(counts.Enter(V4(1), 2), AddressCounts::kNone);
  EXPECT_LT(counts.Enter(V4(2), 2), AddressCounts::kUncounted);
  counts.Leave(first);
  EXPECT_EQ(counts.CountOf(V4(1)), 1u);
  EXPECT_LT(counts.Enter(V4(1), 2), AddressCounts::kUncounted);
  EXPECT_EQ(counts.Enter(V4(1), 2), AddressCounts::kNone);
}

TEST(AddressCounts, HandlesOfTheUncountedMayBeGivenBack) {
  AddressCounts counts(64);
  counts.Leave(AddressCounts::kNone);
  counts.Leave(AddressCounts::kUncounted);
  EXPECT_EQ(counts.CountOf(V4(1)), 0u);
}

TEST(AddressCounts, CountsAnIpv6HostByItsNetwork) {
  AddressCounts counts(64);
  EXPECT_LT(counts.Enter(*IpAddress::Parse("2001:db8:1:1::1"), 1), AddressCounts::kUncounted);
  EXPECT_EQ(counts.Enter(*IpAddress::Parse("2001:db8:1:1::2"), 1), AddressCounts::kNone);
  EXPECT_LT(counts.Enter(*IpAddress::Parse("2001:db8:1:2::1"), 1), AddressCounts::kUncounted);
}

TEST(AddressCounts, WhereNoPlaceIsLeftClientsAreLetInUncounted) {
  AddressCounts counts(AddressCounts::kProbes);
  std::vector<uint32_t> handles;
  for (uint32_t i = 0; i < AddressCounts::kProbes; ++i) handles.push_back(counts.Enter(V4(i), 1));
  EXPECT_TRUE(std::all_of(handles.begin(), handles.end(),
                          [](uint32_t handle) { return handle < AddressCounts::kUncounted; }));
  EXPECT_EQ(counts.Enter(V4(100), 1), AddressCounts::kUncounted);
  counts.Leave(handles[3]);
  EXPECT_LT(counts.Enter(V4(100), 1), AddressCounts::kUncounted);
  EXPECT_EQ(counts.Enter(V4(100), 1), AddressCounts::kNone);
}

// The place in front of an address's own becomes free: it is found where it is all the same.
TEST(AddressCounts, FindsAnAddressBehindAFreePlace) {
  AddressCounts counts(AddressCounts::kProbes);
  const uint32_t before = counts.Enter(V4(1), 1);
  EXPECT_NE(counts.Enter(V4(2), 1), AddressCounts::kNone);
  counts.Leave(before);
  EXPECT_EQ(counts.Enter(V4(2), 1), AddressCounts::kNone);
}

TEST(AddressCounts, OverThreadsNobodyHasMoreThanAllowedAndNothingIsLeft) {
  constexpr int kThreads = 4;
  constexpr uint32_t kAddresses = 6;
  constexpr uint32_t kMax = 3;
  // Hardly more places than addresses, so that they come and go in all of them.
  AddressCounts counts(AddressCounts::kProbes);
  std::array<std::atomic<int>, kAddresses> there{};
  std::atomic<int> exceeded{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Rng rng(static_cast<uint64_t>(t) + 1);
      struct Held {
        uint32_t address;
        uint32_t handle;
      };
      std::vector<Held> held;
      for (int i = 0; i < 50'000; ++i) {
        if (held.size() < 4 && rng.Next() % 2 == 0) {
          const auto address = static_cast<uint32_t>(rng.Next() % kAddresses);
          const uint32_t handle = counts.Enter(V4(address), kMax);
          if (handle >= AddressCounts::kUncounted) continue;
          if (++there[address] > static_cast<int>(kMax)) ++exceeded;
          held.push_back({address, handle});
        } else if (!held.empty()) {
          --there[held.back().address];
          counts.Leave(held.back().handle);
          held.pop_back();
        }
      }
      for (const Held& each : held) {
        --there[each.address];
        counts.Leave(each.handle);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(exceeded, 0);
  for (uint32_t i = 0; i < kAddresses; ++i) EXPECT_EQ(counts.CountOf(V4(i)), 0u) << i;
}

}  // namespace
}  // namespace rondo::protect
