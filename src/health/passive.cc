#include "rondo/health/passive.h"

#include <algorithm>

namespace rondo::health {

FailureRun::FailureRun(uint32_t count, Instant first) {
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(first.time_since_epoch()).count();
  word_ = (static_cast<uint64_t>(milliseconds) << kCountBits) | std::min(count, kCountMax);
}

FailureRun FailureRun::FromWord(uint64_t word) {
  FailureRun run;
  run.word_ = word;
  return run;
}

FailureStep CountFailure(FailureRun run, uint32_t max_fails, Duration fail_timeout, Instant now) {
  if (max_fails == 0) return {};
  const bool goes_on = run.count() > 0 && now - run.first() <= fail_timeout;
  const uint32_t count = goes_on ? run.count() + 1 : 1;
  if (count >= std::min(max_fails, FailureRun::kCountMax)) return {.run = {}, .reached = true};
  return {.run = FailureRun(count, goes_on ? run.first() : now), .reached = false};
}

}  // namespace rondo::health
