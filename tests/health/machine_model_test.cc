// The machine against a slow, obvious model that remembers every event and works out from them what
// must be.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "rondo/base/rng.h"
#include "rondo/health/machine.h"

namespace rondo::health {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Model {
 public:
  Model(const Settings& settings, Instant now) : settings_(settings) {
    if (settings.has_check) {
      Go(State::kChecking, now);
    } else {
      Serve(now);
    }
  }
  State state() const { return state_; }
  Instant since() const { return since_; }
  Instant ramp() const {
    return state_ == State::kUp && settings_.slow_start > Duration(0) && ramps_ ? since_ : kNoRamp;
  }

  void Check(bool passed, Instant now) {
    checks_.push_back({passed, now});
    const bool counts = state_ == State::kUp || state_ == State::kWarming ||
                        state_ == State::kEjected || (state_ == State::kChecking && was_ejected_);
    if (counts && InARow(false) >= settings_.unhealthy_threshold) return Go(State::kDown, now);
    if (state_ == State::kChecking && passed) return Serve(now);
    if (state_ == State::kDown && InARow(true) >= settings_.healthy_threshold) return Serve(now);
  }
  void WarmedUp(Instant now) {
    if (state_ == State::kWarming) Go(State::kUp, now);
  }
  void Eject(Instant now) {
    if (state_ != State::kUp || settings_.max_fails == 0) return;
    const size_t from = first_counted_;
    Go(State::kEjected, now);
    first_counted_ = from;
  }
  void Tick(Instant now) {
    if (state_ != State::kEjected || now < since_ + settings_.fail_timeout) return;
    const bool failed = !checks_.empty() && checks_.back().at >= since_ && !checks_.back().passed;
    if (failed) {
      Go(State::kChecking, now);
    } else {
      Serve(now);
    }
  }
  void Hold(State state, Instant now) {
    if (state_ == state || (state_ == State::kDrained && state == State::kDraining)) return;
    Go(state, now);
  }
  void SetUp(Instant now) {
    if (!IsHeld(state_) && state_ != State::kEjected) return;
    if (settings_.has_check) {
      Go(State::kChecking, now);
    } else {
      Serve(now);
    }
  }
  void Reconfigure(const Settings& settings, Instant now) {
    const Settings old = settings_;
    settings_ = settings;
    if (old.slow_start == Duration(0) || now >= since_ + old.slow_start) ramps_ = false;
    if (old.has_check && !settings.has_check) {
      checks_.clear();
      first_counted_ = 0;
      if (state_ == State::kChecking || state_ == State::kDown) return Serve(now);
    }
    if (state_ == State::kWarming && !settings.has_warm_up) return Go(State::kUp, now);
    if (state_ == State::kEjected && settings.max_fails == 0) return Serve(now);
  }

 private:
  struct Seen {
    bool passed;
    Instant at;
  };
  void Go(State state, Instant now) {
    was_ejected_ = state_ == State::kEjected;
    state_ = state;
    since_ = now;
    first_counted_ = checks_.size();
    ramps_ = true;
  }
  void Serve(Instant now) { Go(settings_.has_warm_up ? State::kWarming : State::kUp, now); }
  uint32_t InARow(bool passed) const {
    uint32_t count = 0;
    for (size_t i = checks_.size(); i > first_counted_ && checks_[i - 1].passed == passed; --i) {
      ++count;
    }
    return count;
  }

  Settings settings_;
  State state_ = State::kChecking;
  Instant since_{};
  bool was_ejected_ = false;
  bool ramps_ = true;
  std::vector<Seen> checks_;
  size_t first_counted_ = 0;  // checks before belong to another state
};

Settings DrawSettings(Rng& rng) {
  return {.has_check = rng.Chance(0.8),
          .has_warm_up = rng.Chance(0.4),
          .healthy_threshold = static_cast<uint32_t>(rng.Between(1, 4)),
          .unhealthy_threshold = static_cast<uint32_t>(rng.Between(1, 4)),
          .max_fails = static_cast<uint32_t>(rng.Between(0, 3)),
          .fail_timeout = seconds(rng.Between(1, 40)),
          .slow_start = seconds(rng.Chance(0.5) ? rng.Between(1, 60) : 0)};
}

// One drawn event to both.
std::string Apply(Rng& rng, Machine& machine, Model& model, Instant now) {
  switch (rng.Below(16)) {
    case 0:
      machine.OnWarmedUp(now);
      model.WarmedUp(now);
      return "warmed up";
    case 1:
    case 2:
      machine.Eject("drawn", now);
      model.Eject(now);
      return "eject";
    case 3:
      if (rng.Chance(0.5)) {
        machine.SetDraining(Actor::kApi, "drawn", now + seconds(30), now);
        model.Hold(State::kDraining, now);
        return "draining";
      }
      machine.SetDrained(Actor::kApi, "drawn", now);
      model.Hold(State::kDrained, now);
      return "drained";
    case 4:
      if (rng.Chance(0.5)) return "nothing";
      machine.SetMaintenance(Actor::kApi, "drawn", now);
      model.Hold(State::kMaintenance, now);
      return "maintenance";
    case 5:
    case 6:
      machine.SetUp(Actor::kApi, "drawn", now);
      model.SetUp(now);
      return "up";
    case 7: {
      if (rng.Chance(0.7)) return "nothing";
      const Settings settings = DrawSettings(rng);
      machine.Reconfigure(settings, now);
      model.Reconfigure(settings, now);
      return "reconfigure";
    }
    default: {
      if (!machine.settings().has_check) return "nothing";
      const bool passed = rng.Chance(0.5);
      machine.OnCheck(passed, "drawn", now);
      model.Check(passed, now);
      return passed ? "pass" : "fail";
    }
  }
}

TEST(HealthModel, AgreesWithAModelThatRemembersEverything) {
  for (uint64_t seed = 1; seed <= 2000; ++seed) {
    Rng rng(seed);
    Instant now{seconds(rng.Between(0, 1000))};
    const Settings settings = DrawSettings(rng);
    Machine machine(settings, Actor::kConfig, now);
    Model model(settings, now);
    for (int step = 0; step < 150; ++step) {
      now += milliseconds(rng.Between(0, 6000));
      // The loop calls Tick when it is due.
      machine.Tick(now);
      model.Tick(now);
      const State before = machine.state();
      const size_t changes = machine.history_size();
      const std::string event = Apply(rng, machine, model, now);
      ASSERT_EQ(StateName(machine.state()), StateName(model.state()))
          << "seed " << seed << " step " << step << ": " << event << " in " << StateName(before);
      ASSERT_EQ(machine.since(), model.since()) << "seed " << seed << " step " << step << event;
      ASSERT_EQ(machine.ramp_since(), model.ramp()) << "seed " << seed << " step " << step << event;
      if (machine.state() != before && changes < Machine::kHistoryMax) {
        ASSERT_EQ(machine.history_size(), changes + 1) << "seed " << seed << " step " << step;
      }
    }
  }
}

}  // namespace
}  // namespace rondo::health
