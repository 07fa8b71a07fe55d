// The checked configuration: plain values with the defaults of docs/configuration.md. What stands
// here is valid (names exist, addresses parse, ranges hold); control/ turns it into a snapshot. Not
// changed once made.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rondo/base/address.h"
#include "rondo/base/log.h"
#include "rondo/base/time.h"
#include "rondo/config/source_mark.h"
#include "rondo/config/tls.h"
#include "rondo/config/upstream.h"
#include "rondo/http/header_edits.h"
#include "rondo/route/route_config.h"

namespace rondo::config {

struct Process {
  int workers = 0;              // event loops; 0: one for each CPU this process may use
  std::string engine = "auto";  // "auto", "io_uring" or "epoll"
  Duration lame_duck = std::chrono::seconds(0);
  Duration shutdown_grace = std::chrono::seconds(30);
  std::string pid_file = {};    // empty: none
  std::string user = {};        // "user" or "user:group", to become once bound; empty: stay
  std::string state_file = {};  // what the API changed is kept here; empty: in memory only
  friend bool operator==(const Process&, const Process&) = default;
};

// 127.0.0.1:9900
SocketAddress DefaultAdminAddress();

// The admin API.
struct Admin {
  SocketAddress listen = DefaultAdminAddress();
  std::string token = {};  // empty: none is asked for; off the loopback only with a client_ca
  std::optional<AdminTls> tls = {};  // nothing: plain
  friend bool operator==(const Admin&, const Admin&) = default;
};
// On the machine itself: 127.0.0.0/8, ::1 and unix sockets.
bool IsLoopback(const SocketAddress& address);

// How names are resolved.
struct Resolver {
  std::vector<SocketAddress> servers =
      {};  // tried in order; empty: /etc/resolv.conf and /etc/hosts
  Duration timeout = std::chrono::seconds(2);  // of one attempt
  uint32_t attempts = 2;                       // at each server, the first included
  Duration max_ttl = std::chrono::seconds(5);  // 1s at least
  friend bool operator==(const Resolver&, const Resolver&) = default;
};

struct AccessLog {
  enum Format : uint8_t { kJson, kCombined };
  std::string path = "stdout";  // "stdout", "stderr", "off", or a file
  Format format = kJson;
  friend bool operator==(const AccessLog&, const AccessLog&) = default;
};

struct Logging {
  LogLevel level = LogLevel::kInfo;
  AccessLog access;
  friend bool operator==(const Logging&, const Logging&) = default;
};

// A fixed answer. `body` is empty where the status has none (204, 205, 304).
struct Respond {
  int status = 200;  // 200 to 599
  std::string body = {};
  friend bool operator==(const Respond&, const Respond&) = default;
};

struct Redirect {
  int status = 302;  // 301, 302, 303, 307 or 308
  // An absolute URL, or a path that begins with '/'; fit for a Location field. {host} in it stands
  // for the host that was asked for, without its port, and {uri} (at its end, as the path) for the
  // request's path and query.
  std::string to = {};
  friend bool operator==(const Redirect&, const Redirect&) = default;
};

struct WeightedUpstream {
  std::string name = {};  // of one of Config::upstreams
  uint32_t weight = 1;    // 0 to 1000
  friend bool operator==(const WeightedUpstream&, const WeightedUpstream&) = default;
};

// Requests of one key in a time.
struct RateLimit {
  uint32_t requests = 1;                   // 1 to 1,000,000
  Duration per = std::chrono::seconds(1);  // a second, a minute or an hour
  uint32_t burst = 1;    // at once, 1 to 1,000,000; those of a second where none was given
  HashKey key = {};      // kClientIp, kHeader or kCookie
  bool dry_run = false;  // only counts
  friend bool operator==(const RateLimit&, const RateLimit&) = default;
};

struct RouteConfig {
  route::RouteMatch match;
  // Which clients are let in: none in `deny`, and only those in `allow` where that is not empty.
  std::vector<Network> allow = {};
  std::vector<Network> deny = {};
  std::optional<RateLimit> rate_limit = {};
  uint32_t uri_bytes = 0;  // of the request's target (414); 0: only Limits::header_bytes
  // Exactly one of the four is set.
  std::string upstream = {};                     // the name of one of Config::upstreams
  std::vector<WeightedUpstream> upstreams = {};  // in file order, no name twice, weights not all 0
  std::optional<Respond> respond = {};
  std::optional<Redirect> redirect = {};

