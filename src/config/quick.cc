// `rondo run` without a file.
#include <algorithm>
#include <utility>

#include "config/checks.h"
#include "config/keys.h"
#include "config/text.h"
#include "rondo/config/load.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

constexpr std::string_view kName = "default";

void AddError(LoadResult& result, std::string message) {
  result.errors.push_back({.message = std::move(message)});
}

Listener QuickListener(const std::vector<std::string>& listen, LoadResult& result) {
  Listener listener;
  listener.name = kName;
  for (const std::string& text : listen) {
    Checked<SocketAddress> address = CheckListenAddress(text);
    if (!address.value) {
      AddError(result, Cat("--listen ", Quoted(text), " ", address.problem));
      continue;
    }
    const auto& known = listener.listen;
    const bool is_ephemeral =
        address.value->kind == SocketAddress::Kind::kIp && address.value->port == 0;
    if (!is_ephemeral && std::find(known.begin(), known.end(), *address.value) != known.end()) {
      AddError(result, Cat("--listen ", Quoted(text), " is given twice"));
      continue;
    }
    listener.listen.push_back(std::move(*address.value));
  }
  RouteConfig& route = listener.routes.emplace_back();
  route.upstream = kName;
  route.upgrades = {"websocket"};
  return listener;
}

Upstream QuickUpstream(const std::vector<std::string>& backends, std::string_view balance,
                       LoadResult& result) {
  Upstream upstream;
  upstream.name = kName;
  for (const std::string& text : backends) {
    Checked<SocketAddress> address = CheckBackendAddress(text);
    if (!address.value) {
      AddError(result, Cat("--backend ", Quoted(text), " ", address.problem));
      continue;
    }
    Backend backend;
    backend.id = address.value->ToString();
    const auto same = [&](const Backend& other) { return other.id == backend.id; };
    if (std::any_of(upstream.backends.begin(), upstream.backends.end(), same)) {
      AddError(result, Cat("--backend ", Quoted(text), " is given twice"));
      continue;
    }
    backend.address = std::move(*address.value);
    upstream.backends.push_back(std::move(backend));
  }
  if (balance.empty()) return upstream;
  if (const std::optional<balance::PolicyKind> kind = balance::PolicyFromName(balance)) {
    upstream.balance = *kind;
    return upstream;
  }
  std::vector<std::string_view> names;
  for (const balance::PolicyKind kind : balance::kPolicyKinds)
    names.push_back(balance::PolicyName(kind));
  AddError(result, Cat("--balance ", Quoted(balance), " is not one of ", QuotedList(names, "and")));
  return upstream;
}

}  // namespace

LoadResult BuildQuick(const std::vector<std::string>& listen,
                      const std::vector<std::string>& backends, std::string_view balance) {
  LoadResult result;
  if (listen.empty())
    AddError(result, "--listen is missing: name an address, such as --listen :8080");
  if (backends.empty()) {
    AddError(result,
             "--backend is missing: name at least one address, such as --backend 127.0.0.1:3001");
  }
  Config config;
  config.listeners.push_back(QuickListener(listen, result));
  config.upstreams.push_back(QuickUpstream(backends, balance, result));
  if (result.errors.empty()) result.config = std::move(config);
  return result;
}

}  // namespace rondo::config
