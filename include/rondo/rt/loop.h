// What one thread's flows share: its engine, its timers and the memory their frames come from.
// Owned by a worker (or the control thread), used by that thread alone.
#pragma once

#include "rondo/base/freelist.h"
#include "rondo/io/engine.h"
#include "rondo/io/secure_engine.h"
#include "rondo/io/stream_engine.h"
#include "rondo/io/timer_wheel.h"

namespace rondo::rt {

class Loop {
 public:
  // `below` outlives the loop, and is nobody else's: all work on descriptors goes through engine().
  explicit Loop(io::Engine& below)
      : secure_(below, frames_), streams_(secure_, frames_), wheel_(below.Now()) {}
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Descriptors and time; it knows streams of HTTP/2 and secured descriptors beside ordinary ones.
  io::Engine& engine() { return streams_; }
  // Its parts as what they are: what secures descriptors, and what speaks HTTP/2 at either kind.
  io::SecureEngine& secure() { return secure_; }
  const io::SecureEngine& secure() const { return secure_; }
  io::StreamEngine& streams() { return streams_; }
  const io::StreamEngine& streams() const { return streams_; }
  // Closed connections still have something to say, or ones of HTTP/2 are left: the loop may not
  // go.
  bool busy() const { return secure_.busy() || streams_.connections() > 0; }
  io::TimerWheel& wheel() { return wheel_; }
  const io::TimerWheel& wheel() const { return wheel_; }
  // Memory for coroutine frames and records.
  Freelist& frames() { return frames_; }
  Instant Now() const { return streams_.Now(); }

  // One round: waits for a completion, the next timer, or `latest`; delivers completions, fires
  // timers.
  void Tick(Instant latest = kNever) {
    const Instant timer = wheel_.NextDeadline();
    streams_.Run(timer < latest ? timer : latest);
    wheel_.Advance(streams_.Now());
  }

 private:
  Freelist frames_;
  io::SecureEngine secure_;
  io::StreamEngine streams_;
  io::TimerWheel wheel_;
};

}  // namespace rondo::rt
