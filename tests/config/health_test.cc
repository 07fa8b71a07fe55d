// Health checks, warm-up and drain; the admin API, the resolver and the state file.
#include <chrono>

#include "config/parse_helpers.h"

namespace rondo::config {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;

constexpr std::string_view kListener =
    "listeners: {web: {listen: [':80'], routes: [{upstream: api}]}}\n";

// The keys stand in line 1 from column 33.
std::string InUpstream(const std::string& keys) {
  return "upstreams: {api: {backends: [], " + keys + "}}\n" + std::string(kListener);
}
Upstream UpstreamOf(const std::string& keys) {
  const Config config = ConfigOf(InUpstream(keys));
  return config.upstreams.empty() ? Upstream() : config.upstreams[0];
}
// The keys of a health check stand in line 1 from column 48.
std::vector<std::string> CheckErrors(const std::string& keys) {
  return ErrorsOf(InUpstream("health_check: {" + keys + "}"));
}

TEST(HealthKeys, AreOffOrAtTheirDefaultsWhereNothingIsWritten) {
  const Upstream upstream = UpstreamOf("slow_start: 0s");
  EXPECT_EQ(upstream.health_check, std::nullopt);
  EXPECT_EQ(upstream.warm_up, std::nullopt);
  EXPECT_EQ(upstream.passive_health, (PassiveHealth{.max_fails = 3, .fail_timeout = 30s}));
  EXPECT_EQ(upstream.slow_start, 0s);
  EXPECT_EQ(upstream.panic_percent, 0u);
  EXPECT_EQ(upstream.drain_timeout, 30s);
}

TEST(HealthKeys, AreOnWhereTheirSectionIsWrittenAndEmpty) {
  const Upstream upstream = UpstreamOf("health_check: {}, warm_up:");
  EXPECT_EQ(upstream.health_check, HealthCheck());
  EXPECT_EQ(upstream.warm_up, WarmUp());
  EXPECT_EQ(upstream.health_check->path, "/");
  EXPECT_THAT(upstream.health_check->expect_status, ElementsAre(StatusRange{200, 200}));
}

TEST(HealthKeys, TakeWhatIsWritten) {
  const Upstream upstream = UpstreamOf(
      "health_check: {path: '/health?full=1', interval: 250ms, timeout: 10s, healthy_threshold: 1, "
      "unhealthy_threshold: 5, expect_status: [200-299, 304], host: 'api.example.com:8080', "
      "method: POST, headers: {X-Probe: rondo}, port: 8081, expect_body: ok}, "
      "passive_health: {max_fails: 0, fail_timeout: 1m}, "
      "warm_up: {path: /w, requests: 5, concurrency: 1, timeout: 1s}, "
      "slow_start: 1m, panic_threshold: 50%, drain_timeout: 0s");
  EXPECT_EQ(upstream.health_check, (HealthCheck{.interval = 250ms,
                                                .timeout = 10s,
                                                .healthy_threshold = 1,
                                                .unhealthy_threshold = 5,
                                                .port = 8081,
                                                .method = "POST",
                                                .path = "/health?full=1",
                                                .host = "api.example.com:8080",
                                                .headers = {{"X-Probe", "rondo"}},
                                                .expect_status = {{200, 299}, {304, 304}},
                                                .expect_body = "ok"}));
  EXPECT_EQ(upstream.passive_health, (PassiveHealth{.max_fails = 0, .fail_timeout = 1min}));
  EXPECT_EQ(upstream.warm_up,
            (WarmUp{.path = "/w", .requests = 5, .concurrency = 1, .timeout = 1s}));
  EXPECT_EQ(upstream.slow_start, 1min);
  EXPECT_EQ(upstream.panic_percent, 50u);
  EXPECT_EQ(upstream.drain_timeout, 0s);
  EXPECT_EQ(UpstreamOf("health_check: {type: tcp, port: 1}").health_check,
            (HealthCheck{.type = HealthCheck::Type::kTcp, .port = 1}));
  EXPECT_THAT(UpstreamOf("health_check: {expect_status: 204}").health_check->expect_status,
              ElementsAre(StatusRange{204, 204}));
}

TEST(HealthKeys, SayWhatIsWrongWithACheck) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"path: health", {"1:54: `path`: `health` must begin with `/`"}},
      {"path: '/a#b'",
       {"1:54: `path`: `/a#b` has a fragment, which requests do not: remove what stands from `#` "
        "on"}},
      {"path: '/a b'",
       {"1:54: `path`: `/a b` has a space or a character that is not ASCII: write it escaped, as "
        "in `%20`"}},
      {"interval: 5",
       {"1:58: `interval` is `5`, but must be a duration from 10ms to 1d, such as "
        "250ms or 5s: write `5s`"}},
      {"method: PUT", {"1:56: `method` is `PUT`, but must be `GET`, `HEAD`, `OPTIONS` or `POST`"}},
      {"host: 'http://a'",
       {"1:54: `host`: `http://a` is a URL: write the host alone, such as `api.example.com`"}},
      {"host: 'a b'",
       {"1:54: `host`: `a b` is not a host, such as `api.example.com` or "
        "`api.example.com:8080`"}},
      {"expect_status: [100, 200-, 299-200, ok]",
       {"1:64: `expect_status`: `100` must be a status code from 200 to 599, or a range such as "
        "200-299",
        "1:69: `expect_status`: `200-` must be a status code from 200 to 599, or a range such as "
        "200-299",
        "1:75: `expect_status`: `299-200` must be a status code from 200 to 599, or a range such "
        "as 200-299",
        "1:84: `expect_status`: `ok` must be a status code from 200 to 599, or a range such as "
        "200-299"}},
      {"expect_status: []",
       {"1:63: `expect_status` is empty: write at least one, or remove the key"}},
      {"headers: {Host: a, X-A: '1', x-a: '2', Connection: x, X-B: ' y'}",
       {"1:58: `headers`: `Host` is written as `host`: use that key in its place",
        "1:77: `headers` has `x-a` twice",
        "1:87: `headers`: `Connection` can not be changed: it belongs to the connection or to how "
        "messages are framed",
        "1:107: `headers`: ` y` can not be the value of a header: it must have no control "
        "characters and no spaces at its ends"}},
      {"expect_body: ''", {"1:61: `expect_body` must have 1 to 4096 bytes"}},
      {"method: HEAD, expect_body: x",
       {"1:75: `expect_body` has no meaning with `method: HEAD`, which has no body: remove one of "
        "them"}},
      {"type: tcp, path: /, expect_status: [200]",
       {"1:59: `path` has no meaning for a check of `type: tcp`: remove it",
        "1:68: `expect_status` has no meaning for a check of `type: tcp`: remove it"}},
      {"port: 0", {"1:54: `port` is `0`, but must be a whole number from 1 to 65535"}},
      {"unhealthy_treshold: 1",
       {"1:48: unknown key `unhealthy_treshold`; did you mean `unhealthy_threshold`?"}},
  };
  for (const auto& [keys, errors] : cases) {
    EXPECT_THAT(CheckErrors(keys), ElementsAreArray(errors)) << keys;
  }
}

