// A backend's life, event by event, at exact times.
#include "rondo/health/machine.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rondo::health {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant At(double in_seconds) {
  return Instant(milliseconds(static_cast<int64_t>(in_seconds * 1000)));
}

Settings Checked() { return {.has_check = true}; }

Machine Up(const Settings& settings, Instant now) {
  Machine machine(settings, Actor::kConfig, now);
  if (settings.has_check) machine.OnCheck(true, "status 200", now);
  machine.OnWarmedUp(now);
  return machine;
}

TEST(Health, ANewBackendIsCheckedBeforeItsFirstTraffic) {
  const Machine machine(Checked(), Actor::kApi, At(1));
  EXPECT_EQ(machine.state(), State::kChecking);
  EXPECT_EQ(machine.reason(), "added");
  EXPECT_EQ(machine.actor(), Actor::kApi);
  EXPECT_EQ(machine.since(), At(1));
  EXPECT_FALSE(machine.last_check());
  EXPECT_EQ(machine.NextTick(), kNever);
}

TEST(Health, WithoutACheckANewBackendIsUpAtOnce) {
  const Machine machine(Settings{}, Actor::kDns, At(1));
  EXPECT_EQ(machine.state(), State::kUp);
  EXPECT_EQ(machine.actor(), Actor::kDns);
}

TEST(Health, WithoutACheckANewBackendStillWarmsUp) {
  Machine machine({.has_warm_up = true}, Actor::kConfig, At(1));
  EXPECT_EQ(machine.state(), State::kWarming);
  EXPECT_TRUE(machine.OnWarmedUp(At(2)));
  EXPECT_EQ(machine.state(), State::kUp);
  EXPECT_EQ(machine.reason(), "warmed_up");
}

TEST(Health, OneSuccessEndsChecking) {
  Settings settings = Checked();
  settings.healthy_threshold = 5;
  Machine machine(settings, Actor::kConfig, At(0));
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(machine.OnCheck(false, "connect_refused", At(i)));
  EXPECT_EQ(machine.state(), State::kChecking);
  EXPECT_EQ(machine.since(), At(0));
  EXPECT_TRUE(machine.OnCheck(true, "status 200", At(10)));
  EXPECT_EQ(machine.state(), State::kUp);
  EXPECT_EQ(machine.reason(), "check_passed");
  EXPECT_EQ(machine.actor(), Actor::kHealth);
  EXPECT_EQ(machine.since(), At(10));
}

TEST(Health, OnlyFailuresInARowTakeItDown) {
  Machine machine = Up(Checked(), At(0));
  EXPECT_FALSE(machine.OnCheck(false, "connect_refused", At(1)));
  EXPECT_FALSE(machine.OnCheck(false, "connect_refused", At(2)));
  EXPECT_FALSE(machine.OnCheck(true, "status 200", At(3)));
  EXPECT_FALSE(machine.OnCheck(false, "connect_refused", At(4)));
  EXPECT_FALSE(machine.OnCheck(false, "connect_refused", At(5)));
  EXPECT_TRUE(machine.OnCheck(false, "status 503, expected 200", At(6)));
  EXPECT_EQ(machine.state(), State::kDown);
  EXPECT_EQ(machine.reason(), "check_failed: status 503, expected 200");
  EXPECT_EQ(machine.since(), At(6));
}

TEST(Health, OnlySuccessesInARowBringItUp) {
  Settings settings = Checked();
  settings.unhealthy_threshold = 1;
  settings.healthy_threshold = 3;
  Machine machine = Up(settings, At(0));
  ASSERT_TRUE(machine.OnCheck(false, "reset", At(1)));
  EXPECT_FALSE(machine.OnCheck(true, "", At(2)));
  EXPECT_FALSE(machine.OnCheck(true, "", At(3)));
  EXPECT_FALSE(machine.OnCheck(false, "reset", At(4)));
  EXPECT_FALSE(machine.OnCheck(true, "", At(5)));
  EXPECT_FALSE(machine.OnCheck(true, "", At(6)));
  EXPECT_TRUE(machine.OnCheck(true, "", At(7)));
  EXPECT_EQ(machine.state(), State::kUp);
}

