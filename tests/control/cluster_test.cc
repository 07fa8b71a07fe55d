// The cluster's writes and what becomes of backends: additions, changes, drains, removals, by API,
// file and DNS.
#include "control/cluster.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "cluster_world.h"

namespace rondo::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::string_view kFile = R"(
listeners:
  web: {listen: [127.0.0.1:8080], routes: [{upstream: api}]}
upstreams:
  api:
    drain_timeout: 20s
    backends: [10.0.0.1:80, {address: 10.0.0.2:80, weight: 3}]
  spare:
    backends: [10.0.1.1:80]
)";

class ClusterTest : public ::testing::Test {
 protected:
  void SetUp() override {
    machine_.WriteFile(kFile);
    process_ = std::make_unique<ClusterProcess>(machine_);
  }
  void Restart() {
    process_.reset();
    machine_.disk.Restart(FakeDisk::Loss::kLosesUnsynced);
    process_ = std::make_unique<ClusterProcess>(machine_);
  }
  ClusterProcess& process() { return *process_; }
  Cluster& cluster() { return **process_; }
  static config::Backend At(std::string_view address, uint32_t weight = 1, std::string id = "") {
    return ClusterProcess::At(address, weight, std::move(id));
  }
  std::atomic<uint32_t>& InFlight(std::string_view id) {
    return process().Find(id)->shared->in_flight;
  }
  static BackendPatch To(config::WantedState state) {
    BackendPatch patch;
    patch.state = state;
    return patch;
  }
  static void Expect(const Result& result, int status, std::string_view code) {
    EXPECT_EQ(result.status, status) << result.code << ": " << result.message;
    EXPECT_EQ(result.code, code) << result.message;
  }

  Machine machine_;
  std::unique_ptr<ClusterProcess> process_;
};

TEST_F(ClusterTest, StartsWithWhatTheFileSays) {
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,up", "10.0.0.2:80=3,up"));
  EXPECT_THAT(process().Published(), ElementsAre("10.0.0.1:80", "10.0.0.2:80"));
  EXPECT_EQ(cluster().revision(), 1u);
  EXPECT_TRUE(cluster().overlay().empty());
}

TEST_F(ClusterTest, AnAddedBackendIsPublishedAndTheSameAgainChangesNothing) {
  const Result added = cluster().AddBackend("api", At("10.0.0.3:80", 2));
  Expect(added, 201, "ok");
  EXPECT_EQ(added.revision, 2u);
  EXPECT_EQ(added.id, "10.0.0.3:80");
  EXPECT_THAT(process().Published(), ElementsAre("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"));
  EXPECT_EQ(process().Find("10.0.0.3:80")->origin, Origin::kApi);
  const Result again = cluster().AddBackend("api", At("10.0.0.3:80", 2));
  Expect(again, 200, "ok");
  EXPECT_EQ(again.revision, 2u);
  Expect(cluster().AddBackend("api", At("10.0.0.3:80", 5)), 409, "exists");
  Expect(cluster().AddBackend("api", At("10.0.0.3:80", 1, "other")), 409, "exists");
  Expect(cluster().AddBackend("nowhere", At("10.0.0.3:80")), 404, "not_found");
}

TEST_F(ClusterTest, WritesHonourTheRevisionTheyHaveSeen) {
  Expect(cluster().AddBackend("api", At("10.0.0.3:80"), 7), 412, "precondition_failed");
  Expect(cluster().AddBackend("api", At("10.0.0.3:80"), 1), 201, "ok");
  Expect(cluster().RemoveBackend("api", "10.0.0.3:80", {}, 1), 412, "precondition_failed");
  Expect(cluster().PutBackends("api", {}, 1), 412, "precondition_failed");
  Expect(cluster().DropOverlay(1), 412, "precondition_failed");
  Expect(cluster().DropOverlay(2), 200, "ok");
}

TEST_F(ClusterTest, RemovalWaitsForWhatIsInFlight) {
  process().NewEvents();
  InFlight("10.0.0.1:80") = 2;
  Expect(cluster().RemoveBackend("api", "10.0.0.1:80"), 202, "ok");
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.2:80=3,up", "10.0.0.1:80=1,draining"));
  process().Pass(seconds(5));
  const BackendView* leaving = process().Find("10.0.0.1:80");
  ASSERT_NE(leaving, nullptr);
  EXPECT_EQ(leaving->drain_step, DrainStep::kWaiting);
  const auto progress = cluster().Drain(*leaving);
  ASSERT_TRUE(progress.has_value());
  EXPECT_EQ(progress->in_flight, 2u);
  EXPECT_TRUE(progress->removing);
  EXPECT_NEAR(static_cast<double>(progress->left / milliseconds(1)), 15000, 10);
  EXPECT_THAT(process().Published(), ElementsAre("10.0.0.2:80", "10.0.0.1:80"));
  InFlight("10.0.0.1:80") = 0;
  cluster().Poll();
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.2:80=3,up"));
  EXPECT_THAT(process().Published(), ElementsAre("10.0.0.2:80"));
  EXPECT_THAT(process().NewEvents(),
              ElementsAre("drain_started", "backend_state", "config", "backend_state",
                          "drain_finished", "backend_removed"));
}

