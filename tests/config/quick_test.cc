// `rondo run --listen ... --backend ...`.
#include "config/parse_helpers.h"

namespace rondo::config {
namespace {

using testing::ElementsAre;

std::vector<std::string> QuickErrors(const std::vector<std::string>& listen,
                                     const std::vector<std::string>& backends,
                                     std::string_view balance) {
  std::vector<std::string> messages;
  for (const Error& error : BuildQuick(listen, backends, balance).errors)
    messages.push_back(FormatError("rondo", error));
  return messages;
}

TEST(QuickConfig, SendsEverythingToTheBackends) {
  const LoadResult result =
      BuildQuick({":8080", "unix:r.sock"}, {"127.0.0.1:3001", "[::1]:3002"}, "");
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
    const LoadResult result = BuildQuick({":0"}, {"127.0.0.1:1"}, balance::PolicyName(kind));
    ASSERT_TRUE(result.config.has_value());
    EXPECT_EQ(result.config->upstreams[0].balance, kind);
  }
}

TEST(QuickConfig, ReportsEveryWrongArgument) {
  EXPECT_THAT(QuickErrors({}, {}, ""),
              ElementsAre("rondo: --listen is missing: name an address, such as --listen :8080",
                          "rondo: --backend is missing: name at least one address, such as "
                          "--backend 127.0.0.1:3001"));
  EXPECT_THAT(QuickErrors({"8080", ":80", ":80"}, {":3001", "1.1.1.1:1", "1.1.1.1:1"}, "fastest"),
              ElementsAre("rondo: --listen `8080` is a number: write `:8080` to listen on a port",
                          "rondo: --listen `:80` is given twice",
                          "rondo: --backend `:3001` has no address before the port: write both, "
                          "such as `127.0.0.1:3001`",
                          "rondo: --backend `1.1.1.1:1` is given twice",
                          "rondo: --balance `fastest` is not one of `round_robin`, "
                          "`least_connections`, `ip_hash`, `consistent_hash`, `random_two` and "
                          "`peak_ewma`"));
}

}  // namespace
}  // namespace rondo::config
