#include "control/overlay.h"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace rondo::control {
namespace {

using Backends = std::vector<EffectiveBackend>;
using Places = std::unordered_map<std::string_view, size_t>;  // by id

// Lays one upstream's entries over its backends; `kept` gets those that go on.
class BackendsOverlay {
 public:
  BackendsOverlay(const std::string& upstream, bool unsettled, Backends& backends, Applied& applied)
      : upstream_(upstream), unsettled_(unsettled), backends_(backends), applied_(applied) {
    for (size_t i = 0; i < backends.size(); ++i) places_.emplace(backends[i].settings.id, i);
    gone_.resize(backends.size(), false);
  }

  void Lay(const std::map<std::string, BackendEntry, std::less<>>& entries, UpstreamEntry& kept) {
    for (const auto& [id, entry] : entries) {
      switch (entry.kind) {
        case BackendEntry::Kind::kAdded:
          LayAdded(id, entry, kept);
          break;
        case BackendEntry::Kind::kChanged:
        case BackendEntry::Kind::kRemoved:
          LayOther(id, entry, kept);
          break;
      }
    }
    DropSameAddresses();
    Backends result;
    result.reserve(backends_.size() + added_.size());
    for (size_t i = 0; i < backends_.size(); ++i) {
      if (!gone_[i]) result.push_back(std::move(backends_[i]));
    }
    for (EffectiveBackend& backend : added_) result.push_back(std::move(backend));
    backends_ = std::move(result);
  }

 private:
  void LayAdded(const std::string& id, const BackendEntry& entry, UpstreamEntry& kept) {
    const auto place = places_.find(id);
    BackendEntry left = entry;
    if (place == places_.end()) {
      left.replaces.reset();
    } else {
      EffectiveBackend& base = backends_[place->second];
      const bool discovered = base.origin == Origin::kDns || base.origin == Origin::kFile;
      const bool same = base.settings.address == entry.address;
      if (same && !discovered) {
        Merge(id, entry, base, kept);
        return;
      }
      if (!same && !discovered && entry.replaces != base.settings.address) {
        applied_.conflicts.push_back({upstream_, id,
                                      "it is at " + base.settings.address.ToString() +
                                          " in the file and at " + entry.address.ToString() +
                                          " through the API"});
        return;
      }
      gone_[place->second] = true;
    }
    EffectiveBackend added;
    added.settings.address = entry.address;
    added.settings.id = id;
    added.settings.explicit_id = id != entry.address.ToString();
    added.origin = Origin::kApi;
    Set(entry, added);
    added_.push_back(std::move(added));
    kept.backends.emplace(id, std::move(left));
  }

  // The base has by itself what was added: what differs goes on as a change.
  void Merge(const std::string& id, const BackendEntry& entry, EffectiveBackend& base,
             UpstreamEntry& kept) {
    config::Backend wanted = base.settings;
    wanted.weight = entry.weight.value_or(wanted.weight);
    wanted.max_connections = entry.max_connections.value_or(wanted.max_connections);
    wanted.backup = entry.backup.value_or(wanted.backup);
    std::optional<BackendEntry> change = EntryFor(&base, wanted, entry.hold);
    if (!change) {
      applied_.ended.push_back({upstream_, id, "the file has it now"});
      return;
    }
    base.changed = true;
    Set(*change, base);
    kept.backends.emplace(id, *std::move(change));
  }

  void LayOther(const std::string& id, const BackendEntry& entry, UpstreamEntry& kept) {
    const auto place = places_.find(id);
    if (place == places_.end() || backends_[place->second].settings.address != entry.address) {
      if (unsettled_) {
        kept.backends.emplace(id, entry);
      } else {
        applied_.ended.push_back({upstream_, id, "its backend is gone"});
      }
      return;
    }
    kept.backends.emplace(id, entry);
    if (entry.kind == BackendEntry::Kind::kRemoved) {
      gone_[place->second] = true;
      return;
    }
    backends_[place->second].changed = true;
    Set(entry, backends_[place->second]);
  }

