// How many requests may be repeated: a share of the recent ones, so that retries never multiply the
// load on backends that are already failing, but at least a few a second, so that rare failures are
// always covered.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "rondo/base/time.h"

namespace rondo::upstream {

// Shared by all workers: counts the retries of the current second for the floor.
class RetryFloor {
 public:
  static constexpr uint32_t kPerSecond = 10;
  // Takes one of this second's kPerSecond; false where all are taken. Any thread.
  bool TryTake(Instant now);

 private:
  // The second in the upper half, its count in the lower: one word, so that both change together.
  std::atomic<uint64_t> second_and_count_{0};
};

// One worker's share of it: retries allowed as a percentage of the requests of the last ten
// seconds.
class RetryBudget {
 public:
  explicit RetryBudget(uint32_t percent) : percent_(percent) {}
  void set_percent(uint32_t percent) { percent_ = percent; }
  void OnRequest(Instant now) { ++SlotOf(now).requests; }
  // Whether one more retry fits; counts it where it does. `floor` is asked when the share is used
  // up.
  bool TryRetry(Instant now, RetryFloor& floor);

 private:
  static constexpr int kSeconds = 10;
  struct Slot {
    int64_t second = -1;
    uint32_t requests = 0;
    uint32_t retries = 0;
  };
  Slot& SlotOf(Instant now);

  uint32_t percent_;
  std::array<Slot, kSeconds> slots_;
};

}  // namespace rondo::upstream
