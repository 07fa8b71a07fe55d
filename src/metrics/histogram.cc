#include "rondo/metrics/histogram.h"

#include <cmath>

namespace rondo::metrics {

LatencyCounts& LatencyCounts::operator+=(const LatencyCounts& other) {
  for (size_t i = 0; i < kBuckets; ++i) counts_[i] += other.counts_[i];
  return *this;
}

uint64_t LatencyCounts::total() const {
  uint64_t sum = 0;
  for (const uint64_t count : counts_) sum += count;
  return sum;
}

Duration LatencyCounts::Percentile(double share) const {
  const uint64_t all = total();
  if (all == 0) return Duration::zero();
  const double wanted = std::clamp(share, 0.0, 1.0) * static_cast<double>(all);
  uint64_t before = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    const uint64_t count = counts_[i];
    if (count == 0) continue;
    if (static_cast<double>(before + count) >= wanted || before + count == all) {
      // Within the bucket as if its durations were spread evenly.
      const Duration low = LowerBound(i);
      const Duration high = i + 1 < kBuckets ? LowerBound(i + 1) : low;
      const double inside =
          std::max(0.0, wanted - static_cast<double>(before)) / static_cast<double>(count);
      return low + std::chrono::duration_cast<Duration>((high - low) * inside);
    }
    before += count;
  }
  return Duration::zero();
}

}  // namespace rondo::metrics
