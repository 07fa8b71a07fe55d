#include "rondo/balance/latency.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>

namespace rondo::balance {
namespace {

// 2^20 ns, about a millisecond. Answers within one tick of the last one count only if they are
// slower than the average: a mean over 10 s does not need more than a thousand a second.
constexpr int kTickBits = 20;
constexpr int64_t kTicksOfDecay = kLatencyDecay.count() >> kTickBits;
constexpr uint32_t kForgottenAfter = 10 * kTicksOfDecay;  // less than 1/20,000 is left

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

// Ticks from when it was written. Another worker may have written with a later time than this
// one's: then nothing has passed.
uint32_t AgeOf(uint64_t packed, uint32_t tick) {
  const auto ticks = static_cast<int32_t>(tick - static_cast<uint32_t>(packed));
  return ticks <= 0 ? 0 : static_cast<uint32_t>(ticks);
}

// e^(-age / kTicksOfDecay) as a product of two from tables, since a pick may need 64 of them: one
// for the low bits of the age and one for the rest.
constexpr int kLowBits = 9;
constexpr size_t kLows = size_t{1} << kLowBits;
constexpr size_t kHighs = (kForgottenAfter >> kLowBits) + 1;

template <size_t kSize>
constexpr std::array<double, kSize> PowersOf(double base) {
  std::array<double, kSize> powers{};
  double power = 1;
  for (double& each : powers) {
    each = power;
    power *= base;
  }
  return powers;
}
constexpr double kTick = 1.0 / kTicksOfDecay;
constexpr auto kLowFades = PowersOf<kLows>(1 - kTick + kTick * kTick / 2);
constexpr auto kHighFades = PowersOf<kHighs>(kLowFades[kLows - 1] * kLowFades[1]);

// REQUIRES: at most kForgottenAfter.
double Fade(uint32_t age) { return kHighFades[age >> kLowBits] * kLowFades[age % kLows]; }

}  // namespace

void LatencyCell::Observe(Duration sample, Instant now) {
  if (sample < Duration::zero()) return;
  const auto latest = static_cast<double>(std::max(sample, kLeast).count());
  const uint32_t tick = TickOf(now);
  uint64_t before = packed_.load(std::memory_order_relaxed);
  while (true) {
    double average = latest;
    if (before != 0 && latest < AverageOf(before)) {
      const uint32_t age = AgeOf(before, tick);
      if (age == 0) return;
      if (age <= kForgottenAfter) average += (AverageOf(before) - latest) * Fade(age);
    }
    if (packed_.compare_exchange_weak(before, Pack(average, tick), std::memory_order_relaxed)) {
      return;
    }
  }
}

double LatencyCell::Cost(Instant now) const {
  const uint64_t packed = packed_.load(std::memory_order_relaxed);
  if (packed == 0) return 0;
  const uint32_t age = AgeOf(packed, TickOf(now));
  return age > kForgottenAfter ? 0 : AverageOf(packed) * Fade(age);
}

}  // namespace rondo::balance
