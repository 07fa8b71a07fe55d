// Who is told what came of checks and warm-ups. Control thread.
#pragma once

#include <cstdint>

#include "rondo/health/check_result.h"

namespace rondo::control {

// Called from the loop, never from within a call to the prober. It may call anything of the prober,
// also about the target it is told of.
class ProbeListener {
 public:
  // A check ended. Not called with CheckOutcome::kLocal, which says nothing about the backend: that
  // is counted, and the check is made again after an interval.
  virtual void OnCheck(uint64_t serial, const health::CheckResult& result) = 0;
  // The warm-up is over, with its last answer or its timeout; `succeeded` of its requests had an
  // answer below 500.
  virtual void OnWarmedUp(uint64_t serial, uint32_t succeeded) = 0;

 protected:
  ~ProbeListener() = default;
};

}  // namespace rondo::control
