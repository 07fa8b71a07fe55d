// The calls of the admin API, on a real cluster in virtual time.
#include "control/admin_api.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "control/admin_world.h"

namespace rondo::control {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::HasSubstr;

constexpr const char* kBackends = "/v1/upstreams/api/backends";
constexpr const char* kFirst = "/v1/upstreams/api/backends/127.0.0.1:3001";

std::string CodeOf(const AdminReply& reply) { return JsonOf(reply)["error"].value("code", ""); }
std::string FieldOf(const AdminReply& reply) { return JsonOf(reply)["error"].value("field", ""); }

TEST(AdminApi, IsAliveAndReady) {
  AdminWorld world;
  EXPECT_EQ(world.Call("GET", "/healthz").status, 200);
  EXPECT_EQ(world.Call("GET", "/readyz").status, 200);
  EXPECT_EQ(world.Call("GET", "/readyz?upstream=files").status, 200);
  EXPECT_EQ(world.Call("GET", "/readyz?upstream=api").status, 503);
  EXPECT_EQ(world.Call("GET", "/readyz?upstream=files&upstream=api").status, 503);
  EXPECT_EQ(world.Call("GET", "/readyz?all").status, 503);
  EXPECT_EQ(world.Call("GET", "/readyz?upstream=none").status, 404);
  world.AllUp();
  EXPECT_EQ(world.Call("GET", "/readyz?upstream=api").status, 200);
  EXPECT_EQ(world.Call("GET", "/readyz?all").status, 200);
  world.process.stopping = true;
  EXPECT_EQ(CodeOf(world.Call("GET", "/readyz")), "not_ready");
  EXPECT_EQ(world.Call("GET", "/healthz").status, 200);
}

TEST(AdminApi, ListsBackendsInTheShapeThatPutTakes) {
  AdminWorld world;
  world.process.traffic.requests = 7;
  world.process.traffic.p95 = milliseconds(12);
  const AdminReply reply = world.Call("GET", kBackends);
  EXPECT_EQ(reply.etag, world.cluster().revision());
  const json list = JsonOf(reply)["backends"];
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[0]["id"], "127.0.0.1:3001");
  EXPECT_EQ(list[0]["state"], "checking");
  EXPECT_EQ(list[0]["source"], "config");
  EXPECT_EQ(list[0]["requests"], 7);
  EXPECT_EQ(list[0]["latency"]["p95"], 12);
  EXPECT_TRUE(list[0]["latency"]["p50"].is_null());
  EXPECT_TRUE(list[0]["health"]["passed"].is_null());
  EXPECT_EQ(list[1]["weight"], 3);
  world.Check("api", "127.0.0.1:3001", true);
  const json up = JsonOf(world.Call("GET", kFirst));
  EXPECT_EQ(up["state"], "up");
  EXPECT_EQ(up["health"]["passed"], true);
  EXPECT_GE(up["history"].size(), 2u);
}

TEST(AdminApi, AddsABackendOnce) {
  AdminWorld world;
  const uint64_t before = world.cluster().revision();
  const AdminReply added =
      world.Call("POST", kBackends, R"({"address": "127.0.0.1:3003", "weight": 2})");
  EXPECT_EQ(added.status, 201);
  EXPECT_EQ(added.location, "/v1/upstreams/api/backends/127.0.0.1:3003");
  EXPECT_GT(*added.etag, before);
  EXPECT_EQ(JsonOf(added)["source"], "api");
  const AdminReply again =
      world.Call("POST", kBackends, R"({"address": "127.0.0.1:3003", "weight": 2})");
  EXPECT_EQ(again.status, 200);
  EXPECT_EQ(again.etag, added.etag);
  EXPECT_EQ(world.Call("GET", added.location).status, 200);
}

