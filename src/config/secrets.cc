// What a configuration holds that not everybody who may look at it is to learn: hidden where it is
// shown, and put back where it comes back hidden.
#include <algorithm>
#include <array>
#include <utility>

#include "config/build.h"
#include "config/text.h"
#include "rondo/config/edit.h"
#include "rondo/config/scalar.h"
#include "rondo/http/field.h"

namespace rondo::config {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

void Hide(Headers& headers) {
  for (auto& [name, value] : headers) {
    if (IsSecretHeader(name)) value = kHiddenSecret;
  }
}

// Headers whose values are put back, by the field that they stand in; what cannot be is an error.
class Keeper {
 public:
  void Keep(const Headers* current, Headers& headers, std::string_view field) {
    for (auto& [name, value] : headers) {
      if (value != kHiddenSecret || !IsSecretHeader(name)) continue;
      const std::string* before = current == nullptr ? nullptr : ValueOf(*current, name);
      if (before != nullptr) {
        value = *before;
      } else {
        AddError(Cat(field, ".", name));
      }
    }
  }
  void AddError(std::string field) {
    errors_.push_back({.message = "`***` stands for a secret that is not shown, and there is none "
                                  "in force that could stay: write the value itself",
                       .field = std::move(field)});
  }
  std::vector<Error> Take() { return std::move(errors_); }

 private:
  static const std::string* ValueOf(const Headers& headers, std::string_view name) {
    const auto found = std::ranges::find_if(
        headers, [&](const auto& other) { return http::EqualsIgnoreCase(other.first, name); });
    return found == headers.end() ? nullptr : &found->second;
  }
  std::vector<Error> errors_;
};

template <class T>
const T* FindNamed(const std::vector<T>& list, std::string_view name) {
  const auto found = std::ranges::find(list, name, &T::name);
  return found == list.end() ? nullptr : &*found;
}

// The route that this one was: that of the same match at the same place, else the first of the same
// match. Null where there is none.
const RouteConfig* RouteBefore(const Listener* listener, const RouteConfig& route, size_t place) {
  if (listener == nullptr) return nullptr;
  const std::vector<RouteConfig>& routes = listener->routes;
  if (place < routes.size() && routes[place].match == route.match) return &routes[place];
  const auto same = std::ranges::find(routes, route.match, &RouteConfig::match);
  return same == routes.end() ? nullptr : &*same;
}

void KeepInRoutes(const Listener* before, Listener& listener, Keeper& keeper) {
  for (size_t i = 0; i < listener.routes.size(); ++i) {
    RouteConfig& route = listener.routes[i];
    const RouteConfig* old = RouteBefore(before, route, i);
    const std::string field = Cat("listeners.", listener.name, ".routes[", i, "]");
    keeper.Keep(old == nullptr ? nullptr : &old->request_headers.set, route.request_headers.set,
                Cat(field, ".set_request_headers"));
    keeper.Keep(old == nullptr ? nullptr : &old->response_headers.set, route.response_headers.set,
                Cat(field, ".set_response_headers"));
  }
}

void KeepInUpstream(const Upstream* before, Upstream& upstream, std::string_view field,
                    Keeper& keeper) {
  if (!upstream.health_check) return;
  const bool known = before != nullptr && before->health_check;
  keeper.Keep(known ? &before->health_check->headers : nullptr, upstream.health_check->headers,
              field);
}

}  // namespace

bool IsSecretHeader(std::string_view name) {
  constexpr std::array<std::string_view, 9> kParts = {"authorization", "cookie",     "token",
                                                      "secret",        "api-key",    "apikey",
                                                      "password",      "credential", "access-key"};
  std::string lower = LowerCase(name);
  std::ranges::replace(lower, '_', '-');
  return std::ranges::any_of(
      kParts, [&](std::string_view part) { return lower.find(part) != std::string::npos; });
}

bool IsHiddenHeader(Context& context, std::string_view leaf, std::string_view name,
                    const Text& value) {
  if (context.json() || value.value != kHiddenSecret || !IsSecretHeader(name)) return false;
  context.AddError(value.where, Cat("`", leaf, "`: `***` for ", Quoted(name),
                                    " stands for a value that is not shown: write the value "
                                    "itself"));
  return true;
}

std::string HeaderProblem(std::string_view leaf, std::string_view name, std::string_view value,
                          std::string_view problem) {
  if (!IsSecretHeader(name)) return ValueProblem(leaf, value, problem);
  return Cat("`", leaf, "`: the value of ", Quoted(name), " ", problem);
}

void HideSecrets(Upstream& upstream) {
  if (upstream.health_check) Hide(upstream.health_check->headers);
}

void HideSecrets(Config& config) {
  if (config.admin && !config.admin->token.empty()) config.admin->token = kHiddenSecret;
  for (Upstream& upstream : config.upstreams) HideSecrets(upstream);
  for (Listener& listener : config.listeners) {
    for (RouteConfig& route : listener.routes) {
      Hide(route.request_headers.set);
      Hide(route.response_headers.set);
    }
  }
}

std::vector<Error> KeepSecrets(const Upstream* current, Upstream& upstream) {
  Keeper keeper;
  KeepInUpstream(current, upstream, "health_check.headers", keeper);
  return keeper.Take();
}

std::vector<Error> KeepSecrets(const Config& current, Config& config) {
  Keeper keeper;
  if (config.admin && config.admin->token == kHiddenSecret) {
    const bool known = current.admin && !current.admin->token.empty();
    if (known) config.admin->token = current.admin->token;
    if (!known) keeper.AddError("admin.token");
  }
  for (Upstream& upstream : config.upstreams) {
    KeepInUpstream(FindNamed(current.upstreams, upstream.name), upstream,
                   Cat("upstreams.", upstream.name, ".health_check.headers"), keeper);
  }
  for (Listener& listener : config.listeners) {
    KeepInRoutes(FindNamed(current.listeners, listener.name), listener, keeper);
  }
  return keeper.Take();
}

}  // namespace rondo::config
