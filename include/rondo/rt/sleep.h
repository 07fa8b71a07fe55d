// Waiting for a moment.
#pragma once

#include <coroutine>

#include "rondo/rt/cancel.h"

namespace rondo::rt {

// See SleepUntil.
class Sleeper : public Cancelable {
 public:
  Sleeper(Loop& loop, Instant until, CancelToken& token)
      : Cancelable(&OnDeliver), loop_(loop), token_(token), until_(until), timer_(*this) {}
  Sleeper(const Sleeper&) = delete;
  bool await_ready() noexcept {
    result = token_.cancelled() ? -ECANCELED : 0;
    return token_.cancelled() || until_ <= loop_.Now();
  }
  void await_suspend(std::coroutine_handle<> flow) noexcept;
  int32_t await_resume() noexcept { return result; }

 private:
  struct WakeTimer : io::Timer {
    explicit WakeTimer(Sleeper& of) : io::Timer(&OnFire), sleeper(of) {}
    Sleeper& sleeper;
  };
  static void OnFire(io::Timer& timer);
  static void OnDeliver(io::Op& op);

  Loop& loop_;
  CancelToken& token_;
  Instant until_;
  WakeTimer timer_;
  std::coroutine_handle<> flow_;
};

// `co_await SleepUntil(loop, until, token)`: 0 at `until` (or up to a millisecond later; at once
// where it has passed), -ECANCELED by the token. kNever waits for the token alone.
inline Sleeper SleepUntil(Loop& loop, Instant until, CancelToken& token) {
  return Sleeper(loop, until, token);
}
inline Sleeper SleepFor(Loop& loop, Duration time, CancelToken& token) {
  return Sleeper(loop, loop.Now() + time, token);
}

}  // namespace rondo::rt
