// Checks, workers' reports and held backends, as the cluster brings them together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster_case.h"

namespace rondo::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ClusterHealthTest : public ClusterConfigTest {};

constexpr std::string_view kChecked =
    "{health_check: {unhealthy_threshold: 2, healthy_threshold: 2}, passive_health: {max_fails: 3, "
    "fail_timeout: 10s}, "
    "backends: [10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80, 10.0.0.4:80]}";

TEST_F(ClusterHealthTest, ANewBackendIsCheckedBeforeItIsUp) {
  Begin(File(kChecked));
  EXPECT_EQ(process().links.watched.size(), 4u);
  EXPECT_EQ(process().Find("10.0.0.1:80")->machine.state(), health::State::kChecking);
  const auto& shared = *process().Find("10.0.0.1:80")->shared;
  EXPECT_EQ(shared.state.load(), health::State::kChecking);
  const uint64_t generation = cluster().FindUpstream("api")->shared->generation.load();
  process().Check("10.0.0.1:80", true);
  EXPECT_EQ(shared.state.load(), health::State::kUp);
  EXPECT_GT(cluster().FindUpstream("api")->shared->generation.load(), generation);
  EventsNow();
  process().Check("10.0.0.1:80", false);
  process().Check("10.0.0.1:80", false);
  EXPECT_EQ(shared.state.load(), health::State::kDown);
  EXPECT_THAT(EventsNow(), ElementsAre("health", "backend_state"));
}

TEST_F(ClusterHealthTest, WarmUpIsAskedForOnceTheCheckHasPassed) {
  Begin(File("{health_check: {}, warm_up: {}, backends: [10.0.0.1:80]}"));
  EXPECT_THAT(process().links.warming, IsEmpty());
  process().Check("10.0.0.1:80", true);
  const uint64_t serial = process().Find("10.0.0.1:80")->serial();
  EXPECT_THAT(process().links.warming, ElementsAre(serial));
  EXPECT_EQ(process().Find("10.0.0.1:80")->machine.state(), health::State::kWarming);
  cluster().OnWarmedUp(serial);
  EXPECT_EQ(process().Find("10.0.0.1:80")->machine.state(), health::State::kUp);
}

TEST_F(ClusterHealthTest, WorkersReportsEjectWithinBounds) {
  Begin(File(kChecked));
  for (const char* id : {"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"})
    process().Check(id, true);
  const auto report = [&](const char* id, uint32_t bits, upstream::Outcome outcome) {
    auto& shared = *process().Find(id)->shared;
    shared.last_failure = outcome;
    shared.reports.fetch_or(bits);
    cluster().FindUpstream("api")->shared->CallControl();
    cluster().Poll();
  };
  report("10.0.0.1:80", upstream::kSuspect, upstream::Outcome::kRefused);
  EXPECT_THAT(process().links.checked_now, ElementsAre(process().Find("10.0.0.1:80")->serial()));
  EXPECT_EQ(process().Find("10.0.0.1:80")->machine.state(), health::State::kUp);
  for (const char* id : {"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"}) {
    report(id, upstream::kEjectAnswers, upstream::Outcome::kBadAnswer);
  }
  EXPECT_EQ(process().Find("10.0.0.1:80")->machine.state(), health::State::kEjected);
  EXPECT_EQ(process().Find("10.0.0.1:80")->machine.reason(),
            "passive: 3 failures, last bad_response");
  EXPECT_EQ(process().Find("10.0.0.2:80")->machine.state(), health::State::kEjected);
  EXPECT_EQ(process().Find("10.0.0.3:80")->machine.state(), health::State::kUp);  // half is out
  report("10.0.0.3:80", upstream::kEjectRefused, upstream::Outcome::kRefused);
  EXPECT_EQ(process().Find("10.0.0.3:80")->machine.state(), health::State::kEjected);
  report("10.0.0.4:80", upstream::kEjectRefused, upstream::Outcome::kRefused);
  EXPECT_EQ(process().Find("10.0.0.4:80")->machine.state(), health::State::kUp);  // the last stays
  process().Pass(seconds(10) + milliseconds(10));
  EXPECT_EQ(process().Find("10.0.0.1:80")->machine.state(), health::State::kUp);
  EXPECT_EQ(process().Find("10.0.0.3:80")->machine.state(), health::State::kUp);
}

TEST_F(ClusterHealthTest, AReloadKeepsStatesAndAdaptsTheRules) {
  Begin(File(kChecked));
  process().Check("10.0.0.1:80", true);
  for (int i = 0; i < 2; ++i) process().Check("10.0.0.2:80", false);
  Expect(ReloadWith(File("{health_check: {interval: 1s}, backends: [10.0.0.1:80, 10.0.0.2:80]}")),
         200, "ok");
  process().Pass(milliseconds(5));
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,up", "10.0.0.2:80=1,checking"));
  EXPECT_EQ(process().links.watched.size(), 2u);
  Expect(ReloadWith(File("{backends: [10.0.0.1:80, 10.0.0.2:80]}")), 200, "ok");
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,up", "10.0.0.2:80=1,up"));
  EXPECT_THAT(process().links.watched, IsEmpty());
}

