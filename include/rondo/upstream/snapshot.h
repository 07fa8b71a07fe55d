// What the workers see of the configuration: built whole by the control thread, never changed after, and
// published as one pointer. Only the counters in BackendShared and UpstreamShared move.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "rondo/config/config.h"
#include "rondo/route/router.h"
#include "rondo/upstream/retry_budget.h"

namespace rondo::upstream {

// What all workers share about one backend. Lives as long as a snapshot lists it or a lease holds it.
struct alignas(64) BackendShared {
  explicit BackendShared(const config::Backend& backend) : settings(backend) {}
  // Requests and tunnels in flight over all workers. Relaxed: a count to compare, it guards no data.
  std::atomic<uint32_t> in_flight{0};
  alignas(64) const config::Backend settings;
};

struct UpstreamConfig {
  explicit UpstreamConfig(const config::Upstream& upstream);
  const config::Upstream settings;
  std::vector<std::shared_ptr<BackendShared>> backends;  // in the order of settings.backends
  mutable RetryFloor retry_floor;
};

// One listener with its routes compiled.
struct ListenerSnapshot {
  ListenerSnapshot(const config::Listener& listener, const std::vector<config::Upstream>& upstreams);
  const config::Listener settings;
  route::Router router;
  // For each route the index of its upstream in Snapshot::upstreams, or kNoUpstream where it answers itself.
  std::vector<size_t> route_upstreams;
  static constexpr size_t kNoUpstream = SIZE_MAX;
};

struct Snapshot {
  Snapshot(uint64_t revision_number, const config::Config& checked_config);
  const uint64_t revision;
  const config::Config config;
  std::vector<ListenerSnapshot> listeners;
  std::vector<std::shared_ptr<const UpstreamConfig>> upstreams;
};

}  // namespace rondo::upstream
