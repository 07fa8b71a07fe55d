// An upstream as it was configured: its backends, where more of them come from, and how they are
// chosen, checked, tried again and drained. Values as in config.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "rondo/balance/policy_kind.h"
#include "rondo/base/address.h"
#include "rondo/base/time.h"
#include "rondo/config/source_mark.h"
#include "rondo/config/tls.h"

namespace rondo::config {

// What of a request is hashed where the same must go the same way. A request without that header or
// cookie, or whose value is empty: a split falls back to kRequestId, a policy to kClientIp.
struct HashKey {
  enum class Source : uint8_t { kRequestId, kClientIp, kPath, kUri, kHeader, kCookie };
  Source source = Source::kClientIp;
  std::string name = {};  // of the header or cookie
  friend bool operator==(const HashKey&, const HashKey&) = default;
};

// A backend at a literal address.
struct Backend {
  SocketAddress address;
  std::string id = {};  // the address as text, or one that was given; unique in its upstream
  uint32_t weight = 1;  // 1 to 65535
  bool backup = false;
  uint32_t max_connections = 0;  // requests and tunnels in flight over all workers; 0: no limit
  bool explicit_id = false;      // the id was given, and is not the address as text
  // The name that discovery found its address by, without a dot at its end; empty where the address
  // was given. What its certificate is for, where UpstreamTls::sni says nothing.
  std::string host = {};
  friend bool operator==(const Backend&, const Backend&) = default;
};

// What backends come from whose addresses change. Names are in lower case; with a dot at its end a
// name is not searched for in the resolver's domains.
struct BackendSource {
  enum class Kind : uint8_t {
    kName,  // one backend at one of the name's addresses
    kDns,   // each address of the name is a backend
    kSrv,   // each SRV record is a backend, with its port, its weight, and backup by its priority
    kFile,  // a watched file with a list of backends
  };
  Kind kind = Kind::kName;
  std::string name = {};  // kName, kDns, kSrv
  uint16_t port = 0;      // kName, kDns: 1 to 65535
  std::string path = {};  // kFile; relative paths are resolved already
  // kName: the id of the one backend, "name:port" or the one that was given. Else empty: each
  // backend's id is its address as text.
  std::string id = {};
  bool explicit_id = false;
  // Of each backend. kSrv and kFile say weight and backup themselves, kFile all three.
  uint32_t weight = 1;
  bool backup = false;
  uint32_t max_connections = 0;
  Where where = {};
  friend bool operator==(const BackendSource&, const BackendSource&) = default;
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

// Status codes from `first` to `last`, both included; 200 to 599.
struct StatusRange {
  int first = 200;
  int last = 200;
  bool Contains(int code) const { return code >= first && code <= last; }
  friend bool operator==(const StatusRange&, const StatusRange&) = default;
};

// Active checks of each backend.
struct HealthCheck {
  enum class Type : uint8_t {
    kHttp,
    kTcp,
    kGrpc,  // grpc.health.v1.Health/Check; only with Protocol::kH2c or kH2
  };
  Type type = Type::kHttp;
  Duration interval = std::chrono::seconds(5);
  Duration timeout = std::chrono::seconds(2);  // may be longer than the interval: none overlap
  uint32_t healthy_threshold = 2;
  uint32_t unhealthy_threshold = 3;
  std::optional<uint16_t> port = {};  // else the backend's; of no meaning for unix sockets

  // Of kHttp alone, but for host and headers, which kGrpc has too; else at their defaults.
  std::string method = "GET";                                     // GET, HEAD, OPTIONS or POST
  std::string path = "/";                                         // with a query where it has one
  std::string host = {};                                          // empty: the backend's address
  std::vector<std::pair<std::string, std::string>> headers = {};  // editable names and values
  std::vector<StatusRange> expect_status = {{.first = 200, .last = 200}};  // at least one
  std::string expect_body = {};  // a part of the body; empty: whatever; never with HEAD
  // Of kGrpc alone: what is asked for; empty: the server as a whole. At most 255 bytes.
  std::string service = {};
  friend bool operator==(const HealthCheck&, const HealthCheck&) = default;
};

// What is learned from traffic: `max_fails` failures in a row within `fail_timeout` take a backend
// out for `fail_timeout`.
struct PassiveHealth {
  uint32_t max_fails = 3;  // 0: off
  Duration fail_timeout = std::chrono::seconds(30);
  friend bool operator==(const PassiveHealth&, const PassiveHealth&) = default;
};

// Requests to a backend that joins, before its first real one.
struct WarmUp {
  std::string path = "/";  // with a query where it has one
  uint32_t requests = 50;
  uint32_t concurrency = 2;
  Duration timeout = std::chrono::seconds(10);  // of all of it
  friend bool operator==(const WarmUp&, const WarmUp&) = default;
};

// What is spoken with backends. The last two share connections among requests, so that send_proxy
// is kOff with them.
enum class Protocol : uint8_t {
  kHttp1,  // over TLS where there is `tls`
  kH2c,    // HTTP/2 by prior knowledge; never with `tls`
  kH2,     // HTTP/2 over TLS; always with `tls`
};

// The PROXY header that a connection to a backend begins with.
enum class SendProxy : uint8_t { kOff, kV1, kV2 };

struct Upstream {
  std::string name = {};
  balance::PolicyKind balance = balance::PolicyKind::kRoundRobin;
  HashKey hash_key = {};  // of consistent_hash; never kRequestId
  std::optional<Sticky> sticky = {};
  // In file order; no id and no address twice. Both lists may be empty: backends can join later.
  std::vector<Backend> backends = {};
  std::vector<BackendSource> sources =
      {};  // in file order, none twice; no kName has a backend's id
  std::optional<HealthCheck> health_check = {};
  PassiveHealth passive_health;
  std::optional<WarmUp> warm_up = {};
  Duration slow_start = std::chrono::seconds(0);  // 0: at full weight at once
  uint32_t panic_percent = 0;                     // 0 to 100; 0: off
  Duration drain_timeout = std::chrono::seconds(30);
  Keepalive keepalive;
  Queue queue;
  Retries retries;
  UpstreamTimeouts timeouts;
  Protocol protocol = Protocol::kHttp1;
  SendProxy send_proxy = SendProxy::kOff;
  std::optional<UpstreamTls> tls = {};  // nothing: plain
  friend bool operator==(const Upstream&, const Upstream&) = default;
};

}  // namespace rondo::config
