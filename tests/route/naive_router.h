// The rules of routing as slowly and obviously as can be: each route is asked in turn. What the
// compiled router is checked against.
#pragma once

#include <cctype>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/route/route_config.h"

namespace rondo::route {

class NaiveRouter {
 public:
  // REQUIRES: hosts in lower case without ports, paths normalised.
  explicit NaiveRouter(std::vector<RouteMatch> routes) : routes_(std::move(routes)) {}

  // SIZE_MAX where none holds. No IPv6 hosts.
  size_t Match(std::string_view host, std::string_view path, size_t from = 0) const {
    std::string name(host.substr(0, host.find(':')));
    if (name.ends_with('.')) name.pop_back();
    if (name.size() > 255) name.clear();
    for (char& c : name) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    for (size_t i = from; i < routes_.size(); ++i) {
      const RouteMatch& route = routes_[i];
      if (HostHolds(route.host, name) && (route.path.empty() || route.path == path) &&
          PrefixHolds(route.path_prefix, path)) {
        return i;
      }
    }
    return SIZE_MAX;
  }

 private:
  static bool HostHolds(std::string_view pattern, std::string_view host) {
    if (!pattern.starts_with("*.")) return pattern.empty() || pattern == host;
    const std::string_view suffix = pattern.substr(1);
    return host.size() > suffix.size() && host.ends_with(suffix);
  }
  static bool PrefixHolds(std::string_view prefix, std::string_view path) {
    if (prefix.empty() || prefix == "/") return true;
    if (!path.starts_with(prefix)) return false;
    return prefix.ends_with('/') || path.size() == prefix.size() || path[prefix.size()] == '/';
  }

  std::vector<RouteMatch> routes_;
};

}  // namespace rondo::route
