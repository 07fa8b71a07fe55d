// What a correct file becomes.
#include <chrono>

#include "config/parse_helpers.h"

namespace rondo::config {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr std::string_view kSmallest = R"(
listeners: {web: {listen: [127.0.0.1:80], routes: [{upstream: api}]}}
upstreams: {api: {backends: [10.0.0.1:3000]}}
)";

TEST(Values, TakeTheirDefaultsWhereNothingIsWritten) {
  const Config config = ConfigOf(kSmallest);
  EXPECT_EQ(config.process, Process());
  EXPECT_EQ(config.logging, Logging());
  EXPECT_EQ(config.timeouts, Timeouts());
  EXPECT_EQ(config.limits, Limits());
  ASSERT_EQ(config.upstreams.size(), 1u);
  const Upstream& upstream = config.upstreams[0];
  EXPECT_EQ(upstream.name, "api");
  EXPECT_EQ(upstream.keepalive, Keepalive());
  EXPECT_EQ(upstream.retries, Retries());
  EXPECT_EQ(upstream.timeouts, UpstreamTimeouts());
  ASSERT_EQ(upstream.backends.size(), 1u);
  EXPECT_EQ(upstream.backends[0].id, "10.0.0.1:3000");
  EXPECT_EQ(upstream.backends[0].weight, 1u);
  ASSERT_EQ(config.listeners.size(), 1u);
  const Listener& listener = config.listeners[0];
  EXPECT_EQ(listener.via, "");
  EXPECT_THAT(listener.trusted_proxies, IsEmpty());
  ASSERT_EQ(listener.routes.size(), 1u);
  EXPECT_EQ(listener.routes[0].match, route::RouteMatch());
  EXPECT_EQ(listener.routes[0].upstream, "api");
  EXPECT_EQ(listener.routes[0].where, (SourceMark{.line = 2, .col = 52}));
}

TEST(Values, AreThoseThatAreWritten) {
  const Config config = ConfigOf(R"(
process: {workers: 4, engine: epoll, lame_duck: 5s, shutdown_grace: 1m, pid_file: run/rondo.pid}
logging: {level: warn, access: {path: access.log, format: combined}}
listeners:
  web:
    listen: ["0.0.0.0:80", ":81", unix:web.sock, "unix:@web"]
    trusted_proxies: [10.0.0.0/8, "::1"]
    via: edge-1
    routes:
      - match: {host: "*.Example.COM", path_prefix: /v1}
        upstream: api
        upgrades: [WebSocket, foo/2]
      - match: {path: /ping}
        respond: {status: 503, body: "pong\n"}
upstreams:
  api:
    balance: ip_hash
    protocol: http1
    backends: [{address: "[::1]:3000", weight: 65535, backup: true}, unix:api.sock]
    keepalive: {idle: 0, idle_timeout: 250ms, max_requests: 10, max_age: 1h}
    retries: {attempts: 0, on: [connect, 502, 504], budget: 100%, body_buffer: 1MiB}
    timeouts: {connect: 1s, response: 2s, idle: 3s, tunnel: 1d}
timeouts: {request_header: 1s, request_body: 2s, keepalive: 3s}
limits: {header_bytes: 1KiB, header_count: 10, body_bytes: 1GiB, connections: 1000}
)");
  EXPECT_EQ(config.process, (Process{.workers = 4,
                                     .engine = "epoll",
                                     .lame_duck = 5s,
                                     .shutdown_grace = 60s,
                                     .pid_file = "conf/run/rondo.pid"}));
  EXPECT_EQ(config.logging.level, LogLevel::kWarn);
  EXPECT_EQ(config.logging.access,
            (AccessLog{.path = "conf/access.log", .format = AccessLog::kCombined}));
  EXPECT_EQ(config.timeouts, (Timeouts{.request_header = 1s, .request_body = 2s, .keepalive = 3s}));
  EXPECT_EQ(config.limits, (Limits{.header_bytes = 1024,
                                   .header_count = 10,
                                   .body_bytes = uint64_t{1} << 30,
                                   .connections = 1000}));
  ASSERT_EQ(config.listeners.size(), 1u);
  const Listener& web = config.listeners[0];
  std::vector<std::string> addresses;
  for (const SocketAddress& address : web.listen) addresses.push_back(address.ToString());
  EXPECT_THAT(addresses, ElementsAre("0.0.0.0:80", ":81", "unix:conf/web.sock", "unix:@web"));
  EXPECT_EQ(web.trusted_proxies.size(), 2u);
  EXPECT_EQ(web.via, "edge-1");
  ASSERT_EQ(web.routes.size(), 2u);
  EXPECT_EQ(web.routes[0].match,
            (route::RouteMatch{.host = "*.example.com", .path = "", .path_prefix = "/v1"}));
  EXPECT_THAT(web.routes[0].upgrades, ElementsAre("websocket", "foo/2"));
  EXPECT_EQ(web.routes[1].respond, (Respond{.status = 503, .body = "pong\n"}));
  EXPECT_EQ(web.routes[1].upstream, "");
  ASSERT_EQ(config.upstreams.size(), 1u);
  const Upstream& api = config.upstreams[0];
  EXPECT_EQ(api.balance, balance::PolicyKind::kIpHash);
  EXPECT_EQ(api.keepalive,
            (Keepalive{.idle = 0, .idle_timeout = 250ms, .max_requests = 10, .max_age = 1h}));
  const RetryOn on{
      .connect = true, .reset_before_response = false, .status_502 = true, .status_504 = true};
  EXPECT_EQ(api.retries,
            (Retries{.attempts = 0, .on = on, .budget_percent = 100, .body_buffer = 1 << 20}));
  EXPECT_EQ(api.timeouts,
            (UpstreamTimeouts{.connect = 1s, .response = 2s, .idle = 3s, .tunnel = 24h}));
  ASSERT_EQ(api.backends.size(), 2u);
  EXPECT_EQ(api.backends[0].id, "[::1]:3000");
  EXPECT_EQ(api.backends[0].weight, 65535u);
  EXPECT_TRUE(api.backends[0].backup);
  EXPECT_EQ(api.backends[1].id, "unix:conf/api.sock");
}