  // An address is one backend. What was added counts before what a source found under another id;
  // the file is right.
  void DropSameAddresses() {
    if (added_.empty()) return;
    std::unordered_map<std::string, const EffectiveBackend*> added;
    for (const EffectiveBackend& each : added_)
      added.emplace(each.settings.address.ToString(), &each);
    for (size_t i = 0; i < backends_.size(); ++i) {
      if (gone_[i]) continue;
      const auto same = added.find(backends_[i].settings.address.ToString());
      if (same == added.end()) continue;
      const Origin origin = backends_[i].origin;
      if (origin == Origin::kDns || origin == Origin::kFile) {
        gone_[i] = true;
      } else {
        applied_.conflicts.push_back({upstream_, same->second->settings.id,
                                      "its address " + same->first + " is that of " +
                                          backends_[i].settings.id + " in the file"});
      }
    }
  }

  static void Set(const BackendEntry& entry, EffectiveBackend& backend) {
    if (entry.weight) backend.settings.weight = *entry.weight;
    if (entry.max_connections) backend.settings.max_connections = *entry.max_connections;
    if (entry.backup) backend.settings.backup = *entry.backup;
    backend.hold = entry.hold;
  }

  const std::string& upstream_;
  const bool unsettled_;
  Backends& backends_;
  Applied& applied_;
  Places places_;
  std::vector<bool> gone_;
  Backends added_;
};

struct Waiting {
  bool unsettled = false;  // some source has never answered
  bool expecting = false;  // and some of these has not even failed
};

Waiting WaitingFor(const config::Upstream& upstream, const std::vector<SourceAnswer>* answers) {
  Waiting waiting;
  for (size_t i = 0; i < upstream.sources.size(); ++i) {
    const SourceAnswer* answer =
        answers == nullptr || i >= answers->size() ? nullptr : &(*answers)[i];
    if (answer != nullptr && answer->backends) continue;
    waiting.unsettled = true;
    if (answer == nullptr || !answer->failed) waiting.expecting = true;
  }
  return waiting;
}

const std::vector<SourceAnswer>* AnswersOf(const Discovered& discovered, const std::string& name) {
  const auto found = discovered.find(name);
  return found == discovered.end() ? nullptr : &found->second;
}

// One effective upstream of `settings` (the base's, or a written one) and the entries on its
// backends.
EffectiveUpstream LayUpstream(const config::Upstream& settings, Origin origin,
                              const UpstreamEntry* entry, const Discovered& discovered,
                              Applied& applied) {
  EffectiveUpstream result;
  result.settings = settings;
  result.origin = origin;
  const std::vector<SourceAnswer>* answers = AnswersOf(discovered, settings.name);
  const Waiting waiting = WaitingFor(settings, answers);
  result.expecting = waiting.expecting;
  const bool written = entry != nullptr && entry->written.has_value();
  result.backends = BaseBackends(settings, answers, written ? Origin::kApi : Origin::kConfig);
  if (entry != nullptr) {
    UpstreamEntry kept;
    kept.written = entry->written;
    kept.created = entry->created;
    BackendsOverlay(settings.name, waiting.unsettled, result.backends, applied)
        .Lay(entry->backends, kept);
    result.changed = !kept.empty();
    if (!kept.empty()) applied.overlay.upstreams.emplace(settings.name, std::move(kept));
  }
  result.settings.backends.clear();
  for (const EffectiveBackend& backend : result.backends)
    result.settings.backends.push_back(backend.settings);
  return result;
}

// Whether the base says by itself what was written and changed: then nothing of the entry is needed
// any more.
bool BaseHasIt(const config::Upstream& base, const UpstreamEntry& entry) {
  Applied alone;
  const EffectiveUpstream written = LayUpstream(*entry.written, Origin::kApi, &entry, {}, alone);
  const bool held = std::ranges::any_of(written.backends,
                                        [](const auto& each) { return each.hold != Hold::kNone; });
  return !held && alone.conflicts.empty() && SameUpstream(base, written.settings);
}

void LayOverBase(const config::Upstream& base, const UpstreamEntry* entry,
                 const Discovered& discovered, Applied& applied) {
  if (entry == nullptr || (!entry->deleted && !entry->written)) {
    applied.upstreams.push_back(LayUpstream(base, Origin::kConfig, entry, discovered, applied));
    return;
  }
  if (entry->deleted) {
    applied.overlay.upstreams.emplace(base.name, *entry);
    return;
  }
  if (BaseHasIt(base, *entry)) {
    applied.ended.push_back({base.name, "", "the file has it now"});
    applied.upstreams.push_back(LayUpstream(base, Origin::kConfig, nullptr, discovered, applied));
    return;
  }
  if (entry->created) {
    applied.conflicts.push_back(
        {base.name, "", "it is in the file, and another one was created through the API"});
    return;
  }
  applied.upstreams.push_back(
      LayUpstream(*entry->written, Origin::kConfig, entry, discovered, applied));
}

void LayBeside(const std::string& name, const UpstreamEntry& entry, const Discovered& discovered,
               Applied& applied) {
  if (entry.written && entry.created) {
    applied.upstreams.push_back(
        LayUpstream(*entry.written, Origin::kApi, &entry, discovered, applied));
  } else {
    applied.ended.push_back({name, "", "its upstream is gone"});
  }
}

}  // namespace

