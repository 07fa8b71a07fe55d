// How many retries are allowed, to the last one.
#include "rondo/upstream/retry_budget.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace rondo::upstream {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kStart{seconds(1000)};

// How many of `asked` retries at `now` are allowed.
uint32_t Allowed(RetryBudget& budget, RetryFloor& floor, Instant now, int asked = 1000) {
  uint32_t allowed = 0;
  for (int i = 0; i < asked; ++i) allowed += budget.TryRetry(now, floor) ? 1 : 0;
  return allowed;
}

void Exhaust(RetryFloor& floor, Instant now) {
  while (floor.TryTake(now)) {
  }
}

TEST(RetryFloor, GivesTenInEachSecond) {
  RetryFloor floor;
  for (int second = 0; second < 5; ++second) {
    for (int i = 0; i < 10; ++i) {
      EXPECT_TRUE(floor.TryTake(kStart + seconds(second) + milliseconds(i * 99)));
    }
    EXPECT_FALSE(floor.TryTake(kStart + seconds(second) + milliseconds(999)));
  }
}

TEST(RetryFloor, SecondsWithoutRetriesAreNotSavedUp) {
  RetryFloor floor;
  Exhaust(floor, kStart);
  int taken = 0;
  while (floor.TryTake(kStart + seconds(100))) ++taken;
  EXPECT_EQ(taken, 10);
}

TEST(RetryFloor, WorkersAroundASecondsBoundaryDoNotResetEachOther) {
  RetryFloor floor;
  int taken = 0;
  for (int i = 0; i < 1000; ++i) {
    taken += floor.TryTake(kStart + milliseconds(999)) ? 1 : 0;
    taken += floor.TryTake(kStart + milliseconds(1000)) ? 1 : 0;
  }
  EXPECT_LE(taken, 20);
}

TEST(RetryFloor, IsSharedByAllThreads) {
  for (int round = 0; round < 20; ++round) {
    RetryFloor floor;
    std::atomic<int> taken{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int k = 0; k < 1000; ++k) taken += floor.TryTake(kStart) ? 1 : 0;
      });
    }
    for (std::thread& each : threads) each.join();
    EXPECT_EQ(taken, 10);
  }
}

TEST(RetryBudget, AllowsTheShareAndThenTheFloor) {
  struct Case {
    uint32_t percent;
    int requests;
    uint32_t share;
  };
  const Case cases[] = {
      {20, 0, 0},      {20, 4, 0}, {20, 5, 1},  {20, 9, 1},    {20, 100, 20}, {0, 100, 0},
      {100, 100, 100}, {1, 99, 0}, {1, 100, 1}, {33, 100, 33}, {50, 3, 1},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(std::to_string(c.percent) + "% of " + std::to_string(c.requests));
    for (const bool floor_is_used_up : {false, true}) {
      RetryBudget budget(c.percent);
      RetryFloor floor;
      if (floor_is_used_up) Exhaust(floor, kStart);
      for (int i = 0; i < c.requests; ++i) budget.OnRequest(kStart);
      EXPECT_EQ(Allowed(budget, floor, kStart), c.share + (floor_is_used_up ? 0 : 10));
    }
  }
}

TEST(RetryBudget, RetriesWithinTheShareLeaveTheFloorAlone) {
  RetryBudget budget(20);
  RetryFloor floor;
  for (int i = 0; i < 100; ++i) budget.OnRequest(kStart);
  EXPECT_EQ(Allowed(budget, floor, kStart, 20), 20u);
  int left = 0;
  while (floor.TryTake(kStart)) ++left;
  EXPECT_EQ(left, 10);
}

TEST(RetryBudget, RequestsCountForTenSeconds) {
  struct Case {
    int later_s;
    uint32_t allowed;
  };
  for (const Case& c : {Case{0, 20}, Case{1, 20}, Case{9, 20}, Case{10, 0}, Case{1000, 0}}) {
    RetryBudget budget(20);
    RetryFloor floor;
    for (int i = 0; i < 100; ++i) budget.OnRequest(kStart);
    const Instant now = kStart + seconds(c.later_s);
    Exhaust(floor, now);
    EXPECT_EQ(Allowed(budget, floor, now), c.allowed) << c.later_s;
  }
}

TEST(RetryBudget, EarlierRetriesOfTheTenSecondsAreDeducted) {
  RetryBudget budget(20);
  RetryFloor floor;
  for (int i = 0; i < 100; ++i) budget.OnRequest(kStart);
  Exhaust(floor, kStart + seconds(3));
  EXPECT_EQ(Allowed(budget, floor, kStart + seconds(3), 15), 15u);
  for (int i = 0; i < 10; ++i) budget.OnRequest(kStart + seconds(6));
  Exhaust(floor, kStart + seconds(6));
  EXPECT_EQ(Allowed(budget, floor, kStart + seconds(6)), 7u);  // 22 - 15
  // Only the ten later requests are left, and the 15 + 7 retries of the last ten seconds.
  Exhaust(floor, kStart + seconds(12));
  EXPECT_EQ(Allowed(budget, floor, kStart + seconds(12)), 0u);
}

TEST(RetryBudget, WorkersHaveTheirOwnSharesAndOneFloor) {
  RetryBudget first(20);
  RetryBudget second(20);
  RetryFloor floor;
  for (int i = 0; i < 50; ++i) first.OnRequest(kStart);
  EXPECT_EQ(Allowed(first, floor, kStart), 20u);  // 10 of its own, the floor's 10
  EXPECT_EQ(Allowed(second, floor, kStart), 0u);
  EXPECT_EQ(Allowed(second, floor, kStart + seconds(1)), 10u);
}

}  // namespace
}  // namespace rondo::upstream
