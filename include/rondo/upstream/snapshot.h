// What the workers see of the configuration: built whole by the control thread, never changed after, and
// published as one pointer. Only the counters in BackendShared and UpstreamShared move.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "rondo/balance/latency.h"
#include "rondo/config/config.h"
#include "rondo/http/header_edits.h"
#include "rondo/http/sticky.h"
#include "rondo/route/router.h"
#include "rondo/route/weighted_split.h"
#include "rondo/upstream/retry_budget.h"
#include "rondo/upstream/wait_board.h"

namespace rondo::upstream {

// What all workers share about one backend. Lives as long as a snapshot lists it or a lease holds it.
struct alignas(64) BackendShared {
  explicit BackendShared(const config::Backend& backend) : settings(backend) {}
  // Requests and tunnels in flight over all workers. Relaxed: a count to compare, it guards no data.
  std::atomic<uint32_t> in_flight{0};
  // How long it takes to answer; kept only where the balance asks for it.
  balance::LatencyCell latency;
  alignas(64) const config::Backend settings;
};

struct UpstreamConfig {
  // `workers` share it, at the most.
  UpstreamConfig(const config::Upstream& upstream, size_t workers);
  const config::Upstream settings;
  std::vector<std::shared_ptr<BackendShared>> backends;  // in the order of settings.backends
  mutable RetryFloor retry_floor;
  http::StickyCookie sticky_cookie;  // where settings.sticky
  // Where any backend has max_connections; else null.
  std::unique_ptr<WaitBoard> board;
};

// What a route does, ready for use.
struct RouteAction {
  size_t upstream = SIZE_MAX;           // index in Snapshot::upstreams; kNoUpstream: answers itself
  route::WeightedSplit split;           // where the route has several upstreams
  std::vector<size_t> split_upstreams;  // their indices, in the order of the split
  http::CompiledEdits request_edits;
  http::CompiledEdits response_edits;
};

// One listener with its routes compiled.
struct ListenerSnapshot {
  ListenerSnapshot(const config::Listener& listener, const std::vector<config::Upstream>& upstreams);
  const config::Listener settings;
  route::Router router;
  std::vector<RouteAction> actions;  // one for each route
  static constexpr size_t kNoUpstream = SIZE_MAX;
};

struct Snapshot {
  // `workers`: at most so many will use it.
  Snapshot(uint64_t revision_number, const config::Config& checked_config, size_t workers = 64);
  const uint64_t revision;
  const config::Config config;
  std::vector<ListenerSnapshot> listeners;
  std::vector<std::shared_ptr<const UpstreamConfig>> upstreams;
};

}  // namespace rondo::upstream
