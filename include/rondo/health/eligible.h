// Which backends of an upstream may take a request: by state, with panic_threshold. Values only; no
// allocation; any thread (each worker asks when the upstream's generation has moved).
#pragma once

#include <cstdint>
#include <span>

#include "rondo/health/state.h"

namespace rondo::health {

enum class Eligibility : uint8_t {
  kNo,
  kStickyOnly,  // draining: only requests that carry its stickiness cookie
  kYes,
};

struct Member {
  State state = State::kUp;
  bool backup = false;
};

struct EligibleCounts {
  uint32_t primaries = 0;  // kYes
  uint32_t backups = 0;    // kYes
  // Nothing is kYes, but something is checking or warming: requests may wait for it (a cold start).
  bool worth_waiting = false;
  // That tier is used whole because too few of it are up.
  bool primary_panic = false;
  bool backup_panic = false;
};

// Fills `out`, as long as `members`. Without panic, what is up is kYes.
//
// Panic is judged for primaries and backups apart: where the share of up among those that nobody
// holds back is below `panic_percent` (0: never), all of these are kYes, in whatever state. But
// while no primary is up and a backup is, the primaries do not panic: the backup is there for this.
EligibleCounts Evaluate(std::span<const Member> members, uint32_t panic_percent,
                        std::span<Eligibility> out);

}  // namespace rondo::health
