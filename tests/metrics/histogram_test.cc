#include "rondo/metrics/histogram.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "rondo/base/rng.h"

namespace rondo::metrics {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST(LatencyCounts, ABucketBeginsWhereTheOneBeforeEnds) {
  for (size_t bucket = 1; bucket < LatencyCounts::kBuckets; ++bucket) {
    const Duration low = LatencyCounts::LowerBound(bucket);
    EXPECT_EQ(LatencyCounts::BucketOf(low), bucket);
    EXPECT_EQ(LatencyCounts::BucketOf(low - nanoseconds(1)), bucket - 1) << bucket;
  }
}

TEST(LatencyCounts, ABucketIsAtMostAnEighthWide) {
  for (size_t bucket = 1; bucket + 1 < LatencyCounts::kBuckets; ++bucket) {
    const Duration low = LatencyCounts::LowerBound(bucket);
    EXPECT_LE((LatencyCounts::LowerBound(bucket + 1) - low) * 8, low) << bucket;
  }
}

TEST(LatencyCounts, WhatIsOutsideFallsIntoTheFirstAndTheLastBucket) {
  EXPECT_EQ(LatencyCounts::BucketOf(Duration::zero()), 0u);
  EXPECT_EQ(LatencyCounts::BucketOf(nanoseconds(-1)), 0u);
  EXPECT_EQ(LatencyCounts::BucketOf(microseconds(15)), 0u);
  EXPECT_EQ(LatencyCounts::BucketOf(microseconds(16)), 1u);
  EXPECT_EQ(LatencyCounts::BucketOf(hours(2)), LatencyCounts::kBuckets - 1);
  EXPECT_EQ(LatencyCounts::BucketOf(Duration::max()), LatencyCounts::kBuckets - 1);
}

TEST(LatencyCounts, WithoutAnyAPercentileIsZero) {
  EXPECT_EQ(LatencyCounts().Percentile(0.5), Duration::zero());
}

TEST(LatencyCounts, PercentilesAreWithinABucketOfTheSortedSamples) {
  Rng rng(7);
  for (int round = 0; round < 50; ++round) {
    LatencyCounts counts;
    std::vector<Duration> samples;
    const size_t count = 1 + rng.Next() % 2000;
    for (size_t i = 0; i < count; ++i) {
      // Over many orders of magnitude.
      const auto micros = static_cast<int64_t>((16 + rng.Next() % 16) << (rng.Next() % 24));
      samples.push_back(microseconds(micros));
      counts.Add(LatencyCounts::BucketOf(samples.back()), 1);
    }
    EXPECT_EQ(counts.total(), count);
    std::sort(samples.begin(), samples.end());
    for (const double share : {0.5, 0.9, 0.95, 0.99, 1.0}) {
      const auto rank =
          static_cast<size_t>(std::max(0.0, share * static_cast<double>(count) - 1e-9));
      const Duration exact = samples[std::min(rank, count - 1)];
      const Duration low = samples[rank > 0 ? rank - 1 : 0];
      const Duration got = counts.Percentile(share);
      EXPECT_GE(got.count(), low.count() * 7 / 8) << share;
      EXPECT_LE(got.count(), exact.count() * 9 / 8 + 1) << share;
    }
  }
}

TEST(BoundedHistogram, ABoundBelongsToItsBucket) {
  RequestHistogram histogram;
  for (const Duration bound : kRequestBounds) histogram.Observe(bound);
  histogram.Observe(kRequestBounds.back() + nanoseconds(1));
  histogram.Observe(Duration::zero());
  RequestHistogram::Counts counts;
  histogram.AddTo(counts);
  EXPECT_EQ(counts.counts.front(), 2u);
  for (size_t i = 1; i < counts.counts.size(); ++i) EXPECT_EQ(counts.counts[i], 1u) << i;
}

TEST(BoundedHistogram, SumsWhatWasObserved) {
  WaitHistogram histogram;
  histogram.Observe(milliseconds(3));
  histogram.Observe(seconds(20));
  histogram.Observe(nanoseconds(-5));
  WaitHistogram::Counts counts;
  histogram.AddTo(counts);
  EXPECT_EQ(counts.sum_ns, 20'003'000'000u);
}

}  // namespace
}  // namespace rondo::metrics
