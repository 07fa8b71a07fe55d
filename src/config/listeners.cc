#include <algorithm>
#include <unordered_map>

#include "config/build.h"
#include "config/checks.h"
#include "rondo/config/scalar.h"
#include "config/text.h"
#include "rondo/route/router.h"

namespace rondo::config {
namespace {

constexpr size_t kRespondBodyMax = 64 * 1024;
constexpr std::string_view kRoutesPath = "listeners.*.routes[]";

// Which address is taken on which line, over all listeners.
class TakenAddresses {
 public:
  // The line that took the address, or 0 where this is the first.
  int Take(const SocketAddress& address, int line) {
    const bool is_ephemeral = address.kind == SocketAddress::Kind::kIp && address.port == 0;
    if (is_ephemeral) return 0;
    const auto [first, is_new] = lines_.emplace(address.ToString(), line);
    if (!is_new) return first->second;
    if (!IsAny(address)) return 0;
    // ":80" is "0.0.0.0:80" and "[::]:80" in one, so it excludes both.
    const AnyUse use{.line = line, .both_families = address.both_families};
    const auto [other, is_only] = any_.emplace(address.port, use);
    if (is_only) return 0;
    return other->second.both_families || address.both_families ? other->second.line : 0;
  }

 private:
  struct AnyUse {
    int line;
    bool both_families;
  };
  static bool IsAny(const SocketAddress& address) {
    return address.kind == SocketAddress::Kind::kIp &&
           (address.both_families || address.ip == IpAddress() || address.ip == IpAddress::V4(0));
  }
  std::unordered_map<std::string, int> lines_;
  std::unordered_map<uint16_t, AnyUse> any_;  // by port: the first wildcard address
};

// Everything routes are checked against.
struct Scope {
  std::vector<std::string_view> upstream_names;
  TakenAddresses taken;
};

void BuildListen(const Section& section, Scope& scope, Listener& listener) {
  Context& context = section.context();
  const std::optional<std::vector<const Node*>> list = section.ReadList("listen");
  if (!list) {
    if (section.Missing("listen")) {
      context.AddError(section.where(), Cat("listener ", Quoted(listener.name),
                                            " has no `listen`: write a list, such as [\":8080\"]"));
    }
    return;
  }
  if (list->empty()) {
    context.AddError(section.Find("listen")->value->mark,
                     "`listen` is empty: write at least one address");
  }
  for (const Node* node : *list) {
    const std::optional<Text> text = ReadElement(
        context, *node, "listen", "an address such as 0.0.0.0:8080 or, in quotes, \"[::1]:8080\"");
    if (!text) continue;
    Checked<SocketAddress> address = CheckListenAddress(text->value);
    if (address.value && address.value->kind == SocketAddress::Kind::kUnix &&
        !address.value->path.starts_with('@')) {
      address = CheckListenAddress(Cat("unix:", context.ResolvePath(address.value->path)));
    }
    if (!address.value) {
      context.AddError(text->where, ValueProblem("listen", text->value, address.problem));
      continue;
    }
    if (const int line = scope.taken.Take(*address.value, text->where.line); line != 0) {
      context.AddError(text->where,
                       Cat("`listen`: ", Quoted(text->value), " is taken already on line ", line,
                           ": an address belongs to one listener, once"));
      continue;
    }
    listener.listen.push_back(std::move(*address.value));
  }
}

void BuildTrustedProxies(const Section& section, Listener& listener) {
  const std::optional<std::vector<const Node*>> list = section.ReadList("trusted_proxies");
  if (!list) return;
  for (const Node* node : *list) {
    const std::optional<Text> text =
        ReadElement(section.context(), *node, "trusted_proxies", "a network such as 10.0.0.0/8");
    if (!text) continue;
    const Checked<Network> network = CheckNetwork(text->value);
    if (network.value) {
      listener.trusted_proxies.push_back(*network.value);
    } else {
      section.context().AddError(text->where,
                                 ValueProblem("trusted_proxies", text->value, network.problem));
    }
  }
}

// Reads `leaf` by `check`, one of those in checks.h.
void ReadChecked(const Section& section, std::string_view leaf,
                 Checked<std::string> (*check)(std::string_view), std::string& out) {
  const std::optional<Text> text = section.ReadText(leaf);
  if (!text) return;
  Checked<std::string> checked = check(text->value);
  if (checked.value) {
    out = std::move(*checked.value);
  } else {
    section.context().AddError(text->where, ValueProblem(leaf, text->value, checked.problem));
  }
}

Checked<std::string> CheckViaOrOff(std::string_view text) {
  if (text == "off") return {.value = std::string(), .problem = {}};
  return CheckVia(text);
}

void BuildRespond(const Section& route, RouteConfig& config) {
  const std::optional<Section> section = route.ReadSection("respond");
  if (!section) return;
  Respond& respond = config.respond.emplace();
  section->ReadWhole("status", respond.status);
  const std::optional<Text> body = section->ReadText("body");
  if (!body) return;
  const bool has_no_body = respond.status == 204 || respond.status == 205 || respond.status == 304;
  if (has_no_body && !body->value.empty()) {
    section->context().AddError(
        body->where, Cat("`body` must be left out: a ", respond.status, " response has none"));
  }
  if (body->value.size() > kRespondBodyMax) {
    section->context().AddError(
        body->where, Cat("`body` has ", body->value.size(), " bytes, but must have at most ",
                         FormatSize(kRespondBodyMax)));
  }
  respond.body = body->value;
}

void BuildUpgrades(const Section& route, RouteConfig& config) {
  const std::optional<std::vector<const Node*>> list = route.ReadList("upgrades");
  if (!list) return;
  Context& context = route.context();
  if (!list->empty() && route.Find("respond") != nullptr) {
    context.AddError(route.Find("upgrades")->where,
                     "`upgrades` has no meaning for a route with `respond`: remove it");
  }
  for (const Node* node : *list) {
    const std::optional<Text> text =
        ReadElement(context, *node, "upgrades", "an Upgrade token such as websocket");
    if (!text) continue;
    Checked<std::string> token = CheckUpgrade(text->value);
    const auto& known = config.upgrades;
    if (!token.value) {
      context.AddError(text->where, ValueProblem("upgrades", text->value, token.problem));
    } else if (std::find(known.begin(), known.end(), *token.value) != known.end()) {
      context.AddError(text->where, Cat("`upgrades` has ", Quoted(*token.value), " twice"));
    } else {
      config.upgrades.push_back(std::move(*token.value));
    }
  }
}

void CheckAction(const Section& route, const Scope& scope, RouteConfig& config) {
  Context& context = route.context();
  const bool has_upstream = route.Find("upstream") != nullptr;
  const bool has_respond = route.Find("respond") != nullptr;
  if (has_upstream && has_respond) {
    context.AddError(route.where(),
                     "this route has both `upstream` and `respond`: keep one of them");
  }
  const bool means_other =
      route.WroteUnavailable("upstreams") || route.WroteUnavailable("redirect");
  if (!has_upstream && !has_respond && !means_other && route.Missing("upstream") &&
      route.Missing("respond")) {
    context.AddError(route.where(), "this route goes nowhere: write `upstream` or `respond`");
  }
  const std::optional<Text> name = route.ReadText("upstream");
  if (!name) return;
  const auto& names = scope.upstream_names;
  if (std::find(names.begin(), names.end(), name->value) == names.end()) {
    std::string message = Cat("no upstream is named ", Quoted(name->value));
    if (const std::optional<std::string_view> near = Nearest(name->value, names)) {
      message += Cat("; did you mean `", *near, "`?");
    } else {
      message += ": add it under `upstreams`";
    }
    context.AddError(name->where, std::move(message));
  }
  config.upstream = name->value;
}

RouteConfig BuildRoute(Context& context, const Node& node, const Scope& scope) {
  RouteConfig config;
  config.where = node.mark;
  const Section route(context, kRoutesPath, node, node.mark);
  if (const std::optional<Section> match = route.ReadSection("match")) {
    ReadChecked(*match, "host", CheckHost, config.match.host);
    ReadChecked(*match, "path", CheckPath, config.match.path);
    ReadChecked(*match, "path_prefix", CheckPath, config.match.path_prefix);
    // The matcher has the last word: what it cannot compile would never match.
    if (const std::string problem = route::CheckMatch(config.match); !problem.empty()) {
      context.AddError(match->where(), Cat("`match`: ", problem));
    }
  }
  BuildRespond(route, config);
  BuildUpgrades(route, config);
  CheckAction(route, scope, config);
  return config;
}

void BuildRoutes(const Section& section, const Scope& scope, Listener& listener) {
  Context& context = section.context();
  const std::optional<std::vector<const Node*>> list = section.ReadList("routes");
  if (!list) {
    if (section.Missing("routes") && !section.WroteUnavailable("tcp")) {
      context.AddError(section.where(),
                       Cat("listener ", Quoted(listener.name),
                           " has no `routes`: write a list, such as [{upstream: NAME}]"));
    }
    return;
  }
  if (list->empty()) {
    context.AddError(section.Find("routes")->value->mark,
                     "`routes` is empty: write at least one, such as {upstream: NAME}");
  }
  for (const Node* node : *list) {
    if (!context.Visit(node->mark)) return;
    if (node->kind == Node::Kind::kMap) {
      listener.routes.push_back(BuildRoute(context, *node, scope));
    } else {
      context.AddError(node->mark, "a route must be a map of keys, such as {upstream: NAME}");
    }
  }
}

}  // namespace

std::vector<Listener> BuildListeners(const Section& root, const std::vector<Upstream>& upstreams) {
  std::vector<Listener> listeners;
  Context& context = root.context();
  const std::optional<std::vector<Entry>> entries = root.ReadNamed("listeners");
  if (!entries && root.Missing("listeners")) {
    context.AddError(root.where(),
                     "there are no `listeners`: write at least one, with `listen` and `routes`");
  }
  if (!entries) return listeners;
  if (entries->empty()) {
    context.AddError(root.Find("listeners")->value->mark,
                     "`listeners` is empty: write at least one");
  }
  Scope scope;
  for (const Upstream& upstream : upstreams) scope.upstream_names.push_back(upstream.name);
  for (const Entry& entry : *entries) {
    Listener& listener = listeners.emplace_back();
    listener.name = entry.name;
    const std::optional<Section> section = NamedSection(context, "listeners.*", entry);
    if (!section) continue;
    BuildListen(*section, scope, listener);
    BuildTrustedProxies(*section, listener);
    ReadChecked(*section, "via", CheckViaOrOff, listener.via);
    BuildRoutes(*section, scope, listener);
  }
  return listeners;
}

}  // namespace rondo::config
