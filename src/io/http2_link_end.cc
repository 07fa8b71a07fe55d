// How a connection ends: by its own will, by its peer's, by a fault.
#include <utility>

#include "io/http2_link.h"

namespace rondo::io {

using http2::ErrorCode;

// -- that it is to end --

void StreamEngine::Link::Drain() {
  if (std::exchange(draining_, true) || dead_ || finishing_) return;
  changed_ = true;
  Schedule();
  if (options_.role == http2::Role::kClient || ending_) {
    ending_ = true;
    return;  // it says so when its streams have ended
  }
  session_->BeginGoaway();
  pongs_ = session_->pongs();
  session_->Ping();
  SetDue(engine_.pausing_, kGoawayPause);
}

void StreamEngine::Link::EndPause() {
  if (due_ != kNever && !finishing_ && !mute_) InTimed::Unlink();
  if (dead_ || goaway_said_ || session_ == nullptr) return;
  goaway_said_ = true;
  ending_ = changed_ = true;
  session_->FinishGoaway(ErrorCode::kNoError);
  Schedule();
}

void StreamEngine::Link::End(ErrorCode code) {
  if (dead_ || finishing_) return;
  if (!std::exchange(goaway_said_, true) || code != ErrorCode::kNoError) {
    session_->FinishGoaway(code);
  }
  Fail(nullptr);
}

// The peer broke the protocol, or the owner wants no more.
void StreamEngine::Link::Fail(const char* failure) {
  if (std::exchange(dead_, true)) return;
  failure_ = failure;
  all_.ForEach([](Stream& stream) { stream.Fail(); });
  Finish();
}

// Nothing comes any more.
void StreamEngine::Link::Lose() {
  if (!std::exchange(dead_, true)) {
    all_.ForEach([this](Stream& stream) {
      peer_gone_ = peer_gone_ || stream.under_way();
      stream.Fail();
    });
  }
  ending_ = finishing_ = changed_ = true;
  Cut();
}

// -- that it ends --

void StreamEngine::Link::FinishIfOver() {
  if (!finishing_ && ending_ && open_ == 0 &&
      (!draining_ || goaway_said_ || options_.role == http2::Role::kClient ||
       session_->state() != http2::Session::State::kOpen)) {
    all_.ForEach([](Stream& stream) { stream.StopWaiting(); });
    // Resets are all that a backend could still be told: one that reads nothing is not waited for.
    if (options_.role == http2::Role::kClient && due_ == kNever) {
      SetDue(engine_.closing_, kCloseGrace);
    }
    if (session_->streams() == 0 && !session_->wants_fill() && !send_.in_flight()) Finish();
  }
  if (finishing_) GoOnFinishing();
}

void StreamEngine::Link::Finish() {
  ending_ = finishing_ = changed_ = true;
  if (!std::exchange(goaway_said_, true) && session_->failure() == nullptr) {
    session_->FinishGoaway(ErrorCode::kNoError);
  }
  SetDue(engine_.closing_, kCloseGrace);
  Schedule();
}

void StreamEngine::Link::GoOnFinishing() {
  if (!cut_ && !shut_ && !send_.in_flight() && (mute_ || !session_->wants_fill())) {
    shut_ = true;
    if (engine_.below_.Shutdown(fd_, ShutdownHow::kWrite) < 0) Cut();
  }
  if (receive_ended_ && !receive_.in_flight() && !send_.in_flight()) ForgetSession();
}

void StreamEngine::Link::Cut() {
  InTimed::Unlink();
  if (!std::exchange(cut_, true)) {
    ending_ = finishing_ = changed_ = true;
    if (!receive_ended_) engine_.below_.ResetOnClose(fd_);
    if (send_.in_flight()) engine_.below_.Cancel(send_);
    if (receive_.in_flight()) {
      engine_.below_.Cancel(receive_);
    } else {
      receive_ended_ = true;
      Lose();
    }
  }
  Schedule();
}

void StreamEngine::Link::ForgetSession() {
  dead_ = true;
  FreeOut();
  session_.reset();
  all_.ForEach([](Stream& stream) { stream.Forget(); });
}

bool StreamEngine::Link::over() const {
  return session_ == nullptr && all_.empty() && !InWork::linked();
}

void StreamEngine::Link::Destroy() {
  StreamEngine& engine = engine_;
  owner_.OnEnded(*this, failure_ != nullptr ? failure_ : peer_gone_ ? "peer_gone" : nullptr);
  engine.below_.Close(fd_);
  this->~Link();
  engine.frames_.Free(this, sizeof(Link));
  --engine.connection_count_;
}

void StreamEngine::Link::SetDue(LinkList& list, Duration after) {
  InTimed::Unlink();
  due_ = engine_.Now() + after;
  list.PushBack(*this);
  engine_.Nudge();
}

}  // namespace rondo::io
