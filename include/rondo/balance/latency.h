// How long a backend has been taking to answer, as peak_ewma sees it: one cell for each backend,
// written and read by all workers. A slower answer than the average takes its place at once; faster
// ones pull it down over kLatencyDecay; with no answers at all it fades, so that a backend that was
// slow once is asked again.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "rondo/base/time.h"

namespace rondo::balance {

// The time after which e^-1 of an old peak is left.
inline constexpr Duration kLatencyDecay = std::chrono::seconds(10);

class LatencyCell {
 public:
  // One answer took `sample`. Samples that are negative count as nothing at all, those under a
  // microsecond as that. Lock-free; safe from any thread.
  void Observe(Duration sample, Instant now);

  // Nanoseconds, faded to `now`; 0 where nothing was observed, or nothing within ten times
  // kLatencyDecay.
  double Cost(Instant now) const;

 private:
  // The average and when it was last written, in one word: two would need a lock, or would let a
  // slow reader of one undo a peak. 0: nothing was observed yet.
  std::atomic<uint64_t> packed_{0};
};

}  // namespace rondo::balance
