#include "rondo/protect/rate_watch.h"

#include <gtest/gtest.h>

namespace rondo::protect {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kStart{seconds(1000)};

TEST(RateWatch, AsksNothingWithoutARate) {
  RateWatch watch;
  watch.Wait(kStart);
  watch.Moved(0, kStart + seconds(100));
  EXPECT_FALSE(watch.active());
  EXPECT_EQ(watch.due(), kNever);
  EXPECT_FALSE(watch.TooSlow(kStart + seconds(1000)));
}

TEST(RateWatch, APeerThatMovesNothingIsTooSlowAfterASpan) {
  RateWatch watch(1);
  EXPECT_EQ(watch.due(), kNever);
  watch.Wait(kStart);
  EXPECT_EQ(watch.due(), kStart + seconds(10));
  EXPECT_FALSE(watch.TooSlow(kStart + milliseconds(9999)));
  EXPECT_TRUE(watch.TooSlow(kStart + seconds(10)));
}

TEST(RateWatch, OneThatDribblesBelowTheRateIsTooSlowAfterASpan) {
  RateWatch watch(100);
  Instant now = kStart;
  watch.Wait(now);
  while (!watch.TooSlow(now) && now < kStart + seconds(60)) {
    now += milliseconds(100);
    watch.Moved(9, now);
  }
  EXPECT_EQ(now, kStart + seconds(10));
}

TEST(RateWatch, OneThatKeepsTheRateIsNeverTooSlow) {
  RateWatch watch(100);
  Instant now = kStart;
  watch.Wait(now);
  for (int i = 0; i < 1000; ++i) {
    now += milliseconds(100);
    ASSERT_FALSE(watch.TooSlow(now)) << i;
    watch.Moved(11, now);
  }
}

TEST(RateWatch, WhatWasMovedFastDoesNotHelpTheNextSpan) {
  RateWatch watch(100);
  watch.Wait(kStart);
  watch.Moved(1'000'000, kStart + seconds(1));
  EXPECT_EQ(watch.due(), kStart + seconds(20));
  watch.Moved(10, kStart + seconds(12));
  EXPECT_EQ(watch.due(), kStart + seconds(20));
}

TEST(RateWatch, TimeInWhichNobodyWaitsDoesNotCount) {
  RateWatch watch(100);
  Instant now = kStart;
  for (int i = 0; i < 9; ++i) {
    watch.Wait(now);
    now += seconds(1);
    watch.Stop(now);
    EXPECT_EQ(watch.due(), kNever);
    EXPECT_FALSE(watch.TooSlow(now + seconds(100)));
    now += seconds(100);  // for the backend
  }
  watch.Wait(now);
  EXPECT_EQ(watch.due(), now + seconds(1));
  watch.Moved(1000, now);
  EXPECT_EQ(watch.due(), now + seconds(11));
}

}  // namespace
}  // namespace rondo::protect
