#include "config/document.h"

#include "config/text.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

Fields ProcessOf(const Process& process, Extent extent) {
  const Process standard;
  Fields out(extent);
  out.Put("workers", process.workers == 0 ? Document("auto") : Document(process.workers),
          process.workers == standard.workers);
  out.Put("engine", process.engine, process.engine == standard.engine);
  out.Put("lame_duck", DurationOf(process.lame_duck), process.lame_duck == standard.lame_duck);
  out.Put("shutdown_grace", DurationOf(process.shutdown_grace),
          process.shutdown_grace == standard.shutdown_grace);
  out.PutText("user", process.user);
  out.PutText("pid_file", process.pid_file);
  out.PutText("state_file", process.state_file);
  return out;
}

std::string_view LevelName(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return {};
}

Fields LoggingOf(const Logging& logging, Extent extent) {
  const Logging standard;
  Fields access(extent);
  access.Put("path", logging.access.path, logging.access.path == standard.access.path);
  access.Put("format", logging.access.format == AccessLog::kCombined ? "combined" : "json",
             logging.access.format == standard.access.format);
  Fields out(extent);
  out.Put("level", LevelName(logging.level), logging.level == standard.level);
  out.PutSection("access", std::move(access));
  return out;
}

Fields AdminOf(const std::optional<Admin>& admin, Extent extent) {
  const Admin standard;
  Fields out(extent);
  if (!admin) {
    out.Add("listen", "off");
    return out;
  }
  out.Put("listen", admin->listen.ToString(), admin->listen == standard.listen);
  out.PutText("token", admin->token);
  PutTls(out, admin->tls);
  return out;
}

Fields ResolverOf(const Resolver& resolver, Extent extent) {
  const Resolver standard;
  Document servers = Document::array();
  for (const SocketAddress& server : resolver.servers) servers.push_back(server.ToString());
  Fields out(extent);
  out.Put("servers", std::move(servers), resolver.servers.empty());
  out.Put("timeout", DurationOf(resolver.timeout), resolver.timeout == standard.timeout);
  out.Put("attempts", resolver.attempts, resolver.attempts == standard.attempts);
  out.Put("max_ttl", DurationOf(resolver.max_ttl), resolver.max_ttl == standard.max_ttl);
  return out;
}

Document ValueMatchOf(const route::ValueMatch& value) {
  using Kind = route::ValueMatch::Kind;
  switch (value.kind) {
    case Kind::kPresent:
      return {{"present", true}};
    case Kind::kAbsent:
      return {{"present", false}};
    case Kind::kExact:
      return {{"exact", value.text}};
    case Kind::kPrefix:
      return {{"prefix", value.text}};
    case Kind::kRegex:
      return {{"regex", value.text}};
  }
  return {};
}

void PutValues(Fields& out, std::string_view key, const std::vector<route::ValueMatch>& values) {
  if (values.empty()) return out.PutOff(key);
  Document map = Document::object();
  for (const route::ValueMatch& value : values) map[value.name] = ValueMatchOf(value);
  out.Add(key, std::move(map));
}

Fields MatchOf(const route::RouteMatch& match, Extent extent) {
  Fields out(extent);
  out.PutText("host", match.host);
  out.PutText("path", match.path);
  out.PutText("path_prefix", match.path_prefix);
  out.PutText("path_regex", match.path_regex);
  if (match.methods.empty()) {
    out.PutOff("method");
  } else {
    out.Add("method", TextsOf(match.methods));
  }
  PutValues(out, "headers", match.headers);
  PutValues(out, "cookies", match.cookies);
  PutValues(out, "query", match.query);
  return out;
}

void PutLimit(Fields& out, std::string_view key, const std::optional<Duration>& limit) {
  if (limit) {
    out.Add(key, DurationOf(*limit));
  } else {
    out.PutOff(key);
  }
}

// What only a route that forwards may say.
void PutForwarding(Fields& out, const RouteConfig& route) {
  if (!route.upstream.empty()) {
    out.Add("upstream", route.upstream);
  } else {
    Document weights = Document::object();
    for (const WeightedUpstream& upstream : route.upstreams) {
      weights[upstream.name] = upstream.weight;
    }
    out.Add("upstreams", std::move(weights));
    out.Put("split_by", HashKeyOf(route.split_by), route.split_by == RouteConfig().split_by);
  }
  out.PutText("rewrite_prefix", route.rewrite_prefix);
  out.Put("set_request_headers", PairsOf(route.request_headers.set),
          route.request_headers.set.empty());
  out.Put("remove_request_headers", TextsOf(route.request_headers.remove),
          route.request_headers.remove.empty());
  PutLimit(out, "timeout", route.timeout);
  PutLimit(out, "timeout_total", route.timeout_total);
  out.Put("upgrades", TextsOf(route.upgrades), route.upgrades.empty());
}

