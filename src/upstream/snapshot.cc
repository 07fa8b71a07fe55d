#include "rondo/upstream/snapshot.h"

#include "rondo/base/check.h"

namespace rondo::upstream {
namespace {

std::vector<route::RouteMatch> MatchesOf(const config::Listener& listener) {
  std::vector<route::RouteMatch> matches;
  matches.reserve(listener.routes.size());
  for (const auto& each : listener.routes) matches.push_back(each.match);
  return matches;
}

}  // namespace

UpstreamConfig::UpstreamConfig(const config::Upstream& upstream) : settings(upstream) {
  backends.reserve(settings.backends.size());
  for (const auto& backend : settings.backends) {
    backends.push_back(std::make_shared<BackendShared>(backend));
  }
}

ListenerSnapshot::ListenerSnapshot(const config::Listener& listener,
                                   const std::vector<config::Upstream>& upstreams)
    : settings(listener), router(MatchesOf(listener)) {
  for (const auto& each : settings.routes) {
    size_t found = kNoUpstream;
    for (size_t i = 0; i < upstreams.size(); ++i) {
      if (!each.upstream.empty() && upstreams[i].name == each.upstream) found = i;
    }
    // The configuration was checked: a route names an upstream that exists, or answers itself.
    RONDO_CHECK(found != kNoUpstream || each.upstream.empty());
    route_upstreams.push_back(found);
  }
}

Snapshot::Snapshot(uint64_t revision_number, const config::Config& checked_config)
    : revision(revision_number), config(checked_config) {
  for (const auto& listener : config.listeners) listeners.emplace_back(listener, config.upstreams);
  for (const auto& each : config.upstreams) {
    upstreams.push_back(std::make_shared<const UpstreamConfig>(each));
  }
}

}  // namespace rondo::upstream
