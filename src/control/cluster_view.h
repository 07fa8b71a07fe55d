// How the cluster shows its upstreams and backends to others on the control thread: values to read,
// changed by the cluster alone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/base/time.h"
#include "rondo/config/config.h"
#include "rondo/health/machine.h"
#include "rondo/upstream/snapshot.h"

namespace rondo::control {

// Where a backend or an upstream comes from. A file's or DNS's backend that the API changed keeps
// its source.
enum class Origin : uint8_t { kConfig, kApi, kDns, kFile };
std::string_view OriginName(Origin origin);  // "config", "api", "dns", "file"

// An operator's hold on a backend.
enum class Hold : uint8_t { kNone, kDraining, kMaintenance };

// A drain's steps; each but kDrained goes on to the next by itself.
enum class DrainStep : uint8_t {
  kNone,
  kAnnounced,  // some worker has not acknowledged it yet, or is not told yet (tell_epoch)
  kWaiting,    // no new request reaches it (but sticky ones); those in flight go on
  kCutting,    // drained; workers end what is left of it
  kDrained,    // done, and it stays listed
  kLeaving,    // taken out; some worker has not acknowledged that yet
};

struct BackendView {
  // Unique in its upstream. What leaves while another with its id has come is shown as
  // "ID@ADDRESS".
  std::string id;
  config::Backend settings;
  std::shared_ptr<upstream::BackendShared> shared;
  health::Machine machine;
  Origin origin = Origin::kConfig;
  bool changed = false;   // by the API, otherwise than by having added it
  bool removing = false;  // it goes once it is drained
  Hold hold = Hold::kNone;
  DrainStep drain_step = DrainStep::kNone;
  uint64_t drain_epoch = 0;  // kAnnounced, kCutting, kLeaving: whose acknowledgement is waited for
  // Not 0: a state that takes it out of service, which workers are told of once they all have the
  // lists and routes of this epoch, so that none is without those that take its place.
  uint64_t tell_epoch = 0;
  bool faltered = false;  // a request failed on it since it was to leave
  Instant drain_since{};
  Instant drain_until{};
  uint32_t cut = 0;  // requests that were left when its time was over
  uint64_t serial() const { return shared->serial; }
};

struct UpstreamView {
  config::Upstream settings;        // `backends`: without those that leave
  Origin origin = Origin::kConfig;  // kConfig or kApi
  bool changed = false;             // the file's, replaced or with entries of the API
  bool expecting = false;           // a source has not answered for the first time yet
  bool removing = false;            // deleted; goes with its last backend
  std::shared_ptr<upstream::UpstreamShared> shared;
  // In the order of settings.backends, then those that leave.
  std::vector<std::unique_ptr<BackendView>> backends;
};

struct DrainProgress {
  DrainStep step = DrainStep::kNone;
  uint32_t in_flight = 0;  // requests and tunnels
  Duration left{0};        // until what is left is cut; 0 once it is drained
  bool sticky = false;     // requests with its cookie still reach it
  bool removing = false;
  bool done() const { return step == DrainStep::kDrained; }
};

}  // namespace rondo::control
