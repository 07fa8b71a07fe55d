#include "config/drawn_config.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <set>
#include <string>

#include "rondo/base/rng.h"

namespace rondo::config {
namespace {

using namespace std::chrono_literals;

class Drawer {
 public:
  explicit Drawer(uint64_t seed) : rng_(seed) {}

  Config Draw() {
    Config config;
    DrawShared(config);
    const size_t upstreams = 1 + Below(4);
    for (size_t i = 0; i < upstreams; ++i) {
      config.upstreams.push_back(DrawUpstream(Name("u", i)));
    }
    const size_t listeners = 1 + Below(3);
    for (size_t i = 0; i < listeners; ++i) config.listeners.push_back(DrawListener(config, i));
    return config;
  }

 private:
  size_t Below(size_t bound) { return static_cast<size_t>(rng_.Below(bound)); }
  bool Coin() { return Below(2) == 0; }
  uint32_t From(uint32_t first, uint32_t last) {
    return first + static_cast<uint32_t>(Below(size_t{last} - first + 1));
  }
  // Names that YAML takes for something else among them.
  std::string Name(std::string_view prefix, size_t i) {
    static constexpr std::array kOdd = {"null", "1", "true", "0x10", "1e3", "a.b-c_d", "No"};
    if (Coin()) return std::string(prefix) + std::to_string(i);
    return kOdd[Below(kOdd.size())] + std::string(prefix) + std::to_string(i);
  }
  std::string OddText() {
    static const std::array<std::string, 22> kOdd = {"null",
                                                     "~",
                                                     "",
                                                     "yes",
                                                     "0",
                                                     "- a",
                                                     "a: b",
                                                     "# no",
                                                     "${HOME}",
                                                     "$",
                                                     "$$x",
                                                     "\"quoted\"",
                                                     "it's",
                                                     "back\\slash",
                                                     "tab\there",
                                                     "new\nline\r\n",
                                                     "\xc2\x85next",
                                                     "\xe2\x80\xa8line",
                                                     "\xef\xbb\xbfmark",
                                                     "\x01\x7f",
                                                     "{a: [b]}",
                                                     "caf\xc3\xa9 \xf0\x9f\x8d\xb5"};
    return kOdd[Below(kOdd.size())];
  }
  std::string FieldValue() {
    static const std::array<std::string, 9> kValues = {
        "", "a: b", "$${x}", "[1, 2]", "caf\xc3\xa9", "\"q\"; w=1", "*", "null", "tab\there"};
    return kValues[Below(kValues.size())];
  }
  Duration Millis(uint32_t first, uint32_t last) {
    return std::chrono::milliseconds(From(first, last));
  }
  Duration Seconds(uint32_t first, uint32_t last) {
    return std::chrono::seconds(From(first, last));
  }
  std::string Path() {
    static const std::array<std::string, 5> kPaths = {"/", "/v1", "/a-b/%2F", "/~x/'()*", "/1:2"};
    return kPaths[Below(kPaths.size())];
  }
  std::string Target() {
    static const std::array<std::string, 4> kTargets = {"/", "/health?full=1&x=%20", "/a:b", "/$x"};
    return kTargets[Below(kTargets.size())];
  }
  std::vector<std::pair<std::string, std::string>> Pairs() {
    std::vector<std::pair<std::string, std::string>> pairs;
    for (const std::string name : {"X-A", "x-$b", "null", "True", "X_*", "X-Api-Key"}) {
      if (Coin()) pairs.emplace_back(name, FieldValue());
    }
    return pairs;
  }