TEST(Health, ARecoveryWarmsUpAgain) {
  Settings settings = {
      .has_check = true, .has_warm_up = true, .healthy_threshold = 1, .unhealthy_threshold = 1};
  Machine machine = Up(settings, At(0));
  ASSERT_EQ(machine.state(), State::kUp);
  ASSERT_TRUE(machine.OnCheck(false, "reset", At(1)));
  EXPECT_FALSE(machine.OnWarmedUp(At(1.5)));
  ASSERT_TRUE(machine.OnCheck(true, "", At(2)));
  EXPECT_EQ(machine.state(), State::kWarming);
  EXPECT_TRUE(machine.OnWarmedUp(At(3)));
  EXPECT_EQ(machine.state(), State::kUp);
}

TEST(Health, ABackendThatFailsWhileWarmingGoesDown) {
  Settings settings = {.has_check = true, .has_warm_up = true};
  Machine machine(settings, Actor::kConfig, At(0));
  machine.OnCheck(true, "", At(0));
  ASSERT_EQ(machine.state(), State::kWarming);
  EXPECT_FALSE(machine.OnCheck(false, "reset", At(1)));
  EXPECT_FALSE(machine.OnCheck(false, "reset", At(2)));
  EXPECT_TRUE(machine.OnCheck(false, "reset", At(3)));
  EXPECT_EQ(machine.state(), State::kDown);
  // The warm-up that was running then has nothing to say.
  EXPECT_FALSE(machine.OnWarmedUp(At(4)));
  EXPECT_EQ(machine.state(), State::kDown);
}

TEST(Health, AnEjectionLastsFailTimeoutThoughChecksPass) {
  Machine machine = Up(Checked(), At(0));
  EXPECT_TRUE(machine.Eject("3 failures, last status_502", At(10)));
  EXPECT_EQ(machine.state(), State::kEjected);
  EXPECT_EQ(machine.reason(), "passive: 3 failures, last status_502");
  EXPECT_EQ(machine.NextTick(), At(40));
  EXPECT_FALSE(machine.OnCheck(true, "", At(12)));
  EXPECT_FALSE(machine.OnCheck(true, "", At(17)));
  EXPECT_FALSE(machine.Tick(At(39.999)));
  EXPECT_EQ(machine.state(), State::kEjected);
  EXPECT_TRUE(machine.Tick(At(40)));
  EXPECT_EQ(machine.state(), State::kUp);
  EXPECT_EQ(machine.reason(), "ejection_over");
  EXPECT_EQ(machine.NextTick(), kNever);
}

TEST(Health, ARepeatedEjectionLastsNoLonger) {
  Machine machine = Up(Settings{}, At(0));
  for (int i = 0; i < 5; ++i) {
    const Instant now = At(100 * i);
    ASSERT_TRUE(machine.Eject("3 failures, last reset", now));
    EXPECT_EQ(machine.NextTick(), now + seconds(30));
    ASSERT_TRUE(machine.Tick(now + seconds(30)));
    EXPECT_EQ(machine.state(), State::kUp);
  }
}

TEST(Health, AnEjectedBackendWhoseChecksFailGoesDown) {
  Machine machine = Up(Checked(), At(0));
  // One that failed before counts on.
  machine.OnCheck(false, "connect_refused", At(9));
  machine.Eject("3 failures, last connect_refused", At(10));
  EXPECT_FALSE(machine.OnCheck(false, "connect_refused", At(14)));
  EXPECT_TRUE(machine.OnCheck(false, "connect_refused", At(19)));
  EXPECT_EQ(machine.state(), State::kDown);
  EXPECT_FALSE(machine.Tick(At(40)));
  // The way back is that of every backend that is down.
  EXPECT_FALSE(machine.OnCheck(true, "", At(41)));
  EXPECT_TRUE(machine.OnCheck(true, "", At(46)));
  EXPECT_EQ(machine.state(), State::kUp);
}

TEST(Health, AfterAnEjectionInWhichTheLatestCheckFailedItIsChecked) {
  Machine machine = Up(Checked(), At(0));
  machine.Eject("3 failures, last reset", At(10));
  machine.OnCheck(true, "", At(15));
  machine.OnCheck(false, "connect_refused", At(39));
  EXPECT_TRUE(machine.Tick(At(40)));
  EXPECT_EQ(machine.state(), State::kChecking);
  EXPECT_TRUE(machine.OnCheck(true, "", At(41)));
  EXPECT_EQ(machine.state(), State::kUp);
}