  // All that follows but response_headers is only set with `upstream` or `upstreams`.
  HashKey split_by = {.source = HashKey::Source::kRequestId};  // never kPath or kUri
  // Upgrade tokens that are forwarded, in lower case; never "h2c".
  std::vector<std::string> upgrades = {};
  // Replaces match.path_prefix, which is set then, in what is forwarded; empty: nothing is
  // replaced.
  std::string rewrite_prefix = {};
  // Editable names and values, no name twice in any case.
  http::HeaderEdits request_headers;
  http::HeaderEdits response_headers;
  std::optional<Duration> timeout = {};        // else UpstreamTimeouts::response
  std::optional<Duration> timeout_total = {};  // of the whole exchange; else none
  std::optional<uint64_t> body_bytes = {};     // else Limits::body_bytes; 0: no limit

  bool forwards() const { return !upstream.empty() || !upstreams.empty(); }
  Where where = {};
  friend bool operator==(const RouteConfig&, const RouteConfig&) = default;
};

// What a listener grants a connection that speaks HTTP/2.
struct Http2 {
  uint32_t max_streams = 128;            // at once, 1 to 1000
  uint32_t stream_window = 64 * 1024;    // bytes a client may send ahead; <= connection_window
  uint32_t connection_window = 1 << 20;  // the same over all of a connection's streams
  Duration max_age = std::chrono::seconds(0);  // then it is drained; 0: never
  friend bool operator==(const Http2&, const Http2&) = default;
};

struct Listener {
  std::string name = {};
  std::vector<SocketAddress> listen = {};  // at least one; none twice in the configuration
  std::vector<Network> trusted_proxies = {};
  bool proxy_protocol = false;          // only with trusted_proxies or unix sockets
  std::optional<ListenerTls> tls = {};  // nothing: plain
  Http2 http2 = {};                     // plain: by prior knowledge; TLS: where its alpn has h2
  std::vector<Network> allow = {};      // as of a route; both must let a client in
  std::vector<Network> deny = {};
  uint32_t connections_total = 0;        // 0: no limit
  uint32_t connections_per_address = 0;  // 0: no limit
  uint64_t min_rate_request = 0;         // bytes a second, over 10s; 0: none
  uint64_t min_rate_response = 0;
  std::string via = {};                  // empty: no Via header
  std::vector<RouteConfig> routes = {};  // at least one; the first that matches wins
  friend bool operator==(const Listener&, const Listener&) = default;
};

// Towards clients. request_header and handshake are totals, request_body and keepalive are between
// reads.
struct Timeouts {
  Duration request_header = std::chrono::seconds(10);
  Duration request_body = std::chrono::seconds(60);
  Duration keepalive = std::chrono::seconds(60);
  Duration handshake = std::chrono::seconds(10);  // a PROXY header and the TLS handshake
  friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

struct Limits {
  uint32_t header_bytes = 32 * 1024;
  uint32_t header_count = 100;
  uint64_t body_bytes = 0;       // 0: no limit
  uint32_t connections = 0;      // 0: no limit
  uint32_t handshakes = 10'000;  // TLS handshakes under way, over all workers; 0: no limit
  friend bool operator==(const Limits&, const Limits&) = default;
};

struct Config {
  Process process;
  Logging logging;
  std::optional<Admin> admin = Admin();  // nothing: off
  // An admin address that is taken already is a warning, not a refusal to start: nobody asked for
  // the admin API (`rondo run --listen --backend`).
  bool admin_optional = false;
  Resolver resolver;
  std::vector<Listener> listeners = {};  // in file order; at least one
  std::vector<Upstream> upstreams = {};  // in file order
  Timeouts timeouts;
  Limits limits;
  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace rondo::config
