#include "rondo/health/ejection.h"

namespace rondo::health {

Pool CountPool(std::span<const State> states) {
  Pool pool;
  for (const State state : states) {
    if (IsHeld(state)) continue;
    ++pool.size;
    if (state == State::kUp) ++pool.up;
    if (state == State::kEjected) ++pool.ejected;
  }
  return pool;
}

bool MayEject(EjectionCause cause, const Pool& pool) {
  if (pool.up < 2) return false;
  switch (cause) {
    case EjectionCause::kRefused:
      return true;
    case EjectionCause::kAnswers:
      return pool.ejected + 1 <= pool.size / 2;
  }
  return false;
}

}  // namespace rondo::health