TEST(Health, ACheckThatFailedBeforeTheEjectionIsNoReasonToCheckAfterIt) {
  Machine machine = Up(Checked(), At(0));
  machine.OnCheck(false, "connect_refused", At(9));
  machine.Eject("3 failures, last reset", At(10));
  EXPECT_TRUE(machine.Tick(At(40)));
  EXPECT_EQ(machine.state(), State::kUp);
}

TEST(Health, OnlyWhatIsUpCanBeEjected) {
  Settings settings = {.has_check = true, .has_warm_up = true, .unhealthy_threshold = 1};
  Machine machine(settings, Actor::kConfig, At(0));
  EXPECT_FALSE(machine.Eject("x", At(1)));  // checking
  machine.OnCheck(true, "", At(2));
  EXPECT_FALSE(machine.Eject("x", At(3)));  // warming
  machine.OnWarmedUp(At(4));
  EXPECT_TRUE(machine.Eject("x", At(5)));
  EXPECT_FALSE(machine.Eject("x", At(6)));  // ejected
  EXPECT_EQ(machine.NextTick(), At(35));
  machine.OnCheck(false, "reset", At(7));
  ASSERT_EQ(machine.state(), State::kDown);
  EXPECT_FALSE(machine.Eject("x", At(8)));
  machine.SetMaintenance(Actor::kApi, "operator", At(9));
  EXPECT_FALSE(machine.Eject("x", At(10)));
}

TEST(Health, PassiveHealthThatIsOffEjectsNothing) {
  Machine machine = Up({.max_fails = 0}, At(0));
  EXPECT_FALSE(machine.Eject("3 failures, last reset", At(1)));
  EXPECT_EQ(machine.state(), State::kUp);
}

TEST(Health, DrainingGoesOnWhateverTheChecksSay) {
  Machine machine = Up(Checked(), At(0));
  EXPECT_TRUE(machine.SetDraining(Actor::kApi, "operator", At(40), At(10)));
  EXPECT_EQ(machine.state(), State::kDraining);
  EXPECT_EQ(machine.drain_until(), At(40));
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(machine.OnCheck(false, "reset", At(11)));
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(machine.OnCheck(true, "", At(12)));
  EXPECT_EQ(machine.last_check()->at, At(12));
  EXPECT_FALSE(machine.Tick(At(100)));
  EXPECT_EQ(machine.state(), State::kDraining);
  EXPECT_TRUE(machine.SetDrained(Actor::kApi, "nothing in flight", At(20)));
  EXPECT_EQ(machine.state(), State::kDrained);
  EXPECT_EQ(machine.reason(), "nothing in flight");
}

TEST(Health, ASecondDrainMovesTheDeadlineAlone) {
  Machine machine = Up(Settings{}, At(0));
  machine.SetDraining(Actor::kApi, "operator", At(40), At(10));
  EXPECT_FALSE(machine.SetDraining(Actor::kConfig, "removed", At(20), At(12)));
  EXPECT_EQ(machine.drain_until(), At(20));
  EXPECT_EQ(machine.actor(), Actor::kApi);
  EXPECT_EQ(machine.since(), At(10));
}

TEST(Health, WhatIsDrainedDoesNotDrainAgain) {
  Machine machine = Up(Settings{}, At(0));
  machine.SetDrained(Actor::kApi, "operator", At(10));
  EXPECT_FALSE(machine.SetDraining(Actor::kApi, "operator", At(40), At(11)));
  EXPECT_FALSE(machine.SetDrained(Actor::kApi, "operator", At(12)));
  EXPECT_EQ(machine.state(), State::kDrained);
  EXPECT_EQ(machine.since(), At(10));
}

