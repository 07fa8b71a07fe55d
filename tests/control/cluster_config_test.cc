// Whole configurations, sources of backends and health, as the cluster brings them together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster_case.h"

namespace rondo::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

TEST_F(ClusterConfigTest, AReloadTakesOverWhatChangedAndKeepsWhatIsKept) {
  Begin(File("{backends: [10.0.0.1:80, 10.0.0.2:80]}", "  two: {backends: [10.1.0.1:80]}"));
  const uint64_t kept = process().Find("10.0.0.2:80")->serial();
  cluster().AddBackend("api", At("10.0.0.9:80"));
  Expect(ReloadWith(File("{backends: [{address: 10.0.0.2:80, weight: 5}, 10.0.0.3:80]}",
                         "  three: {backends: [10.2.0.1:80]}")),
         200, "ok");
  process().Pass(milliseconds(5));
  EXPECT_THAT(process().List(),
              ElementsAre("10.0.0.2:80=5,up", "10.0.0.3:80=1,up", "10.0.0.9:80=1,up"));
  EXPECT_EQ(process().Find("10.0.0.2:80")->serial(), kept);
  EXPECT_EQ(cluster().FindUpstream("two"), nullptr);
  EXPECT_THAT(process().List("three"), ElementsAre("10.2.0.1:80=1,up"));
  EXPECT_EQ(cluster().reloads_ok(), 1u);
  EXPECT_EQ(process().links.committed, 1);
}

TEST_F(ClusterConfigTest, AReloadIsWholeOrNothing) {
  Begin(File("{backends: [10.0.0.1:80]}"));
  const auto snapshot = process().publisher().current();
  const struct {
    std::string file;
    int status;
    std::string code;
    std::string says;
  } cases[] = {
      {"upstreams: [", 400, "invalid", ":1:"},
      {File("{backends: [10.0.0.2:80], balanze: x}"), 400, "invalid", "balance"},
      {"process: {workers: 7}\n" + File("{backends: [10.0.0.2:80]}"), 409, "needs_restart",
       "process.workers"},
      {"admin: {listen: off}\n" + File("{backends: [10.0.0.2:80]}"), 409, "needs_restart",
       "admin.listen"},
  };
  for (const auto& each : cases) {
    const Result result = ReloadWith(each.file);
    Expect(result, each.status, each.code);
    EXPECT_THAT(result.message, HasSubstr(each.says));
  }
  process().links.prepare = absl::UnavailableError("listener web: cannot listen on 127.0.0.1:8081");
  Expect(ReloadWith(File("{backends: [10.0.0.2:80]}")), 409, "cannot_apply");
  EXPECT_EQ(process().publisher().current(), snapshot);
  EXPECT_EQ(cluster().revision(), 1u);
  EXPECT_EQ(cluster().reloads_failed(), 5u);
  EXPECT_EQ(process().links.committed, 0);
  EXPECT_THAT(EventsNow(), ElementsAre("reload", "reload", "reload", "reload", "reload"));
}

TEST_F(ClusterConfigTest, EntriesEndWithWhatTheyAreAbout) {
  Begin(File("{backends: [10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80]}",
             "  two: {backends: [10.1.0.1:80]}"));
  BackendPatch patch;
  patch.weight = 7;
  cluster().PatchBackend("api", "10.0.0.1:80", patch);
  cluster().RemoveBackend("api", "10.0.0.2:80");
  cluster().PatchBackend("two", "10.1.0.1:80", patch);
  EventsNow();
  Expect(ReloadWith(File("{backends: [10.0.0.3:80]}")), 200, "ok");
  const std::vector<std::string> names = EventsNow();
  EXPECT_EQ(std::ranges::count(names, "overlay_ended"), 3);
  EXPECT_TRUE(cluster().overlay().empty());
  // They are over, also when the backend comes back.
  Expect(ReloadWith(File("{backends: [10.0.0.1:80, 10.0.0.2:80, 10.0.0.3:80]}")), 200, "ok");
  process().Pass(milliseconds(5));
  EXPECT_THAT(process().List(),
              ElementsAre("10.0.0.1:80=1,up", "10.0.0.2:80=1,up", "10.0.0.3:80=1,up"));
}