Document RouteOf(const RouteConfig& route, Extent extent) {
  Fields out(extent);
  out.PutSection("match", MatchOf(route.match, extent));
  if (route.forwards()) PutForwarding(out, route);
  if (route.redirect) {
    Fields redirect(extent);
    redirect.Add("to", route.redirect->to);
    redirect.Put("status", route.redirect->status, route.redirect->status == Redirect().status);
    out.PutSection("redirect", std::move(redirect));
  }
  if (route.respond) {
    Fields respond(extent);
    respond.Add("status", route.respond->status);
    respond.Put("body", route.respond->body, route.respond->body.empty());
    out.PutSection("respond", std::move(respond));
  }
  out.Put("set_response_headers", PairsOf(route.response_headers.set),
          route.response_headers.set.empty());
  out.Put("remove_response_headers", TextsOf(route.response_headers.remove),
          route.response_headers.remove.empty());
  if (route.body_bytes) {
    out.Add("body_bytes", SizeOf(*route.body_bytes));
  } else {
    out.PutOff("body_bytes");
  }
  PutRouteLimits(out, route);
  return out.Take();
}

Fields Http2Of(const Http2& http2, Extent extent) {
  const Http2 standard;
  Fields out(extent);
  out.Put("max_streams", http2.max_streams, http2.max_streams == standard.max_streams);
  out.Put("stream_window", SizeOf(http2.stream_window),
          http2.stream_window == standard.stream_window);
  out.Put("connection_window", SizeOf(http2.connection_window),
          http2.connection_window == standard.connection_window);
  out.Put("max_age", DurationOf(http2.max_age), http2.max_age == standard.max_age);
  return out;
}

Document ListenerOf(const Listener& listener, Extent extent) {
  Fields out(extent);
  Document listen = Document::array();
  for (const SocketAddress& address : listener.listen) listen.push_back(address.ToString());
  out.Add("listen", std::move(listen));
  PutNetworks(out, "trusted_proxies", listener.trusted_proxies);
  out.Put("proxy_protocol", listener.proxy_protocol ? "on" : "off", !listener.proxy_protocol);
  out.Put("via", listener.via.empty() ? "off" : listener.via, listener.via.empty());
  PutTls(out, listener.tls);
  out.PutSection("http2", Http2Of(listener.http2, extent));
  PutListenerLimits(out, listener);
  Document routes = Document::array();
  for (const RouteConfig& route : listener.routes) routes.push_back(RouteOf(route, extent));
  out.Add("routes", std::move(routes));
  return out.Take();
}

Fields TimeoutsOf(const Timeouts& timeouts, Extent extent) {
  const Timeouts standard;
  Fields out(extent);
  out.Put("request_header", DurationOf(timeouts.request_header),
          timeouts.request_header == standard.request_header);
  out.Put("request_body", DurationOf(timeouts.request_body),
          timeouts.request_body == standard.request_body);
  out.Put("keepalive", DurationOf(timeouts.keepalive), timeouts.keepalive == standard.keepalive);
  out.Put("handshake", DurationOf(timeouts.handshake), timeouts.handshake == standard.handshake);
  return out;
}

Fields LimitsOf(const Limits& limits, Extent extent) {
  const Limits standard;
  Fields out(extent);
  out.Put("header_bytes", SizeOf(limits.header_bytes),
          limits.header_bytes == standard.header_bytes);
  out.Put("header_count", limits.header_count, limits.header_count == standard.header_count);
  out.Put("body_bytes", SizeOf(limits.body_bytes), limits.body_bytes == standard.body_bytes);
  out.Put("connections", limits.connections, limits.connections == standard.connections);
  out.Put("handshakes", limits.handshakes, limits.handshakes == standard.handshakes);
  return out;
}

}  // namespace

Document DurationOf(Duration duration) { return FormatDuration(duration); }
Document SizeOf(uint64_t bytes) { return FormatSize(bytes); }
Document PercentOf(uint32_t percent) { return Cat(percent, "%"); }

Document HashKeyOf(const HashKey& key) {
  switch (key.source) {
    case HashKey::Source::kRequestId:
      return "request_id";
    case HashKey::Source::kClientIp:
      return "client_ip";
    case HashKey::Source::kPath:
      return "path";
    case HashKey::Source::kUri:
      return "uri";
    case HashKey::Source::kHeader:
      return Cat("header:", key.name);
    case HashKey::Source::kCookie:
      return Cat("cookie:", key.name);
  }
  return {};
}

Document TextsOf(const std::vector<std::string>& texts) {
  Document list = Document::array();
  for (const std::string& text : texts) list.push_back(text);
  return list;
}

Document PairsOf(const std::vector<std::pair<std::string, std::string>>& pairs) {
  Document map = Document::object();
  for (const auto& [name, value] : pairs) map[name] = value;
  return map;
}

Document DocumentOf(const Config& config, Extent extent) {
  Fields out(extent);
  out.PutSection("process", ProcessOf(config.process, extent));
  out.PutSection("logging", LoggingOf(config.logging, extent));
  out.PutSection("admin", AdminOf(config.admin, extent));
  Document listeners = Document::object();
  for (const Listener& listener : config.listeners) {
    listeners[listener.name] = ListenerOf(listener, extent);
  }
  out.Add("listeners", std::move(listeners));
  Document upstreams = Document::object();
  for (const Upstream& upstream : config.upstreams) {
    upstreams[upstream.name] = DocumentOf(upstream, extent);
  }
  out.Put("upstreams", std::move(upstreams), config.upstreams.empty());
  out.PutSection("resolver", ResolverOf(config.resolver, extent));
  out.PutSection("timeouts", TimeoutsOf(config.timeouts, extent));
  out.PutSection("limits", LimitsOf(config.limits, extent));
  return out.Take();
}

}  // namespace rondo::config
