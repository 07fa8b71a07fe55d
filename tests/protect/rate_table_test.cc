#include "rondo/protect/rate_table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "rondo/base/rng.h"
#include "rondo/protect/keys.h"

namespace rondo::protect {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

constexpr Instant kStart{hours(10)};

// How many of `tries` at `now` are given a token.
int Taken(RateTable& table, uint64_t key, const Rate& rate, Instant now, int tries) {
  int taken = 0;
  for (int i = 0; i < tries; ++i) taken += table.Take(key, rate, now) == Duration::zero() ? 1 : 0;
  return taken;
}

TEST(RateTable, GivesTheBurstAtOnceAndThenTheRate) {
  struct Case {
    Rate rate;
    Duration interval;
  };
  const Case cases[] = {
      {{100, seconds(1), 200}, milliseconds(10)},    {{1, seconds(1), 1}, seconds(1)},
      {{600, minutes(1), 10}, milliseconds(100)},    {{1000, hours(1), 17}, milliseconds(3600)},
      {{1'000'000, seconds(1), 5}, microseconds(1)},
  };
  for (const Case& each : cases) {
    RateTable table(64);
    EXPECT_EQ(Taken(table, 7, each.rate, kStart, 1000), static_cast<int>(each.rate.burst));
    EXPECT_EQ(table.Take(7, each.rate, kStart), each.interval);
    EXPECT_EQ(Taken(table, 7, each.rate, kStart + each.interval - nanoseconds(1), 9), 0);
    EXPECT_EQ(Taken(table, 7, each.rate, kStart + each.interval, 9), 1);
    EXPECT_EQ(Taken(table, 7, each.rate, kStart + 4 * each.interval, 9),
              3 < each.rate.burst ? 3 : static_cast<int>(each.rate.burst));
    // It fills up again, and no further.
    const Duration long_time = each.interval * each.rate.burst + hours(5);
    EXPECT_EQ(Taken(table, 7, each.rate, kStart + long_time, 1000),
              static_cast<int>(each.rate.burst));
  }
}

TEST(RateTable, SaysHowLongToWaitAndMeansIt) {
  RateTable table(64);
  const Rate rate{3, seconds(1), 2};  // an interval that is no whole number of nanoseconds
  Instant now = kStart;
  EXPECT_EQ(Taken(table, 1, rate, now, 5), 2);
  for (int i = 0; i < 100; ++i) {
    const Duration wait = table.Take(1, rate, now);
    ASSERT_GT(wait, Duration::zero());
    EXPECT_GT(table.Take(1, rate, now + wait - nanoseconds(1)), Duration::zero());
    now += wait;
    ASSERT_EQ(table.Take(1, rate, now), Duration::zero());
  }
  EXPECT_GE(now - kStart, seconds(33));
  EXPECT_LE(now - kStart, seconds(34));
}

TEST(RateTable, TakesTheLargestRatesAndBurstsWithoutOverflow) {
  RateTable table(64);
  const Rate rate{1, hours(1), 1'000'000};
  EXPECT_EQ(Taken(table, 1, rate, kStart + hours(24 * 365), 1'000'010), 1'000'000);
  EXPECT_EQ(table.Take(1, rate, kStart + hours(24 * 365)), hours(1));
}

TEST(RateTable, KeysDoNotTouchEachOther) {
  RateTable table(1024, 99);
  const Rate rate{1, seconds(1), 3};
  for (uint64_t key = 1; key < 100; ++key) EXPECT_EQ(Taken(table, key, rate, kStart, 9), 3);
}

TEST(RateTable, AKeyWithoutAPlaceTakesTheOneThatIsFullFirstAndBeginsFull) {
  RateTable table(RateTable::kProbes);
  const Rate rate{1, seconds(1), 10};
  for (uint64_t key = 1; key <= RateTable::kProbes; ++key) {
    EXPECT_EQ(Taken(table, key, rate, kStart, 1 + static_cast<int>(key)),
              1 + static_cast<int>(key));
  }
  // Key 1 has taken the least: its place goes.
  EXPECT_EQ(Taken(table, 100, rate, kStart, 20), 10);
  // Who took more has kept its place, with what it has left.
  for (uint64_t key = 3; key <= RateTable::kProbes; ++key) {
    EXPECT_EQ(Taken(table, key, rate, kStart, 20), 9 - static_cast<int>(key)) << key;
  }
}

TEST(RateTable, ABucketOutlivesAChangeOfItsBurst) {
  RateTable table(64);
  EXPECT_EQ(Taken(table, 1, {10, seconds(1), 20}, kStart, 30), 20);
  EXPECT_EQ(Taken(table, 1, {10, seconds(1), 5}, kStart, 30), 0);
  EXPECT_EQ(Taken(table, 1, {10, seconds(1), 25}, kStart, 30), 5);
}

// A lagging clock may delay a token, never add one.
TEST(RateTable, ClocksThatDifferGiveNoMoreThanTheLatestOfThem) {
  Rng rng(5);
  RateTable table(64);
  const Rate rate{100, seconds(1), 10};
  int taken = 0;
  for (int i = 0; i < 100'000; ++i) {
    const Duration lag(static_cast<int64_t>(rng.Next() % 5'000'000));
    taken += Taken(table, 1, rate, kStart + microseconds(i * 100) - lag, 1);
  }
  EXPECT_LE(taken, 10 + 1001);
  EXPECT_GE(taken, 995);
}

TEST(RateTable, OverThreadsARateNeverExceedsItsBound) {
  constexpr int kThreads = 4;
  constexpr int kKeys = 20;
  const Rate rate{1000, seconds(1), 50};
  RateTable table(1024, 3);
  std::atomic<int64_t> clock{0};  // virtual: all see the same time, moved by all
  std::array<std::atomic<int>, kKeys> taken{};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Rng rng(static_cast<uint64_t>(t) + 1);
      for (int i = 0; i < 60'000; ++i) {
        const Instant now = kStart + nanoseconds(clock.fetch_add(5'000));
        const uint64_t key = rng.Next() % kKeys;
        taken[key] += Taken(table, key + 1000, rate, now, 1);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const int64_t milliseconds_passed = clock / 1'000'000;
  for (int key = 0; key < kKeys; ++key) {
    EXPECT_LE(taken[key], 50 + milliseconds_passed + 1) << key;
    EXPECT_GE(taken[key], milliseconds_passed - 50) << key;
  }
}

TEST(RateTable, ThreadsThatMeetAtANewKeyShareItsBucket) {
  constexpr int kThreads = 4;
  for (int round = 0; round < 200; ++round) {
    RateTable table(RateTable::kProbes * 2, static_cast<uint64_t>(round));
    std::atomic<int> ready{0};
    std::atomic<int> taken{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
      threads.emplace_back([&] {
        ++ready;
        while (ready < kThreads) std::this_thread::yield();
        taken += Taken(table, 77, {1, hours(1), 5}, kStart, 5);
      });
    }
    for (std::thread& thread : threads) thread.join();
    ASSERT_EQ(taken, 5);
  }
}

TEST(Keys, AddressesCountAsTheirOwnersHaveThem) {
  const auto key = [](const char* text) { return AddressKey(*IpAddress::Parse(text)); };
  EXPECT_NE(key("10.0.0.1"), key("10.0.0.2"));
  EXPECT_EQ(key("10.0.0.1"), key("::ffff:10.0.0.1"));
  EXPECT_EQ(key("2001:db8:0:1::1"), key("2001:db8:0:1:ffff::2"));
  EXPECT_NE(key("2001:db8:0:1::1"), key("2001:db8:0:2::1"));
  EXPECT_NE(key("::1"), key("127.0.0.1"));
}

TEST(Keys, TextsDifferAndFollowTheSeed) {
  EXPECT_EQ(TextKey("alice", 1), TextKey("alice", 1));
  EXPECT_NE(TextKey("alice", 1), TextKey("alice", 2));
  EXPECT_NE(TextKey("alice", 1), TextKey("alicf", 1));
  EXPECT_NE(TextKey("a", 1), TextKey(std::string_view("a\0", 2), 1));
  EXPECT_NE(TextKey("0123456789abcdef", 1), TextKey("89abcdef01234567", 1));
}

}  // namespace
}  // namespace rondo::protect
