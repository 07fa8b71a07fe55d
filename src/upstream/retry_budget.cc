#include "rondo/upstream/retry_budget.h"

#include <algorithm>
#include <chrono>

namespace rondo::upstream {
namespace {
int64_t SecondOf(Instant now) {
  return std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
}
}  // namespace

bool RetryFloor::TryTake(Instant now) {
  const uint64_t second = static_cast<uint32_t>(SecondOf(now));
  uint64_t seen = second_and_count_.load(std::memory_order_relaxed);
  for (;;) {
    // Workers' clocks differ by a tick: one that is still in the second before counts with the
    // others.
    const uint64_t current = std::max(seen >> 32, second);
    const uint64_t count = (seen >> 32) == current ? (seen & 0xffffffffu) : 0;
    if (count >= kPerSecond) return false;
    const uint64_t next = (current << 32) | (count + 1);
    if (second_and_count_.compare_exchange_weak(seen, next, std::memory_order_relaxed)) return true;
  }
}

RetryBudget::Slot& RetryBudget::SlotOf(Instant now) {
  const int64_t second = SecondOf(now);
  Slot& slot = slots_[static_cast<size_t>(second % kSeconds)];
  if (slot.second != second) slot = Slot{second, 0, 0};
  return slot;
}

bool RetryBudget::TryRetry(Instant now, RetryFloor& floor) {
  const int64_t second = SecondOf(now);
  uint64_t requests = 0;
  uint64_t retries = 0;
  for (const Slot& slot : slots_) {
    if (slot.second > second - kSeconds && slot.second <= second) {
      requests += slot.requests;
      retries += slot.retries;
    }
  }
  if ((retries + 1) * 100 > requests * percent_ && !floor.TryTake(now)) return false;
  ++SlotOf(now).retries;
  return true;
}

}  // namespace rondo::upstream
