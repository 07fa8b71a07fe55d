// The checked configuration: plain values with the defaults of docs/configuration.md. What stands
// here is valid (names exist, addresses parse, ranges hold); control/ turns it into a snapshot. Not
// changed once made.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rondo/balance/policy_kind.h"
#include "rondo/base/address.h"
#include "rondo/base/log.h"
#include "rondo/base/time.h"
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

struct RouteConfig {
  route::RouteMatch match;
  // Exactly one of the two is set.
  std::string upstream;  // the name of one of Config::upstreams
  std::optional<Respond> respond;
  // Upgrade tokens that are forwarded, in lower case; never "h2c". Only with `upstream`.
  std::vector<std::string> upgrades;
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

enum class Protocol : uint8_t { kHttp1 };

struct Upstream {
  std::string name;
  balance::PolicyKind balance = balance::PolicyKind::kRoundRobin;
  std::vector<Backend> backends;  // at least one
  Keepalive keepalive;
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
