// What one thread's flows share: its engine, its timers and the memory their frames come from. Owned by a
// worker (or the control thread), used by that thread alone.
#pragma once

#include "rondo/base/freelist.h"
#include "rondo/io/engine.h"
#include "rondo/io/timer_wheel.h"

namespace rondo::rt {

class Loop {
 public:
  // `engine` outlives the loop.
  explicit Loop(io::Engine& engine) : engine_(engine), wheel_(engine.Now()) {}
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  io::Engine& engine() { return engine_; }
  io::TimerWheel& wheel() { return wheel_; }
  const io::TimerWheel& wheel() const { return wheel_; }
  // Memory for coroutine frames and records.
  Freelist& frames() { return frames_; }
  Instant Now() const { return engine_.Now(); }

  // One round: waits for a completion, the next timer, or `latest`; delivers completions, fires timers.
  void Tick(Instant latest = kNever) {
    const Instant timer = wheel_.NextDeadline();
    engine_.Run(timer < latest ? timer : latest);
    wheel_.Advance(engine_.Now());
  }

 private:
  Freelist frames_;
  io::Engine& engine_;
  io::TimerWheel wheel_;
};

}  // namespace rondo::rt
