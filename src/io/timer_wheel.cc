#include "rondo/io/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace rondo::io {
namespace {

constexpr int64_t kTickNanoseconds = 1'000'000;

uint64_t TickBefore(Instant at) {
  const int64_t count = at.time_since_epoch().count();
  return count <= 0 ? 0 : static_cast<uint64_t>(count / kTickNanoseconds);
}

Instant InstantOf(uint64_t tick) {
  return Instant(std::chrono::milliseconds(static_cast<int64_t>(tick)));
}

}  // namespace

// A timer of tick T stands on the level of the highest digit (of kSlotBits bits) in which T differs
// from tick_, in the slot of T's digit there. So all that is on one level is due before all on the
// next, and a slot is looked at again exactly when tick_ reaches its digit. The top level wraps
// around.

TimerWheel::TimerWheel(Instant now) : tick_(TickBefore(now)) {}

void TimerWheel::Arm(Timer& timer, Instant deadline) {
  timer.Unlink();
  timer.deadline_ = deadline;
  Place(timer, due_);
}

void TimerWheel::Advance(Instant now) {
  const uint64_t target = std::max(TickBefore(now), tick_);
  IntrusiveList<Timer> due;
  due.Splice(due_);
  for (Event event = NextEvent(); event.level < kLevels && event.tick <= target;
       event = NextEvent()) {
    tick_ = event.tick;
    // Taken out first: a deadline beyond the clamp may go back into this very slot.
    IntrusiveList<Timer> moving;
    moving.Splice(slots_[event.level][event.slot]);
    while (!moving.empty()) Place(moving.PopFront(), due);
  }
  tick_ = target;
  // What a firing timer arms for now or before lands in due_, for the next call: no endless loop
  // here.
  while (!due.empty()) {
    Timer& timer = due.PopFront();
    timer.fire_(timer);
  }
}

Instant TimerWheel::NextDeadline() const {
  if (!due_.empty()) return InstantOf(tick_);
  const Event event = NextEvent();
  return event.level == kLevels ? kNever : InstantOf(event.tick);
}

bool TimerWheel::empty() const { return due_.empty() && NextEvent().level == kLevels; }

void TimerWheel::Place(Timer& timer, IntrusiveList<Timer>& due) {
  const uint64_t wanted = TickOf(timer.deadline_);
  if (wanted <= tick_) {
    due.PushBack(timer);
    return;
  }
  // Clamped ones keep their true deadline and are placed again when their slot comes round.
  const uint64_t tick = std::min(wanted, tick_ + kSpan - 1);
  const int highest_bit = 63 - std::countl_zero(tick ^ tick_);
  const int level = std::min(highest_bit / kSlotBits, kLevels - 1);
  const unsigned slot = static_cast<unsigned>(tick >> (level * kSlotBits)) & (kSlots - 1);
  slots_[level][slot].PushBack(timer);
  occupied_[level][slot / 64] |= uint64_t{1} << (slot % 64);
}

int TimerWheel::FirstOccupied(int level, int from) const {
  for (int word = from / 64; word < kSlots / 64; ++word) {
    uint64_t& bits = occupied_[level][word];
    uint64_t left = bits;
    if (word == from / 64) left &= ~uint64_t{0} << (from % 64);
    while (left != 0) {
      const int bit = std::countr_zero(left);
      const int slot = word * 64 + bit;
      if (!slots_[level][slot].empty()) return slot;
      bits &= ~(uint64_t{1} << bit);  // only cancelled timers were here
      left &= left - 1;
    }
  }
  return kSlots;
}

TimerWheel::Event TimerWheel::NextEvent() const {
  for (int level = 0; level < kLevels; ++level) {
    const int shift = level * kSlotBits;
    const int digit = static_cast<int>((tick_ >> shift) & (kSlots - 1));
    uint64_t above = tick_ >> shift >> kSlotBits;
    int slot = digit + 1 == kSlots ? kSlots : FirstOccupied(level, digit + 1);
    if (slot == kSlots && level == kLevels - 1) {
      slot = FirstOccupied(level, 0);
      ++above;
    }
    if (slot == kSlots) continue;
    return Event{((above << kSlotBits) | static_cast<uint64_t>(slot)) << shift, level, slot};
  }
  return Event{0, kLevels, 0};
}

// Rounded up, so that nothing fires early.
uint64_t TimerWheel::TickOf(Instant at) {
  const uint64_t before = TickBefore(at);
  return InstantOf(before) < at ? before + 1 : before;
}

}  // namespace rondo::io