TEST(Values, KeepTheOrderOfTheFile) {
  const Config config = ConfigOf(R"(
upstreams:
  z: {backends: [10.0.0.1:1]}
  a: {backends: [10.0.0.1:1]}
listeners:
  second: {listen: [":0", ":0"], routes: [{upstream: z}]}
  first: {listen: [":1"], routes: [{upstream: a}]}
)");
  ASSERT_EQ(config.listeners.size(), 2u);
  EXPECT_EQ(config.listeners[0].name, "second");
  EXPECT_EQ(config.upstreams[0].name, "z");
}

TEST(Values, MayComeFromTheEnvironment) {
  const Config config = ConfigOf(R"(
listeners:
  web:
    listen: [":${PORT}", ":${NOTHING:-81}"]
    routes:
      - respond: {status: "${EMPTY:-201}", body: "$$ $x ${NAME}-${EMPTY}."}
      - upstream: ${NAME}
      - respond: {body: '${YAML}'}
upstreams: {api: {backends: [10.0.0.1:3000]}}
)");
  ASSERT_EQ(config.listeners.size(), 1u);
  const Listener& web = config.listeners[0];
  ASSERT_EQ(web.listen.size(), 2u);
  EXPECT_EQ(web.listen[0].port, 8080);
  EXPECT_EQ(web.listen[1].port, 81);
  ASSERT_EQ(web.routes.size(), 3u);
  EXPECT_EQ(web.routes[0].respond, (Respond{.status = 201, .body = "$ $x api-."}));
  EXPECT_EQ(web.routes[1].upstream, "api");
  // A value is text, whatever YAML it looks like.
  EXPECT_EQ(web.routes[2].respond->body, "a: [b, c]\nd: e");
}

TEST(Values, MayBeSharedByAnchorsAndMerged) {
  const Config config = ConfigOf(R"(
x-routes: &routes
  - {match: {path: /a}, upstream: one}
  - upstream: two
x-upstream: &base
  keepalive: {idle: 7}
  balance: ip_hash
x-more: &more {balance: least_connections, retries: {attempts: 5}}
listeners:
  web: {listen: [":80"], routes: *routes}
  other: {listen: [":81"], routes: *routes}
upstreams:
  one: {<<: *base, backends: [10.0.0.1:1]}
  two: {<<: [*base, *more], backends: [10.0.0.1:1], keepalive: {idle: 8}}
)");
  ASSERT_EQ(config.listeners.size(), 2u);
  EXPECT_EQ(config.listeners[0].routes, config.listeners[1].routes);
  ASSERT_EQ(config.upstreams.size(), 2u);
  EXPECT_EQ(config.upstreams[0].keepalive.idle, 7u);
  EXPECT_EQ(config.upstreams[0].balance, balance::PolicyKind::kIpHash);
  EXPECT_EQ(config.upstreams[1].keepalive.idle, 8u);
  EXPECT_EQ(config.upstreams[1].balance, balance::PolicyKind::kIpHash);
  EXPECT_EQ(config.upstreams[1].retries.attempts, 5u);
}

TEST(Values, OfASectionThatIsEmptyAreTheDefaults) {
  const Config config = ConfigOf(std::string(kSmallest) + "timeouts:\nlimits: {}\n");
  EXPECT_EQ(config.timeouts, Timeouts());
  EXPECT_EQ(config.limits, Limits());
}

TEST(Values, NeedNoUpstreamWhereNoRouteNamesOne) {
  const Config config = ConfigOf("listeners: {web: {listen: [':80'], routes: [{respond: {}}]}}");
  EXPECT_EQ(config.listeners.at(0).routes.at(0).respond, Respond());
}

TEST(Values, AreReadBehindAByteOrderMarkAndWithCarriageReturns) {
  ConfigOf(
      "\xef\xbb\xbflisteners:\r\n  web:\r\n    listen: [':80']\r\n    routes: [{respond: {}}]\r\n");
}

}  // namespace
}  // namespace rondo::config