TEST_F(ClusterConfigTest, WhatTheFileTakesOverNeedsNoEntryAnyMore) {
  Begin(File("{backends: [10.0.0.1:80]}"));
  config::Upstream made;
  made.name = "made";
  made.backends = {At("10.3.0.1:80")};
  cluster().PutUpstream(made);
  cluster().AddBackend("api", At("10.0.0.2:80", 4));
  cluster().AddBackend("made", At("10.3.0.2:80"));
  Expect(ReloadWith(File("{backends: [10.0.0.1:80, {address: 10.0.0.2:80, weight: 4}]}",
                         "  made: {backends: [10.3.0.2:80, 10.3.0.1:80]}")),
         200, "ok");
  EXPECT_TRUE(cluster().overlay().empty());
  process().Pass(milliseconds(5));
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,up", "10.0.0.2:80=4,up"));
  EXPECT_EQ(process().Find("10.0.0.2:80")->origin, Origin::kConfig);
  // The API's settings stay where the file only has the backend.
  cluster().AddBackend("api", At("10.0.0.5:80", 6));
  Expect(ReloadWith(
             File("{backends: [10.0.0.1:80, 10.0.0.5:80]}", "  made: {backends: [10.3.0.1:80]}")),
         200, "ok");
  EXPECT_EQ(process().Find("10.0.0.5:80")->settings.weight, 6u);
  EXPECT_TRUE(process().Find("10.0.0.5:80")->changed);
}

TEST_F(ClusterConfigTest, AConflictFailsTheReloadByName) {
  Begin(File("{backends: [10.0.0.1:80]}", "  two: {backends: []}"));
  cluster().AddBackend("api", At("10.0.0.2:80", 1, "b"));
  config::Upstream made;
  made.name = "made";
  cluster().PutUpstream(made);
  cluster().DeleteUpstream("two");
  Result result = ReloadWith(File("{backends: [10.0.0.1:80, {address: 10.0.0.3:80, id: b}]}"));
  Expect(result, 409, "conflict");
  EXPECT_THAT(result.message,
              HasSubstr("upstream api, backend b: it is at 10.0.0.3:80 in the file"));
  result = ReloadWith(File("{backends: [10.0.0.1:80]}", "  made: {backends: [10.0.0.4:80]}"));
  Expect(result, 409, "conflict");
  EXPECT_THAT(result.message, HasSubstr("upstream made: it is in the file"));
  result = ReloadWith(
      "listeners:\n  web: {listen: [127.0.0.1:8080], routes: [{upstream: two}]}\n"
      "upstreams: {api: {backends: [10.0.0.1:80]}, two: {backends: []}}\n");
  Expect(result, 409, "conflict");
  EXPECT_THAT(result.message, HasSubstr("upstream two: a route names it"));
  // The same while nobody served: the file is right, and it is said.
  machine_.WriteFile(
      File("{backends: [10.0.0.1:80, {address: 10.0.0.3:80, id: b}]}", "  two: {backends: []}"));
  Restart();
  EXPECT_EQ(process().Find("b")->settings.address.ToString(), "10.0.0.3:80");
  EXPECT_EQ(cluster().FindUpstream("two"), nullptr);  // what does not contradict stays
  EXPECT_NE(cluster().FindUpstream("made"), nullptr);
}

TEST_F(ClusterConfigTest, APutConfigurationStaysUntilTheFileIsAnother) {
  Begin(File("{backends: [10.0.0.1:80]}"));
  Expect(cluster().CheckConfig("upstreams: 3"), 400, "invalid");
  const std::string next = File("{backends: [10.0.0.7:80]}");
  Expect(cluster().CheckConfig(next), 200, "ok");
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,up"));
  Expect(cluster().PutConfig(next), 200, "ok");
  process().Pass(milliseconds(5));
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.7:80=1,up"));
  Restart();
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.7:80=1,up"));
  machine_.WriteFile(File("{backends: [10.0.0.2:80]}"));
  Restart();
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.2:80=1,up"));
  Expect(cluster().PutConfig(next), 200, "ok");
  Expect(cluster().Reload(), 200, "ok");
  Restart();
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.2:80=1,up"));
}

TEST_F(ClusterConfigTest, AnExportedConfigurationSaysTheSame) {
  Begin(File("{backends: [10.0.0.1:80, 10.0.0.2:80]}"));
  cluster().AddBackend("api", At("10.0.0.3:80", 2, "three"));
  cluster().RemoveBackend("api", "10.0.0.1:80");
  const config::Config exported = cluster().Exported();
  ASSERT_EQ(exported.upstreams.size(), 1u);
  ASSERT_EQ(exported.upstreams[0].backends.size(), 2u);
  EXPECT_EQ(exported.upstreams[0].backends[1].id, "three");
}

