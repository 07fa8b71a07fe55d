#include "control/lifecycle.h"

namespace rondo::control {

bool Lifecycle::Stop(Duration lame_duck, Duration grace, Instant now) {
  if (step_ != Step::kServing) return false;
  step_ = Step::kLameDuck;
  grace_ = grace;
  deadline_ = now + lame_duck;
  hands_.BeginLameDuck(lame_duck);
  if (lame_duck == Duration::zero()) Drain(now);
  return true;
}

void Lifecycle::Drain(Instant now) {
  step_ = Step::kDraining;
  deadline_ = now + grace_;
  hands_.BeginDrain(deadline_);
}

void Lifecycle::Look(bool finished, Instant now) {
  switch (step_) {
    case Step::kServing:
      // Workers only end when they are told to.
      return;
    case Step::kLameDuck:
      if (now >= deadline_) Drain(now);
      return;
    case Step::kDraining:
      if (finished) {
        step_ = Step::kDone;
        deadline_ = kNever;
      } else if (now >= deadline_) {
        step_ = Step::kCutting;
        deadline_ = now + kCutPatience;
        hands_.CutTheRest();
      }
      return;
    case Step::kCutting:
      if (!finished && now < deadline_) return;
      step_ = Step::kDone;
      deadline_ = kNever;
      return;
    case Step::kDone:
      return;
  }
}

}  // namespace rondo::control
