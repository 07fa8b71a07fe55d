// `rondo run` without a file.
#include <algorithm>
#include <utility>

#include "config/checks.h"
#include "config/host_checks.h"
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
    Checked<Place> place = CheckBackendPlace(text);
    if (!place.value) {
      AddError(result, Cat("--backend ", Quoted(text), " ", place.problem));
      continue;
    }
    const bool is_name = !place.value->name.empty();
    std::string id =
        is_name ? Cat(place.value->name, ":", place.value->port) : place.value->address.ToString();
    const auto same = [&](const auto& other) { return other.id == id; };
    if (std::ranges::any_of(upstream.backends, same) ||
        std::ranges::any_of(upstream.sources, same)) {
      AddError(result, Cat("--backend ", Quoted(text), " is given twice"));
      continue;
    }
    if (is_name) {
      BackendSource& source = upstream.sources.emplace_back();
      source.name = std::move(place.value->name);
      source.port = place.value->port;
      source.id = std::move(id);
    } else {
      Backend& backend = upstream.backends.emplace_back();
      backend.address = std::move(place.value->address);
      backend.id = std::move(id);
    }
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

void SetAdmin(const std::string& text, const Environment& environment, Config& config,
              LoadResult& result) {
  config.admin_optional = text.empty();
  if (text == "off") {
    config.admin.reset();
    return;
  }
  Checked<std::string> token =
      CheckToken(environment ? environment("RONDO_ADMIN_TOKEN").value_or("") : "");
  if (!token.value) {
    AddError(result, Cat("the environment variable RONDO_ADMIN_TOKEN ", token.problem));
    return;
  }
  config.admin->token = std::move(*token.value);
  if (text.empty()) return;
  Checked<SocketAddress> address = CheckListenAddress(text);
  if (!address.value) {
    AddError(result, Cat("--admin ", Quoted(text), " ", address.problem));
    return;
  }
  if (config.admin->token.empty() && !IsLoopback(*address.value)) {
    AddError(result, Cat("--admin ", Quoted(text),
                         " can be reached from other machines: set RONDO_ADMIN_TOKEN in the "
                         "environment, or listen on 127.0.0.1 or a unix socket"));
  }
  config.admin->listen = std::move(*address.value);
}

}  // namespace

LoadResult BuildQuick(const QuickArguments& arguments, const Environment& environment) {
  LoadResult result;
  if (arguments.listen.empty())
    AddError(result, "--listen is missing: name an address, such as --listen :8080");
  if (arguments.backends.empty()) {
    AddError(result,
             "--backend is missing: name at least one address, such as --backend 127.0.0.1:3001");
  }
  Config config;
  config.listeners.push_back(QuickListener(arguments.listen, result));
  config.upstreams.push_back(QuickUpstream(arguments.backends, arguments.balance, result));
  SetAdmin(arguments.admin, environment, config, result);
  if (result.errors.empty()) result.config = std::move(config);
  return result;
}

}  // namespace rondo::config
