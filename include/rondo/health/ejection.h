// How much of a pool passive health may take out. A pool is all backends of an upstream that nobody
// holds back, backups included: where a backup is up, the last primary may go. Values only; any
// thread.
#pragma once

#include <cstdint>
#include <span>

#include "rondo/health/state.h"

namespace rondo::health {

enum class EjectionCause : uint8_t {
  kRefused,  // connections: refused, or no answer to a connect. Nobody is served there.
  kAnswers,  // bad, late or broken answers: it may be the requests, so most of the pool must stay
};

struct Pool {
  uint32_t size = 0;     // not draining, drained or in maintenance
  uint32_t up = 0;       // of these
  uint32_t ejected = 0;  // of these, whatever the cause
};

Pool CountPool(std::span<const State> states);

// Whether one that is up may be ejected. The last that is up never goes. For kAnswers at most half
// of the pool, rounded down, is ejected at a time: 1 of 2, 1 of 3, 2 of 4, none of 1.
bool MayEject(EjectionCause cause, const Pool& pool);

}  // namespace rondo::health
