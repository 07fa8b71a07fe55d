#include "rondo/balance/latency.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace rondo::balance {
namespace {

// 2^20 ns, about a millisecond. Answers within one tick of the last one count only if they are
// slower than the average: a mean over 10 s does not need more than a thousand a second.
constexpr int kTickBits = 20;
constexpr double kTicksOfDecay =
    static_cast<double>(kLatencyDecay.count()) / static_cast<double>(int64_t{1} << kTickBits);
constexpr double kForgottenAfter = 10;  // in kLatencyDecay: less than 1/20,000 is left
constexpr Duration kLeast = std::chrono::microseconds(1);

uint32_t TickOf(Instant now) {
  return static_cast<uint32_t>(static_cast<uint64_t>(now.time_since_epoch().count()) >> kTickBits);
}

uint64_t Pack(double average, uint32_t tick) {
  return uint64_t{std::bit_cast<uint32_t>(static_cast<float>(average))} << 32 | tick;
}

double AverageOf(uint64_t packed) {
  return static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(packed >> 32)));
}

// The age in units of kLatencyDecay. Another worker may have written with a later time than this
// one's: then nothing has passed.
double AgeOf(uint64_t packed, uint32_t tick) {
  const auto ticks = static_cast<int32_t>(tick - static_cast<uint32_t>(packed));
  return ticks <= 0 ? 0 : ticks / kTicksOfDecay;
}

}  // namespace

void LatencyCell::Observe(Duration sample, Instant now) {
  if (sample < Duration::zero()) return;
  const auto latest = static_cast<double>(std::max(sample, kLeast).count());
  const uint32_t tick = TickOf(now);
  uint64_t before = packed_.load(std::memory_order_relaxed);
  while (true) {
    double average = latest;
    if (before != 0 && latest < AverageOf(before)) {
      const double age = AgeOf(before, tick);
      if (age <= 0) return;
      average = latest + (AverageOf(before) - latest) * std::exp(-age);
    }
    if (packed_.compare_exchange_weak(before, Pack(average, tick), std::memory_order_relaxed)) {
      return;
    }
  }
}

double LatencyCell::Cost(Instant now) const {
  const uint64_t packed = packed_.load(std::memory_order_relaxed);
  if (packed == 0) return 0;
  const double age = AgeOf(packed, TickOf(now));
  if (age <= 0) return AverageOf(packed);
  return age > kForgottenAfter ? 0 : AverageOf(packed) * std::exp(-age);
}

}  // namespace rondo::balance
