#include "rondo/upstream/snapshot.h"

#include <algorithm>
#include <utility>

#include "rondo/base/check.h"
#include "rondo/http/client_certificate.h"

namespace rondo::upstream {
namespace {

std::vector<route::RouteMatch> MatchesOf(const config::Listener& listener) {
  std::vector<route::RouteMatch> matches;
  matches.reserve(listener.routes.size());
  for (const auto& each : listener.routes) matches.push_back(each.match);
  return matches;
}

using Names = std::span<const std::string_view>;

size_t IndexOf(Names upstreams, std::string_view name) {
  const auto found = std::find(upstreams.begin(), upstreams.end(), name);
  // The configuration was checked: a route names upstreams that exist.
  RONDO_CHECK(found != upstreams.end());
  return static_cast<size_t>(found - upstreams.begin());
}

bool NamesField(const http::HeaderEdits& edits, std::string_view name) {
  const auto is = [&](std::string_view other) { return http::EqualsIgnoreCase(name, other); };
  return std::any_of(edits.set.begin(), edits.set.end(),
                     [&](const auto& each) { return is(each.first); }) ||
         std::any_of(edits.remove.begin(), edits.remove.end(), is);
}

constexpr std::string_view kHsts = "Strict-Transport-Security";

// RFC 6797 §6.1: the listener speaks nothing but TLS, so that it may stand in every answer.
std::string HstsValue(const config::Listener& listener) {
  if (!listener.tls || !listener.tls->hsts) return {};
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(*listener.tls->hsts);
  return "max-age=" + std::to_string(age.count());
}

std::string ReplyFields(const config::Listener& listener) {
  const std::string value = HstsValue(listener);
  return value.empty() ? std::string() : std::string(kHsts) + ": " + value + "\r\n";
}

http::HeaderEdits RequestEdits(const config::RouteConfig& route, const config::Listener& listener) {
  http::HeaderEdits edits = route.request_headers;
  if (listener.tls && !listener.tls->client_ca.empty()) {
    for (std::string& name : http::ForgeableClientNames()) edits.remove.push_back(std::move(name));
  }
  return edits;
}

// What the route itself says of HSTS holds.
http::HeaderEdits ResponseEdits(const config::RouteConfig& route,
                                const config::Listener& listener) {
  http::HeaderEdits edits = route.response_headers;
  if (std::string value = HstsValue(listener); !value.empty() && !NamesField(edits, kHsts)) {
    edits.set.emplace_back(kHsts, std::move(value));
  }
  return edits;
}

RouteAction ActionOf(const config::RouteConfig& route, const config::Listener& listener,
                     Names upstreams) {
  RouteAction action;
  if (!route.upstream.empty()) action.upstream = IndexOf(upstreams, route.upstream);
  if (!route.upstreams.empty()) {
    std::vector<uint32_t> weights;
    for (const auto& each : route.upstreams) {
      weights.push_back(each.weight);
      action.split_upstreams.push_back(IndexOf(upstreams, each.name));
    }
    action.split = route::WeightedSplit(weights);
  }
  action.request_edits = http::CompiledEdits(RequestEdits(route, listener));
  action.response_edits = http::CompiledEdits(ResponseEdits(route, listener));
  action.own_client_fields = http::ClientFieldsOf(route.request_headers);
  action.guarded =
      !route.allow.empty() || !route.deny.empty() || route.uri_bytes > 0 || route.rate_limit;
  return action;
}

// Whether buckets that were filled under one limit mean the same under another: those of the same
// key, filled at the same rate. Less burst is waited for longer.
bool SameBuckets(const config::RouteConfig& a, const config::RouteConfig& b) {
  return a.rate_limit && b.rate_limit && a.match == b.match &&
         a.rate_limit->key == b.rate_limit->key &&
         a.rate_limit->requests == b.rate_limit->requests && a.rate_limit->per == b.rate_limit->per;
}

// The table of a route that limits: the one that it had before, else a new one.
std::shared_ptr<protect::RateTable> RateTableOf(const config::RouteConfig& route,
                                                const ListenerSnapshot::Inherited& inherited,
                                                const std::vector<RouteAction>& made) {
  const ListenerSnapshot* previous = inherited.previous;
  for (size_t i = 0; previous != nullptr && i < previous->actions.size(); ++i) {
    if (!SameBuckets(previous->settings.routes[i], route)) continue;
    const auto& table = previous->actions[i].rate_table;
    const bool taken = std::any_of(made.begin(), made.end(), [&](const RouteAction& each) {
      return each.rate_table == table;
    });
    if (!taken) return table;
  }
  return std::make_shared<protect::RateTable>(protect::RateTable::kSlotsDefault, inherited.seed);
}

std::vector<std::string_view> NamesOf(
    const std::vector<std::shared_ptr<const UpstreamConfig>>& upstreams) {
  std::vector<std::string_view> names;
  names.reserve(upstreams.size());
  for (const auto& each : upstreams) names.push_back(each->settings.name);
  return names;
}

// Whether the indices that `listener` was compiled with still mean the upstreams that its routes
// name.
bool StillResolves(const ListenerSnapshot& listener, Names upstreams) {
  const auto means = [&](size_t index, const std::string& name) {
    return index < upstreams.size() && upstreams[index] == name;
  };
  for (size_t i = 0; i < listener.actions.size(); ++i) {
    const config::RouteConfig& route = listener.settings.routes[i];
    const RouteAction& action = listener.actions[i];
    if (!route.upstream.empty() && !means(action.upstream, route.upstream)) return false;
    for (size_t j = 0; j < route.upstreams.size(); ++j) {
      if (!means(action.split_upstreams[j], route.upstreams[j].name)) return false;
    }
  }
  return true;
}

http::StickyCookie CookieOf(const config::Upstream& upstream) {
  if (!upstream.sticky) return {};
  return http::StickyCookie{upstream.sticky->cookie, upstream.sticky->ttl};
}

std::vector<std::shared_ptr<BackendShared>> NewBackends(const config::Upstream& upstream,
                                                        size_t workers) {
  std::vector<std::shared_ptr<BackendShared>> backends;
  backends.reserve(upstream.backends.size());
  for (const config::Backend& each : upstream.backends) {
    backends.push_back(std::make_shared<BackendShared>(each.id, each.address,
                                                       BackendShared::NextSerial(), workers));
  }
  return backends;
}

std::shared_ptr<const tls::ServerSetup> TlsOf(const SnapshotParts& parts, std::string_view name) {
  for (const auto& [listener, setup] : parts.listener_tls) {
    if (listener == name) return setup;
  }
  return nullptr;
}

config::Config ProcessValues(const config::Config& config) {
  config::Config values;
  values.process = config.process;
  values.logging = config.logging;
  values.admin = config.admin;
  values.admin_optional = config.admin_optional;
  values.resolver = config.resolver;
  values.timeouts = config.timeouts;
  values.limits = config.limits;
  return values;
}

}  // namespace

UpstreamConfig::UpstreamConfig(const config::Upstream& upstream,
                               std::shared_ptr<UpstreamShared> upstream_shared,
                               std::vector<std::shared_ptr<BackendShared>> backends_in_order,
                               std::shared_ptr<const tls::ClientSetup> client_tls)
    : settings(upstream),
      shared(std::move(upstream_shared)),
      backends(std::move(backends_in_order)),
      sticky_cookie(CookieOf(upstream)),
      tls(std::move(client_tls)) {
  RONDO_CHECK(shared != nullptr && backends.size() == settings.backends.size());
}

UpstreamConfig::UpstreamConfig(const config::Upstream& upstream, size_t workers)
    : UpstreamConfig(upstream, std::make_shared<UpstreamShared>(upstream.name, workers),
                     NewBackends(upstream, workers)) {}

std::shared_ptr<const UpstreamConfig> ReuseOrMake(
    const std::shared_ptr<const UpstreamConfig>& previous, const config::Upstream& upstream,
    std::shared_ptr<UpstreamShared> shared, std::vector<std::shared_ptr<BackendShared>> backends,
    std::shared_ptr<const tls::ClientSetup> tls) {
  if (previous != nullptr && previous->shared == shared && previous->backends == backends &&
      previous->tls == tls && previous->settings == upstream) {
    return previous;
  }
  return std::make_shared<const UpstreamConfig>(upstream, std::move(shared), std::move(backends),
                                                std::move(tls));
}

ListenerSnapshot::ListenerSnapshot(const config::Listener& listener, uint32_t slot_number,
                                   Names upstream_names,
                                   std::shared_ptr<const tls::ServerSetup> server_tls,
                                   const Inherited& inherited)
    : settings(listener),
      slot(slot_number),
      tls(std::move(server_tls)),
      router(MatchesOf(listener)),
      shared(inherited.shared),
      guarded(!listener.allow.empty() || !listener.deny.empty() || listener.connections_total > 0 ||
              listener.connections_per_address > 0),
      reply_fields(ReplyFields(listener)) {
  for (const auto& each : settings.routes) {
    RouteAction action = ActionOf(each, settings, upstream_names);
    if (each.rate_limit) action.rate_table = RateTableOf(each, inherited, actions);
    actions.push_back(std::move(action));
  }
  if (settings.connections_per_address > 0 && shared->addresses == nullptr) {
    shared->addresses = std::make_unique<protect::AddressCounts>(
        protect::AddressCounts::kSlotsDefault, inherited.seed);
  }
}

Snapshot::Snapshot(SnapshotParts parts, const Snapshot* previous)
    : revision(parts.revision),
      config(ProcessValues(*parts.config)),
      upstreams(std::move(parts.upstreams)) {
  AddListeners(parts, previous);
}

namespace {

SnapshotParts AllNew(uint64_t revision, const config::Config& config, size_t workers) {
  SnapshotParts parts;
  parts.revision = revision;
  parts.config = &config;
  for (const config::Upstream& each : config.upstreams) {
    parts.upstreams.push_back(std::make_shared<const UpstreamConfig>(each, workers));
  }
  return parts;
}

}  // namespace

Snapshot::Snapshot(uint64_t revision_number, const config::Config& checked_config, size_t workers)
    : Snapshot(AllNew(revision_number, checked_config, workers), nullptr) {}

void Snapshot::AddListeners(const SnapshotParts& parts, const Snapshot* previous) {
  const std::vector<std::string_view> names = NamesOf(upstreams);
  if (previous != nullptr) {
    slot_names_ = previous->slot_names_;
    slot_shared_ = previous->slot_shared_;
  }
  for (const config::Listener& each : parts.config->listeners) {
    const auto found = std::find(slot_names_.begin(), slot_names_.end(), each.name);
    const auto slot = static_cast<uint32_t>(found - slot_names_.begin());
    if (found == slot_names_.end()) {
      slot_names_.push_back(each.name);
      slot_shared_.push_back(std::make_shared<ListenerShared>());
    }
    std::shared_ptr<const ListenerSnapshot> listener;
    if (previous != nullptr) listener = previous->ShareListener(slot);
    std::shared_ptr<const tls::ServerSetup> tls = TlsOf(parts, each.name);
    if (listener == nullptr || listener->tls != tls || !(listener->settings == each) ||
        !StillResolves(*listener, names)) {
      const ListenerSnapshot::Inherited inherited{slot_shared_[slot], listener.get(),
                                                  parts.protect_seed};
      listener =
          std::make_shared<const ListenerSnapshot>(each, slot, names, std::move(tls), inherited);
    }
    listeners.push_back(std::move(listener));
  }
  by_slot_.assign(slot_names_.size(), nullptr);
  for (const auto& each : listeners) by_slot_[each->slot] = each.get();
}

std::shared_ptr<const ListenerSnapshot> Snapshot::ShareListener(uint32_t slot) const {
  for (const auto& each : listeners) {
    if (each->slot == slot) return each;
  }
  return nullptr;
}

size_t Snapshot::FindUpstream(std::string_view name) const {
  for (size_t i = 0; i < upstreams.size(); ++i) {
    if (upstreams[i]->settings.name == name) return i;
  }
  return SIZE_MAX;
}

}  // namespace rondo::upstream
