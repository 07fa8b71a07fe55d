// What one thread's flows share: its engine, its timers and the memory their frames come from. Owned by a
// worker (or the control thread), used by that thread alone.
#pragma once

#include "rondo/base/freelist.h"
#include "rondo/io/engine.h"
#include "rondo/io/secure_engine.h"
#include "rondo/io/timer_wheel.h"

namespace rondo::rt {

class Loop {
 public:
  // `below` outlives the loop, and is nobody else's: all work on descriptors goes through engine().
  explicit Loop(io::Engine& below) : secure_(below, frames_), wheel_(below.Now()) {}
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Descriptors and time; it knows secured descriptors beside ordinary ones.
  io::Engine& engine() { return secure_; }
  // The same as what it is: secures descriptors. The loop may go once it is not busy().
  io::SecureEngine& secure() { return secure_; }
  const io::SecureEngine& secure() const { return secure_; }
  io::TimerWheel& wheel() { return wheel_; }
  const io::TimerWheel& wheel() const { return wheel_; }
  // Memory for coroutine frames and records.
  Freelist& frames() { return frames_; }
  Instant Now() const { return secure_.Now(); }

  // One round: waits for a completion, the next timer, or `latest`; delivers completions, fires timers.
  void Tick(Instant latest = kNever) {
    const Instant timer = wheel_.NextDeadline();
    secure_.Run(timer < latest ? timer : latest);
    wheel_.Advance(secure_.Now());
  }

 private:
  Freelist frames_;
  io::SecureEngine secure_;
  io::TimerWheel wheel_;
};

}  // namespace rondo::rt