TEST_F(ClusterTest, WhatIsStillInFlightAtTheDeadlineIsCut) {
  InFlight("10.0.0.1:80") = 2;
  cluster().RemoveBackend("api", "10.0.0.1:80");
  process().Pass(seconds(20) - milliseconds(5));
  ASSERT_NE(process().Find("10.0.0.1:80"), nullptr);
  process().Pass(milliseconds(10));
  EXPECT_EQ(process().Find("10.0.0.1:80"), nullptr);
  EXPECT_THAT(process().LastEvent(), HasSubstr("\"cut\":2"));
}

TEST_F(ClusterTest, ARemovalMayTakeAnotherTimeOrNone) {
  for (const char* id : {"10.0.0.1:80", "10.0.0.2:80"}) InFlight(id) = 1;
  Expect(cluster().RemoveBackend("api", "10.0.0.1:80", seconds(0)), 202, "ok");
  process().Pass(milliseconds(5));
  EXPECT_EQ(process().Find("10.0.0.1:80"), nullptr);
  // While it drains, DELETE with a time gives it another end.
  Expect(cluster().RemoveBackend("api", "10.0.0.2:80"), 202, "ok");
  process().Pass(seconds(1));
  Expect(cluster().RemoveBackend("api", "10.0.0.2:80", seconds(3)), 202, "ok");
  process().Pass(seconds(3) - milliseconds(10));
  EXPECT_NE(process().Find("10.0.0.2:80"), nullptr);
  process().Pass(milliseconds(20));
  EXPECT_EQ(process().Find("10.0.0.2:80"), nullptr);
}

TEST_F(ClusterTest, WhoeverComesBackWhileLeavingWasNeverAway) {
  InFlight("10.0.0.2:80") = 1;
  const uint64_t serial = process().Find("10.0.0.2:80")->serial();
  cluster().RemoveBackend("api", "10.0.0.2:80");
  process().Pass(seconds(1));
  Expect(cluster().AddBackend("api", At("10.0.0.2:80", 4)), 201, "ok");
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,up", "10.0.0.2:80=4,up"));
  EXPECT_EQ(process().Find("10.0.0.2:80")->serial(), serial);
  process().Pass(seconds(60));
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,up", "10.0.0.2:80=4,up"));
  // Gone for good it is another one.
  InFlight("10.0.0.2:80") = 0;
  cluster().RemoveBackend("api", "10.0.0.2:80");
  process().Pass(seconds(1));
  Expect(cluster().AddBackend("api", At("10.0.0.2:80", 3)), 201, "ok");
  EXPECT_NE(process().Find("10.0.0.2:80")->serial(), serial);
  EXPECT_TRUE(cluster().overlay().empty());  // the file's again, as it was
}

TEST_F(ClusterTest, TheSameIdElsewhereIsAnotherBackend) {
  Expect(cluster().AddBackend("api", At("10.0.0.3:80", 1, "a")), 201, "ok");
  const uint64_t first = process().Find("a")->serial();
  InFlight("a") = 1;
  Expect(cluster().AddBackend("api", At("10.0.0.4:80", 1, "a")), 201, "ok");
  EXPECT_NE(process().Find("a")->serial(), first);
  EXPECT_EQ(process().Find("a@10.0.0.3:80")->serial(), first);
  EXPECT_EQ(process().Find("a@10.0.0.3:80")->machine.state(), health::State::kDraining);
  process().Pass(seconds(21));
  EXPECT_EQ(process().Find("a@10.0.0.3:80"), nullptr);
  // Also in place of one of the file's.
  Expect(cluster().AddBackend("api", At("10.0.0.9:80", 1, "10.0.0.1:80")), 201, "ok");
  EXPECT_EQ(process().Find("10.0.0.1:80")->settings.address.ToString(), "10.0.0.9:80");
  Expect(cluster().RemoveBackend("api", "10.0.0.1:80"), 202, "ok");
  process().Pass(seconds(1));
  EXPECT_EQ(process().Find("10.0.0.1:80"), nullptr);
}