TEST(AdminApi, FindsBackendsWhoseIdsHaveSlashes) {
  AdminWorld world;
  const AdminReply reply =
      world.Call("GET", "/v1/upstreams/files/backends/unix:%2Frun%2Ffiles.sock");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(JsonOf(reply)["address"], "unix:/run/files.sock");
  EXPECT_EQ(world.Call("GET", "/v1/upstreams/files/backends/unix:/run/files.sock").status, 404);
}

TEST(AdminApi, NamesTheFieldThatIsWrong) {
  AdminWorld world;
  struct Case {
    const char* method;
    const char* target;
    const char* body;
    int status;
    const char* field;
  };
  const Case cases[] = {
      {"POST", kBackends, R"({"address": "127.0.0.1:3003", "wieght": 2})", 400, "wieght"},
      {"POST", kBackends, R"({"address": "127.0.0.1:3003", "weight": "2"})", 400, "weight"},
      {"POST", kBackends, R"({"address": 3003})", 400, "address"},
      {"POST", kBackends, R"({"weight": 3})", 400, ""},
      {"PUT", kBackends,
       R"({"backends": ["127.0.0.1:3001", {"address": "127.0.0.1:3002", "weight": 0}]})", 400,
       "backends[1].weight"},
      {"PUT", kBackends, R"({"backend": []})", 400, "backend"},
      {"PATCH", kFirst, R"({"weight": -1})", 400, "weight"},
      {"PATCH", kFirst, R"({"state": "down"})", 400, "state"},
      {"PATCH", kFirst, R"({"colour": 1})", 400, "colour"},
      {"PUT", "/v1/upstreams/new", R"({"backends": [], "balance": "best"})", 400, "balance"},
      {"POST", "/v1/upstreams/api/backends?wait=yes", R"({"address": "127.0.0.1:3003"})", 400,
       "wait"},
      {"POST", "/v1/upstreams/api/backends?wait=up&timeout=1h", R"({"address": "127.0.0.1:3003"})",
       400, "timeout"},
      {"DELETE", "/v1/upstreams/api/backends/127.0.0.1:3001?drain=soon", "", 400, "drain"},
      {"DELETE", "/v1/upstreams/api/backends/127.0.0.1:3001?wiat=true", "", 400, "wiat"},
      {"GET", "/v1/explain", "", 400, "url"},
      {"GET", "/v1/explain?url=/&client=me", "", 400, "client"},
      {"GET", "/v1/explain?url=/&header=me", "", 400, "header"},
      {"GET", "/v1/events?after=x", "", 400, "after"},
  };
  const uint64_t before = world.cluster().revision();
  for (const Case& c : cases) {
    const AdminReply reply = world.Call(c.method, c.target, c.body);
    EXPECT_EQ(reply.status, c.status) << c.target << c.body << reply.body;
    EXPECT_EQ(FieldOf(reply), c.field) << c.target << c.body << reply.body;
  }
  EXPECT_EQ(world.cluster().revision(), before);
}

