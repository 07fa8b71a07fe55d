// What happened during the last minute: requests, errors and latencies in slots of five seconds. Written by one
// thread as requests end, read by any; nothing ticks while there is no traffic.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "rondo/base/time.h"
#include "rondo/metrics/histogram.h"

namespace rondo::metrics {

// The sum over several writers: a plain value.
struct MinuteCounts {
  uint64_t requests = 0;
  uint64_t errors = 0;  // answers of 500 and above, and requests that got none
  LatencyCounts latency;
};

class Minute {
 public:
  static constexpr Duration kSlot = std::chrono::seconds(5);
  static constexpr size_t kSlots = 12;  // full ones that are summed; one more is being written

  // A request ended `now`. The writer's thread.
  void Observe(Instant now, Duration took, bool error) {
    const int64_t period = PeriodOf(now);
    Slot& slot = slots_[static_cast<size_t>(period) % slots_.size()];
    if (slot.period.load(std::memory_order_relaxed) != period) Begin(slot, period);
    slot.latency[LatencyCounts::BucketOf(took)].Add();
    if (error) slot.errors.Add();
  }
  // Adds what happened in the current slot and the kSlots before it. A slot that is begun anew meanwhile is left
  // out. Any thread.
  void AddTo(Instant now, MinuteCounts& sum) const;
  // How much time AddTo looks back on, for a rate; `started`: since when there are writers.
  static Duration Covered(Instant now, Instant started);

 private:
  struct Slot {
    std::atomic<int64_t> period{-1};  // -1: empty, or being begun anew
    Counter errors;
    std::array<Counter, LatencyCounts::kBuckets> latency;
  };
  static int64_t PeriodOf(Instant now) { return now.time_since_epoch() / kSlot; }
  static void Begin(Slot& slot, int64_t period);

  std::array<Slot, kSlots + 1> slots_;
};

}  // namespace rondo::metrics
