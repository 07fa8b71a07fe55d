// Ending a flow's waits from outside: a CancelToken belongs to a flow; whatever the flow awaits is linked
// into it. Deadline cancels a token when its time comes. One thread.
#pragma once

#include <cerrno>

#include "rondo/base/intrusive_list.h"
#include "rondo/rt/loop.h"

namespace rondo::rt {

enum class CancelReason : uint8_t {
  kNone,
  kDeadline,    // a Deadline expired
  kClientGone,  // nobody is left to answer
  kFinished,    // the other half of the exchange made this one pointless
  kDrained,     // the backend's drain_timeout is over
  kShutdown,    // the process ends
};

struct CancelTag;

// Something a flow waits for: ends early through its op.
class Cancelable : public io::Op, public ListHook<CancelTag> {
 public:
  explicit Cancelable(Deliver on_deliver) : io::Op(on_deliver) {}

 protected:
  ~Cancelable() = default;
  void LeaveToken() { ListHook<CancelTag>::Unlink(); }
};

class CancelToken {
 public:
  explicit CancelToken(io::Engine& engine) : engine_(engine) {}
  CancelToken(const CancelToken&) = delete;
  CancelToken& operator=(const CancelToken&) = delete;

  // Asks the engine to end what is linked and makes every later wait fail at once; resumes nobody inline.
  // The first reason stays, but a final one takes the place of one that may pass.
  void Cancel(CancelReason reason) {
    if (reason_ != CancelReason::kNone && (!Passing(reason_) || Passing(reason))) return;
    reason_ = reason;
    waits_.ForEach([this](Cancelable& wait) {
      // What waits for an event of our own, and not for the kernel, has no op in flight: its end is posted.
      if (wait.in_flight()) {
        engine_.Cancel(wait);
      } else {
        engine_.Post(wait, -ECANCELED);
      }
    });
  }
  bool cancelled() const { return reason_ != CancelReason::kNone; }
  CancelReason reason() const { return reason_; }
  // After a deadline, when its other half made it pointless, or when its backend was let go, the flow may go on,
  // say to answer 504. The other reasons are final.
  void ClearPassing() {
    if (Passing(reason_)) reason_ = CancelReason::kNone;
  }

  void Link(Cancelable& wait) { waits_.PushBack(wait); }

 private:
  static bool Passing(CancelReason reason) {
    return reason == CancelReason::kDeadline || reason == CancelReason::kFinished ||
           reason == CancelReason::kDrained;
  }

  io::Engine& engine_;
  CancelReason reason_ = CancelReason::kNone;
  IntrusiveList<Cancelable, CancelTag> waits_;
};

// A moment at which a token is cancelled with kDeadline. Setting it later than before costs nothing: the
// timer stays where it is and moves on when it fires.
class Deadline : private io::Timer {
 public:
  Deadline(io::TimerWheel& wheel, CancelToken& token)
      : io::Timer(&OnFire), wheel_(wheel), token_(token) {}
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  void Set(Instant at) {
    at_ = at < cap_ ? at : cap_;
    if (!armed() || deadline() > at_) wheel_.Arm(*this, at_);
  }
  // No deadline from now on, but for the cap.
  void Clear() {
    at_ = kNever;
    if (cap_ != kNever) Set(cap_);
  }
  // No later deadline than this counts until the cap is lifted (kNever).
  void SetCap(Instant cap) {
    cap_ = cap;
    if (cap < at_) Set(cap);
  }
  Instant at() const { return at_; }

 private:
  static void OnFire(io::Timer& timer);

  Instant at_ = kNever;
  Instant cap_ = kNever;
  io::TimerWheel& wheel_;
  CancelToken& token_;
};

}  // namespace rondo::rt
