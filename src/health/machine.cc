#include "rondo/health/machine.h"

#include <utility>

namespace rondo::health {

Machine::Machine(const Settings& settings, Actor actor, Instant now) : settings_(settings) {
  if (settings_.has_check) {
    Enter(State::kChecking, actor, "added", now);
  } else {
    EnterService(actor, "added", now);
  }
}

bool Machine::OnCheck(bool passed, std::string_view detail, Instant now) {
  last_check_ = LastCheck{.passed = passed, .at = now, .detail = std::string(detail)};
  if (IsHeld(state())) return false;
  return passed ? OnPass(now) : OnFail(detail, now);
}

bool Machine::OnPass(Instant now) {
  failures_ = 0;
  ++successes_;
  switch (state()) {
    case State::kChecking:
      EnterService(Actor::kHealth, "check_passed", now);
      return true;
    case State::kDown:
      if (successes_ < settings_.healthy_threshold) return false;
      EnterService(Actor::kHealth, "check_passed", now);
      return true;
    case State::kWarming:
    case State::kUp:
    case State::kEjected:  // its requests failed though its checks pass: fail_timeout is what ends
                           // this
    case State::kDraining:
    case State::kDrained:
    case State::kMaintenance:
      return false;
  }
  return false;
}

bool Machine::OnFail(std::string_view detail, Instant now) {
  successes_ = 0;
  ++failures_;
  switch (state()) {
    case State::kChecking:
      // One that never passed has nothing to fall from; one that served before has.
      if (history_size_ < 2 || history(1).state != State::kEjected) return false;
      [[fallthrough]];
    case State::kWarming:
    case State::kUp:
    case State::kEjected:
      if (failures_ < settings_.unhealthy_threshold) return false;
      Enter(State::kDown, Actor::kHealth, "check_failed: " + std::string(detail), now);
      return true;
    case State::kDown:
    case State::kDraining:
    case State::kDrained:
    case State::kMaintenance:
      return false;
  }
  return false;
}

bool Machine::OnWarmedUp(Instant now) {
  if (state() != State::kWarming) return false;
  EnterUp(Actor::kHealth, "warmed_up", now);
  return true;
}

bool Machine::Eject(std::string_view reason, Instant now) {
  if (state() != State::kUp || settings_.max_fails == 0) return false;
  // Checks that failed just before count on: a backend that dies fails both.
  const uint32_t failures = failures_;
  Enter(State::kEjected, Actor::kHealth, "passive: " + std::string(reason), now);
  failures_ = failures;
  ejected_until_ = now + settings_.fail_timeout;
  return true;
}

bool Machine::Tick(Instant now) {
  if (now < NextTick()) return false;
  const bool check_failed_meanwhile =
      settings_.has_check && last_check_ && !last_check_->passed && last_check_->at >= since();
  if (check_failed_meanwhile) {
    Enter(State::kChecking, Actor::kHealth, "ejection_over", now);
  } else {
    EnterService(Actor::kHealth, "ejection_over", now);
  }
  return true;
}

bool Machine::SetDraining(Actor actor, std::string_view reason, Instant until, Instant now) {
  if (state() == State::kDrained) return false;
  drain_until_ = until;
  if (state() == State::kDraining) return false;
  Enter(State::kDraining, actor, std::string(reason), now);
  return true;
}

bool Machine::SetDrained(Actor actor, std::string_view reason, Instant now) {
  if (state() == State::kDrained) return false;
  Enter(State::kDrained, actor, std::string(reason), now);
  return true;
}

bool Machine::SetMaintenance(Actor actor, std::string_view reason, Instant now) {
  if (state() == State::kMaintenance) return false;
  Enter(State::kMaintenance, actor, std::string(reason), now);
  return true;
}

bool Machine::SetUp(Actor actor, std::string_view reason, Instant now) {
  if (!IsHeld(state()) && state() != State::kEjected) return false;
  if (settings_.has_check) {
    Enter(State::kChecking, actor, std::string(reason), now);
  } else {
    EnterService(actor, std::string(reason), now);
  }
  return true;
}

bool Machine::Reconfigure(const Settings& settings, Instant now, Actor actor) {
  const Settings old = std::exchange(settings_, settings);
  const bool at_full_weight =
      up_since_ == kNoRamp || old.slow_start <= Duration(0) || now - up_since_ >= old.slow_start;
  if (at_full_weight) up_since_ = kNoRamp;
  if (old.has_check && !settings_.has_check) {
    successes_ = failures_ = 0;
    last_check_.reset();
    if (state() == State::kChecking || state() == State::kDown) {
      EnterService(actor, "check_removed", now);
      return true;
    }
  }
  if (state() == State::kWarming && !settings_.has_warm_up) {
    EnterUp(actor, "warm_up_removed", now);
    return true;
  }
  if (state() == State::kEjected) {
    if (settings_.max_fails == 0) {
      EnterService(actor, "passive_health_off", now);
      return true;
    }
    ejected_until_ = since() + settings_.fail_timeout;
  }
  return false;
}

Instant Machine::ramp_since() const {
  if (state() != State::kUp || settings_.slow_start <= Duration(0)) return kNoRamp;
  return up_since_;
}

void Machine::EnterService(Actor actor, std::string reason, Instant now) {
  if (settings_.has_warm_up) {
    Enter(State::kWarming, actor, std::move(reason), now);
  } else {
    EnterUp(actor, std::move(reason), now);
  }
}

void Machine::EnterUp(Actor actor, std::string reason, Instant now) {
  Enter(State::kUp, actor, std::move(reason), now);
  up_since_ = now;
}

void Machine::Enter(State state, Actor actor, std::string reason, Instant now) {
  history_newest_ = (history_newest_ + 1) % kHistoryMax;
  if (history_size_ < kHistoryMax) ++history_size_;
  history_[history_newest_] =
      Change{.state = state, .actor = actor, .since = now, .reason = std::move(reason)};
  successes_ = failures_ = 0;
}

}  // namespace rondo::health