// From every hold, with and without a check.
TEST(Health, AnOperatorsUpLeadsThroughTheChecks) {
  for (const State held : {State::kDraining, State::kDrained, State::kMaintenance}) {
    for (const bool has_check : {true, false}) {
      for (const bool has_warm_up : {true, false}) {
        SCOPED_TRACE(std::string(StateName(held)) + (has_check ? " checked" : "") +
                     (has_warm_up ? " warmed" : ""));
        Machine machine = Up(
            {.has_check = has_check, .has_warm_up = has_warm_up, .slow_start = seconds(5)}, At(0));
        if (held == State::kMaintenance) {
          EXPECT_TRUE(machine.SetMaintenance(Actor::kApi, "operator", At(1)));
          EXPECT_FALSE(machine.SetMaintenance(Actor::kApi, "operator", At(2)));
        } else {
          EXPECT_TRUE(machine.SetDraining(Actor::kApi, "operator", At(30), At(1)));
        }
        if (held == State::kDrained) {
          EXPECT_TRUE(machine.SetDrained(Actor::kApi, "", At(2)));
        }
        ASSERT_EQ(machine.state(), held);
        EXPECT_TRUE(machine.SetUp(Actor::kApi, "operator", At(3)));
        if (has_check) {
          EXPECT_EQ(machine.state(), State::kChecking);
          EXPECT_EQ(machine.actor(), Actor::kApi);
          EXPECT_TRUE(machine.OnCheck(true, "", At(4)));
        }
        if (has_warm_up) {
          EXPECT_EQ(machine.state(), State::kWarming);
          EXPECT_TRUE(machine.OnWarmedUp(At(5)));
        }
        EXPECT_EQ(machine.state(), State::kUp);
        EXPECT_EQ(machine.ramp_since(), machine.since());
      }
    }
  }
}

TEST(Health, AnOperatorsUpEndsAnEjectionButNotAFailedCheck) {
  Machine ejected = Up(Checked(), At(0));
  ejected.Eject("x", At(1));
  EXPECT_TRUE(ejected.SetUp(Actor::kApi, "operator", At(2)));
  EXPECT_EQ(ejected.state(), State::kChecking);

  Settings settings = Checked();
  settings.unhealthy_threshold = 1;
  Machine down = Up(settings, At(0));
  EXPECT_FALSE(down.SetUp(Actor::kApi, "operator", At(1)));
  down.OnCheck(false, "reset", At(2));
  EXPECT_FALSE(down.SetUp(Actor::kApi, "operator", At(3)));
  EXPECT_EQ(down.state(), State::kDown);
}

TEST(Health, SlowStartBeginsWithEachJoinAndRecovery) {
  Settings settings = {.has_check = true,
                       .healthy_threshold = 1,
                       .unhealthy_threshold = 1,
                       .slow_start = seconds(30)};
  Machine machine(settings, Actor::kConfig, At(0));
  EXPECT_EQ(machine.ramp_since(), kNoRamp);
  machine.OnCheck(true, "", At(1));
  EXPECT_EQ(machine.ramp_since(), At(1));
  machine.OnCheck(false, "reset", At(100));
  EXPECT_EQ(machine.ramp_since(), kNoRamp);
  machine.OnCheck(true, "", At(101));
  EXPECT_EQ(machine.ramp_since(), At(101));
  machine.Eject("x", At(200));
  EXPECT_EQ(machine.ramp_since(), kNoRamp);
  machine.Tick(At(230));
  EXPECT_EQ(machine.ramp_since(), At(230));
}

TEST(Health, WithoutSlowStartThereIsNoRamp) {
  EXPECT_EQ(Up(Checked(), At(5)).ramp_since(), kNoRamp);
}

TEST(Health, TheHistoryKeepsTheLatestEight) {
  Settings settings = Checked();
  settings.healthy_threshold = settings.unhealthy_threshold = 1;
  Machine machine(settings, Actor::kConfig, At(0));
  EXPECT_EQ(machine.history_size(), 1u);
  for (int i = 1; i <= 20; ++i) machine.OnCheck(i % 2 == 1, "check " + std::to_string(i), At(i));
  ASSERT_EQ(machine.history_size(), Machine::kHistoryMax);
  for (size_t i = 0; i < Machine::kHistoryMax; ++i) {
    const Change& change = machine.history(i);
    const int event = 20 - static_cast<int>(i);
    EXPECT_EQ(change.since, At(event));
    EXPECT_EQ(change.state, event % 2 == 1 ? State::kUp : State::kDown);
  }
  EXPECT_EQ(machine.history(0).reason, "check_failed: check 20");
}

