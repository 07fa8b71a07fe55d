// Any bytes as a configuration file: never a crash, either a configuration or errors in order with
// places inside the text, and what is accepted keeps the promises of config.h.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/fuzz_check.h"
#include "rondo/config/edit.h"
#include "rondo/config/load.h"
#include "rondo/config/write.h"
#include "rondo/http/field.h"
#include "rondo/http/header_edits.h"
#include "rondo/route/router.h"

namespace {

using namespace rondo::config;

std::optional<std::string> Variable(std::string_view name) {
  if (name == "A") return "10.0.0.1:80";
  if (name == "EMPTY") return "";
  if (name == "S") return "Z3cret.example:81";
  return std::nullopt;
}

bool HasUpstream(const Config& config, std::string_view name) {
  return std::any_of(config.upstreams.begin(), config.upstreams.end(),
                     [&](const Upstream& upstream) { return upstream.name == name; });
}

void CheckEdits(const rondo::http::HeaderEdits& edits) {
  for (const auto& [name, value] : edits.set) {
    FUZZ_CHECK(rondo::http::IsEditableName(name) && rondo::http::IsEditableValue(value));
  }
  for (const std::string& name : edits.remove) FUZZ_CHECK(rondo::http::IsEditableName(name));
}

void CheckSplit(const RouteConfig& route, const Config& config) {
  if (route.upstreams.empty()) return;
  uint64_t sum = 0;
  for (const WeightedUpstream& upstream : route.upstreams) {
    FUZZ_CHECK(HasUpstream(config, upstream.name) && upstream.weight <= 1000);
    sum += upstream.weight;
  }
  FUZZ_CHECK(sum > 0);
  FUZZ_CHECK(route.split_by.source != HashKey::Source::kPath &&
             route.split_by.source != HashKey::Source::kUri);
}

void CheckRateLimit(const RateLimit& limit) {
  FUZZ_CHECK(limit.requests >= 1 && limit.requests <= 1'000'000);
  FUZZ_CHECK(limit.burst >= 1 && limit.burst <= 1'000'000);
  FUZZ_CHECK(limit.per == std::chrono::seconds(1) || limit.per == std::chrono::minutes(1) ||
             limit.per == std::chrono::hours(1));
  using Source = HashKey::Source;
  FUZZ_CHECK(limit.key.source == Source::kClientIp || limit.key.source == Source::kHeader ||
             limit.key.source == Source::kCookie);
  FUZZ_CHECK(limit.key.name.empty() == (limit.key.source == Source::kClientIp));
}

// A placeholder stands only where whoever follows the redirect can not be led elsewhere by it.
void CheckRedirect(const Redirect& redirect) {
  FUZZ_CHECK(!redirect.to.empty() && redirect.status / 100 == 3);
  const size_t host = redirect.to.find("{host}");
  if (host != std::string::npos) {
    FUZZ_CHECK(host >= 4 && redirect.to.substr(host - 3, 3) == "://");
    FUZZ_CHECK(redirect.to.find("{host}", host + 1) == std::string::npos);
  }
  const size_t uri = redirect.to.find("{uri}");
  if (uri != std::string::npos) {
    FUZZ_CHECK(uri > 0 && redirect.to[uri - 1] != '/' && uri + 5 == redirect.to.size());
  }
}

void CheckTls(const Listener& listener) {
  if (!listener.tls) return;
  const ListenerTls& tls = *listener.tls;
  FUZZ_CHECK(!tls.certificates.empty());
  for (const CertificateFiles& files : tls.certificates) {
    FUZZ_CHECK(!files.cert.empty() && !files.key.empty());
  }
  FUZZ_CHECK((tls.client_auth == ClientAuth::kOff) == tls.client_ca.empty());
  if (tls.client_ca.empty()) FUZZ_CHECK(tls.crl.empty() && !tls.client_headers);
  for (const std::string& protocol : tls.alpn) {
    FUZZ_CHECK(protocol == "h2" || protocol == "http/1.1");
  }
  FUZZ_CHECK(tls.alpn.size() <= 2 && (tls.alpn.size() < 2 || tls.alpn[0] != tls.alpn[1]));
  if (tls.hsts) FUZZ_CHECK(*tls.hsts % std::chrono::seconds(1) == rondo::Duration(0));
}

void CheckHttp2(const Http2& http2) {
  FUZZ_CHECK(http2.max_streams >= 1 && http2.max_streams <= 1000);
  FUZZ_CHECK(http2.stream_window >= 64 << 10 && http2.stream_window <= http2.connection_window);
  FUZZ_CHECK(http2.connection_window <= 64 << 20 && http2.max_age.count() >= 0);
}

void CheckEdge(const Listener& listener) {
  const bool all_unix = std::ranges::all_of(listener.listen, [](const auto& address) {
    return address.kind == rondo::SocketAddress::Kind::kUnix;
  });
  if (listener.proxy_protocol) FUZZ_CHECK(all_unix || !listener.trusted_proxies.empty());
  CheckTls(listener);
  CheckHttp2(listener.http2);
}

void CheckRoute(const RouteConfig& route, const Config& config) {
  FUZZ_CHECK((route.respond ? 1 : 0) + (route.redirect ? 1 : 0) + (route.upstream.empty() ? 0 : 1) +
                 (route.upstreams.empty() ? 0 : 1) ==
             1);
  if (route.respond) FUZZ_CHECK(route.respond->status >= 200 && route.respond->status <= 599);
  if (route.redirect) CheckRedirect(*route.redirect);
  if (route.rate_limit) CheckRateLimit(*route.rate_limit);
  if (!route.forwards()) {
    FUZZ_CHECK(route.upgrades.empty() && route.rewrite_prefix.empty() && !route.timeout &&
               !route.timeout_total && route.request_headers.empty());
  }
  if (!route.upstream.empty()) FUZZ_CHECK(HasUpstream(config, route.upstream));
  CheckSplit(route, config);
  CheckEdits(route.request_headers);
  CheckEdits(route.response_headers);
  if (!route.rewrite_prefix.empty()) {
    FUZZ_CHECK(route.rewrite_prefix.front() == '/' && !route.match.path_prefix.empty());
  }
  FUZZ_CHECK(rondo::route::CheckMatch(route.match).empty());
  FUZZ_CHECK(std::find(route.upgrades.begin(), route.upgrades.end(), "h2c") ==
             route.upgrades.end());
}

void CheckSources(const Upstream& upstream) {
  using Kind = BackendSource::Kind;
  for (const BackendSource& source : upstream.sources) {
    FUZZ_CHECK(source.path.empty() == (source.kind != Kind::kFile));
    FUZZ_CHECK(source.name.empty() == (source.kind == Kind::kFile));
    FUZZ_CHECK((source.port != 0) == (source.kind == Kind::kName || source.kind == Kind::kDns));
    FUZZ_CHECK(source.id.empty() == (source.kind != Kind::kName));
    FUZZ_CHECK(source.weight >= 1 && source.weight <= 65535);
  }
}

void CheckHealth(const Upstream& upstream) {
  FUZZ_CHECK(upstream.panic_percent <= 100 && upstream.passive_health.fail_timeout.count() > 0);
  if (upstream.warm_up) {
    FUZZ_CHECK(upstream.warm_up->path.starts_with('/') && upstream.warm_up->concurrency > 0);
  }
  if (!upstream.health_check) return;
  const HealthCheck& check = *upstream.health_check;
  FUZZ_CHECK(check.interval.count() > 0 && check.timeout.count() > 0 && check.port != 0);
  FUZZ_CHECK(check.path.starts_with('/') && !check.expect_status.empty());
  const bool is_grpc = check.type == HealthCheck::Type::kGrpc;
  FUZZ_CHECK(is_grpc || check.service.empty());
  FUZZ_CHECK(!is_grpc || upstream.protocol != Protocol::kHttp1);
  for (const auto& [name, value] : check.headers) {
    FUZZ_CHECK(rondo::http::IsEditableName(name) && rondo::http::IsEditableValue(value));
  }
}

void CheckProtocol(const Upstream& upstream) {
  FUZZ_CHECK(upstream.protocol != Protocol::kH2 || upstream.tls);
  FUZZ_CHECK(upstream.protocol != Protocol::kH2c || !upstream.tls);
  FUZZ_CHECK(upstream.protocol == Protocol::kHttp1 || upstream.send_proxy == SendProxy::kOff);
}

// What was accepted is written, and read back as the same.
void CheckWritten(const Config& config) {
  const LoadResult yaml = Parse(WriteYaml(config, Secrets::kShown), "", &Variable);
  FUZZ_CHECK(yaml.config == config);
  Parsed<Config> json = ParseConfigJson(WriteConfigJson(config), "");
  FUZZ_CHECK(json.value.has_value() && KeepSecrets(config, *json.value).empty());
  FUZZ_CHECK(*json.value == config);
}

void CheckConfig(const Config& config) {
  if (config.admin) {
    const Admin& admin = *config.admin;
    FUZZ_CHECK(IsLoopback(admin.listen) || !admin.token.empty() ||
               (admin.tls && !admin.tls->client_ca.empty()));
    if (admin.tls) FUZZ_CHECK(!admin.tls->cert.empty() && !admin.tls->key.empty());
  }
  FUZZ_CHECK(!config.listeners.empty());
  for (const Listener& listener : config.listeners) {
    FUZZ_CHECK(!listener.name.empty() && !listener.listen.empty() && !listener.routes.empty());
    for (const RouteConfig& route : listener.routes) CheckRoute(route, config);
    CheckEdge(listener);
  }
  for (const Upstream& upstream : config.upstreams) {
    FUZZ_CHECK(!upstream.name.empty());
    for (const Backend& backend : upstream.backends) {
      FUZZ_CHECK(backend.weight >= 1 && backend.weight <= 65535);
      FUZZ_CHECK(!backend.id.empty());
      FUZZ_CHECK(backend.explicit_id == (backend.id != backend.address.ToString()));
    }
    CheckSources(upstream);
    CheckHealth(upstream);
    CheckProtocol(upstream);
    FUZZ_CHECK(upstream.hash_key.source != HashKey::Source::kRequestId);
    if (upstream.tls) {
      FUZZ_CHECK(upstream.tls->cert.empty() == upstream.tls->key.empty());
      FUZZ_CHECK(upstream.tls->verify || upstream.tls->ca.empty());
    }
    if (upstream.sticky) FUZZ_CHECK(rondo::http::IsToken(upstream.sticky->cookie));
    FUZZ_CHECK(upstream.timeouts.connect.count() > 0 && upstream.retries.budget_percent <= 100);
  }
  FUZZ_CHECK(config.limits.header_bytes >= 1024 && config.limits.header_count > 0);
}

void CheckErrors(const LoadResult& result, std::string_view text) {
  const auto lines = static_cast<int>(std::count(text.begin(), text.end(), '\n')) + 1;
  int last_line = 0;
  for (const Error& error : result.errors) {
    FUZZ_CHECK(!error.message.empty());
    FUZZ_CHECK((error.line == 0) == (error.col == 0));
    FUZZ_CHECK(error.line >= 0 && error.line <= lines);
    FUZZ_CHECK(error.col >= 0 && error.col <= static_cast<int>(text.size()) + 1);
    // Only the note that errors were left out stands behind, without a place.
    FUZZ_CHECK(error.line >= last_line || (error.line == 0 && &error == &result.errors.back()));
    FUZZ_CHECK(error.message.find('\n') == std::string::npos);
    last_line = error.line;
  }
}

bool Tells(std::string_view text) {
  const auto same = [](char a, char b) { return a == b || (a == 'Z' && b == 'z'); };
  constexpr std::string_view kSecret = "Z3cret";
  return std::search(text.begin(), text.end(), kSecret.begin(), kSecret.end(),
                     [&](char a, char b) { return same(b, a); }) != text.end();
}

// A text that somebody sent is taken as a file is, but for variables; and tells nothing of those.
void CheckSent(std::string_view text, const LoadResult& as_file) {
  const LoadResult result = ParseSent(text, "conf/fuzz.yaml", &Variable, {"A", "EMPTY", "S"});
  FUZZ_CHECK(result.config.has_value() == result.errors.empty());
  FUZZ_CHECK(!result.config || result.config == as_file.config);
  FUZZ_CHECK(result.errors.empty() || !as_file.errors.empty() ||
             text.find("${") != std::string_view::npos);
  if (Tells(text)) return;
  for (const Error& error : result.errors) FUZZ_CHECK(!Tells(error.message));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const LoadResult result = Parse(text, "conf/fuzz.yaml", &Variable);
  FUZZ_CHECK(result.config.has_value() == result.errors.empty());
  CheckErrors(result, text);
  CheckSent(text, result);
  if (result.config) {
    CheckConfig(*result.config);
    CheckWritten(*result.config);
  }
  return 0;
}
