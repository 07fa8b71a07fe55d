#include "rondo/health/slow_start.h"

#include "rondo/health/machine.h"

namespace rondo::health {
namespace {

// Wide enough for any duration times a small factor.
using Wide = __int128;

// Since the ramp began; nothing where it is over, or there is none.
struct Elapsed {
  Duration time{};
  bool full = true;
};

Elapsed Since(Instant ramp_since, Duration slow_start, Instant now) {
  if (ramp_since == kNoRamp || slow_start <= Duration(0)) return {};
  if (now <= ramp_since) return {.time = Duration(0), .full = false};
  const Duration time = now - ramp_since;
  return {.time = time, .full = time >= slow_start};
}

}  // namespace

uint32_t RampWeight(uint32_t weight, Instant ramp_since, Duration slow_start, Instant now) {
  const Elapsed elapsed = Since(ramp_since, slow_start, now);
  if (elapsed.full) return weight * kFullShare;
  const auto share =
      static_cast<uint32_t>(Wide{elapsed.time.count()} * kFullShare / slow_start.count());
  return weight * (share == 0 ? 1 : share);
}

Instant NextStep(Instant ramp_since, Duration slow_start, Instant now) {
  const Elapsed elapsed = Since(ramp_since, slow_start, now);
  if (elapsed.full) return kNever;
  const Wide step = Wide{elapsed.time.count()} * kRampSteps / slow_start.count() + 1;
  // Rounded up, so that the step has been reached then.
  const Wide offset = (Wide{slow_start.count()} * step + kRampSteps - 1) / kRampSteps;
  return ramp_since + Duration(static_cast<int64_t>(offset));
}

}  // namespace rondo::health