  void DrawShared(Config& config) {
    Process& process = config.process;
    if (Coin()) process.workers = static_cast<int>(From(1, 1024));
    if (Coin()) process.engine = Coin() ? "epoll" : "io_uring";
    if (Coin()) process.lame_duck = Millis(0, 5000);
    if (Coin()) process.shutdown_grace = Seconds(0, 90);
    if (Coin()) process.pid_file = "/run/a b: #.pid";
    if (Coin()) process.user = Coin() ? "1000:null" : "rondo";
    if (Coin()) process.state_file = "/var/$x/state.json";
    if (Coin()) config.logging.level = static_cast<LogLevel>(Below(4));
    if (Coin()) config.logging.access.path = Coin() ? "off" : "/log/\xc3\xa9";
    if (Coin()) config.logging.access.format = AccessLog::kCombined;
    if (Coin()) config.admin->listen = *SocketAddress::Parse(Coin() ? "[::1]:99" : "unix:/a b");
    if (Coin()) config.admin->token = Coin() ? "$$tok\"en{" : "x";
    if (Coin()) {
      AdminTls& tls = config.admin->tls.emplace();
      tls.cert = "/a b.pem";
      tls.key = "/$key";
      if (Coin()) tls.client_ca = "/null";
    }
    if (config.admin->tls && !config.admin->tls->client_ca.empty() && Coin()) {
      config.admin->listen = *SocketAddress::Parse("10.0.0.1:9900");
    }
    if (Below(4) == 0) config.admin.reset();
    Resolver& resolver = config.resolver;
    if (Coin()) resolver.servers.push_back(*SocketAddress::Parse("[fd00::2]:53"));
    if (Coin()) resolver.timeout = Millis(10, 5000);
    if (Coin()) resolver.attempts = From(1, 10);
    if (Coin()) resolver.max_ttl = Seconds(1, 600);
    if (Coin()) config.timeouts.request_header = Millis(1, 100'000);
    if (Coin()) config.timeouts.request_body = Seconds(1, 100);
    if (Coin()) config.timeouts.keepalive = std::chrono::hours(From(1, 100));
    if (Coin()) config.limits.header_bytes = From(1024, 1 << 20);
    if (Coin()) config.limits.header_count = From(1, 10000);
    if (Coin()) config.limits.body_bytes = uint64_t{From(0, 3000)} << From(0, 38);
    if (Coin()) config.limits.connections = From(0, 10'000'000);
    if (Coin()) config.limits.handshakes = From(0, 10'000'000);
    if (Coin()) config.timeouts.handshake = Millis(1, 100'000);
  }

  void DrawTls(ListenerTls& tls) {
    const size_t certificates = 1 + Below(3);
    for (size_t i = 0; i < certificates; ++i) {
      CertificateFiles& files = tls.certificates.emplace_back();
      files.cert = "/" + Name("cert", i) + OddText();
      files.key = "/$" + Name("key", i);
      if (Coin()) files.ocsp = "/a b.ocsp";
    }
    tls.tls13_only = Coin();
    if (Coin()) tls.alpn.resize(Below(2));
    if (Coin()) tls.hsts = Seconds(0, 1'000'000);
    if (Coin()) tls.ticket_keys = "/: tickets";
    if (Coin()) return;
    tls.client_ca = "/ca\n.pem";
    tls.client_auth = Coin() ? ClientAuth::kOptional : ClientAuth::kRequired;
    tls.client_headers = Coin();
    if (Coin()) tls.crl = "/crl";
  }

  void DrawTls(UpstreamTls& tls) {
    tls.verify = Coin();
    if (tls.verify && Coin()) tls.ca = "/~";
    if (Coin()) tls.sni = "api.internal";
    if (Coin()) return;
    tls.cert = "/c: ert";
    tls.key = "/key #";
  }

  void DrawNetworks(std::vector<Network>& networks) {
    for (const char* text : {"10.0.0.0/8", "::1", "2001:db8::/32", "0.0.0.0/0", "192.0.2.1"}) {
      if (Below(3) == 0) networks.push_back(*Network::Parse(text));
    }
  }

  void DrawProtection(Listener& listener) {
    const bool has_unix = listener.listen.size() == 2;
    if (!has_unix && Coin()) listener.listen = {*SocketAddress::Parse("unix:@" + listener.name)};
    const bool is_unix = listener.listen.front().kind == SocketAddress::Kind::kUnix;
    if (is_unix || !listener.trusted_proxies.empty()) listener.proxy_protocol = Coin();
    if (Coin()) DrawTls(listener.tls.emplace());
    Http2& http2 = listener.http2;
    if (Coin()) http2.max_streams = From(1, 1000);
    if (Coin()) http2.connection_window = From(64 << 10, 64 << 20);
    const uint32_t most = std::min<uint32_t>(http2.connection_window, 16 << 20);
    if (Coin()) http2.stream_window = From(64 << 10, most);
    if (Coin()) http2.max_age = Millis(0, 100'000);
    DrawNetworks(listener.allow);
    DrawNetworks(listener.deny);
    if (Coin()) listener.connections_total = From(0, 10'000'000);
    if (Coin()) listener.connections_per_address = From(0, 10'000'000);
    if (Coin()) listener.min_rate_request = From(0, 1 << 30);
    if (Coin()) listener.min_rate_response = From(0, 1 << 30);
  }

  RateLimit DrawRateLimit() {
    RateLimit limit;
    limit.requests = From(1, 1'000'000);
    if (Coin()) limit.requests = From(1, 100);
    limit.per = std::array<Duration, 3>{1s, 1min, 1h}[Below(3)];
    limit.burst = From(1, 1'000'000);
    if (Coin()) limit.burst = From(1, 10);
    if (Coin()) limit.key = {.source = HashKey::Source::kHeader, .name = "X-Key"};
    limit.dry_run = Coin();
    return limit;
  }

  HealthCheck DrawCheck(bool has_http2) {
    HealthCheck check;
    if (Coin()) check.interval = Millis(10, 60'000);
    if (Coin()) check.timeout = Millis(1, 60'000);
    if (Coin()) check.healthy_threshold = From(1, 1000);
    if (Coin()) check.unhealthy_threshold = From(1, 1000);
    if (Coin()) check.port = static_cast<uint16_t>(From(1, 65535));
    if (Coin()) {
      check.type = HealthCheck::Type::kTcp;
      return check;
    }
    if (has_http2 && Coin()) {
      check.type = HealthCheck::Type::kGrpc;
      if (Coin()) check.host = "api.example.com";
      if (Coin()) check.headers = Pairs();
      if (Coin()) check.service = OddText();
      return check;
    }
    if (Coin()) check.method = Coin() ? "HEAD" : "OPTIONS";
    if (Coin()) check.path = Target();
    if (Coin()) check.host = Coin() ? "api.example.com:80" : "[::1]";
    if (Coin()) check.headers = Pairs();
    if (Coin()) check.expect_status = {{200, 299}, {304, 304}, {200, 599}};
    if (Coin() && check.method != "HEAD") {
      check.expect_body = OddText();
    }
    return check;
  }

  template <class T>
  void DrawShare(T& backend) {
    if (Coin()) backend.weight = From(1, 65535);
    if (Coin()) backend.backup = true;
    if (Coin()) backend.max_connections = From(0, 1'000'000);
  }

  void DrawBackends(Upstream& upstream) {
    const size_t count = Below(4);
    for (size_t i = 0; i < count; ++i) {
      static constexpr std::array kAddresses = {"10.0.0.1:80", "[::1]:80", "unix:/a b", "unix:@x"};
      Backend& backend = upstream.backends.emplace_back();
      backend.address = *SocketAddress::Parse(kAddresses[i]);
      backend.id = backend.address.ToString();
      backend.explicit_id = Coin();
      if (backend.explicit_id) backend.id = Name("b", i);
      DrawShare(backend);
    }
    if (Coin()) {
      BackendSource& source = upstream.sources.emplace_back();
      source.name = "api.internal.";
      source.port = static_cast<uint16_t>(From(1, 65535));
      source.explicit_id = Coin();
      source.id = source.explicit_id ? "n@me" : source.name + ":" + std::to_string(source.port);
      DrawShare(source);
    }
    if (Coin()) {
      BackendSource& source = upstream.sources.emplace_back();
      source.kind = BackendSource::Kind::kDns;
      source.name = "_x.api";
      source.port = 80;
      DrawShare(source);
    }
    if (Coin()) {
      BackendSource& source = upstream.sources.emplace_back();
      source.kind = BackendSource::Kind::kSrv;
      source.name = "_http._tcp.api";
      if (Coin()) source.max_connections = 7;
    }
    if (Coin()) {
      BackendSource& source = upstream.sources.emplace_back();
      source.kind = BackendSource::Kind::kFile;
      source.path = "/etc/${x} b.yaml";
    }
  }

  void DrawLife(Upstream& upstream) {
    if (Coin()) upstream.health_check = DrawCheck(upstream.protocol != Protocol::kHttp1);
    if (Coin()) upstream.passive_health.max_fails = From(0, 1'000'000);
    if (Coin()) upstream.passive_health.fail_timeout = Millis(10, 100'000);
    if (Coin()) {
      WarmUp& warm_up = upstream.warm_up.emplace();
      if (Coin()) warm_up.path = Target();
      if (Coin()) warm_up.requests = From(1, 1'000'000);
      if (Coin()) warm_up.concurrency = From(1, 1000);
      if (Coin()) warm_up.timeout = Millis(10, 100'000);
    }
    if (Coin()) upstream.slow_start = Millis(0, 100'000);
    if (Coin()) upstream.panic_percent = From(0, 100);
    if (Coin()) upstream.drain_timeout = Seconds(0, 1000);
  }

  void DrawProtocol(Upstream& upstream) {
    if (Coin()) DrawTls(upstream.tls.emplace());
    if (Coin()) upstream.protocol = upstream.tls ? Protocol::kH2 : Protocol::kH2c;
    const bool shares = upstream.protocol != Protocol::kHttp1;
    if (!shares && Coin()) upstream.send_proxy = Coin() ? SendProxy::kV1 : SendProxy::kV2;
  }

  Upstream DrawUpstream(std::string name) {
    Upstream upstream;
    upstream.name = std::move(name);
    upstream.balance = balance::kPolicyKinds[Below(balance::kPolicyKinds.size())];
    if (upstream.balance == balance::PolicyKind::kConsistentHash && Coin()) {
      upstream.hash_key = {.source = HashKey::Source::kHeader, .name = "X-*"};
    }
    if (Coin()) {
      upstream.sticky.emplace();
      if (Coin()) upstream.sticky->cookie = "null";
      if (Coin()) upstream.sticky->ttl = Seconds(0, 9000);
    }
    DrawBackends(upstream);
    DrawProtocol(upstream);
    DrawLife(upstream);
    if (Coin()) upstream.keepalive = {From(0, 65536), Millis(1, 9999), From(0, 99), Millis(0, 99)};
    if (Coin()) upstream.queue = {From(0, 1'000'000), Millis(1, 60'000)};
    Retries& retries = upstream.retries;
    if (Coin()) retries.attempts = From(0, 16);
    if (Coin()) retries.on = {Coin(), Coin(), Coin(), Coin(), Coin()};
    if (Coin()) retries.budget_percent = From(0, 100);
    if (Coin()) retries.body_buffer = From(0, 16 << 20);
    if (Coin()) upstream.timeouts.connect = Millis(1, 99'999);
    if (Coin()) upstream.timeouts.tunnel = Seconds(1, 999'999);
    return upstream;
  }

  void DrawMatch(route::RouteMatch& match) {
    using Kind = route::ValueMatch::Kind;
    if (Coin()) match.host = Coin() ? "*.example.com" : "[::1]";
    if (Coin()) match.path = Path();
    if (Coin()) match.path_prefix = Path();
    if (Coin()) match.path_regex = "/[a-z]+\\.(x|${y})?";
    if (Coin()) match.methods = {"GET", "null"};
    if (Coin()) match.headers.push_back({.name = "x-A", .kind = Kind::kExact, .text = "a: b"});
    if (Coin()) match.headers.push_back({.name = "X-B", .kind = Kind::kAbsent});
    if (Coin()) match.cookies.push_back({.name = "c$", .kind = Kind::kPrefix, .text = "2."});
    if (Coin()) match.query.push_back({.name = "a: b\n", .kind = Kind::kExact, .text = OddText()});
    if (Coin()) match.query.push_back({.name = "<<", .kind = Kind::kPresent});
    if (Coin()) {
      match.query.push_back({.name = std::string(2000, 'x'), .kind = Kind::kRegex, .text = ".+"});
    }
  }

  void DrawForwarding(const Config& config, RouteConfig& route) {
    if (Coin()) {
      route.upstream = config.upstreams[Below(config.upstreams.size())].name;
    } else {
      for (const Upstream& upstream : config.upstreams) {
        route.upstreams.push_back({.name = upstream.name, .weight = From(1, 1000)});
      }
      if (Coin()) route.split_by = {.source = HashKey::Source::kCookie, .name = "c"};
    }
    if (Coin()) route.upgrades = {"websocket", "foo/2"};
    if (!route.match.path_prefix.empty() && Coin()) route.rewrite_prefix = "/$new";
    if (Coin()) route.request_headers.set = Pairs();
    if (Coin()) route.request_headers.remove = {"X-Gone", "~"};
    if (Coin()) route.timeout = Millis(1, 99'999);
    if (Coin()) route.timeout_total = Seconds(1, 999);
  }

  RouteConfig DrawRoute(const Config& config) {
    RouteConfig route;
    DrawMatch(route.match);
    const size_t kind = Below(4);
    if (kind == 0) {
      route.respond = {.status = static_cast<int>(From(400, 599)), .body = OddText()};
    } else if (kind == 1) {
      static constexpr std::array kTargets = {"https://example.com/?a=$b&c=[d]",
                                              "https://{host}:8443{uri}", "/new{uri}"};
      route.redirect = {.status = Coin() ? 301 : 302, .to = kTargets[Below(kTargets.size())]};
    } else {
      DrawForwarding(config, route);
    }
    if (Coin()) route.response_headers.set = Pairs();
    if (Coin()) route.response_headers.remove = {"X-Gone"};
    if (Coin()) route.body_bytes = From(0, 5000);
    if (Coin()) route.uri_bytes = From(0, 1 << 20);
    if (Coin()) route.rate_limit = DrawRateLimit();
    DrawNetworks(route.allow);
    DrawNetworks(route.deny);
    return route;
  }

  Listener DrawListener(const Config& config, size_t i) {
    Listener listener;
    listener.name = Name("l", i);
    const std::string port = std::to_string(1000 + i);
    listener.listen.push_back(*SocketAddress::Parse((Coin() ? ":" : "0.0.0.0:") + port, true));
    if (Coin()) listener.listen.push_back(*SocketAddress::Parse("unix:/run/l" + port));
    if (Coin()) listener.trusted_proxies = {*Network::Parse("10.0.0.0/8"), *Network::Parse("::1")};
    if (Coin()) listener.via = "edge";
    DrawProtection(listener);
    const size_t routes = 1 + Below(4);
    for (size_t k = 0; k < routes; ++k) listener.routes.push_back(DrawRoute(config));
    return listener;
  }

  Rng rng_;
};

}  // namespace

Config DrawConfig(uint64_t seed) { return Drawer(seed).Draw(); }

}  // namespace rondo::config
