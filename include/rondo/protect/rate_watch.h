// Whether a peer that is waited for moves enough bytes (spec: `min_rate`): so many a second at the
// least, in spans of ten seconds of waiting. Time in which nobody waits for it does not count, so
// that a client is not blamed for a slow backend. A value; one thread.
#pragma once

#include <cstdint>

#include "rondo/base/time.h"

namespace rondo::protect {

class RateWatch {
 public:
  static constexpr Duration kSpan = std::chrono::seconds(10);

  // Asks nothing: it is never too slow.
  RateWatch() = default;
  // The first span begins when it is first waited for. 0: as above.
  explicit RateWatch(uint64_t bytes_per_second)
      : needed_(bytes_per_second * static_cast<uint64_t>(kSpan / std::chrono::seconds(1))) {}
  bool active() const { return needed_ > 0; }

  // From here on it is waited for, if it was not already.
  void Wait(Instant now) {
    if (active() && since_ == kNever) since_ = now;
  }
  // Bytes have moved.
  void Moved(uint64_t bytes, Instant now) {
    // A span in which enough was moved is over; what was moved beyond that does not help the next.
    if (const Duration waited = WaitedBy(now); moved_ >= needed_ && waited >= kSpan) {
      waited_ = waited - kSpan;
      moved_ = 0;
      if (since_ != kNever) since_ = now;
    }
    moved_ += bytes;
  }
  // Nobody waits for it any more.
  void Stop(Instant now) {
    waited_ = WaitedBy(now);
    since_ = kNever;
  }

  // When it will have been too slow, unless it moves more before; kNever while nobody waits for it.
  Instant due() const {
    if (!active() || since_ == kNever) return kNever;
    const Duration spans = moved_ >= needed_ ? 2 * kSpan : kSpan;
    return since_ + (spans - waited_);
  }
  bool TooSlow(Instant now) const { return due() <= now; }

 private:
  Duration WaitedBy(Instant now) const {
    return since_ == kNever ? waited_ : waited_ + (now - since_);
  }

  uint64_t needed_ = 0;  // in a span
  uint64_t moved_ = 0;   // in this one
  Duration waited_{};    // in this one, before since_
  Instant since_ = kNever;
};

}  // namespace rondo::protect
