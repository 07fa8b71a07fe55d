// A log-linear histogram of latencies: 64 steps for each power of two, so that a reported value is
// within 1.6 % of the true one. Fixed size, no allocation.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace rondo::load {

class Histogram {
 public:
  void Add(int64_t nanoseconds) {
    const uint64_t value = static_cast<uint64_t>(std::max<int64_t>(nanoseconds, 0));
    ++buckets_[Index(value)];
    ++count_;
    max_ = std::max(max_, value);
  }
  uint64_t count() const { return count_; }
  double max_us() const { return static_cast<double>(max_) / 1000.0; }
  // The latency that the share `quantile` (0 to 1) of all does not exceed; 0 where there is none.
  double QuantileUs(double quantile) const {
    const auto wanted = static_cast<uint64_t>(quantile * static_cast<double>(count_));
    uint64_t seen = 0;
    for (size_t i = 0; i < buckets_.size(); ++i) {
      seen += buckets_[i];
      if (seen > wanted) return static_cast<double>(std::min(Upper(i), max_)) / 1000.0;
    }
    return max_us();
  }

 private:
  static constexpr size_t kSteps = 64;
  static size_t Index(uint64_t value) {
    if (value < kSteps) return static_cast<size_t>(value);
    const auto shift = static_cast<size_t>(std::bit_width(value)) - 7;
    return (shift + 1) * kSteps + static_cast<size_t>(value >> shift) - kSteps;
  }
  static uint64_t Upper(size_t index) {
    if (index < kSteps) return index;
    const size_t shift = index / kSteps - 1;
    return (uint64_t{index % kSteps + kSteps + 1} << shift) - 1;
  }

  std::array<uint64_t, 60 * kSteps> buckets_{};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace rondo::load
