// Drawn sizes and times: skewed towards the small end, where the interesting cases are, but
// reaching all.
#pragma once

#include <cstddef>
#include <cstdint>

#include "rondo/base/rng.h"

namespace rondo::sim {

// In [low, high], about evenly over orders of magnitude. REQUIRES: 0 < low <= high.
inline int64_t DrawSkewed(Rng& rng, int64_t low, int64_t high) {
  int64_t top = low;
  while (top < high && rng.Below(5) != 0) top = top > high / 2 ? high : top * 2;
  return rng.Between(low, top);
}

// In [1, whole - 1]: often one byte, often all but one. REQUIRES: whole > 1.
inline size_t DrawPart(Rng& rng, size_t whole) {
  switch (rng.Below(4)) {
    case 0:
      return 1;
    case 1:
      return whole - 1;
    default:
      return static_cast<size_t>(rng.Between(1, static_cast<int64_t>(whole) - 1));
  }
}

}  // namespace rondo::sim