TEST(AdminKeys, AreOnTheLoopbackWhereNothingIsWritten) {
  EXPECT_EQ(ConfigOf(InUpstream("slow_start: 0s")).admin, Admin());
  EXPECT_EQ(Admin().listen.ToString(), "127.0.0.1:9900");
  EXPECT_EQ(Admin().token, "");
  EXPECT_FALSE(ConfigOf(InUpstream("slow_start: 0s")).admin_optional);
}

// `keys` stand in line 1 from column 9.
std::string WithAdmin(const std::string& keys) {
  return "admin: {" + keys + "}\n" + InUpstream("slow_start: 0s");
}

TEST(AdminKeys, TakeWhatIsWritten) {
  EXPECT_EQ(ConfigOf(WithAdmin("listen: off, token: x")).admin, std::nullopt);
  const std::optional<Admin> unix_socket = ConfigOf(WithAdmin("listen: unix:a.sock")).admin;
  ASSERT_TRUE(unix_socket.has_value());
  EXPECT_EQ(unix_socket->listen.ToString(), "unix:conf/a.sock");
  const std::optional<Admin> open = ConfigOf(WithAdmin("listen: '[::]:1', token: '${NAME}'")).admin;
  ASSERT_TRUE(open.has_value());
  EXPECT_EQ(open->token, "api");
}