TEST(AdminApi, RefusesWhatIsNotJson) {
  AdminWorld world;
  for (const std::string body :
       {"", "{", "[", "nonsense", "{\"address\": \"127.0.0.1:3003\"} x", "\xff"}) {
    AdminRequest request;
    request.method = "POST";
    request.target = kBackends;
    request.content_type = "application/json";
    request.body = body;
    EXPECT_EQ(world.Send(request).status, 400) << body;
  }
  const std::string deep = std::string(100'000, '[');
  EXPECT_EQ(world.Call("POST", kBackends, deep).status, 400);
  EXPECT_EQ(world.Call("PUT", kBackends, "{\"history\":" + deep).status, 400);
}

TEST(AdminApi, WritesComeAsJson) {
  AdminWorld world;
  AdminRequest request;
  request.method = "POST";
  request.target = kBackends;
  request.body = R"({"address": "127.0.0.1:3003"})";
  for (const char* type : {"", "text/plain", "application/x-www-form-urlencoded",
                           "application/yaml", "application/jsonx"}) {
    request.content_type = type;
    EXPECT_EQ(world.Send(request).status, 415) << type;
  }
  request.content_type = "Application/JSON; charset=utf-8";
  EXPECT_EQ(world.Send(request).status, 201);
  request.method = "DELETE";
  request.target = kFirst;
  request.body = "";
  request.content_type = "text/plain";
  EXPECT_EQ(world.Send(request).status, 415);
  request.content_type = "application/json";
  request.body = "{\"a\": 1}";
  EXPECT_EQ(world.Send(request).status, 400);
  request.body = " { } ";
  EXPECT_EQ(world.Send(request).status, 202);
}

TEST(AdminApi, HonoursIfMatch) {
  AdminWorld world;
  const std::string now = "\"" + std::to_string(world.cluster().revision()) + "\"";
  const char* body = R"({"weight": 5})";
  EXPECT_EQ(world.Call("PATCH", kFirst, body, "\"999\"").status, 412);
  EXPECT_EQ(world.Call("PATCH", kFirst, body, "nonsense").status, 412);
  EXPECT_EQ(world.Call("PATCH", kFirst, body, "\"999\", " + now).status, 200);
  EXPECT_EQ(world.Call("PATCH", kFirst, R"({"weight": 6})", now).status, 412);
  EXPECT_EQ(world.Call("PATCH", kFirst, R"({"weight": 6})", "*").status, 200);
  const AdminReply refused = world.Call("DELETE", "/v1/diff", "", now);
  EXPECT_EQ(refused.status, 412);
  EXPECT_EQ(refused.etag, world.cluster().revision());
}

TEST(AdminApi, AListThatWasReadCanBeSentBack) {
  AdminWorld world;
  world.AllUp();
  const uint64_t before = world.cluster().revision();
  const AdminReply list = world.Call("GET", kBackends);
  const AdminReply same = world.Call("PUT", kBackends, list.body);
  EXPECT_EQ(same.status, 200) << same.body;
  EXPECT_EQ(world.cluster().revision(), before);
  json edited = JsonOf(list);
  edited["backends"][0]["weight"] = 9;
  EXPECT_LT(world.Call("PUT", kBackends, edited.dump()).status, 300);
  EXPECT_EQ(JsonOf(world.Call("GET", kFirst))["weight"], 9);
  // A lone state is a wish that this call does not grant.
  const AdminReply wish = world.Call(
      "PUT", kBackends, R"({"backends": [{"address": "127.0.0.1:3001", "state": "up"}]})");
  EXPECT_EQ(FieldOf(wish), "backends[0].state");
}

TEST(AdminApi, PutsAWholeListAtOnce) {
  AdminWorld world;
  world.AllUp();
  const AdminReply reply =
      world.Call("PUT", kBackends,
                 R"({"backends": [{"address": "127.0.0.1:3001", "weight": 2}, "127.0.0.1:3009"]})");
  EXPECT_LT(reply.status, 300) << reply.body;
  world.Pass(seconds(1));
  const json list = JsonOf(world.Call("GET", kBackends))["backends"];
  ASSERT_EQ(list.size(), 2u) << list.dump();
  EXPECT_EQ(list[0]["weight"], 2);
  EXPECT_EQ(list[0]["state"], "up");
  EXPECT_EQ(list[1]["address"], "127.0.0.1:3009");
}

TEST(AdminApi, AnAddThatWaitsIsAnsweredWhenTheBackendIsUp) {
  AdminWorld world;
  AdminReply reply = world.Call("POST", "/v1/upstreams/api/backends?wait=up&timeout=5s",
                                R"({"address": "127.0.0.1:3003"})");
  ASSERT_TRUE(reply.wait);
  EXPECT_EQ(reply.wait->timeout, seconds(5));
  EXPECT_FALSE(world.api().Look(*reply.wait, world.Moment()));
  const AdminReply late = world.api().TimedOut(*reply.wait, world.Moment());
  EXPECT_EQ(late.status, 504);
  EXPECT_THAT(late.body, HasSubstr("checking"));
  world.Check("api", "127.0.0.1:3003", true);
  const auto up = world.api().Look(*reply.wait, world.Moment());
  ASSERT_TRUE(up);
  EXPECT_EQ(up->status, 201);
  EXPECT_EQ(up->location, "/v1/upstreams/api/backends/127.0.0.1:3003");
  EXPECT_EQ(JsonOf(*up)["state"], "up");
}

TEST(AdminApi, AnAddThatWaitsEndsWithTheBackend) {
  AdminWorld world;
  AdminReply reply =
      world.Call("POST", "/v1/upstreams/api/backends?wait=up", R"({"address": "127.0.0.1:3003"})");
  ASSERT_TRUE(reply.wait);
  EXPECT_EQ(reply.wait->timeout, AdminApi::kWaitDefault);
  world.Call("DELETE", "/v1/upstreams/api/backends/127.0.0.1:3003?drain=0s");
  world.Pass(seconds(1));
  const auto over = world.api().Look(*reply.wait, world.Moment());
  ASSERT_TRUE(over);
  EXPECT_EQ(over->status, 409);
}

TEST(AdminApi, ADeleteDrainsAndRemoves) {
  AdminWorld world;
  world.AllUp();
  const BackendView* backend = world.cluster().FindBackend("api", "127.0.0.1:3001");
  auto shared = backend->shared;
  shared->in_flight.store(1);
  AdminReply reply = world.Call("DELETE", "/v1/upstreams/api/backends/127.0.0.1:3001?wait=true");
  EXPECT_EQ(reply.status, 202) << reply.body;
  ASSERT_TRUE(reply.wait);
  EXPECT_GE(reply.wait->timeout, seconds(25)) << "longer than the drain may take";
  EXPECT_EQ(JsonOf(reply)["state"], "draining");
  world.Pass(seconds(1));
  EXPECT_FALSE(world.api().Look(*reply.wait, world.Moment()));
  const AdminReply progress = world.Call("GET", std::string(kFirst) + "/drain");
  EXPECT_EQ(JsonOf(progress)["in_flight"], 1);
  EXPECT_EQ(JsonOf(progress)["done"], false);
  EXPECT_GT(JsonOf(progress)["time_left_ms"], 15'000);
  shared->in_flight.store(0);
  world.Pass(seconds(1));
  const auto gone = world.api().Look(*reply.wait, world.Moment());
  ASSERT_TRUE(gone);
  EXPECT_EQ(gone->status, 200);
  EXPECT_EQ(JsonOf(*gone)["removed"], true);
  EXPECT_EQ(world.Call("GET", kFirst).status, 404);
}

TEST(AdminApi, AnOperatorsDrainIsWatched) {
  AdminWorld world;
  world.AllUp();
  EXPECT_EQ(world.Call("GET", std::string(kFirst) + "/drain?wait=true").status, 409);
  EXPECT_EQ(JsonOf(world.Call("GET", std::string(kFirst) + "/drain"))["step"], "none");
  auto shared = world.cluster().FindBackend("api", "127.0.0.1:3001")->shared;
  shared->in_flight.store(2);
  EXPECT_LT(
      world.Call("PATCH", std::string(kFirst) + "?drain=3s", R"({"state": "draining"})").status,
      300);
  AdminReply reply = world.Call("GET", std::string(kFirst) + "/drain?wait=true");
  ASSERT_TRUE(reply.wait);
  EXPECT_FALSE(world.api().Look(*reply.wait, world.Moment()));
  const AdminReply late = world.api().TimedOut(*reply.wait, world.Moment());
  EXPECT_EQ(late.status, 504);
  EXPECT_THAT(late.body, HasSubstr("2 in flight"));
  shared->in_flight.store(0);
  world.Pass(seconds(4));
  const auto done = world.api().Look(*reply.wait, world.Moment());
  ASSERT_TRUE(done);
  EXPECT_EQ(JsonOf(*done)["done"], true);
  EXPECT_EQ(JsonOf(world.Call("GET", kFirst))["state"], "drained");
  EXPECT_LT(world.Call("PATCH", kFirst, R"({"state": "up"})").status, 300);
  EXPECT_EQ(JsonOf(world.Call("GET", kFirst))["state"], "checking");
  const auto ended = world.api().Look(*reply.wait, world.Moment());
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->status, 409);
}

TEST(AdminApi, CreatesReplacesAndDeletesUpstreams) {
  AdminWorld world;
  const AdminReply created =
      world.Call("PUT", "/v1/upstreams/new", R"({"backends": ["127.0.0.1:4001"]})");
  EXPECT_EQ(created.status, 201) << created.body;
  EXPECT_EQ(JsonOf(created)["source"], "api");
  EXPECT_EQ(JsonOf(created)["config"]["backends"].size(), 1u);
  EXPECT_EQ(world.Call("PUT", "/v1/upstreams/new", R"({"backends": ["127.0.0.1:4002"]})").status,
            200);
  EXPECT_EQ(world.Call("DELETE", "/v1/upstreams/api").status, 409);
  EXPECT_LT(world.Call("DELETE", "/v1/upstreams/new").status, 300);
  world.Pass(seconds(1));
  EXPECT_EQ(world.Call("GET", "/v1/upstreams/new").status, 404);
  EXPECT_EQ(CodeOf(world.Call("DELETE", "/v1/upstreams/new")), "no_such_upstream");
}

TEST(AdminApi, ShowsDiffAndExport) {
  AdminWorld world;
  EXPECT_TRUE(JsonOf(world.Call("GET", "/v1/diff"))["upstreams"].empty());
  world.Call("PATCH", kFirst, R"({"weight": 5})");
  world.Call("POST", kBackends, R"({"address": "127.0.0.1:3003"})");
  const json diff = JsonOf(world.Call("GET", "/v1/diff"));
  EXPECT_EQ(diff["upstreams"]["api"]["backends"].size(), 2u) << diff.dump();
  const AdminReply exported = world.Call("GET", "/v1/export");
  EXPECT_EQ(exported.content_type, "application/yaml");
  EXPECT_THAT(exported.body, HasSubstr("127.0.0.1:3003"));
  const config::LoadResult read = config::Parse(
      exported.body, "conf/t.yaml", [](std::string_view) { return std::optional<std::string>(); });
  EXPECT_TRUE(read.config) << exported.body;
  EXPECT_LT(world.Call("DELETE", "/v1/diff").status, 300);
  world.Pass(seconds(1));
  EXPECT_TRUE(JsonOf(world.Call("GET", "/v1/diff"))["upstreams"].empty());
  EXPECT_EQ(JsonOf(world.Call("GET", kFirst))["weight"], 1);
}

TEST(AdminApi, ReplacesTheConfigurationAndKeepsItsSecrets) {
  const std::string with_token = "admin: {token: sesame}\n" + std::string(kAdminWorldConfig);
  AdminWorld world(with_token);
  const AdminReply shown = world.Call("GET", "/v1/config");
  EXPECT_THAT(shown.body, ::testing::Not(HasSubstr("sesame")));
  json config = JsonOf(shown);
  EXPECT_EQ(config["admin"]["token"], "***");
  config["upstreams"]["api"]["balance"] = "least_connections";
  EXPECT_EQ(world.Call("POST", "/v1/config/check", config.dump()).status, 200);
  const AdminReply put = world.Call("PUT", "/v1/config", config.dump());
  EXPECT_EQ(put.status, 200) << put.body;
  EXPECT_EQ(world.cluster().base().admin->token, "sesame");
  EXPECT_EQ(JsonOf(world.Call("GET", "/v1/upstreams/api"))["config"]["balance"],
            "least_connections");
  config["upstreams"]["api"]["balance"] = "best";
  EXPECT_EQ(FieldOf(world.Call("PUT", "/v1/config", config.dump())), "upstreams.api.balance");
}

TEST(AdminApi, TakesAConfigurationAsYaml) {
  AdminWorld world;
  AdminRequest request;
  request.method = "PUT";
  request.target = "/v1/config";
  request.content_type = "Application/YAML; charset=utf-8";
  const std::string text = std::string(kAdminWorldConfig) + "x-note: hello\n";
  request.body = text;
  EXPECT_EQ(world.Send(request).status, 200);
  request.body = "listeners: [";
  EXPECT_EQ(world.Send(request).status, 400);
  request.target = "/v1/config/check";
  request.method = "POST";
  EXPECT_EQ(world.Send(request).status, 400);
  request.body = text;
  EXPECT_EQ(world.Send(request).status, 200);
}

TEST(AdminApi, ExplainsWithTheStatesOfNow) {
  AdminWorld world;
  world.Check("api", "127.0.0.1:3001", true);
  const AdminReply reply = world.Call("GET", "/v1/explain?url=http://x/a");
  ASSERT_EQ(reply.status, 200) << reply.body;
  const json backends = JsonOf(reply)["upstreams"][0]["backends"];
  EXPECT_EQ(backends[0]["state"], "up");
  EXPECT_EQ(backends[0]["eligible"], true);
  EXPECT_EQ(backends[1]["state"], "checking");
  EXPECT_EQ(backends[1]["eligible"], false);
  AdminRequest request;
  request.method = "GET";
  request.target = "/v1/explain?url=/static/x&header=X-A:%20b";
  request.accept = "text/plain";
  const AdminReply words = world.Send(request);
  EXPECT_THAT(words.body, HasSubstr("upstream files"));
  EXPECT_THAT(words.body, HasSubstr("takes requests"));
}

TEST(AdminApi, KnowsItsAddressesAndMethods) {
  AdminWorld world;
  EXPECT_EQ(world.Call("GET", "/v1/nothing").status, 404);
  EXPECT_EQ(world.Call("GET", "/v1/status/").status, 404);
  EXPECT_EQ(world.Call("GET", "*").status, 400);
  const AdminReply wrong = world.Call("DELETE", kBackends);
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(wrong.allow, "GET, HEAD, POST, PUT");
  EXPECT_EQ(world.Call("OPTIONS", "/v1/status").status, 405);
  EXPECT_EQ(world.Call("HEAD", "/v1/status").status, 200);
  EXPECT_TRUE(AdminApi::IsOpen("GET", "/healthz"));
  EXPECT_TRUE(AdminApi::IsOpen("HEAD", "/readyz?all"));
  EXPECT_FALSE(AdminApi::IsOpen("GET", "/v1/status"));
  EXPECT_FALSE(AdminApi::IsOpen("POST", "/healthz"));
  EXPECT_FALSE(AdminApi::IsOpen("GET", "/metrics"));
}

TEST(AdminApi, BeginsEventStreamsWhereTheReaderWas) {
  AdminWorld world;
  AdminRequest request;
  request.method = "GET";
  request.target = "/v1/events";
  EXPECT_EQ(world.Send(request).events_after, world.events().last());
  request.last_event_id = "17";
  EXPECT_EQ(world.Send(request).events_after, 17u);
  request.last_event_id = "junk";
  EXPECT_EQ(world.Send(request).events_after, 0u);
  request.target = "/v1/events?after=18";
  EXPECT_EQ(world.Send(request).events_after, 18u);
}

TEST(AdminApi, ReloadsOnlyWhereThereIsAFile) {
  AdminWorld world;
  EXPECT_EQ(world.Call("POST", "/v1/reload").status / 100, 4);
}

}  // namespace
}  // namespace rondo::control
