// How long things took, counted in two ways:
//  - LatencyCounts for percentiles: buckets of equal relative width, so that a percentile is as
//  exact for 100 us as
//    for 10 s; window.h writes them;
//  - BoundedHistogram for Prometheus: exact counts below a few fixed round bounds (`le`), written
//  by one thread and
//    read by any.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

#include "rondo/base/time.h"
#include "rondo/metrics/counter.h"

namespace rondo::metrics {

// Counts by bucket, or the sum of several: a plain value.
class LatencyCounts {
 public:
  // From 16 us on, every power of two is cut into 8: a bucket is at most 12.5 % wide. The last one
  // has no end; it begins at about 64 minutes.
  static constexpr int kFirstExponent = 4;  // of microseconds
  static constexpr int kLastExponent = 31;
  static constexpr size_t kCut = 8;
  static constexpr size_t kBuckets = 1 + (kLastExponent - kFirstExponent + 1) * kCut;

  // The bucket of a duration; below 16 us (negative ones too): 0.
  static size_t BucketOf(Duration took) {
    const int64_t micros = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
    if (micros < (1 << kFirstExponent)) return 0;
    const auto value = static_cast<uint64_t>(micros);
    const int exponent = std::min(63 - std::countl_zero(value), kLastExponent);
    const uint64_t cut = exponent == kLastExponent && value >= (uint64_t{2} << kLastExponent)
                             ? kCut - 1
                             : (value >> (exponent - 3)) & (kCut - 1);
    return 1 + static_cast<size_t>(exponent - kFirstExponent) * kCut + cut;
  }
  // Where a bucket begins.
  static Duration LowerBound(size_t bucket) {
    if (bucket == 0) return Duration::zero();
    const size_t octave = (bucket - 1) / kCut;
    const size_t cut = (bucket - 1) % kCut;
    return std::chrono::microseconds((kCut + cut) << (octave + kFirstExponent - 3));
  }

  void Add(size_t bucket, uint64_t count) { counts_[bucket] += count; }
  LatencyCounts& operator+=(const LatencyCounts& other);
  uint64_t total() const;
  // The duration that a share (0 to 1) of all did not exceed, within a bucket's width; zero without
  // any.
  Duration Percentile(double share) const;

 private:
  std::array<uint64_t, kBuckets> counts_{};
};

// `le` bounds of requests, and of what is short by nature (connecting, waiting for a place).
inline constexpr std::array<Duration, 17> kRequestBounds = {
    std::chrono::microseconds(250),  std::chrono::microseconds(500), std::chrono::milliseconds(1),
    std::chrono::microseconds(2500), std::chrono::milliseconds(5),   std::chrono::milliseconds(10),
    std::chrono::milliseconds(25),   std::chrono::milliseconds(50),  std::chrono::milliseconds(100),
    std::chrono::milliseconds(250),  std::chrono::milliseconds(500), std::chrono::seconds(1),
    std::chrono::milliseconds(2500), std::chrono::seconds(5),        std::chrono::seconds(10),
    std::chrono::seconds(30),        std::chrono::seconds(60)};
inline constexpr std::array<Duration, 8> kWaitBounds = {
    std::chrono::microseconds(250),  std::chrono::milliseconds(1),   std::chrono::milliseconds(5),
    std::chrono::milliseconds(25),   std::chrono::milliseconds(100), std::chrono::milliseconds(500),
    std::chrono::milliseconds(2500), std::chrono::seconds(10)};

// Counts of a BoundedHistogram, or sums of several. `counts[i]`: more than bounds[i-1], at most
// bounds[i]; the last one is beyond all bounds.
template <size_t kBounds>
struct BoundedCounts {
  std::array<uint64_t, kBounds + 1> counts{};
  uint64_t sum_ns = 0;
};

template <const auto& kBoundsOf>
class BoundedHistogram {
 public:
  static constexpr size_t kBounds = kBoundsOf.size();
  using Counts = BoundedCounts<kBounds>;

  void Observe(Duration took) {
    const auto* bound = std::lower_bound(kBoundsOf.begin(), kBoundsOf.end(), took);
    counts_[static_cast<size_t>(bound - kBoundsOf.begin())].Add();
    if (took > Duration::zero()) sum_ns_.Add(static_cast<uint64_t>(took.count()));
  }
  void AddTo(Counts& sum) const {
    for (size_t i = 0; i <= kBounds; ++i) sum.counts[i] += counts_[i].value();
    sum.sum_ns += sum_ns_.value();
  }

 private:
  std::array<Counter, kBounds + 1> counts_;
  Counter sum_ns_;
};

using RequestHistogram = BoundedHistogram<kRequestBounds>;
using WaitHistogram = BoundedHistogram<kWaitBounds>;

}  // namespace rondo::metrics
