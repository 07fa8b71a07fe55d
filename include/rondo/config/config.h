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

#include "rondo/balance/policy_kind.h"
#include "rondo/base/address.h"
#include "rondo/base/log.h"
#include "rondo/base/time.h"
#include "rondo/http/header_edits.h"
#include "rondo/route/route_config.h"

namespace rondo::config {

// A place in the configuration file, both from 1; 0 where there is no file.
struct SourceMark {
  int line = 0;
  int col = 0;
  friend bool operator==(const SourceMark&, const SourceMark&) = default;
};

struct Process {
  int workers = 0;              // event loops; 0: one for each CPU this process may use
  std::string engine = "auto";  // "auto", "io_uring" or "epoll"
  Duration lame_duck = std::chrono::seconds(0);
  Duration shutdown_grace = std::chrono::seconds(30);
  std::string pid_file;  // empty: none
  friend bool operator==(const Process&, const Process&) = default;
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
  std::string body;
  friend bool operator==(const Respond&, const Respond&) = default;
};

struct Redirect {
  int status = 302;  // 301, 302, 303, 307 or 308
  std::string to;    // an absolute URL, or a path that begins with '/'; fit for a Location field
  friend bool operator==(const Redirect&, const Redirect&) = default;
};

// What of a request is hashed where the same must go the same way. A request without that header or
// cookie, or whose value is empty: a split falls back to kRequestId, a policy to kClientIp.
struct HashKey {
  enum class Source : uint8_t { kRequestId, kClientIp, kPath, kUri, kHeader, kCookie };
  Source source = Source::kClientIp;
  std::string name = {};  // of the header or cookie
  friend bool operator==(const HashKey&, const HashKey&) = default;
};

struct WeightedUpstream {
  std::string name;     // of one of Config::upstreams
  uint32_t weight = 1;  // 0 to 1000
  friend bool operator==(const WeightedUpstream&, const WeightedUpstream&) = default;
};

struct RouteConfig {
  route::RouteMatch match;
  // Exactly one of the four is set.
  std::string upstream;                     // the name of one of Config::upstreams
  std::vector<WeightedUpstream> upstreams;  // in file order, no name twice, weights not all 0
  std::optional<Respond> respond;
  std::optional<Redirect> redirect;

  // All that follows but response_headers is only set with `upstream` or `upstreams`.
  HashKey split_by = {.source = HashKey::Source::kRequestId};  // never kPath or kUri
  // Upgrade tokens that are forwarded, in lower case; never "h2c".
  std::vector<std::string> upgrades;
  // Replaces match.path_prefix, which is set then, in what is forwarded; empty: nothing is
  // replaced.
  std::string rewrite_prefix;
  // Editable names and values, no name twice in any case.
  http::HeaderEdits request_headers;
  http::HeaderEdits response_headers;
  std::optional<Duration> timeout;        // else UpstreamTimeouts::response
  std::optional<Duration> timeout_total;  // of the whole exchange; else none
  std::optional<uint64_t> body_bytes;     // else Limits::body_bytes; 0: no limit

  bool forwards() const { return !upstream.empty() || !upstreams.empty(); }
  SourceMark where;
  friend bool operator==(const RouteConfig&, const RouteConfig&) = default;
};

struct Listener {
  std::string name;
  std::vector<SocketAddress> listen;  // at least one; none twice in the configuration
  std::vector<Network> trusted_proxies;
  std::string via;                  // empty: no Via header
  std::vector<RouteConfig> routes;  // at least one; the first that matches wins
  friend bool operator==(const Listener&, const Listener&) = default;
};

struct Backend {
  SocketAddress address;
  std::string id;       // the address as text; unique in its upstream
  uint32_t weight = 1;  // 1 to 65535
  bool backup = false;
  uint32_t max_connections = 0;  // requests and tunnels in flight over all workers; 0: no limit
  friend bool operator==(const Backend&, const Backend&) = default;
};

struct Keepalive {
  uint32_t idle = 64;  // for each backend, over all workers; 0: none is kept
  Duration idle_timeout = std::chrono::seconds(4);
  uint32_t max_requests = 0;                   // 0: no limit
  Duration max_age = std::chrono::seconds(0);  // 0: no limit
  friend bool operator==(const Keepalive&, const Keepalive&) = default;
};

// What may be tried again on another backend.
struct RetryOn {
  bool connect = true;
  bool reset_before_response = true;
  bool status_502 = false;
  bool status_503 = false;
  bool status_504 = false;

  bool Status(int code) const {
    return (code == 502 && status_502) || (code == 503 && status_503) ||
           (code == 504 && status_504);
  }
  friend bool operator==(const RetryOn&, const RetryOn&) = default;
};

struct Retries {
  uint32_t attempts = 2;  // beyond the first
  RetryOn on;
  uint32_t budget_percent = 20;  // 0 to 100, of the upstream's requests
  uint64_t body_buffer = 64 * 1024;
  friend bool operator==(const Retries&, const Retries&) = default;
};

struct UpstreamTimeouts {
  Duration connect = std::chrono::seconds(3);
  Duration response = std::chrono::seconds(60);
  Duration idle = std::chrono::seconds(60);
  Duration tunnel = std::chrono::hours(1);
  friend bool operator==(const UpstreamTimeouts&, const UpstreamTimeouts&) = default;
};

// Where requests wait while every backend is at its max_connections.
struct Queue {
  uint32_t size = 1024;  // 0: none waits
  Duration timeout = std::chrono::seconds(5);
  friend bool operator==(const Queue&, const Queue&) = default;
};

// Session affinity by a cookie of ours.
struct Sticky {
  std::string cookie = "rondo_backend";  // a token
  Duration ttl = std::chrono::hours(1);  // whole seconds; 0: as long as the browser runs
  friend bool operator==(const Sticky&, const Sticky&) = default;
};

enum class Protocol : uint8_t { kHttp1 };

struct Upstream {
  std::string name;
  balance::PolicyKind balance = balance::PolicyKind::kRoundRobin;
  HashKey hash_key;  // of consistent_hash; never kRequestId
  std::optional<Sticky> sticky;
  std::vector<Backend> backends;  // at least one
  Keepalive keepalive;
  Queue queue;
  Retries retries;
  UpstreamTimeouts timeouts;
  Protocol protocol = Protocol::kHttp1;
  friend bool operator==(const Upstream&, const Upstream&) = default;
};

// Towards clients. request_header is a total, request_body and keepalive are between reads.
struct Timeouts {
  Duration request_header = std::chrono::seconds(10);
  Duration request_body = std::chrono::seconds(60);
  Duration keepalive = std::chrono::seconds(60);
  friend bool operator==(const Timeouts&, const Timeouts&) = default;
};

struct Limits {
  uint32_t header_bytes = 32 * 1024;
  uint32_t header_count = 100;
  uint64_t body_bytes = 0;   // 0: no limit
  uint32_t connections = 0;  // 0: no limit
  friend bool operator==(const Limits&, const Limits&) = default;
};

struct Config {
  Process process;
  Logging logging;
  std::vector<Listener> listeners;  // in file order; at least one
  std::vector<Upstream> upstreams;  // in file order
  Timeouts timeouts;
  Limits limits;
  friend bool operator==(const Config&, const Config&) = default;
};

}  // namespace rondo::config
