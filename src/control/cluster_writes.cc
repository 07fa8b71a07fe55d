// The API's writes on backends and upstreams: each makes one upstream's new overlay entry, and
// Write does the rest.
#include <algorithm>
#include <set>
#include <utility>

#include "control/cluster.h"
#include "control/json_writer.h"
#include "control/members.h"

namespace rondo::control {
namespace {

bool IsDiscovered(Origin origin) { return origin == Origin::kDns || origin == Origin::kFile; }

std::string_view FoundBy(Origin origin) {
  return origin == Origin::kFile ? "a watched file has it" : "DNS has it";
}

const EffectiveBackend* FindId(const std::vector<EffectiveBackend>& backends, std::string_view id) {
  const auto found =
      std::ranges::find_if(backends, [&](const auto& each) { return each.settings.id == id; });
  return found == backends.end() ? nullptr : &*found;
}

// Where a route of `config` names the upstream: "listener web, route 2"; else empty.
std::string RouteThatNames(const config::Config& config, std::string_view upstream) {
  for (const config::Listener& listener : config.listeners) {
    for (size_t i = 0; i < listener.routes.size(); ++i) {
      const config::RouteConfig& route = listener.routes[i];
      const bool split = std::ranges::any_of(
          route.upstreams, [&](const auto& each) { return each.name == upstream; });
      if (split || route.upstream == upstream) {
        return "listener " + listener.name + ", route " + std::to_string(i + 1);
      }
    }
  }
  return "";
}

Hold HoldOf(config::WantedState state) {
  switch (state) {
    case config::WantedState::kUp:
      return Hold::kNone;
    case config::WantedState::kDraining:
      return Hold::kDraining;
    case config::WantedState::kMaintenance:
      return Hold::kMaintenance;
  }
  return Hold::kNone;
}

}  // namespace

Result Cluster::Refuse(int status, std::string_view code, std::string message,
                       std::string field) const {
  return Result{status,           std::string(code), std::move(message),
                std::move(field), state_.revision,   ""};
}

Result Cluster::Done(int status, std::string id) const {
  return Result{status, "ok", "", "", state_.revision, std::move(id)};
}

Result Cluster::NoUpstream(std::string_view name) const {
  return Refuse(404, "not_found", "there is no upstream " + std::string(name));
}

std::optional<Result> Cluster::Mismatch(const IfMatch& if_match) const {
  if (!if_match || *if_match == state_.revision) return std::nullopt;
  return Refuse(412, "precondition_failed",
                "the configuration is at revision " + std::to_string(state_.revision) +
                    ", not at " + std::to_string(*if_match));
}

const config::Upstream* Cluster::BaseOf(std::string_view name) const {
  const auto found =
      std::ranges::find_if(base_.upstreams, [&](const auto& each) { return each.name == name; });
  return found == base_.upstreams.end() ? nullptr : &*found;
}

UpstreamEntry Cluster::EntryOf(std::string_view name) const {
  const auto found = state_.overlay.upstreams.find(name);
  return found == state_.overlay.upstreams.end() ? UpstreamEntry() : found->second;
}

std::vector<EffectiveBackend> Cluster::EntriesBase(std::string_view name) const {
  const auto answers = discovered_.find(name);
  const std::vector<SourceAnswer>* known =
      answers == discovered_.end() ? nullptr : &answers->second;
  const auto entry = state_.overlay.upstreams.find(name);
  if (entry != state_.overlay.upstreams.end() && entry->second.written) {
    return BaseBackends(*entry->second.written, known, Origin::kApi);
  }
  const config::Upstream* base = BaseOf(name);
  return base == nullptr ? std::vector<EffectiveBackend>()
                         : BaseBackends(*base, known, Origin::kConfig);
}

Result Cluster::Write(const std::string& name, UpstreamEntry entry, int status, std::string id,
                      std::string_view what) {
  Applied applied = ApplyOne(name, BaseOf(name), discovered_, entry.empty() ? nullptr : &entry);
  if (!applied.conflicts.empty()) return Refuse(409, "conflict", applied.conflicts.front().what);
  // What is the base's own by now needs no entry.
  const auto laid = applied.overlay.upstreams.find(name);
  UpstreamEntry kept =
      laid == applied.overlay.upstreams.end() ? UpstreamEntry() : std::move(laid->second);
  if (kept == EntryOf(name)) return Done(status == 201 ? 200 : status, std::move(id));
  if (kept.written && kept.written->tls) {
    if (Result tls = PrepareTls(*kept.written); !tls.ok()) return tls;
  }

  const auto put = [&](UpstreamEntry value) {
    if (value.empty()) {
      state_.overlay.upstreams.erase(name);
    } else {
      state_.overlay.upstreams[name] = std::move(value);
    }
  };
  UpstreamEntry before = EntryOf(name);
  put(std::move(kept));
  ++state_.revision;
  if (absl::Status saved = Save(); !saved.ok()) {
    put(std::move(before));
    --state_.revision;
    links_.DropTls();
    return Refuse(503, "not_saved", std::string(saved.message()));
  }
  CommitTls();
  members_->SetConfig(base_, state_.revision);
  if (applied.upstreams.empty()) members_->Remove(name, health::Actor::kApi);
  for (EffectiveUpstream& upstream : applied.upstreams)
    members_->Set(std::move(upstream), health::Actor::kApi);
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("revision").Number(state_.revision);
  json.Key("what").Text(what);
  json.Key("upstream").Text(name);
  if (!id.empty()) json.Key("backend").Text(id);
  json.EndObject();
  events_.Append(EventType::kConfig, data);
  members_->Commit();
  return Done(status, std::move(id));
}

Result Cluster::AddBackend(std::string_view upstream, config::Backend backend, IfMatch if_match) {
  if (auto mismatch = Mismatch(if_match)) return *std::move(mismatch);
  const UpstreamView* view = FindUpstream(upstream);
  if (view == nullptr || view->removing) return NoUpstream(upstream);
  if (backend.id.empty()) backend.id = backend.address.ToString();
  for (const auto& each : view->backends) {
    if (each->removing) continue;
    const bool same_id = each->settings.id == backend.id;
    const bool same_address = each->settings.address == backend.address;
    if (same_id && same_address) {
      const bool same = each->settings.weight == backend.weight &&
                        each->settings.backup == backend.backup &&
                        each->settings.max_connections == backend.max_connections;
      if (same) return Done(200, backend.id);
      return Refuse(409, "exists",
                    "backend " + backend.id + " is there with other settings: PATCH it");
    }
    if (same_address) {
      return Refuse(409, "exists", "backend " + each->id + " has this address", "address");
    }
    if (same_id && IsDiscovered(each->origin)) {
      return Refuse(
          409, "conflict",
          "backend " + backend.id + " is at another address: " + std::string(FoundBy(each->origin)),
          "id");
    }
  }
  UpstreamEntry entry = EntryOf(upstream);
  const std::vector<EffectiveBackend> base = EntriesBase(upstream);
  const std::optional<BackendEntry> change =
      EntryFor(FindId(base, backend.id), backend, Hold::kNone);
  entry.backends.erase(backend.id);
  if (change) entry.backends.emplace(backend.id, *change);
  return Write(std::string(upstream), std::move(entry), 201, backend.id, "backend added");
}

Result Cluster::PatchBackend(std::string_view upstream, std::string_view id,
                             const BackendPatch& patch, IfMatch if_match,
                             std::optional<Duration> drain) {
  if (auto mismatch = Mismatch(if_match)) return *std::move(mismatch);
  const BackendView* view = FindBackend(upstream, id);
  if (view == nullptr) return Refuse(404, "not_found", "there is no backend " + std::string(id));
  if (view->removing) {
    return Refuse(409, "leaving", "backend " + view->id + " is being removed: POST adds it again");
  }
  config::Backend wanted = view->settings;
  wanted.weight = patch.weight.value_or(wanted.weight);
  wanted.max_connections = patch.max_connections.value_or(wanted.max_connections);
  wanted.backup = patch.backup.value_or(wanted.backup);
  const Hold hold = patch.state ? HoldOf(*patch.state) : view->hold;

  UpstreamEntry entry = EntryOf(upstream);
  const std::vector<EffectiveBackend> base = EntriesBase(upstream);
  const EffectiveBackend* of = FindId(base, wanted.id);
  const auto before = entry.backends.find(wanted.id);
  const bool added =
      before != entry.backends.end() && before->second.kind == BackendEntry::Kind::kAdded;
  std::optional<BackendEntry> change;
  if (added) {
    change = before->second;
    change->weight = wanted.weight;
    change->max_connections = wanted.max_connections;
    change->backup = wanted.backup;
    change->hold = hold;
  } else {
    change = EntryFor(of, wanted, hold);
  }
  entry.backends.erase(wanted.id);
  if (change) entry.backends.emplace(wanted.id, *std::move(change));
  const uint64_t serial = view->serial();
  const bool to_draining = hold == Hold::kDraining && view->hold != Hold::kDraining;
  if (drain && to_draining) members_->WishDrain(serial, *drain);
  Result result = Write(std::string(upstream), std::move(entry), 200, wanted.id, "backend changed");
  if (!result.ok()) {
    members_->DropWish(serial);
  } else if (patch.state == config::WantedState::kUp) {
    members_->SetUp(serial, health::Actor::kApi);
    members_->Commit();
  } else if (drain && hold == Hold::kDraining && !to_draining) {
    members_->SetDrainEnd(serial, loop_.Now() + *drain);
    members_->Commit();
  }
  return result;
}

Result Cluster::RemoveBackend(std::string_view upstream, std::string_view id,
                              std::optional<Duration> drain, IfMatch if_match) {
  if (auto mismatch = Mismatch(if_match)) return *std::move(mismatch);
  const BackendView* view = FindBackend(upstream, id);
  if (view == nullptr) return Refuse(404, "not_found", "there is no backend " + std::string(id));
  const uint64_t serial = view->serial();
  if (view->removing) {
    if (drain) {
      members_->SetDrainEnd(serial, loop_.Now() + *drain);
      members_->Commit();
    }
    return Done(202, view->id);
  }
  if (IsDiscovered(view->origin)) {
    return Refuse(409, "discovered",
                  "backend " + view->id + " cannot be deleted while " +
                      std::string(FoundBy(view->origin)) +
                      ": set it draining, or take it out there");
  }
  UpstreamEntry entry = EntryOf(upstream);
  const std::vector<EffectiveBackend> base = EntriesBase(upstream);
  const std::string name = view->settings.id;
  entry.backends.erase(name);
  if (const EffectiveBackend* of = FindId(base, name)) {
    if (IsDiscovered(of->origin)) {
      return Refuse(
          409, "discovered",
          "backend " + name + " cannot be deleted while " + std::string(FoundBy(of->origin)));
    }
    BackendEntry removed;
    removed.kind = BackendEntry::Kind::kRemoved;
    removed.address = of->settings.address;
    entry.backends.emplace(name, std::move(removed));
  }
  if (drain) members_->WishDrain(serial, *drain);
  Result result = Write(std::string(upstream), std::move(entry), 202, name, "backend removed");
  if (!result.ok()) members_->DropWish(serial);
  return result;
}

Result Cluster::PutBackends(std::string_view upstream, std::vector<config::Backend> backends,
                            IfMatch if_match) {
  if (auto mismatch = Mismatch(if_match)) return *std::move(mismatch);
  const UpstreamView* view = FindUpstream(upstream);
  if (view == nullptr || view->removing) return NoUpstream(upstream);
  std::map<std::string, const config::Backend*, std::less<>> wanted;
  std::set<std::string> addresses;
  for (size_t i = 0; i < backends.size(); ++i) {
    config::Backend& each = backends[i];
    if (each.id.empty()) each.id = each.address.ToString();
    const std::string field = "backends[" + std::to_string(i) + "]";
    if (!wanted.emplace(each.id, &each).second) {
      return Refuse(400, "invalid", "the id " + each.id + " is there twice", field + ".id");
    }
    if (!addresses.insert(each.address.ToString()).second) {
      return Refuse(400, "invalid", "the address " + each.address.ToString() + " is there twice",
                    field + ".address");
    }
  }
  const UpstreamEntry old = EntryOf(upstream);
  UpstreamEntry entry = old;
  entry.backends.clear();
  const std::vector<EffectiveBackend> base = EntriesBase(upstream);
  for (const EffectiveBackend& each : base) {
    const auto found = wanted.find(each.settings.id);
    if (found != wanted.end() &&
        (!IsDiscovered(each.origin) || found->second->address == each.settings.address)) {
      continue;
    }
    if (IsDiscovered(each.origin)) {
      return Refuse(409, "discovered",
                    "backend " + each.settings.id + " must be in the list while " +
                        std::string(FoundBy(each.origin)));
    }
    BackendEntry removed;
    removed.kind = BackendEntry::Kind::kRemoved;
    removed.address = each.settings.address;
    entry.backends.emplace(each.settings.id, std::move(removed));
  }
  for (const auto& [id, each] : wanted) {
    const BackendView* there = FindBackend(upstream, id);
    const bool same =
        there != nullptr && !there->removing && there->settings.address == each->address;
    std::optional<BackendEntry> change =
        EntryFor(FindId(base, id), *each, same ? there->hold : Hold::kNone);
    if (change) entry.backends.emplace(id, *std::move(change));
  }
  // What is about backends that a source has yet to bring is not this list's matter.
  for (const auto& [id, each] : old.backends) {
    if (each.kind == BackendEntry::Kind::kChanged && FindId(base, id) == nullptr)
      entry.backends.emplace(id, each);
  }
  return Write(std::string(upstream), std::move(entry), 200, "", "backends replaced");
}

Result Cluster::PutUpstream(config::Upstream upstream, IfMatch if_match) {
  if (auto mismatch = Mismatch(if_match)) return *std::move(mismatch);
  const std::string name = upstream.name;
  const UpstreamView* view = FindUpstream(name);
  const bool there = view != nullptr && !view->removing;
  UpstreamEntry entry;
  entry.created = BaseOf(name) == nullptr;
  for (const config::Backend& backend : upstream.backends) {
    const BackendView* before = there ? FindBackend(name, backend.id) : nullptr;
    if (before == nullptr || before->removing || before->settings.address != backend.address)
      continue;
    if (before->hold == Hold::kNone) continue;
    BackendEntry held;
    held.address = backend.address;
    held.hold = before->hold;
    entry.backends.emplace(backend.id, std::move(held));
  }
  // An operator's holds on what its sources found are not this call's matter.
  if (there && !upstream.sources.empty()) {
    for (const auto& each : view->backends) {
      if (each->removing || each->hold == Hold::kNone || !IsDiscovered(each->origin)) continue;
      BackendEntry held;
      held.address = each->settings.address;
      held.hold = each->hold;
      entry.backends.emplace(each->settings.id, std::move(held));
    }
  }
  CarryAnswers(upstream);
  // A created one that the base has by now would be a conflict only of a reload: here the base is
  // what it is.
  entry.written = std::move(upstream);
  Result result = Write(name, std::move(entry), there ? 200 : 201, "", "upstream written");
  RefreshSources();
  return result;
}

Result Cluster::DeleteUpstream(std::string_view name, IfMatch if_match) {
  if (auto mismatch = Mismatch(if_match)) return *std::move(mismatch);
  const UpstreamView* view = FindUpstream(name);
  if (view == nullptr || view->removing) return NoUpstream(name);
  const std::string route = RouteThatNames(base_, name);
  if (!route.empty()) {
    return Refuse(409, "in_use", "upstream " + std::string(name) + " is used: " + route);
  }
  UpstreamEntry entry;
  entry.deleted = BaseOf(name) != nullptr;
  Result result = Write(std::string(name), std::move(entry), 202, "", "upstream deleted");
  RefreshSources();
  return result;
}

}  // namespace rondo::control
