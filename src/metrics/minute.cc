#include "rondo/metrics/minute.h"

#include <algorithm>

namespace rondo::metrics {

void Minute::Begin(Slot& slot, int64_t period) {
  // Like a sequence lock: a reader that has seen the old period notices that it is gone.
  slot.period.store(-1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  slot.errors.Clear();
  for (Counter& counter : slot.latency) counter.Clear();
  slot.period.store(period, std::memory_order_release);
}

void Minute::AddTo(Instant now, MinuteCounts& sum) const {
  const int64_t current = PeriodOf(now);
  for (const Slot& slot : slots_) {
    const int64_t period = slot.period.load(std::memory_order_acquire);
    // Clocks of threads differ by a tick: a slot may be ahead of `now`.
    if (period < 0 || period < current - static_cast<int64_t>(kSlots) || period > current + 1) continue;
    MinuteCounts counts;
    counts.errors = slot.errors.value();
    for (size_t i = 0; i < LatencyCounts::kBuckets; ++i) counts.latency.Add(i, slot.latency[i].value());
    std::atomic_thread_fence(std::memory_order_acquire);
    if (slot.period.load(std::memory_order_relaxed) != period) continue;
    sum.requests += counts.latency.total();
    sum.errors += counts.errors;
    sum.latency += counts.latency;
  }
}

Duration Minute::Covered(Instant now, Instant started) {
  const Instant begin = Instant(kSlot * (PeriodOf(now) - static_cast<int64_t>(kSlots)));
  return now - std::max(begin, started);
}

}  // namespace rondo::metrics
