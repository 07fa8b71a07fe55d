// One backend's life as a state machine over values: checks, passive failures, operators and time
// go in, its state comes out. Pure; the control thread owns one for each backend and asks nobody
// else.
//
//   checking --one success--> warming --warmed up--> up      (straight to up where there is no
//   warm-up) warming, up --unhealthy_threshold failures--> down --healthy_threshold successes-->
//   warming or up up --passive failures--> ejected --fail_timeout--> warming or up, or checking
//   where the latest check failed ejected, and checking after it --unhealthy_threshold failures-->
//   down any --operator or removal--> draining --> drained;  any --operator--> maintenance
//   draining, drained, maintenance, ejected --operator's up--> checking, or without a check warming
//   or up
//
// Everything that changes the state returns whether it did, and then state(), reason(), since() and
// actor() are those of the new one.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "rondo/base/time.h"
#include "rondo/health/state.h"

namespace rondo::health {

// What of an upstream's configuration a backend's life depends on.
struct Settings {
  bool has_check = false;
  bool has_warm_up = false;
  uint32_t healthy_threshold = 2;    // successes in a row, from down
  uint32_t unhealthy_threshold = 3;  // failures in a row
  uint32_t max_fails = 3;            // 0: never ejected
  Duration fail_timeout = std::chrono::seconds(30);
  Duration slow_start{0};  // 0: full weight at once
  friend bool operator==(const Settings&, const Settings&) = default;
};

// "At full weight": no ramp began that is still of interest.
inline constexpr Instant kNoRamp = Instant::min();

// A state that was entered.
struct Change {
  State state = State::kChecking;
  Actor actor = Actor::kConfig;
  Instant since{};
  std::string reason;
};

// The result of a check that came last.
struct LastCheck {
  bool passed = false;
  Instant at{};
  std::string detail;
};

class Machine {
 public:
  static constexpr size_t kHistoryMax = 8;

  // A backend that joins: checking where there is a check, else warming or up at once. Reason:
  // "added".
  Machine(const Settings& settings, Actor actor, Instant now);

  // The result of an active check; `detail` says in short what was wrong ("status 503, expected
  // 200"). While the backend is held, it is noted and decides nothing.
  bool OnCheck(bool passed, std::string_view detail, Instant now);
  // The warm-up requests were sent, whatever came of them. No effect but in warming.
  bool OnWarmedUp(Instant now);
  // Passive health: max_fails requests in a row failed. Only what is up can be ejected; the caller
  // asks MayEject (ejection.h) first. Lasts fail_timeout, the same however often it happens.
  // `reason`: "3 failures, last connect_refused"; the state's reason is that behind "passive: ".
  bool Eject(std::string_view reason, Instant now);
  // The passing of time: the end of an ejection. To be called at NextTick().
  bool Tick(Instant now);
  // kNever where only events can change the state.
  Instant NextTick() const { return state() == State::kEjected ? ejected_until_ : kNever; }

  // By an operator, or because the backend is being removed. A backend that is draining takes the
  // new `until` (and nothing else), one that is drained stays so: both return false.
  bool SetDraining(Actor actor, std::string_view reason, Instant until, Instant now);
  bool SetDrained(Actor actor, std::string_view reason, Instant now);
  bool SetMaintenance(Actor actor, std::string_view reason, Instant now);
  // Ends a hold or an ejection. What is checking, warming, up or down is in the hands of its
  // checks: false.
  bool SetUp(Actor actor, std::string_view reason, Instant now);

  // A reload: the state is kept and the next event is judged by the new settings, but that nobody
  // waits for what cannot come any more: without a check, checking and down end; without a warm-up,
  // warming; without passive health, an ejection; and an ejection ends fail_timeout after it began.
  // slow_start that was off and is turned on, or whose ramp is over, ramps nothing that is already
  // at full weight.
  bool Reconfigure(const Settings& settings, Instant now, Actor actor = Actor::kConfig);

  State state() const { return history(0).state; }
  const std::string& reason() const { return history(0).reason; }
  Instant since() const { return history(0).since; }
  Actor actor() const { return history(0).actor; }
  const Settings& settings() const { return settings_; }
  const std::optional<LastCheck>& last_check() const { return last_check_; }
  // In a row, since the last check of the other kind or the last recovery.
  uint32_t successes() const { return successes_; }
  uint32_t failures() const { return failures_; }

  // What it has been, newest first: history(0) is what it is. REQUIRES: index < history_size().
  size_t history_size() const { return history_size_; }
  const Change& history(size_t index) const {
    return history_[(history_newest_ + kHistoryMax - index) % kHistoryMax];
  }

  // When it turned up, where it ramps up from there (slow_start.h); kNoRamp where it is not up or
  // at full weight by its settings. Stays that instant when the ramp is over.
  Instant ramp_since() const;
  // Only while draining: when what is left is cut.
  Instant drain_until() const { return drain_until_; }

 private:
  void Enter(State state, Actor actor, std::string reason, Instant now);
  // Passed all that is asked of it: on to the warm-up, or up.
  void EnterService(Actor actor, std::string reason, Instant now);
  void EnterUp(Actor actor, std::string reason, Instant now);
  bool OnPass(Instant now);
  bool OnFail(std::string_view detail, Instant now);

  Settings settings_;
  uint32_t successes_ = 0;
  uint32_t failures_ = 0;
  Instant up_since_ = kNoRamp;  // when its ramp began
  Instant ejected_until_ = kNever;
  Instant drain_until_ = kNever;
  std::optional<LastCheck> last_check_;
  std::array<Change, kHistoryMax> history_;
  size_t history_newest_ = kHistoryMax - 1;
  size_t history_size_ = 0;
};

}  // namespace rondo::health