// -- sources --

constexpr std::string_view kDnsApi =
    "{backends: [10.0.0.1:80, {dns: svc, port: 80}], drain_timeout: 5s}";

TEST_F(ClusterConfigTest, BackendsOfASourceComeAndGo) {
  Begin(File(kDnsApi));
  EXPECT_TRUE(cluster().FindUpstream("api")->expecting);
  EXPECT_TRUE(cluster().FindUpstream("api")->shared->expecting.load());
  cluster().OnAddresses("api", 0, {At("10.9.0.1:80"), At("10.9.0.2:80"), At("10.0.0.1:80")});
  EXPECT_FALSE(cluster().FindUpstream("api")->shared->expecting.load());
  EXPECT_THAT(process().List(),
              ElementsAre("10.0.0.1:80=1,up", "10.9.0.1:80=1,up", "10.9.0.2:80=1,up"));
  EXPECT_EQ(process().Find("10.9.0.1:80")->origin, Origin::kDns);
  EXPECT_EQ(process().Find("10.0.0.1:80")->origin, Origin::kConfig);
  EXPECT_EQ(cluster().revision(), 1u);  // DNS is no change of the configuration

  Expect(cluster().RemoveBackend("api", "10.9.0.1:80"), 409, "discovered");
  Expect(cluster().PutBackends("api", {At("10.0.0.1:80")}), 409, "discovered");
  Expect(cluster().AddBackend("api", At("10.9.0.7:80", 1, "10.9.0.1:80")), 409, "conflict");
  Expect(cluster().PutBackends("api", {At("10.0.0.1:80"), At("10.9.0.1:80", 4), At("10.9.0.2:80")}),
         200, "ok");
  EXPECT_EQ(process().Find("10.9.0.1:80")->settings.weight, 4u);
  EXPECT_EQ(process().Find("10.9.0.1:80")->origin, Origin::kDns);

  process().Find("10.9.0.1:80")->shared->in_flight = 1;
  EventsNow();
  cluster().OnAddresses("api", 0, {At("10.9.0.2:80")});
  EXPECT_EQ(process().Find("10.9.0.1:80")->machine.state(), health::State::kDraining);
  EXPECT_EQ(process().Find("10.9.0.1:80")->machine.actor(), health::Actor::kDns);
  EXPECT_THAT(EventsNow(), Contains("overlay_ended"));
  process().Pass(seconds(6));
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,up", "10.9.0.2:80=1,up"));
}

TEST_F(ClusterConfigTest, EntriesWaitForASourceThatHasNotAnsweredYet) {
  Begin(File(kDnsApi));
  cluster().OnAddresses("api", 0, {At("10.9.0.1:80")});
  BackendPatch patch;
  patch.state = config::WantedState::kMaintenance;
  Expect(cluster().PatchBackend("api", "10.9.0.1:80", patch), 200, "ok");
  Restart();
  EXPECT_FALSE(cluster().overlay().empty());
  cluster().OnDiscoveryProblem("api", 0, "timeout");
  EXPECT_FALSE(cluster().FindUpstream("api")->expecting);
  EXPECT_FALSE(cluster().overlay().empty());
  cluster().OnAddresses("api", 0, {At("10.9.0.1:80")});
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,up", "10.9.0.1:80=1,maintenance"));
}

TEST_F(ClusterConfigTest, AnswersFollowTheirSourcesOverAReload) {
  Begin(File("{backends: [{dns: one, port: 80}, {dns: two, port: 80}]}"));
  process().links.answers["one"] = {At("10.9.0.1:80")};
  process().links.answers["two"] = {At("10.9.0.2:80")};
  cluster().OnAddresses("api", 0, {At("10.9.0.1:80")});
  cluster().OnAddresses("api", 1, {At("10.9.0.2:80")});
  const uint64_t serial = process().Find("10.9.0.2:80")->serial();
  EventsNow();
  Expect(ReloadWith(File("{backends: [{dns: two, port: 80}, {dns: new, port: 80}]}")), 200, "ok");
  process().Pass(milliseconds(5));
  EXPECT_THAT(process().List(), ElementsAre("10.9.0.2:80=1,up"));
  EXPECT_EQ(process().Find("10.9.0.2:80")->serial(), serial);
  EXPECT_TRUE(cluster().FindUpstream("api")->expecting);
  for (const std::string& name : EventsNow()) EXPECT_NE(name, "backend_added");
}