TEST(HealthReload, KeepsTheStateAndJudgesTheNextEventByTheNewThresholds) {
  Machine machine = Up(Checked(), At(0));
  machine.OnCheck(false, "reset", At(1));
  Settings settings = Checked();
  settings.unhealthy_threshold = 2;
  EXPECT_FALSE(machine.Reconfigure(settings, At(2)));
  EXPECT_EQ(machine.state(), State::kUp);
  EXPECT_TRUE(machine.OnCheck(false, "reset", At(3)));
  EXPECT_EQ(machine.state(), State::kDown);

  settings.healthy_threshold = 4;
  EXPECT_FALSE(machine.Reconfigure(settings, At(4)));
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(machine.OnCheck(true, "", At(5)));
  EXPECT_TRUE(machine.OnCheck(true, "", At(6)));
}

TEST(HealthReload, ACheckThatIsRemovedHoldsNobodyBack) {
  Machine checking(Checked(), Actor::kConfig, At(0));
  EXPECT_TRUE(checking.Reconfigure(Settings{}, At(1), Actor::kApi));
  EXPECT_EQ(checking.state(), State::kUp);
  EXPECT_EQ(checking.reason(), "check_removed");
  EXPECT_EQ(checking.actor(), Actor::kApi);

  Settings settings = Checked();
  settings.unhealthy_threshold = 1;
  Machine down = Up(settings, At(0));
  down.OnCheck(false, "reset", At(1));
  EXPECT_TRUE(down.Reconfigure({.has_warm_up = true}, At(2)));
  EXPECT_EQ(down.state(), State::kWarming);
  EXPECT_FALSE(down.last_check());

  Machine held = Up(Checked(), At(0));
  held.SetMaintenance(Actor::kApi, "operator", At(1));
  EXPECT_FALSE(held.Reconfigure(Settings{}, At(2)));
  EXPECT_EQ(held.state(), State::kMaintenance);
}

TEST(HealthReload, ACheckThatIsAddedTakesNothingOut) {
  Machine machine = Up(Settings{}, At(0));
  EXPECT_FALSE(machine.Reconfigure(Checked(), At(1)));
  EXPECT_EQ(machine.state(), State::kUp);
  machine.OnCheck(false, "reset", At(2));
  machine.OnCheck(false, "reset", At(3));
  EXPECT_TRUE(machine.OnCheck(false, "reset", At(4)));
}

TEST(HealthReload, AWarmUpThatIsRemovedIsOver) {
  Machine machine({.has_warm_up = true}, Actor::kConfig, At(0));
  EXPECT_TRUE(machine.Reconfigure(Settings{}, At(1)));
  EXPECT_EQ(machine.state(), State::kUp);
  EXPECT_EQ(machine.reason(), "warm_up_removed");
}

TEST(HealthReload, AnEjectionFollowsTheNewFailTimeout) {
  Machine machine = Up(Settings{}, At(0));
  machine.Eject("x", At(10));
  EXPECT_FALSE(machine.Reconfigure({.fail_timeout = seconds(5)}, At(11)));
  EXPECT_EQ(machine.NextTick(), At(15));
  EXPECT_FALSE(machine.Reconfigure({.fail_timeout = seconds(60)}, At(12)));
  EXPECT_EQ(machine.NextTick(), At(70));
  EXPECT_TRUE(machine.Reconfigure({.max_fails = 0}, At(13)));
  EXPECT_EQ(machine.state(), State::kUp);
  EXPECT_EQ(machine.reason(), "passive_health_off");
  EXPECT_EQ(machine.NextTick(), kNever);
}

TEST(HealthReload, SlowStartThatIsTurnedOnRampsNothingThatIsAtFullWeight) {
  Machine machine = Up(Settings{}, At(0));
  machine.Reconfigure({.slow_start = seconds(30)}, At(1));
  EXPECT_EQ(machine.ramp_since(), kNoRamp);

  Machine ramped = Up({.slow_start = seconds(10)}, At(0));
  ramped.Reconfigure({.slow_start = seconds(60)}, At(10));
  EXPECT_EQ(ramped.ramp_since(), kNoRamp);

  Machine ramping = Up({.slow_start = seconds(10)}, At(0));
  ramping.Reconfigure({.slow_start = seconds(60)}, At(5));
  EXPECT_EQ(ramping.ramp_since(), At(0));
}

}  // namespace
}  // namespace rondo::health