TEST_F(ClusterTest, AnOperatorsDrainLeavesItListedAndCanBeTakenBack) {
  InFlight("10.0.0.1:80") = 1;
  Expect(cluster().PatchBackend("api", "10.0.0.1:80", To(config::WantedState::kDraining)), 200,
         "ok");
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,draining", "10.0.0.2:80=3,up"));
  const uint64_t revision = cluster().revision();
  Expect(cluster().PatchBackend("api", "10.0.0.1:80", To(config::WantedState::kDraining)), 200,
         "ok");
  EXPECT_EQ(cluster().revision(), revision);
  InFlight("10.0.0.1:80") = 0;
  cluster().Poll();
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,drained", "10.0.0.2:80=3,up"));
  EXPECT_TRUE(cluster().Drain(*process().Find("10.0.0.1:80"))->done());
  Expect(cluster().PatchBackend("api", "10.0.0.1:80", To(config::WantedState::kUp)), 200, "ok");
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,up", "10.0.0.2:80=3,up"));
  EXPECT_FALSE(cluster().Drain(*process().Find("10.0.0.1:80")).has_value());
  EXPECT_TRUE(cluster().overlay().empty());
  // A drained one goes at once.
  cluster().PatchBackend("api", "10.0.0.1:80", To(config::WantedState::kDraining));
  process().Pass(milliseconds(1));
  cluster().RemoveBackend("api", "10.0.0.1:80");
  process().Pass(milliseconds(1));
  EXPECT_EQ(process().Find("10.0.0.1:80"), nullptr);
}

TEST_F(ClusterTest, ADrainCanBeGivenItsTime) {
  InFlight("10.0.0.1:80") = 1;
  cluster().PatchBackend("api", "10.0.0.1:80", To(config::WantedState::kDraining), {}, seconds(2));
  process().Pass(seconds(2) + milliseconds(5));
  EXPECT_EQ(process().Find("10.0.0.1:80")->machine.state(), health::State::kDrained);
}

TEST_F(ClusterTest, MaintenanceHoldsItAndItsRemovalLetsNobodyIn) {
  InFlight("10.0.0.1:80") = 1;
  Expect(cluster().PatchBackend("api", "10.0.0.1:80", To(config::WantedState::kMaintenance)), 200,
         "ok");
  process().Pass(seconds(60));
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,maintenance", "10.0.0.2:80=3,up"));
  cluster().RemoveBackend("api", "10.0.0.1:80");
  EXPECT_EQ(process().Find("10.0.0.1:80")->machine.state(), health::State::kMaintenance);
  process().Pass(seconds(21));
  EXPECT_EQ(process().Find("10.0.0.1:80"), nullptr);
}

TEST_F(ClusterTest, SettingsChangeInPlace) {
  const uint64_t serial = process().Find("10.0.0.1:80")->serial();
  BackendPatch patch;
  patch.weight = 9;
  patch.max_connections = 5;
  patch.backup = true;
  Expect(cluster().PatchBackend("api", "10.0.0.1:80", patch), 200, "ok");
  const BackendView* backend = process().Find("10.0.0.1:80");
  EXPECT_EQ(backend->serial(), serial);
  EXPECT_EQ(backend->settings.weight, 9u);
  EXPECT_EQ(backend->settings.max_connections, 5u);
  EXPECT_TRUE(backend->settings.backup);
  EXPECT_TRUE(backend->changed);
  EXPECT_EQ(backend->origin, Origin::kConfig);
  Expect(cluster().PatchBackend("api", "10.0.0.9:80", patch), 404, "not_found");
}

TEST_F(ClusterTest, APutOfTheListIsItsDifferenceToTheBase) {
  cluster().AddBackend("api", At("10.0.0.7:80"));
  cluster().PatchBackend("api", "10.0.0.2:80", To(config::WantedState::kMaintenance));
  Expect(cluster().PutBackends("api", {At("10.0.0.2:80", 3), At("10.0.0.3:80", 2)}), 200, "ok");
  process().Pass(seconds(1));
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.2:80=3,maintenance", "10.0.0.3:80=2,up"));
  Expect(cluster().PutBackends("api", {At("10.0.0.1:80"), At("10.0.0.2:80", 3)}), 200, "ok");
  Expect(cluster().PatchBackend("api", "10.0.0.2:80", To(config::WantedState::kUp)), 200, "ok");
  EXPECT_TRUE(cluster().overlay().empty());
  Expect(cluster().PutBackends("api", {At("10.0.0.1:80"), At("10.0.0.1:80")}), 400, "invalid");
  Expect(cluster().PutBackends("api", {At("10.0.0.1:80"), At("10.0.0.1:80", 1, "b")}), 400,
         "invalid");
  Expect(cluster().PutBackends("api", {}), 200, "ok");
  process().Pass(seconds(1));
  EXPECT_THAT(process().List(), IsEmpty());
}

