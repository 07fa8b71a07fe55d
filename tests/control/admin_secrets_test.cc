// Credentials in the configuration: what the admin API shows of them, and takes back.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "control/admin_world.h"

namespace rondo::control {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::Not;

// A credential in each place that has some, beside what is for everybody.
constexpr std::string_view kWithCredentials = R"(
listeners:
  web:
    listen: [127.0.0.1:8080]
    routes:
      - upstream: api
        set_request_headers: {Authorization: "Basic c2VjcmV0", X-Env: plain}
        set_response_headers: {Set-Cookie: "s=c2VjcmV0"}
upstreams:
  api:
    health_check: {headers: {X-Api-Key: c2VjcmV0, X-Probe: plain}}
    backends: [127.0.0.1:3001]
)";

TEST(AdminSecrets, AreShownNowhere) {
  AdminWorld world(kWithCredentials);
  const json added = {{"backends", {"127.0.0.1:3001"}},
                      {"health_check", {{"headers", {{"Cookie", "c2VjcmV0"}, {"X-A", "plain"}}}}}};
  ASSERT_EQ(world.Call("PUT", "/v1/upstreams/added", added.dump()).status, 201);
  for (const char* target : {"/v1/upstreams/api", "/v1/upstreams/added", "/v1/upstreams",
                             "/v1/config", "/v1/diff", "/v1/export", "/v1/explain?url=/"}) {
    const AdminReply reply = world.Call("GET", target);
    EXPECT_EQ(reply.status, 200) << target;
    EXPECT_THAT(reply.body, Not(HasSubstr("c2VjcmV0"))) << target;
    EXPECT_THAT(reply.body, HasSubstr("***")) << target;
    EXPECT_THAT(reply.body, HasSubstr("plain")) << target;
  }
}

TEST(AdminSecrets, StayWhereTheyComeBackHidden) {
  AdminWorld world(kWithCredentials);
  const config::Config before = world.cluster().Exported();
  const std::string shown = world.Call("GET", "/v1/config").body;
  EXPECT_EQ(world.Call("POST", "/v1/config/check", shown).status, 200);
  EXPECT_EQ(world.Call("PUT", "/v1/config", shown).status, 200);
  EXPECT_TRUE(world.cluster().Exported() == before);
  const std::string upstream =
      json::parse(world.Call("GET", "/v1/upstreams/api").body)["config"].dump();
  EXPECT_EQ(world.Call("PUT", "/v1/upstreams/api", upstream).status, 200);
  EXPECT_TRUE(world.cluster().Exported() == before);
  // What is only in the overlay is kept by PUT config too.
  json added = {{"backends", {"127.0.0.1:3001"}},
                {"health_check", {{"headers", {{"Cookie", "c2VjcmV0"}}}}}};
  ASSERT_EQ(world.Call("PUT", "/v1/upstreams/added", added.dump()).status, 201);
  EXPECT_EQ(world.Call("PUT", "/v1/config", world.Call("GET", "/v1/config").body).status, 200);
  const config::Config kept = world.cluster().Exported();
  EXPECT_EQ(kept.upstreams.back().health_check->headers[0].second, "c2VjcmV0");
}

TEST(AdminSecrets, AreRefusedWhereTheyAreHiddenAndNotKnown) {
  AdminWorld world(kWithCredentials);
  const json upstream = {{"backends", {"127.0.0.1:3001"}},
                         {"health_check", {{"headers", {{"Authorization", "***"}}}}}};
  for (const char* name : {"api", "new"}) {
    const AdminReply reply =
        world.Call("PUT", "/v1/upstreams/" + std::string(name), upstream.dump());
    EXPECT_EQ(reply.status, 400);
    const json error = json::parse(reply.body)["error"];
    EXPECT_EQ(error["field"], "health_check.headers.Authorization");
    EXPECT_THAT(error["message"].get<std::string>(), HasSubstr("write the value itself"));
  }
  json config = json::parse(world.Call("GET", "/v1/config").body);
  config["listeners"]["web"]["routes"][0]["match"] = {{"path", "/other"}};
  const AdminReply reply = world.Call("PUT", "/v1/config", config.dump());
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(json::parse(reply.body)["error"]["field"],
            "listeners.web.routes[0].set_request_headers.Authorization");
  EXPECT_EQ(json::parse(reply.body)["errors"].size(), 2u);
}

}  // namespace
}  // namespace rondo::control