TEST_F(ClusterConfigTest, ANameAtAnotherAddressIsAnotherBackend) {
  Begin(File("{backends: [\"svc:80\"], drain_timeout: 5s}"));
  cluster().OnAddresses("api", 0, {At("10.9.0.1:80", 1, "svc:80")});
  process().Find("svc:80")->shared->in_flight = 1;
  cluster().OnAddresses("api", 0, {At("10.9.0.2:80", 1, "svc:80")});
  EXPECT_THAT(process().List(), ElementsAre("svc:80=1,up", "svc:80@10.9.0.1:80=1,draining"));
  process().Pass(seconds(6));
  EXPECT_THAT(process().List(), ElementsAre("svc:80=1,up"));
}

TEST_F(ClusterConfigTest, APutUpstreamKeepsHoldsOnWhatItsSourcesFound) {
  Begin(File(kDnsApi));
  cluster().OnAddresses("api", 0, {At("10.9.0.1:80"), At("10.9.0.2:80")});
  process().links.answers["svc"] = {At("10.9.0.1:80"), At("10.9.0.2:80")};
  BackendPatch patch;
  patch.state = config::WantedState::kMaintenance;
  Expect(cluster().PatchBackend("api", "10.9.0.1:80", patch), 200, "ok");
  config::Upstream next = cluster().base().upstreams[0];
  next.drain_timeout = seconds(9);
  Expect(cluster().PutUpstream(next), 200, "ok");
  EXPECT_EQ(process().Find("10.9.0.1:80")->machine.state(), health::State::kMaintenance);
  EXPECT_EQ(process().Find("10.9.0.2:80")->machine.state(), health::State::kUp);
}

TEST_F(ClusterConfigTest, AnAddressIsOneBackendWhateverItIsCalled) {
  Begin(
      File("{backends: [{address: 10.0.0.1:80, id: first}, {dns: one, port: 80}, "
           "{dns: two, port: 80}]}"));
  cluster().AddBackend("api", At("10.9.0.2:80", 1, "mine"));
  cluster().OnAddresses("api", 0, {At("10.0.0.1:80"), At("10.9.0.1:80"), At("10.9.0.2:80")});
  cluster().OnAddresses("api", 1, {At("10.9.0.1:80", 1, "other")});
  EXPECT_THAT(process().List(), ElementsAre("first=1,up", "10.9.0.1:80=1,up", "mine=1,up"));
  // Where the file has it by another name, it says so.
  const Result result = ReloadWith(File("{backends: [{address: 10.9.0.2:80, id: theirs}]}"));
  Expect(result, 409, "conflict");
  EXPECT_THAT(result.message, HasSubstr("its address 10.9.0.2:80 is that of theirs in the file"));
}

TEST_F(ClusterConfigTest, AReloadHonoursTheRevisionThatWasSeen) {
  Begin(File("{backends: [10.0.0.1:80]}"));
  Expect(cluster().Reload(7), 412, "precondition_failed");
  EXPECT_EQ(cluster().reloads_failed(), 0u);
  Expect(cluster().Reload(1), 200, "ok");
}

TEST_F(ClusterConfigTest, EachStartHasARevisionOfItsOwn) {
  Begin(File("{backends: [10.0.0.1:80]}"));
  cluster().AddBackend("api", At("10.0.0.2:80"));
  Restart();
  const uint64_t first = cluster().revision();
  Restart();
  EXPECT_GT(cluster().revision(), first);
}

TEST_F(ClusterConfigTest, APutConfigurationThatWasGivenUpDoesNotRiseAgain) {
  const std::string file = File("{backends: [10.0.0.1:80]}");
  Begin(file);
  Expect(cluster().PutConfig(File("{backends: [10.0.0.7:80]}")), 200, "ok");
  machine_.WriteFile(File("{backends: [10.0.0.2:80]}"));
  Restart();
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.2:80=1,up"));
  machine_.WriteFile(file);
  Restart();
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,up"));
}

