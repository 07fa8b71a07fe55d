#include <algorithm>
#include <unordered_map>

#include "config/build.h"
#include "config/checks.h"
#include "config/text.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

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

bool Covers(const SocketAddress& any, const SocketAddress& address) {
  if (any.both_families) return true;
  return any.ip == (address.ip.is_v4() ? IpAddress::V4(0) : IpAddress());
}

// Whether two sockets can not be bound to both.
bool Overlap(const SocketAddress& a, const SocketAddress& b) {
  if (a.kind != b.kind) return false;
  if (a.kind == SocketAddress::Kind::kUnix) return a.path == b.path;
  return a.port == b.port && a.port != 0 && (a.ip == b.ip || Covers(a, b) || Covers(b, a));
}

void BuildListen(const Section& section, const std::optional<Admin>& admin, TakenAddresses& taken,
                 Listener& listener) {
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
    if (const int line = taken.Take(*address.value, text->where.line); line != 0) {
      context.AddError(text->where,
                       Cat("`listen`: ", Quoted(text->value), " is taken already",
                           context.OnLine(line), ": an address belongs to one listener, once"));
      continue;
    }
    if (admin && Overlap(*address.value, admin->listen)) {
      context.AddError(text->where,
                       Cat("`listen`: ", Quoted(text->value), " is where the admin API listens (",
                           admin->listen.ToString(),
                           "): change one of them, or turn that off by `admin: "
                           "{listen: off}`"));
    }
    listener.listen.push_back(std::move(*address.value));
  }
}

// Only believed peers are asked for a PROXY header, so there must be some.
void BuildProxyProtocol(const Section& section, Listener& listener) {
  listener.proxy_protocol = section.ReadChoice("proxy_protocol") == "on";
  const auto is_unix = [](const SocketAddress& address) {
    return address.kind == SocketAddress::Kind::kUnix;
  };
  const Entry* proxies = section.Find("trusted_proxies");
  const bool is_empty = proxies == nullptr ? section.Missing("trusted_proxies")
                                           : proxies->value->kind == Node::Kind::kList &&
                                                 proxies->value->children.empty();
  if (!listener.proxy_protocol || !is_empty || std::ranges::all_of(listener.listen, is_unix)) {
    return;
  }
  section.context().AddError(
      section.Find("proxy_protocol")->where,
      "`proxy_protocol: on` needs `trusted_proxies`: write the networks of those whose PROXY "
      "header is believed, such as [10.0.0.0/8]");
}

void BuildHttp2(const Section& listener, Http2& http2) {
  const std::optional<Section> section = listener.ReadSection("http2");
  if (!section) return;
  section->ReadWhole("max_streams", http2.max_streams);
  section->ReadSize("stream_window", http2.stream_window);
  section->ReadSize("connection_window", http2.connection_window);
  section->ReadDuration("max_age", http2.max_age);
  if (http2.stream_window <= http2.connection_window) return;
  const Entry* stream = section->Find("stream_window");
  const Entry* entry = stream == nullptr ? section->Find("connection_window") : stream;
  section->context().AddError(
      entry->value->mark,
      Cat("`stream_window` (", FormatSize(http2.stream_window), ") is more than ",
          "`connection_window` (", FormatSize(http2.connection_window),
          "), which all streams share: raise the one or lower the other"));
}

Checked<std::string> CheckViaOrOff(std::string_view text) {
  if (text == "off") return {.value = std::string(), .problem = {}};
  return CheckVia(text);
}

}  // namespace

std::vector<Listener> BuildListeners(const Section& root, const Config& config) {
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
  TakenAddresses taken;
  std::vector<std::string_view> upstream_names;
  for (const Upstream& upstream : config.upstreams) upstream_names.push_back(upstream.name);
  for (const Entry& entry : *entries) {
    Listener& listener = listeners.emplace_back();
    listener.name = entry.name;
    const std::optional<Section> section = NamedSection(context, "listeners.*", entry);
    if (!section) continue;
    BuildListen(*section, config.admin, taken, listener);
    BuildNetworks(*section, "trusted_proxies", listener.trusted_proxies);
    BuildProxyProtocol(*section, listener);
    BuildListenerTls(*section, listener.tls);
    BuildHttp2(*section, listener.http2);
    BuildListenerLimits(*section, listener);
    ReadChecked(*section, "via", CheckViaOrOff, listener.via);
    BuildRoutes(*section, upstream_names, listener);
  }
  return listeners;
}

}  // namespace rondo::config
