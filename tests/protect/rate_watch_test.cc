#include "rondo/protect/rate_watch.h"

#include <gtest/gtest.h>

namespace rondo::protect {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kBegin{seconds(1000)};

TEST(RateWatch, AsksNothingWithoutARate) {
  RateWatch watch;
  watch.Wait(kBegin);
  watch.Moved(0, kBegin + seconds(100));
  EXPECT_FALSE(watch.active());
  EXPECT_EQ(watch.due(), kNever);
  EXPECT_FALSE(watch.TooSlow(kBegin + seconds(1000)));
}

TEST(RateWatch, APeerThatMovesNothingIsTooSlowAfterASpan) {
  RateWatch watch(1);
  EXPECT_EQ(watch.due(), kNever);
  watch.Wait(kBegin);
  EXPECT_EQ(watch.due(), kBegin + seconds(10));
  EXPECT_FALSE(watch.TooSlow(kBegin + milliseconds(9999)));
  EXPECT_TRUE(watch.TooSlow(kBegin + seconds(10)));
}

TEST(RateWatch, OneThatDribblesBelowTheRateIsTooSlowAfterASpan) {
  RateWatch watch(100);
  Instant now = kBegin;
  watch.Wait(now);
  while (!watch.TooSlow(now) && now < kBegin + seconds(60)) {
    now += milliseconds(100);
    watch.Moved(9, now);
  }
  EXPECT_EQ(now, kBegin + seconds(10));
}

TEST(RateWatch, OneThatKeepsTheRateIsNeverTooSlow) {
  RateWatch watch(100);
  Instant now = kBegin;
  watch.Wait(now);
  for (int i = 0; i < 1000; ++i) {
    now += milliseconds(100);
    ASSERT_FALSE(watch.TooSlow(now)) << i;
    watch.Moved(11, now);
  }
}

TEST(RateWatch, WhatWasMovedFastDoesNotHelpTheNextSpan) {
  RateWatch watch(100);
  watch.Wait(kBegin);
  watch.Moved(1'000'000, kBegin + seconds(1));
  EXPECT_EQ(watch.due(), kBegin + seconds(20));
  watch.Moved(10, kBegin + seconds(12));
  EXPECT_EQ(watch.due(), kBegin + seconds(20));
}

TEST(RateWatch, TimeInWhichNobodyWaitsDoesNotCount) {
  RateWatch watch(100);
  Instant now = kBegin;
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