TEST_F(ClusterConfigTest, APutConfigurationThatCannotBeReadIsKeptBesideTheStateFile) {
  Begin(File("{backends: [10.0.0.1:80]}"));
  Expect(cluster().PutConfig(File("{backends: [10.0.0.7:80]}")), 200, "ok");
  absl::StatusOr<SavedState> state = DecodeState(*machine_.disk.Read("/state.json"));
  ASSERT_TRUE(state.ok());
  state->base_text = "listeners: [of, another, version]";
  machine_.disk.Put("/state.json", EncodeState(*state));
  Restart();
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,up"));
  const absl::StatusOr<std::string> kept = machine_.disk.Read("/state.json.bad-1");
  ASSERT_TRUE(kept.ok());
  EXPECT_EQ(*kept, "listeners: [of, another, version]");
}

TEST_F(ClusterConfigTest, APutConfigurationSeesOnlyTheVariablesThatTheFileNames) {
  const auto with_cookie = [](const std::string& name) {
    return File("{backends: [10.0.0.1:80], sticky: {cookie: \"" + name + "\"}}");
  };
  Begin("# ${RONDO_SET_COMMENT}\n" + with_cookie("${RONDO_SET_ONE:-one}"));
  Expect(cluster().PutConfig(with_cookie("my_${RONDO_SET_ONE}")), 200, "ok");
  EXPECT_EQ(cluster().base().upstreams[0].sticky->cookie, "my_value_of_RONDO_SET_ONE");
  for (const std::string name : {"RONDO_SET_TWO", "RONDO_SET_COMMENT", "RONDO_UNSET"}) {
    for (const std::string& text : {"${" + name + "}", "${" + name + ":-two}"}) {
      const Result put = cluster().PutConfig(with_cookie(text));
      Expect(put, 400, "invalid");
      EXPECT_THAT(put.message, HasSubstr("environment variable `" + name + "` can be used here"));
      EXPECT_THAT(put.message, Not(HasSubstr("value_of")));
      Expect(cluster().CheckConfig(with_cookie(text)), 400, "invalid");
    }
  }
  // Nor is the value of one that it may use told by what is wrong with it.
  const Result wrong = cluster().PutConfig(with_cookie("${RONDO_SET_ONE}; x"));
  Expect(wrong, 400, "invalid");
  EXPECT_THAT(wrong.message, HasSubstr("`cookie`: `${RONDO_SET_ONE}; x` is not right once"));
  EXPECT_THAT(wrong.message, Not(HasSubstr("value_of")));
  EXPECT_EQ(cluster().base().upstreams[0].sticky->cookie, "my_value_of_RONDO_SET_ONE");
}

TEST_F(ClusterConfigTest, CredentialsOfThePutConfigurationOutliveARestart) {
  const std::string upstream =
      "{backends: [10.0.0.1:80], health_check: {headers: {Authorization: Basic-c2VjcmV0}}}";
  Begin(File("{backends: [10.0.0.1:80]}"));
  Expect(cluster().PutConfig(File(upstream)), 200, "ok");
  auto api = config::ParseUpstreamJson(
      "other", R"({"backends": [], "health_check": {"headers": {"X-Token": "t0ken"}}})", "");
  ASSERT_TRUE(api.value.has_value());
  Expect(cluster().PutUpstream(*std::move(api.value)), 201, "ok");
  Restart();
  const config::Config exported = cluster().Exported();
  ASSERT_EQ(exported.upstreams.size(), 2u);
  EXPECT_EQ(exported.upstreams[0].health_check->headers[0].second, "Basic-c2VjcmV0");
  EXPECT_EQ(exported.upstreams[1].health_check->headers[0].second, "t0ken");
}

TEST_F(ClusterConfigTest, APutConfigurationDoesNotOutliveATokenFromTheEnvironment) {
  const std::string file = "admin: {listen: 127.0.0.1:9900, token: \"${RONDO_TEST_TOKEN}\"}\n" +
                           File("{backends: [10.0.0.1:80]}");
  setenv("RONDO_TEST_TOKEN", "a-token-that-is-long-enough", 1);
  Begin(file);
  Expect(cluster().PutConfig("admin: {listen: 127.0.0.1:9900, token: "
                             "a-token-that-is-long-enough}\n" +
                             File("{backends: [10.0.0.7:80]}")),
         200, "ok");
  Restart();
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.7:80=1,up"));
  setenv("RONDO_TEST_TOKEN", "another-one-that-is-long-too", 1);
  Restart();
  EXPECT_EQ(cluster().base().admin->token, "another-one-that-is-long-too");
  EXPECT_THAT(process().List(), ElementsAre("10.0.0.1:80=1,up"));
  unsetenv("RONDO_TEST_TOKEN");
}

}  // namespace
}  // namespace rondo::control