Applied Apply(const std::vector<config::Upstream>& base, const Discovered& discovered,
              const Overlay& overlay) {
  Applied applied;
  std::unordered_map<std::string_view, bool> in_base;
  for (const config::Upstream& upstream : base) {
    in_base.emplace(upstream.name, true);
    const auto found = overlay.upstreams.find(upstream.name);
    LayOverBase(upstream, found == overlay.upstreams.end() ? nullptr : &found->second, discovered,
                applied);
  }
  for (const auto& [name, entry] : overlay.upstreams) {
    if (!in_base.contains(name)) LayBeside(name, entry, discovered, applied);
  }
  return applied;
}

Applied ApplyOne(const std::string& name, const config::Upstream* base,
                 const Discovered& discovered, const UpstreamEntry* entry) {
  Applied applied;
  if (base != nullptr) {
    LayOverBase(*base, entry, discovered, applied);
  } else if (entry != nullptr) {
    LayBeside(name, *entry, discovered, applied);
  }
  return applied;
}

std::vector<EffectiveBackend> BaseBackends(const config::Upstream& upstream,
                                           const std::vector<SourceAnswer>* answers, Origin own) {
  std::vector<EffectiveBackend> result;
  std::unordered_set<std::string> ids;
  std::unordered_set<std::string> addresses;
  for (const config::Backend& backend : upstream.backends) {
    ids.insert(backend.id);
    addresses.insert(backend.address.ToString());
    result.push_back({backend, own, false, Hold::kNone});
  }
  if (answers == nullptr) return result;
  for (size_t i = 0; i < upstream.sources.size() && i < answers->size(); ++i) {
    if (!(*answers)[i].backends) continue;
    const bool file = upstream.sources[i].kind == config::BackendSource::Kind::kFile;
    for (const config::Backend& backend : *(*answers)[i].backends) {
      if (ids.contains(backend.id) || addresses.contains(backend.address.ToString())) continue;
      ids.insert(backend.id);
      addresses.insert(backend.address.ToString());
      result.push_back({backend, file ? Origin::kFile : Origin::kDns, false, Hold::kNone});
    }
  }
  return result;
}

bool SameUpstream(const config::Upstream& a, const config::Upstream& b) {
  const auto normal = [](config::Upstream upstream) {
    std::ranges::sort(upstream.backends, {}, &config::Backend::id);
    for (config::Backend& backend : upstream.backends) backend.explicit_id = false;
    return upstream;
  };
  return normal(a) == normal(b);
}

std::optional<BackendEntry> EntryFor(const EffectiveBackend* base, const config::Backend& wanted,
                                     Hold hold) {
  BackendEntry entry;
  entry.address = wanted.address;
  entry.hold = hold;
  if (base == nullptr || base->settings.address != wanted.address) {
    entry.kind = BackendEntry::Kind::kAdded;
    entry.weight = wanted.weight;
    entry.max_connections = wanted.max_connections;
    entry.backup = wanted.backup;
    if (base != nullptr) entry.replaces = base->settings.address;
    return entry;
  }
  entry.kind = BackendEntry::Kind::kChanged;
  if (wanted.weight != base->settings.weight) entry.weight = wanted.weight;
  if (wanted.max_connections != base->settings.max_connections)
    entry.max_connections = wanted.max_connections;
  if (wanted.backup != base->settings.backup) entry.backup = wanted.backup;
  if (!entry.weight && !entry.max_connections && !entry.backup && hold == Hold::kNone)
    return std::nullopt;
  return entry;
}

}  // namespace rondo::control
