#include "control/members.h"

#include <algorithm>
#include <utility>

#include "control/json_writer.h"
#include "rondo/base/check.h"

namespace rondo::control {
namespace {

std::string Identity(const std::string& id, const SocketAddress& address) {
  return id + '\n' + address.ToString();
}

health::Settings MachineSettings(const config::Upstream& upstream) {
  health::Settings settings;
  if (upstream.health_check) {
    settings.has_check = true;
    settings.healthy_threshold = upstream.health_check->healthy_threshold;
    settings.unhealthy_threshold = upstream.health_check->unhealthy_threshold;
  }
  settings.has_warm_up = upstream.warm_up.has_value();
  settings.max_fails = upstream.passive_health.max_fails;
  settings.fail_timeout = upstream.passive_health.fail_timeout;
  settings.slow_start = upstream.slow_start;
  return settings;
}

}  // namespace

std::string_view OriginName(Origin origin) {
  switch (origin) {
    case Origin::kConfig:
      return "config";
    case Origin::kApi:
      return "api";
    case Origin::kDns:
      return "dns";
    case Origin::kFile:
      return "file";
  }
  return "";
}

Members::Members(const Parts& parts) : parts_(parts) {}

void Members::SetConfig(const config::Config& config, uint64_t revision) {
  config_ = &config;
  revision_ = revision;
  config_moved_ = true;
}

void Members::Set(EffectiveUpstream wanted, health::Actor actor) {
  Upstream& upstream = FindOrMake(wanted.settings.name);
  std::vector<config::Backend> list;
  list.swap(wanted.settings.backends);
  const bool settings_moved = wanted.settings != upstream.bare;
  if (settings_moved) upstream.bare = std::move(wanted.settings);
  if (settings_moved || list != upstream.settings.backends || upstream.removing)
    upstream.list_moved = true;
  upstream.settings = upstream.bare;
  upstream.settings.backends = std::move(list);
  upstream.origin = wanted.origin;
  upstream.changed = wanted.changed;
  upstream.removing = false;
  upstream.expecting = wanted.expecting;

  absl::flat_hash_map<std::string, std::unique_ptr<BackendView>> before;
  std::vector<std::unique_ptr<BackendView>> leaving;
  for (auto& backend : upstream.backends) {
    if (backend->drain_step == DrainStep::kLeaving) {
      leaving.push_back(std::move(backend));
    } else {
      std::string identity = Identity(backend->settings.id, backend->settings.address);
      before.emplace(std::move(identity), std::move(backend));
    }
  }
  upstream.backends.clear();
  for (const EffectiveBackend& each : wanted.backends) {
    const auto found = before.find(Identity(each.settings.id, each.settings.address));
    if (found == before.end()) {
      upstream.backends.push_back(Make(upstream, each, actor));
    } else {
      Keep(upstream, *found->second, each, actor, settings_moved);
      upstream.backends.push_back(std::move(found->second));
      before.erase(found);
    }
  }
  for (auto& [identity, backend] : before) {
    if (!backend->removing) BeginRemoval(upstream, *backend, actor);
    leaving.push_back(std::move(backend));
  }
  std::ranges::sort(leaving, {}, [](const auto& backend) { return backend->serial(); });
  for (auto& backend : leaving) upstream.backends.push_back(std::move(backend));
  NameThem(upstream);
}

void Members::Remove(std::string_view name, health::Actor actor) {
  Upstream* upstream = Find(name);
  if (upstream == nullptr || upstream->removing) return;
  upstream->removing = true;
  upstream->settings.backends.clear();
  upstream->list_moved = true;
  upstream->expecting = false;
  for (auto& backend : upstream->backends) {
    if (!backend->removing) BeginRemoval(*upstream, *backend, actor);
  }
  if (upstream->backends.empty()) EraseUpstream(name);
}

void Members::Order(const std::vector<std::string>& names) {
  absl::flat_hash_map<std::string, size_t> places;
  for (const std::string& name : names) places.emplace(name, places.size());
  const auto place = [&](const std::unique_ptr<Upstream>& upstream) {
    const auto found = places.find(upstream->settings.name);
    return found == places.end() ? places.size() : found->second;
  };
  if (std::ranges::is_sorted(upstreams_, {}, place)) return;
  std::vector<std::unique_ptr<Upstream>> sorted(places.size());
  for (auto& upstream : upstreams_) {
    const size_t at = place(upstream);
    if (at == places.size()) {
      sorted.push_back(std::move(upstream));
    } else {
      sorted[at] = std::move(upstream);
    }
  }
  std::erase(sorted, nullptr);
  upstreams_ = std::move(sorted);
  config_moved_ = true;
}

std::shared_ptr<const upstream::Snapshot> Members::BuildSnapshot() {
  RONDO_CHECK(config_ != nullptr);
  upstream::SnapshotParts parts;
  parts.revision = revision_;
  parts.config = config_;
  parts.protect_seed = parts_.links.ProtectSeed();
  for (const config::Listener& listener : config_->listeners) {
    if (!listener.tls) continue;
    if (auto tls = parts_.links.ServerTls(listener.name))
      parts.listener_tls.emplace_back(listener.name, std::move(tls));
  }
  for (auto& upstream : upstreams_) {
    std::shared_ptr<const tls::ClientSetup> tls = TlsOf(*upstream);
    const bool is_new = upstream->published == nullptr;
    const bool tls_moved = !is_new && upstream->published->tls != tls;
    if (upstream->list_moved || is_new || tls_moved) Republish(*upstream, std::move(tls));
    // Checks go the new way too.
    for (const auto& backend : upstream->backends) {
      if (tls_moved && backend->drain_step != DrainStep::kLeaving) Watch(*upstream, *backend);
    }
    parts.upstreams.push_back(upstream->published);
  }
  config_moved_ = false;
  return std::make_shared<const upstream::Snapshot>(std::move(parts),
                                                    parts_.publisher.current().get());
}

// One that leaves keeps what it has: nobody wants it any more, but for requests that go on.
std::shared_ptr<const tls::ClientSetup> Members::TlsOf(const Upstream& upstream) const {
  if (upstream.removing && upstream.published != nullptr) return upstream.published->tls;
  return upstream.bare.tls ? parts_.links.ClientTls(upstream.bare) : nullptr;
}

void Members::Republish(Upstream& upstream, std::shared_ptr<const tls::ClientSetup> tls) {
  upstream.list_moved = false;
  upstream.list_epoch = parts_.publisher.epoch() + 1;
  config::Upstream settings = upstream.bare;
  std::vector<std::shared_ptr<upstream::BackendShared>> backends;
  for (const auto& backend : upstream.backends) {
    if (backend->drain_step == DrainStep::kLeaving) continue;
    settings.backends.push_back(backend->settings);
    backends.push_back(backend->shared);
  }
  upstream.published = upstream::ReuseOrMake(upstream.published, settings, upstream.shared,
                                             std::move(backends), std::move(tls));
}

Members::Upstream& Members::FindOrMake(const std::string& name) {
  const auto found = by_name_.find(name);
  if (found != by_name_.end()) return *found->second;
  auto upstream = std::make_unique<Upstream>();
  upstream->bare.name = name;
  upstream->settings.name = name;
  upstream->shared = std::make_shared<upstream::UpstreamShared>(name, parts_.workers, parts_.bell);
  by_name_.emplace(name, upstream.get());
  upstreams_.push_back(std::move(upstream));
  return *upstreams_.back();
}

std::unique_ptr<BackendView> Members::Make(Upstream& upstream, const EffectiveBackend& wanted,
                                           health::Actor actor) {
  auto shared = std::make_shared<upstream::BackendShared>(
      wanted.settings.id, wanted.settings.address, upstream::BackendShared::NextSerial(),
      parts_.workers);
  auto backend = std::make_unique<BackendView>(
      BackendView{.id = wanted.settings.id,
                  .settings = wanted.settings,
                  .shared = std::move(shared),
                  .machine = health::Machine(MachineSettings(upstream.bare), actor, Now()),
                  .origin = wanted.origin,
                  .changed = wanted.changed});
  by_serial_.emplace(backend->serial(), Place{&upstream, backend.get()});
  upstream.list_moved = true;
  std::string data;
  JsonWriter json(data);
  json.BeginObject();
  json.Key("upstream").Text(upstream.settings.name);
  json.Key("backend").Text(backend->id);
  json.Key("address").Text(wanted.settings.address.ToString());
  json.Key("source").Text(OriginName(wanted.origin));
  json.Key("state").Text(health::StateName(backend->machine.state()));
  json.EndObject();
  parts_.events.Append(EventType::kBackendAdded, data);
  StoreState(upstream, *backend);
  Watch(upstream, *backend);
  if (backend->machine.state() == health::State::kWarming) parts_.links.WarmUp(upstream, *backend);
  Hold(upstream, *backend, wanted.hold, actor);
  // No worker has it yet: it comes with the state that it is to have.
  if (backend->tell_epoch != 0) Tell(upstream, *backend);
  return backend;
}

void Members::Keep(Upstream& upstream, BackendView& backend, const EffectiveBackend& wanted,
                   health::Actor actor, bool settings_moved) {
  backend.settings = wanted.settings;
  backend.origin = wanted.origin;
  backend.changed = wanted.changed;
  // Who is leaving is not told of new settings: one that comes back learns of them now.
  if (settings_moved || backend.removing) {
    const health::State from = backend.machine.state();
    const bool moved = backend.machine.Reconfigure(MachineSettings(upstream.bare), Now(), actor);
    // First its checks as they are to be: what it moves to may ask for one, or for a warm-up.
    Watch(upstream, backend);
    if (moved) Moved(upstream, backend, from);
    StoreState(upstream, backend);
  }
  if (backend.removing) {
    // Whoever comes back while he is leaving was never away: counts and connections are his. And
    // where no worker was told that he leaves he goes on as he was: nobody else may be up yet.
    const bool serves = backend.tell_epoch != 0 &&
                        backend.shared->state.load(std::memory_order_relaxed) == health::State::kUp;
    backend.removing = false;
    backend.faltered = false;
    backend.hold = control::Hold::kNone;
    backend.drain_step = DrainStep::kNone;
    upstream.list_moved = true;
    const health::State from = backend.machine.state();
    if (backend.machine.SetUp(actor, "added again", Now())) {
      const std::optional<health::LastCheck> last = backend.machine.last_check();
      if (serves && last && last->passed) backend.machine.OnCheck(true, last->detail, Now());
      if (serves) backend.machine.OnWarmedUp(Now());
      Moved(upstream, backend, from);
    }
  }
  Hold(upstream, backend, wanted.hold, actor);
}

void Members::BeginRemoval(Upstream& upstream, BackendView& backend, health::Actor actor) {
  backend.removing = true;
  switch (backend.drain_step) {
    case DrainStep::kNone:
      BeginDrain(upstream, backend, actor, "removed");
      break;
    case DrainStep::kAnnounced:
    case DrainStep::kWaiting: {
      const auto wish = wishes_.find(backend.serial());
      if (wish != wishes_.end()) SetDrainEnd(backend.serial(), Now() + wish->second);
      break;
    }
    case DrainStep::kDrained:
      draining_.push_back(backend.serial());
      Announce(backend, DrainStep::kCutting);
      break;
    case DrainStep::kCutting:
    case DrainStep::kLeaving:
      break;
  }
  wishes_.erase(backend.serial());
}

// Ids are unique among those that stay; who leaves while another has taken its id is told apart by
// its address.
void Members::NameThem(Upstream& upstream) {
  upstream.by_id.clear();
  for (const auto& backend : upstream.backends) {
    backend->id = backend->settings.id;
    if (backend->removing && upstream.by_id.contains(backend->id)) {
      backend->id += "@" + backend->settings.address.ToString();
    }
    // Two that leave may have been the same: the newer one is found.
    upstream.by_id[backend->id] = backend.get();
  }
}

void Members::Watch(const Upstream& upstream, const BackendView& backend) {
  if (upstream.bare.health_check || upstream.bare.warm_up) {
    parts_.links.Watch(upstream, backend);
    if (health::IsHeld(backend.machine.state())) parts_.links.Pause(backend.serial());
  } else {
    parts_.links.Unwatch(backend.serial());
  }
}

void Members::EraseGone() {
  std::erase_if(draining_, [&](uint64_t serial) {
    if (gone_.contains(serial)) return true;
    const DrainStep step = by_serial_.at(serial).backend->drain_step;
    return step == DrainStep::kNone || step == DrainStep::kDrained;
  });
  std::vector<Upstream*> poorer;
  for (const uint64_t serial : gone_) {
    Upstream* upstream = by_serial_.at(serial).upstream;
    by_serial_.erase(serial);
    if (!std::ranges::count(poorer, upstream)) poorer.push_back(upstream);
  }
  for (Upstream* upstream : poorer) {
    std::erase_if(upstream->backends,
                  [&](const auto& backend) { return gone_.contains(backend->serial()); });
    NameThem(*upstream);
    if (upstream->removing && upstream->backends.empty()) EraseUpstream(upstream->settings.name);
  }
  gone_.clear();
}

void Members::EraseUpstream(std::string_view name) {
  const std::string copy(name);
  by_name_.erase(copy);
  std::erase_if(upstreams_, [&](const auto& upstream) { return upstream->settings.name == copy; });
  config_moved_ = true;
}

Members::Upstream* Members::Find(std::string_view name) const {
  const auto found = by_name_.find(std::string(name));
  return found == by_name_.end() ? nullptr : found->second;
}

BackendView* Members::Find(std::string_view upstream, std::string_view id) const {
  const Upstream* of = Find(upstream);
  if (of == nullptr) return nullptr;
  const auto found = of->by_id.find(std::string(id));
  return found == of->by_id.end() ? nullptr : found->second;
}

BackendView* Members::Find(uint64_t serial) const {
  const auto found = by_serial_.find(serial);
  return found == by_serial_.end() ? nullptr : found->second.backend;
}

}  // namespace rondo::control
