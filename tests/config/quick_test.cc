// `rondo run --listen ... --backend ...`.
#include "config/parse_helpers.h"

namespace rondo::config {
namespace {

using testing::ElementsAre;

std::optional<std::string> NoVariable(std::string_view) { return std::nullopt; }
std::optional<std::string> Token(std::string_view name) {
  if (name == "RONDO_ADMIN_TOKEN") return "secret";
  return std::nullopt;
}

std::vector<std::string> QuickErrors(const QuickArguments& arguments,
                                     const Environment& environment = &NoVariable) {
  std::vector<std::string> messages;
  for (const Error& error : BuildQuick(arguments, environment).errors)
    messages.push_back(FormatError("rondo", error));
  return messages;
}

QuickArguments WithAdmin(std::string admin) {
  return {.listen = {":0"}, .backends = {"127.0.0.1:1"}, .admin = std::move(admin)};
}

TEST(QuickConfig, SendsEverythingToTheBackends) {
  const LoadResult result =
      BuildQuick({.listen = {":8080", "unix:r.sock"}, .backends = {"127.0.0.1:3001", "[::1]:3002"}},
                 &NoVariable);
  ASSERT_TRUE(result.config.has_value());
  const Config& config = *result.config;
  ASSERT_EQ(config.listeners.size(), 1u);
  EXPECT_EQ(config.listeners[0].listen.size(), 2u);
  ASSERT_EQ(config.listeners[0].routes.size(), 1u);
  const RouteConfig& route = config.listeners[0].routes[0];
  EXPECT_EQ(route.match, route::RouteMatch());
  EXPECT_THAT(route.upgrades, ElementsAre("websocket"));
  ASSERT_EQ(config.upstreams.size(), 1u);
  EXPECT_EQ(route.upstream, config.upstreams[0].name);
  EXPECT_EQ(config.upstreams[0].balance, balance::PolicyKind::kRoundRobin);
  ASSERT_EQ(config.upstreams[0].backends.size(), 2u);
  EXPECT_EQ(config.upstreams[0].backends[1].id, "[::1]:3002");
  EXPECT_EQ(config.process, Process());
}

TEST(QuickConfig, TakesEveryPolicyByItsName) {
  for (const balance::PolicyKind kind : balance::kPolicyKinds) {
    const LoadResult result = BuildQuick({.listen = {":0"},
                                          .backends = {"127.0.0.1:1"},
                                          .balance = std::string(balance::PolicyName(kind))},
                                         &NoVariable);
    ASSERT_TRUE(result.config.has_value());
    EXPECT_EQ(result.config->upstreams[0].balance, kind);
  }
}

TEST(QuickConfig, ReportsEveryWrongArgument) {
  EXPECT_THAT(QuickErrors({}),
              ElementsAre("rondo: --listen is missing: name an address, such as --listen :8080",
                          "rondo: --backend is missing: name at least one address, such as "
                          "--backend 127.0.0.1:3001"));
  EXPECT_THAT(QuickErrors({.listen = {"8080", ":80", ":80"},
                           .backends = {":3001", "1.1.1.1:1", "1.1.1.1:1", "api:1", "API:1"},
                           .balance = "fastest",
                           .admin = "9900"}),
              ElementsAre("rondo: --listen `8080` is a number: write `:8080` to listen on a port",
                          "rondo: --listen `:80` is given twice",
                          "rondo: --backend `:3001` has no address before the port: write both, "
                          "such as `127.0.0.1:3001`",
                          "rondo: --backend `1.1.1.1:1` is given twice",
                          "rondo: --backend `API:1` is given twice",
                          "rondo: --balance `fastest` is not one of `round_robin`, "
                          "`least_connections`, `ip_hash`, `consistent_hash`, `random_two` and "
                          "`peak_ewma`",
                          "rondo: --admin `9900` is a number: write `:9900` to listen on a port"));
}

TEST(QuickConfig, TakesHostNames) {
  const LoadResult result =
      BuildQuick({.listen = {":0"}, .backends = {"Api.internal:80", "127.0.0.1:1"}}, &NoVariable);
  ASSERT_TRUE(result.config.has_value());
  const Upstream& upstream = result.config->upstreams.at(0);
  EXPECT_EQ(upstream.backends.size(), 1u);
  ASSERT_EQ(upstream.sources.size(), 1u);
  EXPECT_EQ(upstream.sources[0],
            (BackendSource{.name = "api.internal", .port = 80, .id = "api.internal:80"}));
}

TEST(QuickConfig, HasTheAdminApiWhereItIsFreeUnlessItIsAskedFor) {
  const LoadResult standard = BuildQuick(WithAdmin(""), &NoVariable);
  ASSERT_TRUE(standard.config.has_value());
  EXPECT_EQ(standard.config->admin, Admin());
  EXPECT_TRUE(standard.config->admin_optional);

  const LoadResult off = BuildQuick(WithAdmin("off"), &NoVariable);
  ASSERT_TRUE(off.config.has_value());
  EXPECT_EQ(off.config->admin, std::nullopt);

  const LoadResult open = BuildQuick(WithAdmin("0.0.0.0:9901"), &Token);
  ASSERT_TRUE(open.config.has_value());
  EXPECT_FALSE(open.config->admin_optional);
  EXPECT_EQ(open.config->admin->listen.ToString(), "0.0.0.0:9901");
  EXPECT_EQ(open.config->admin->token, "secret");
}

TEST(QuickConfig, WantsATokenOffTheLoopback) {
  EXPECT_THAT(QuickErrors(WithAdmin("127.0.0.2:1")), ElementsAre());
  EXPECT_THAT(QuickErrors(WithAdmin("unix:/run/a.sock")), ElementsAre());
  EXPECT_THAT(QuickErrors(WithAdmin(":9900")),
              ElementsAre("rondo: --admin `:9900` can be reached from other machines: set "
                          "RONDO_ADMIN_TOKEN in the environment, or listen on 127.0.0.1 or a unix "
                          "socket"));
}

}  // namespace
}  // namespace rondo::config
