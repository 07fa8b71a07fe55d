// What happened lately: requests, errors and latencies in slots of some seconds. Written by one
// thread as requests end, read by any; nothing ticks while there is no traffic.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "rondo/base/time.h"
#include "rondo/metrics/histogram.h"

namespace rondo::metrics {

// The sum over several writers: a plain value.
struct WindowCounts {
  uint64_t requests = 0;
  uint64_t errors = 0;
  LatencyCounts latency;
};

// Looks back on the slot of `kSeconds` that is being written and the `kFull` before it.
template <size_t kFull, int kSeconds>
class Window {
 public:
  // A request ended `now`. The writer's thread.
  void Observe(Instant now, Duration took, bool error) {
    const int64_t period = PeriodOf(now);
    Slot& slot = slots_[static_cast<size_t>(period) % slots_.size()];
    if (slot.period.load(std::memory_order_relaxed) != period) Begin(slot, period);
    slot.latency[LatencyCounts::BucketOf(took)].Add();
    if (error) slot.errors.Add();
  }

  // A slot that is begun anew meanwhile is left out. Any thread.
  void AddTo(Instant now, WindowCounts& sum) const {
    const int64_t current = PeriodOf(now);
    for (const Slot& slot : slots_) {
      const int64_t period = slot.period.load(std::memory_order_acquire);
      // Clocks of threads differ by a tick: a slot may be ahead of `now`.
      if (period < 0 || period < current - static_cast<int64_t>(kFull) || period > current + 1)
        continue;
      WindowCounts counts;
      counts.errors = slot.errors.value();
      for (size_t i = 0; i < LatencyCounts::kBuckets; ++i)
        counts.latency.Add(i, slot.latency[i].value());
      std::atomic_thread_fence(std::memory_order_acquire);
      if (slot.period.load(std::memory_order_relaxed) != period) continue;
      sum.requests += counts.latency.total();
      sum.errors += counts.errors;
      sum.latency += counts.latency;
    }
  }

  // How much time AddTo looks back on, for a rate; `started`: since when there are writers.
  static Duration Covered(Instant now, Instant started) {
    const Instant begin = Instant(kSlot * (PeriodOf(now) - static_cast<int64_t>(kFull)));
    return now - std::max(begin, started);
  }

 private:
  static constexpr Duration kSlot = std::chrono::seconds(kSeconds);
  struct Slot {
    std::atomic<int64_t> period{-1};  // -1: empty, or being begun anew
    ShortCounter errors;
    std::array<ShortCounter, LatencyCounts::kBuckets> latency;
  };

  static int64_t PeriodOf(Instant now) { return now.time_since_epoch() / kSlot; }

  static void Begin(Slot& slot, int64_t period) {
    // Like a sequence lock: a reader that has seen the old period notices that it is gone.
    slot.period.store(-1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_release);
    slot.errors.Clear();
    for (ShortCounter& counter : slot.latency) counter.Clear();
    slot.period.store(period, std::memory_order_release);
  }

  std::array<Slot, kFull + 1> slots_;
};

// The last minute (55 to 60 s of it), and the last half to whole one, in less memory.
using Minute = Window<12, 5>;
using RecentLatency = Window<1, 30>;

}  // namespace rondo::metrics
