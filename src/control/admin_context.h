// What the admin API needs of the process around it, beside the cluster's model: given by the
// composition root.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "rondo/base/time.h"

namespace rondo::control {

class Cluster;
class Events;
struct BackendView;

// The numbers of GET /v1/status that are neither configuration nor membership.
struct AdminStatus {
  std::string version;
  std::string commit;
  Duration uptime{};
  std::string engine;  // "io_uring" or "epoll"
  std::string engine_reason;
  size_t workers = 0;
  uint64_t connections = 0;  // of clients, over all listeners
  uint64_t requests = 0;     // since start
  // Over the last minute, or since start where that is less; nothing without a request in that
  // time.
  double requests_per_second = 0;
  std::optional<Duration> p50;
  std::optional<Duration> p95;
  std::optional<Duration> p99;
  double error_rate = 0;  // share of answers with 5xx, 0 to 1
};

// One backend's traffic, over all workers. `in_flight` is the cluster's own.
struct AdminTraffic {
  uint64_t idle = 0;           // pooled connections that carry no request
  uint64_t tunnels = 0;        // WebSockets and other upgrades among those in flight
  uint64_t sticky_recent = 0;  // requests of the last 10 s that its stickiness cookie brought
  uint64_t requests = 0;
  uint64_t failures = 0;
  std::optional<Duration> p50;
  std::optional<Duration> p95;
  std::optional<Duration> p99;
};

class AdminProcess {
 public:
  virtual ~AdminProcess() = default;
  // SIGTERM came: readyz is red from then on.
  virtual bool Stopping() const = 0;
  virtual AdminStatus Status() = 0;
  virtual AdminTraffic Traffic(const BackendView& backend) = 0;
  // The whole page in Prometheus' text format, appended.
  virtual void WriteMetrics(std::string& out) = 0;
};

// References outlive the admin server.
struct AdminContext {
  Cluster& cluster;
  Events& events;
  AdminProcess& process;
  std::string config_path;  // empty: there is no file
};

}  // namespace rondo::control