TEST(AdminKeys, WantATokenOffTheLoopback) {
  for (const std::string address : {"127.0.0.1:1", "127.1.2.3:1", "'[::1]:1'", "unix:/a", "off"}) {
    EXPECT_THAT(ErrorsOf(WithAdmin("listen: " + address)), IsEmpty()) << address;
  }
  for (const std::string address : {"0.0.0.0:1", "10.0.0.1:1", "'[::]:1'", "':1'"}) {
    const std::vector<std::string> errors =
        ErrorsOf(WithAdmin("listen: " + address + ", token: '${EMPTY}'"));
    ASSERT_EQ(errors.size(), 1u) << address;
    EXPECT_THAT(errors[0], testing::HasSubstr("can be reached from other machines: write a "
                                              "`token` too"));
  }
}

TEST(AdminKeys, NeverShowATokenInAnError) {
  const std::vector<std::string> errors = ErrorsOf(WithAdmin("token: 's3cret token'"));
  EXPECT_THAT(errors, ElementsAre("1:16: `token` must be at most 1024 ASCII characters without "
                                  "spaces"));
  EXPECT_THAT(ErrorsOf(WithAdmin("token: '***'")),
              ElementsAre("1:16: `token` is what stands for a token that is not shown: write the "
                          "token itself"));
}

TEST(AdminKeys, ShareNoAddressWithAListener) {
  const auto clash = [](const std::string& admin, const std::string& listen) {
    return !ErrorsOf("admin: {listen: '" + admin + "', token: x}\nlisteners: {web: {listen: ['" +
                     listen + "'], routes: [{respond: {}}]}}\n")
                .empty();
  };
  EXPECT_TRUE(clash("127.0.0.1:9900", "127.0.0.1:9900"));
  EXPECT_TRUE(clash("127.0.0.1:9900", ":9900"));
  EXPECT_TRUE(clash("0.0.0.0:9900", "10.0.0.1:9900"));
  EXPECT_TRUE(clash("unix:/a", "unix:/a"));
  EXPECT_FALSE(clash("127.0.0.1:9900", "127.0.0.2:9900"));
  EXPECT_FALSE(clash("127.0.0.1:9900", "[::]:9900"));
  EXPECT_FALSE(clash("127.0.0.1:9900", "127.0.0.1:9901"));
  EXPECT_FALSE(clash("127.0.0.1:0", "127.0.0.1:0"));
}

TEST(ResolverKeys, TakeWhatIsWritten) {
  const Config config = ConfigOf(
      "resolver: {servers: [10.0.0.2, '[fd00::2]:5353'], timeout: 1s, attempts: 1, "
      "max_ttl: 1m}\n" +
      InUpstream("slow_start: 0s"));
  ASSERT_EQ(config.resolver.servers.size(), 2u);
  EXPECT_EQ(config.resolver.servers[0].ToString(), "10.0.0.2:53");
  EXPECT_EQ(config.resolver.servers[1].ToString(), "[fd00::2]:5353");
  EXPECT_EQ(config.resolver.timeout, 1s);
  EXPECT_EQ(config.resolver.attempts, 1u);
  EXPECT_EQ(config.resolver.max_ttl, 1min);
  EXPECT_THAT(ErrorsOf("resolver: {servers: [dns, 10.0.0.1, '10.0.0.1:53'], max_ttl: 500ms}\n" +
                       InUpstream("slow_start: 0s")),
              ElementsAre("1:22: `servers`: `dns` is not the address of a name server: write it "
                          "like `10.0.0.2`, `10.0.0.2:53` or `[fd00::2]:53`",
                          "1:37: `servers` has `10.0.0.1:53` twice",
                          "1:62: `max_ttl` is `500ms`, but must be a duration from 1s to 1d, such "
                          "as 250ms or 5s"));
}

TEST(ProcessKeys, TakeAStateFile) {
  EXPECT_EQ(
      ConfigOf("process: {state_file: s.json}\n" + InUpstream("slow_start: 0s")).process.state_file,
      "conf/s.json");
  EXPECT_THAT(ErrorsOf("process: {state_file: a, pid_file: ./a}\n" + InUpstream("slow_start: 0s")),
              ElementsAre("1:11: `state_file` and `pid_file` are the same file: write another"));
}

}  // namespace
}  // namespace rondo::config
