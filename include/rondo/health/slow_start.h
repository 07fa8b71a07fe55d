// The weight of a backend that joined or turned healthy a short time ago: a straight line from next
// to nothing up to its weight over slow_start. Values only; any thread.
#pragma once

#include <cstdint>

#include "rondo/base/time.h"

namespace rondo::health {

inline constexpr uint32_t kFullShare = 100;
inline constexpr int kRampSteps = 20;

// The weight in hundredths, between `weight` (one hundredth of it, so that it gets something to do)
// and `weight` * 100. `ramp_since`: Machine::ramp_since(); kNoRamp, a slow_start of zero, or one
// that is over: full. A `now` before ramp_since (clocks of two threads) counts as its beginning.
uint32_t RampWeight(uint32_t weight, Instant ramp_since, Duration slow_start, Instant now);

// When the share is worth looking at again: the next twentieth of slow_start, strictly after `now`.
// kNever where it is full.
Instant NextStep(Instant ramp_since, Duration slow_start, Instant now);

}  // namespace rondo::health