TEST_F(ClusterTest, APutThatChangesOneTouchesOne) {
  std::vector<const void*> before;
  for (const auto& backend : cluster().FindUpstream("api")->backends)
    before.push_back(backend->shared.get());
  const auto snapshot = process().publisher().current();
  Expect(cluster().PutBackends("api", {At("10.0.0.1:80", 8), At("10.0.0.2:80", 3)}), 200, "ok");
  std::vector<const void*> after;
  for (const auto& backend : cluster().FindUpstream("api")->backends)
    after.push_back(backend->shared.get());
  EXPECT_EQ(after, before);
  const auto& next = process().publisher().current();
  EXPECT_NE(next->upstreams[0], snapshot->upstreams[0]);
  EXPECT_EQ(next->upstreams[1], snapshot->upstreams[1]);
  EXPECT_EQ(next->listeners[0], snapshot->listeners[0]);
}

TEST_F(ClusterTest, UpstreamsAreCreatedReplacedAndDeleted) {
  config::Upstream fresh;
  fresh.name = "fresh";
  fresh.backends = {At("10.0.5.1:80")};
  Expect(cluster().PutUpstream(fresh), 201, "ok");
  EXPECT_THAT(process().Published("fresh"), ElementsAre("10.0.5.1:80"));
  EXPECT_EQ(cluster().FindUpstream("fresh")->origin, Origin::kApi);
  cluster().AddBackend("fresh", At("10.0.5.2:80"));
  fresh.queue.size = 3;
  Expect(cluster().PutUpstream(fresh), 200, "ok");
  process().Pass(seconds(1));
  EXPECT_THAT(process().List("fresh"), ElementsAre("10.0.5.1:80=1,up"));
  Expect(cluster().DeleteUpstream("fresh"), 202, "ok");
  process().Pass(seconds(1));
  EXPECT_EQ(cluster().FindUpstream("fresh"), nullptr);
  EXPECT_THAT(process().Published("fresh"), IsEmpty());
  EXPECT_TRUE(cluster().overlay().empty());

  const Result used = cluster().DeleteUpstream("api");
  Expect(used, 409, "in_use");
  EXPECT_THAT(used.message, HasSubstr("listener web, route 1"));
  Expect(cluster().DeleteUpstream("spare"), 202, "ok");
  process().Pass(seconds(1));
  EXPECT_EQ(cluster().FindUpstream("spare"), nullptr);
  Expect(cluster().DropOverlay(), 200, "ok");
  EXPECT_THAT(process().List("spare"), ElementsAre("10.0.1.1:80=1,up"));
}

TEST_F(ClusterTest, AFileThatSaysTheSameAsWhatWasWrittenNeedsNoEntry) {
  config::Upstream same = *std::ranges::find_if(
      cluster().base().upstreams, [](const auto& each) { return each.name == "api"; });
  Expect(cluster().PutUpstream(same), 200, "ok");
  EXPECT_TRUE(cluster().overlay().empty());
  EXPECT_EQ(cluster().revision(), 1u);
}

TEST_F(ClusterTest, ARestartBringsBackEveryAcknowledgedChange) {
  cluster().AddBackend("api", At("10.0.0.3:80", 2, "three"));
  cluster().RemoveBackend("api", "10.0.0.1:80");
  cluster().PatchBackend("api", "10.0.0.2:80", To(config::WantedState::kDraining));
  cluster().DeleteUpstream("spare");
  const uint64_t revision = cluster().revision();
  Restart();
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.2:80=3,draining", "three=2,up"));
  EXPECT_EQ(cluster().FindUpstream("spare"), nullptr);
  EXPECT_EQ(cluster().revision(), revision + 1);
  process().Pass(milliseconds(5));
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.2:80=3,drained", "three=2,up"));
}

TEST_F(ClusterTest, WhatCannotBeSavedIsNotDone) {
  machine_.disk.DieAfter(0);
  Expect(cluster().AddBackend("api", At("10.0.0.3:80")), 503, "not_saved");
  Expect(cluster().RemoveBackend("api", "10.0.0.1:80"), 503, "not_saved");
  Expect(cluster().PutConfig(kFile), 503, "not_saved");
  EXPECT_EQ(process().links.dropped, 1);
  EXPECT_EQ(cluster().revision(), 1u);
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,up", "10.0.0.2:80=3,up"));
  machine_.disk.Restart(FakeDisk::Loss::kKeepsAll);
  Expect(cluster().AddBackend("api", At("10.0.0.3:80")), 201, "ok");
}

}  // namespace
}  // namespace rondo::control