TEST_F(ClusterHealthTest, WhatIsHeldIsNotChecked) {
  Begin(File(kChecked));
  process().Check("10.0.0.1:80", true);
  const uint64_t serial = process().Find("10.0.0.1:80")->serial();
  BackendPatch patch;
  patch.state = config::WantedState::kMaintenance;
  cluster().PatchBackend("api", "10.0.0.1:80", patch);
  EXPECT_TRUE(process().links.paused.contains(serial));
  patch.state = config::WantedState::kUp;
  cluster().PatchBackend("api", "10.0.0.1:80", patch);
  EXPECT_FALSE(process().links.paused.contains(serial));
  EXPECT_EQ(process().Find("10.0.0.1:80")->machine.state(), health::State::kChecking);
}

TEST_F(ClusterHealthTest, WhoComesBackWhileItLeavesLearnsOfTheSettingsOfNow) {
  struct Case {
    const char* before;
    const char* after;
    health::State state;
    bool watched;
  };
  const Case cases[] = {
      {"health_check: {}, warm_up: {}, ", "", health::State::kUp, false},
      {"", "health_check: {}, ", health::State::kChecking, true},
      {"health_check: {}, ", "", health::State::kUp, false},
      {"warm_up: {}, ", "health_check: {}, warm_up: {}, ", health::State::kChecking, true},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.after);
    const auto with = [](std::string_view settings, std::string_view backends) {
      return File("{" + std::string(settings) + "backends: [" + std::string(backends) + "]}");
    };
    Begin(with(each.before, "10.0.0.1:80, 10.0.0.2:80"));
    const uint64_t serial = process().Find("10.0.0.1:80")->serial();
    process().Find("10.0.0.1:80")->shared->in_flight = 1;
    Expect(ReloadWith(with(each.before, "10.0.0.2:80")), 200, "ok");
    Expect(ReloadWith(with(each.after, "10.0.0.2:80")), 200, "ok");
    process().links.warming.clear();
    Expect(ReloadWith(with(each.after, "10.0.0.1:80, 10.0.0.2:80")), 200, "ok");
    EXPECT_EQ(process().Find("10.0.0.1:80")->serial(), serial);
    EXPECT_EQ(process().Find("10.0.0.1:80")->machine.state(), each.state);
    EXPECT_EQ(process().links.watched.contains(serial), each.watched);
    EXPECT_FALSE(process().links.paused.contains(serial));
    EXPECT_THAT(process().links.warming, IsEmpty());
  }
}

TEST_F(ClusterHealthTest, OneWhoseEjectionIsOverIsCheckedAtOnceAndMayGoDown) {
  Begin(File(kChecked));
  for (const char* id : {"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"})
    process().Check(id, true);
  auto& shared = *process().Find("10.0.0.1:80")->shared;
  shared.reports.fetch_or(upstream::kEjectRefused);
  cluster().FindUpstream("api")->shared->CallControl();
  cluster().Poll();
  ASSERT_EQ(process().Find("10.0.0.1:80")->machine.state(), health::State::kEjected);
  process().Check("10.0.0.1:80", false);
  process().links.checked_now.clear();
  process().Pass(seconds(10) + milliseconds(10));
  EXPECT_EQ(process().Find("10.0.0.1:80")->machine.state(), health::State::kChecking);
  EXPECT_THAT(process().links.checked_now, ElementsAre(process().Find("10.0.0.1:80")->serial()));
  for (int i = 0; i < 2; ++i) process().Check("10.0.0.1:80", false);
  EXPECT_EQ(process().Find("10.0.0.1:80")->machine.state(), health::State::kDown);
}

TEST_F(ClusterHealthTest, ABackendOfAFileThatIsSuspectIsLookedUpToo) {
  Begin(File("{backends: [10.0.0.1:80, {file: more.yaml}]}"));
  cluster().OnAddresses("api", 0, {At("10.9.0.1:80")});
  process().Find("10.9.0.1:80")->shared->reports.fetch_or(upstream::kSuspect);
  cluster().FindUpstream("api")->shared->CallControl();
  cluster().Poll();
  EXPECT_THAT(process().links.resolved_now, ElementsAre("api"));
}

TEST_F(ClusterHealthTest, NothingWakesUpWhereNothingHappens) {
  Begin(File(kChecked));
  for (const char* id : {"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"})
    process().Check(id, true);
  EXPECT_EQ(cluster().NextPoll(), kNever);
}

}  // namespace
}  // namespace rondo::control
