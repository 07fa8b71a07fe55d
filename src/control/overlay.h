// What the admin API changed, as values laid over a base (the file's upstreams and what discovery found): by backend
// (added, changed, removed), and by upstream where whole ones were written or deleted. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "control/cluster_view.h"
#include "rondo/config/config.h"

namespace rondo::control {

// An operator's hold on a backend.
enum class Hold : uint8_t { kNone, kDraining, kMaintenance };

// One backend's changes. `address` says which backend is meant: the same id elsewhere is another one.
struct BackendEntry {
  enum class Kind : uint8_t { kAdded, kChanged, kRemoved };
  Kind kind = Kind::kChanged;
  SocketAddress address;
  // kAdded: the whole backend (weight, max_connections, backup have values). kChanged: what differs.
  std::optional<uint32_t> weight;
  std::optional<uint32_t> max_connections;
  std::optional<bool> backup;
  Hold hold = Hold::kNone;
  friend bool operator==(const BackendEntry&, const BackendEntry&) = default;
};

struct UpstreamEntry {
  bool deleted = false;
  // A whole upstream, in place of the base's or beside them; `created`: the base had none of that name.
  std::optional<config::Upstream> written;
  bool created = false;
  std::map<std::string, BackendEntry, std::less<>> backends;  // by id
  bool empty() const { return !deleted && !written && backends.empty(); }
  friend bool operator==(const UpstreamEntry&, const UpstreamEntry&) = default;
};

struct Overlay {
  std::map<std::string, UpstreamEntry, std::less<>> upstreams;  // by name; none is empty()
  bool empty() const { return upstreams.empty(); }
  friend bool operator==(const Overlay&, const Overlay&) = default;
};

// A backend of an effective upstream.
struct EffectiveBackend {
  config::Backend settings;
  Origin origin = Origin::kConfig;
  bool changed = false;
  Hold hold = Hold::kNone;
};

struct EffectiveUpstream {
  config::Upstream settings;  // `backends` as below
  Origin origin = Origin::kConfig;
  bool changed = false;
  bool expecting = false;  // a source has not answered yet
  std::vector<EffectiveBackend> backends;
};

// What a source of one upstream answered; nothing: not yet.
using SourceAnswer = std::optional<std::vector<config::Backend>>;
// By upstream, in the order of its sources.
using Discovered = std::map<std::string, std::vector<SourceAnswer>, std::less<>>;

// An entry that has lost what it was about, or that the base says by itself now.
struct EndedEntry {
  std::string upstream;
  std::string backend;  // empty: the upstream's own
  std::string what;     // "its backend is gone", "the file has it now", ...
};

struct Applied {
  std::vector<EffectiveUpstream> upstreams;  // the base's order, then created ones by name
  Overlay overlay;                           // without the entries that ended
  std::vector<EndedEntry> ended;
  // Why base and overlay contradict each other, by name; then the rest is not to be used.
  std::vector<std::string> conflicts;
};

// Backends that discovery found twice in one upstream, or that the file has too, count once: the file's comes first,
// then sources in order. An entry about a backend that is not there stays while one of the upstream's sources has not
// answered, since it may be about what that one will find. O(n log n).
Applied Apply(const std::vector<config::Upstream>& base, const Discovered& discovered, const Overlay& overlay);

// One upstream as it is without its backends' entries: what entries are about.
std::vector<EffectiveBackend> BaseBackends(const config::Upstream& upstream, const std::vector<SourceAnswer>* answers);

// -- JSON: {"upstreams": {NAME: {"deleted": true} | {"written": {...}, "created": true, "backends": {ID: {...}}}}} --
std::string OverlayToJson(const Overlay& overlay);
absl::StatusOr<Overlay> OverlayFromJson(std::string_view json);

}  // namespace rondo::control
