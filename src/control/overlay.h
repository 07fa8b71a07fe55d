// What the admin API changed, as values laid over a base (the file's upstreams and what discovery
// found): by backend (added, changed, removed), and by upstream where whole ones were written or
// deleted. Pure.
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
#include "rondo/config/write.h"

namespace rondo::control {

// One backend's changes. `address` says which backend is meant: the same id elsewhere is another
// one.
struct BackendEntry {
  enum class Kind : uint8_t { kAdded, kChanged, kRemoved };
  Kind kind = Kind::kChanged;
  SocketAddress address;
  // kAdded: the whole backend (weight, max_connections, backup have values). kChanged: what
  // differs.
  std::optional<uint32_t> weight;
  std::optional<uint32_t> max_connections;
  std::optional<bool> backup;
  // kAdded in place of the base's backend of this id, which is at this address.
  std::optional<SocketAddress> replaces;
  Hold hold = Hold::kNone;
  friend bool operator==(const BackendEntry&, const BackendEntry&) = default;
};

struct UpstreamEntry {
  bool deleted = false;
  // A whole upstream, in place of the base's or beside them; `created`: the base had none of that
  // name.
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
  bool expecting = false;  // a source has neither answered nor failed yet
  std::vector<EffectiveBackend> backends;
};

// What a source of one upstream answered.
struct SourceAnswer {
  std::optional<std::vector<config::Backend>> backends = {};  // nothing: never yet
  bool failed = false;  // it was asked, and has no answer so far
};
// By upstream, in the order of its sources.
using Discovered = std::map<std::string, std::vector<SourceAnswer>, std::less<>>;

// An entry that has lost what it was about, or that the base says by itself now; or that
// contradicts the base.
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
  std::vector<EndedEntry> conflicts;
};

// Backends that discovery found twice in one upstream, or that the file has too, count once: the
// file's comes first, then sources in order. An entry about a backend that is not there stays while
// one of the upstream's sources has not answered, since it may be about what that one will find.
// O(n log n).
Applied Apply(const std::vector<config::Upstream>& base, const Discovered& discovered,
              const Overlay& overlay);

// The same for one name alone: `base` and `entry` null where there is none. At most one upstream
// comes out.
Applied ApplyOne(const std::string& name, const config::Upstream* base,
                 const Discovered& discovered, const UpstreamEntry* entry);

// One upstream as it is without its backends' entries: what entries are about. `own`: kConfig or
// kApi.
std::vector<EffectiveBackend> BaseBackends(const config::Upstream& upstream,
                                           const std::vector<SourceAnswer>* answers, Origin own);

// The entry that makes `wanted` of `base` (null: the base has none of that id); nothing where it is
// the base's as it is and `hold` is none.
std::optional<BackendEntry> EntryFor(const EffectiveBackend* base, const config::Backend& wanted,
                                     Hold hold);

// Whether both say the same, wherever they were written.
bool SameUpstream(const config::Upstream& a, const config::Upstream& b);

// -- JSON: {"upstreams": {NAME: {"deleted": true} | {"written": {...}, "created": true, "backends":
// {ID: {...}}}}} --
std::string OverlayToJson(const Overlay& overlay, config::Secrets secrets);
absl::StatusOr<Overlay> OverlayFromJson(std::string_view json);

}  // namespace rondo::control
