#include "config/document.h"
#include "config/text.h"

namespace rondo::config {
namespace {

template <class T>
void PutShare(Fields& out, const T& backend) {
  out.Put("weight", backend.weight, backend.weight == 1);
  out.Put("backup", backend.backup, !backend.backup);
  out.Put("max_connections", backend.max_connections, backend.max_connections == 0);
}

Document SourceOf(const BackendSource& source, Extent extent) {
  Fields out(extent);
  switch (source.kind) {
    case BackendSource::Kind::kName:
      out.Add("address", Cat(source.name, ":", source.port));
      out.Put("id", source.id, !source.explicit_id);
      PutShare(out, source);
      break;
    case BackendSource::Kind::kDns:
      out.Add("dns", source.name);
      out.Add("port", source.port);
      PutShare(out, source);
      break;
    case BackendSource::Kind::kSrv:
      out.Add("srv", source.name);
      out.Put("max_connections", source.max_connections, source.max_connections == 0);
      break;
    case BackendSource::Kind::kFile:
      out.Add("file", source.path);
      break;
  }
  return out.Take();
}

// A backend of which only the address is said is just that.
Document Shortened(Document backend) {
  if (backend.size() == 1 && backend.contains("address")) return backend["address"];
  return backend;
}

Document BackendsOf(const Upstream& upstream, Extent extent) {
  Document list = Document::array();
  const auto add = [&](Document backend) {
    list.push_back(extent == Extent::kAll ? std::move(backend) : Shortened(std::move(backend)));
  };
  for (const Backend& backend : upstream.backends) add(DocumentOf(backend, extent));
  for (const BackendSource& source : upstream.sources) add(SourceOf(source, extent));
  return list;
}

Document ExpectedOf(const std::vector<StatusRange>& ranges) {
  Document list = Document::array();
  for (const StatusRange& range : ranges) {
    list.push_back(range.first == range.last ? Document(range.first)
                                             : Document(Cat(range.first, "-", range.last)));
  }
  return list;
}

std::string_view TypeName(HealthCheck::Type type) {
  switch (type) {
    case HealthCheck::Type::kHttp:
      return "http";
    case HealthCheck::Type::kTcp:
      return "tcp";
    case HealthCheck::Type::kGrpc:
      return "grpc";
  }
  return {};
}

void PutGrpcCheck(Fields& out, const HealthCheck& check) {
  out.PutText("host", check.host);
  out.Put("headers", PairsOf(check.headers), check.headers.empty());
  out.PutText("service", check.service);
}

void PutHttpCheck(Fields& out, const HealthCheck& check) {
  const HealthCheck standard;
  out.Put("method", check.method, check.method == standard.method);
  out.Put("path", check.path, check.path == standard.path);
  out.PutText("host", check.host);
  out.Put("headers", PairsOf(check.headers), check.headers.empty());
  out.Put("expect_status", ExpectedOf(check.expect_status),
          check.expect_status == standard.expect_status);
  out.PutText("expect_body", check.expect_body);
}

void PutHealthCheck(Fields& out, const std::optional<HealthCheck>& config) {
  if (!config) return out.PutOff("health_check");
  const HealthCheck& check = *config;
  const HealthCheck standard;
  Fields section(out.extent());
  section.Put("type", TypeName(check.type), check.type == standard.type);
  section.Put("interval", DurationOf(check.interval), check.interval == standard.interval);
  section.Put("timeout", DurationOf(check.timeout), check.timeout == standard.timeout);
  section.Put("healthy_threshold", check.healthy_threshold,
              check.healthy_threshold == standard.healthy_threshold);
  section.Put("unhealthy_threshold", check.unhealthy_threshold,
              check.unhealthy_threshold == standard.unhealthy_threshold);
  if (check.port) {
    section.Add("port", *check.port);
  } else {
    section.PutOff("port");
  }
  if (check.type == HealthCheck::Type::kHttp) PutHttpCheck(section, check);
  if (check.type == HealthCheck::Type::kGrpc) PutGrpcCheck(section, check);
  out.Add("health_check", section.Take());
}

void PutWarmUp(Fields& out, const std::optional<WarmUp>& warm_up) {
  if (!warm_up) return out.PutOff("warm_up");
  const WarmUp standard;
  Fields section(out.extent());
  section.Put("path", warm_up->path, warm_up->path == standard.path);
  section.Put("requests", warm_up->requests, warm_up->requests == standard.requests);
  section.Put("concurrency", warm_up->concurrency, warm_up->concurrency == standard.concurrency);
  section.Put("timeout", DurationOf(warm_up->timeout), warm_up->timeout == standard.timeout);
  out.Add("warm_up", section.Take());
}

void PutSticky(Fields& out, const std::optional<Sticky>& sticky) {
  if (!sticky) return out.PutOff("sticky");
  const Sticky standard;
  Fields section(out.extent());
  section.Put("cookie", sticky->cookie, sticky->cookie == standard.cookie);
  section.Put("ttl", DurationOf(sticky->ttl), sticky->ttl == standard.ttl);
  out.Add("sticky", section.Take());
}

Fields KeepaliveOf(const Keepalive& keepalive, Extent extent) {
  const Keepalive standard;
  Fields out(extent);
  out.Put("idle", keepalive.idle, keepalive.idle == standard.idle);
  out.Put("idle_timeout", DurationOf(keepalive.idle_timeout),
          keepalive.idle_timeout == standard.idle_timeout);
  out.Put("max_requests", keepalive.max_requests, keepalive.max_requests == standard.max_requests);
  out.Put("max_age", DurationOf(keepalive.max_age), keepalive.max_age == standard.max_age);
  return out;
}

Fields QueueOf(const Queue& queue, Extent extent) {
  const Queue standard;
  Fields out(extent);
  out.Put("size", queue.size, queue.size == standard.size);
  out.Put("timeout", DurationOf(queue.timeout), queue.timeout == standard.timeout);
  return out;
}

Document RetryOnOf(const RetryOn& on) {
  Document list = Document::array();
  if (on.connect) list.push_back("connect");
  if (on.reset_before_response) list.push_back("reset_before_response");
  if (on.status_502) list.push_back("502");
  if (on.status_503) list.push_back("503");
  if (on.status_504) list.push_back("504");
  return list;
}

Fields RetriesOf(const Retries& retries, Extent extent) {
  const Retries standard;
  Fields out(extent);
  out.Put("attempts", retries.attempts, retries.attempts == standard.attempts);
  out.Put("on", RetryOnOf(retries.on), retries.on == standard.on);
  out.Put("budget", PercentOf(retries.budget_percent),
          retries.budget_percent == standard.budget_percent);
  out.Put("body_buffer", SizeOf(retries.body_buffer), retries.body_buffer == standard.body_buffer);
  return out;
}

Fields TimeoutsOf(const UpstreamTimeouts& timeouts, Extent extent) {
  const UpstreamTimeouts standard;
  Fields out(extent);
  out.Put("connect", DurationOf(timeouts.connect), timeouts.connect == standard.connect);
  out.Put("response", DurationOf(timeouts.response), timeouts.response == standard.response);
  out.Put("idle", DurationOf(timeouts.idle), timeouts.idle == standard.idle);
  out.Put("tunnel", DurationOf(timeouts.tunnel), timeouts.tunnel == standard.tunnel);
  return out;
}

Fields PassiveOf(const PassiveHealth& passive, Extent extent) {
  const PassiveHealth standard;
  Fields out(extent);
  out.Put("max_fails", passive.max_fails, passive.max_fails == standard.max_fails);
  out.Put("fail_timeout", DurationOf(passive.fail_timeout),
          passive.fail_timeout == standard.fail_timeout);
  return out;
}

}  // namespace

std::string_view ProtocolName(Protocol protocol) {
  switch (protocol) {
    case Protocol::kHttp1:
      return "http1";
    case Protocol::kH2c:
      return "h2c";
    case Protocol::kH2:
      return "h2";
  }
  return {};
}

Document DocumentOf(const Backend& backend, Extent extent) {
  Fields out(extent);
  out.Add("address", backend.address.ToString());
  out.Put("id", backend.id, !backend.explicit_id);
  PutShare(out, backend);
  return out.Take();
}

Document DocumentOf(const Upstream& upstream, Extent extent) {
  const Upstream standard;
  Fields out(extent);
  out.Put("balance", balance::PolicyName(upstream.balance), upstream.balance == standard.balance);
  if (upstream.balance == balance::PolicyKind::kConsistentHash) {
    out.Put("hash_key", HashKeyOf(upstream.hash_key), upstream.hash_key == standard.hash_key);
  }
  PutSticky(out, upstream.sticky);
  out.Add("backends", BackendsOf(upstream, extent));
  PutHealthCheck(out, upstream.health_check);
  out.PutSection("passive_health", PassiveOf(upstream.passive_health, extent));
  PutWarmUp(out, upstream.warm_up);
  out.Put("slow_start", DurationOf(upstream.slow_start),
          upstream.slow_start == standard.slow_start);
  out.Put("panic_threshold", PercentOf(upstream.panic_percent),
          upstream.panic_percent == standard.panic_percent);
  out.Put("drain_timeout", DurationOf(upstream.drain_timeout),
          upstream.drain_timeout == standard.drain_timeout);
  out.PutSection("keepalive", KeepaliveOf(upstream.keepalive, extent));
  out.PutSection("queue", QueueOf(upstream.queue, extent));
  out.PutSection("retries", RetriesOf(upstream.retries, extent));
  out.Put("protocol", ProtocolName(upstream.protocol), upstream.protocol == standard.protocol);
  out.Put("send_proxy", SendProxyName(upstream.send_proxy),
          upstream.send_proxy == standard.send_proxy);
  PutTls(out, upstream.tls);
  out.PutSection("timeouts", TimeoutsOf(upstream.timeouts, extent));
  return out.Take();
}

}  // namespace rondo::config
