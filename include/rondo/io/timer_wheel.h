// Timers of one worker: a hierarchical wheel with 1 ms slots, O(1) to arm and to cancel, since almost every
// timeout is cancelled. A timer fires at its deadline or up to 1 ms later, never early. One thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "rondo/base/intrusive_list.h"
#include "rondo/base/time.h"

namespace rondo::io {

class TimerWheel;

// Owned by whoever arms it; cancels itself on destruction.
class Timer : public ListHook<> {
 public:
  using Fire = void (*)(Timer&);
  explicit Timer(Fire fire) : fire_(fire) {}
  ~Timer() { Unlink(); }

  bool armed() const { return linked(); }
  Instant deadline() const { return deadline_; }
  void Cancel() { Unlink(); }
  // Only while not armed.
  void set_fire(Fire fire) { fire_ = fire; }

 private:
  friend class TimerWheel;
  Instant deadline_{};
  Fire fire_;
};

class TimerWheel {
 public:
  explicit TimerWheel(Instant now);
  TimerWheel(const TimerWheel&) = delete;
  TimerWheel& operator=(const TimerWheel&) = delete;
  ~TimerWheel() = default;  // every timer must be gone

  // Arms (or re-arms) `timer` for `deadline`; one in the past fires at the next Advance. One further away than
  // about 49 days is looked at again after that time, and kept. Never fires inline.
  void Arm(Timer& timer, Instant deadline);

  // Fires everything due at `now`, in order of deadline to the millisecond. A firing timer may arm or cancel
  // any timer, itself too.
  void Advance(Instant now);

  // When Advance should be called next: at or before the earliest deadline (a timer far away may cause an
  // early call or two, as it moves down the levels); kNever where no timer is armed.
  Instant NextDeadline() const;

  bool empty() const;

 private:
  static constexpr int kLevels = 4;
  static constexpr int kSlotBits = 8;
  static constexpr int kSlots = 1 << kSlotBits;
  static constexpr uint64_t kSpan = uint64_t{1} << (kLevels * kSlotBits);  // ticks

  // When the next slot that holds a timer must be looked at; level == kLevels: there is none.
  struct Event {
    uint64_t tick;
    int level;
    int slot;
  };

  // Puts a timer into its slot, or at the end of `due` where its tick has come.
  void Place(Timer& timer, IntrusiveList<Timer>& due);
  Event NextEvent() const;
  // The first slot of `level` from `from` on that holds a timer, or kSlots.
  int FirstOccupied(int level, int from) const;
  static uint64_t TickOf(Instant at);

  uint64_t tick_;  // milliseconds since the epoch of Instant; all up to here is fired or in due_
  IntrusiveList<Timer> due_;  // armed for now or before: for the next Advance
  // A bit for each slot that may hold timers (a cancelled timer leaves its bit behind; cleared on the next visit).
  mutable std::array<std::array<uint64_t, kSlots / 64>, kLevels> occupied_{};
  std::array<std::array<IntrusiveList<Timer>, kSlots>, kLevels> slots_;
};

}  // namespace rondo::io
