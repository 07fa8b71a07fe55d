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

size_t IndexOf(const std::vector<config::Upstream>& upstreams, const std::string& name) {
  for (size_t i = 0; i < upstreams.size(); ++i) {
    if (upstreams[i].name == name) return i;
  }
  // The configuration was checked: a route names upstreams that exist.
  RONDO_CHECK(false);
}

RouteAction ActionOf(const config::RouteConfig& route, const std::vector<config::Upstream>& upstreams) {
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
  action.request_edits = http::CompiledEdits(route.request_headers);
  action.response_edits = http::CompiledEdits(route.response_headers);
  return action;
}

}  // namespace

UpstreamConfig::UpstreamConfig(const config::Upstream& upstream, size_t workers) : settings(upstream) {
  backends.reserve(settings.backends.size());
  bool limited = false;
  for (const auto& backend : settings.backends) {
    backends.push_back(std::make_shared<BackendShared>(backend));
    limited |= backend.max_connections > 0;
  }
  if (settings.sticky) sticky_cookie = http::StickyCookie{settings.sticky->cookie, settings.sticky->ttl};
  if (limited) board = std::make_unique<WaitBoard>(workers);
}

ListenerSnapshot::ListenerSnapshot(const config::Listener& listener,
                                   const std::vector<config::Upstream>& upstreams)
    : settings(listener), router(MatchesOf(listener)) {
  for (const auto& each : settings.routes) actions.push_back(ActionOf(each, upstreams));
}

Snapshot::Snapshot(uint64_t revision_number, const config::Config& checked_config, size_t workers)
    : revision(revision_number), config(checked_config) {
  for (const auto& listener : config.listeners) listeners.emplace_back(listener, config.upstreams);
  for (const auto& each : config.upstreams) {
    upstreams.push_back(std::make_shared<const UpstreamConfig>(each, workers));
  }
}

}  // namespace rondo::upstream
