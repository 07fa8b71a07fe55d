// What the workers see of the configuration: built whole by the control thread, never changed
// after, and published as one pointer. What a change does not touch is the same object in the next
// snapshot.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rondo/config/config.h"
#include "rondo/http/header_edits.h"
#include "rondo/http/sticky.h"
#include "rondo/protect/rate_table.h"
#include "rondo/route/router.h"
#include "rondo/route/weighted_split.h"
#include "rondo/upstream/listener_shared.h"
#include "rondo/upstream/shared.h"

namespace rondo::tls {
class ClientSetup;
class ServerSetup;
}  // namespace rondo::tls

namespace rondo::upstream {

struct UpstreamConfig {
  // settings.backends is the effective list: the file's, the API's and discovered ones.
  // `backends_in_order` is parallel to it. `client_tls`: null where backends are spoken to in
  // plain.
  UpstreamConfig(const config::Upstream& upstream, std::shared_ptr<UpstreamShared> upstream_shared,
                 std::vector<std::shared_ptr<BackendShared>> backends_in_order,
                 std::shared_ptr<const tls::ClientSetup> client_tls = nullptr);
  // Without a control thread: all new, all up, nobody to report to. `workers` share it, at the
  // most.
  UpstreamConfig(const config::Upstream& upstream, size_t workers);

  const config::Upstream settings;
  const std::shared_ptr<UpstreamShared> shared;
  const std::vector<std::shared_ptr<BackendShared>> backends;  // in the order of settings.backends
  const http::StickyCookie sticky_cookie;                      // where settings.sticky
  const std::shared_ptr<const tls::ClientSetup> tls;           // null: plain
};

// `previous`, where it says exactly the same (null: never), else a new one. Places in the file do
// not count.
std::shared_ptr<const UpstreamConfig> ReuseOrMake(
    const std::shared_ptr<const UpstreamConfig>& previous, const config::Upstream& upstream,
    std::shared_ptr<UpstreamShared> shared, std::vector<std::shared_ptr<BackendShared>> backends,
    std::shared_ptr<const tls::ClientSetup> tls = nullptr);

// What a route does, ready for use.
struct RouteAction {
  size_t upstream = SIZE_MAX;           // index in Snapshot::upstreams; kNoUpstream: answers itself
  route::WeightedSplit split;           // where the route has several upstreams
  std::vector<size_t> split_upstreams;  // their indices, in the order of the split
  // With those of the listener's TLS: what clients may not say of their certificates, and HSTS.
  http::CompiledEdits request_edits;
  http::CompiledEdits response_edits;
  // Whether anything is asked before the request goes on: allow, deny, uri_bytes or rate_limit.
  bool guarded = false;
  // Where there is a rate_limit. Its buckets outlive a reload that leaves the route's match and the
  // limit's rate and key as they are.
  std::shared_ptr<protect::RateTable> rate_table;
  // Of the fields about a client's certificate, those that the route itself sets or removes.
  uint8_t own_client_fields = 0;
};

// One listener with its routes compiled.
struct ListenerSnapshot {
  // What it takes over from before: `previous` (null: nothing) is the same listener's.
  struct Inherited {
    std::shared_ptr<ListenerShared> shared;
    const ListenerSnapshot* previous = nullptr;
    uint64_t seed = 0;  // of new tables
  };
  // `upstream_names` in the order of Snapshot::upstreams; the routes name no other.
  ListenerSnapshot(const config::Listener& listener, uint32_t slot_number,
                   std::span<const std::string_view> upstream_names,
                   std::shared_ptr<const tls::ServerSetup> server_tls, const Inherited& inherited);
  const config::Listener settings;
  // The same for a listener's name in all snapshots of a process; never another listener's.
  const uint32_t slot;
  // Null: plain. The same object as before while neither the settings nor the files changed.
  const std::shared_ptr<const tls::ServerSetup> tls;
  route::Router router;
  std::vector<RouteAction> actions;  // one for each route
  // The same object in all snapshots.
  const std::shared_ptr<ListenerShared> shared;
  // Whether anything is asked of a new connection: allow, deny or connections.
  const bool guarded;
  // "Name: value\r\n" lines of answers that no route makes.
  const std::string reply_fields;
  static constexpr size_t kNoUpstream = SIZE_MAX;
};

// What control makes a snapshot from.
struct SnapshotParts {
  uint64_t revision = 0;
  // Process-wide values and listeners; its list of upstreams is not looked at.
  const config::Config* config = nullptr;
  // All upstreams; those that did not change are the objects of the previous snapshot.
  std::vector<std::shared_ptr<const UpstreamConfig>> upstreams;
  // By the listener's name; a listener that is not here is plain.
  std::vector<std::pair<std::string, std::shared_ptr<const tls::ServerSetup>>> listener_tls;
  // What clients' addresses and keys are spread by; they must not know it.
  uint64_t protect_seed = 0;
};

struct Snapshot {
  // Listeners that are as in `previous`, with the same TLS setup, and whose upstreams have kept
  // their indices, are the same objects. REQUIRES: routes name upstreams that are there.
  Snapshot(SnapshotParts parts, const Snapshot* previous);
  // Without a control thread (tests, benches): every backend is up. `workers`: at most so many will
  // use it.
  Snapshot(uint64_t revision_number, const config::Config& checked_config, size_t workers = 64);

  // The listener of this slot, or null where it is gone.
  const ListenerSnapshot* FindListener(uint32_t slot) const {
    return slot < by_slot_.size() ? by_slot_[slot] : nullptr;
  }
  // Index in `upstreams`, or SIZE_MAX.
  size_t FindUpstream(std::string_view name) const;

  const uint64_t revision;
  // Process-wide values (timeouts, limits, logging). Its lists of listeners and upstreams are
  // empty: see below.
  const config::Config config;
  const std::vector<std::shared_ptr<const UpstreamConfig>> upstreams;
  std::vector<std::shared_ptr<const ListenerSnapshot>> listeners;  // in the file's order

 private:
  void AddListeners(const SnapshotParts& parts, const Snapshot* previous);
  std::shared_ptr<const ListenerSnapshot> ShareListener(uint32_t slot) const;
  // Of all listeners there ever were.
  std::vector<std::string> slot_names_;
  std::vector<std::shared_ptr<ListenerShared>> slot_shared_;
  std::vector<const ListenerSnapshot*> by_slot_;
};

}  // namespace rondo::upstream
