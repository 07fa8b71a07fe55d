#include <chrono>

#include "config/build.h"
#include "config/route_checks.h"
#include "config/text.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

void BuildKeepalive(const Section& upstream, Keepalive& keepalive) {
  const std::optional<Section> section = upstream.ReadSection("keepalive");
  if (!section) return;
  section->ReadWhole("idle", keepalive.idle);
  section->ReadDuration("idle_timeout", keepalive.idle_timeout);
  section->ReadWhole("max_requests", keepalive.max_requests);
  section->ReadDuration("max_age", keepalive.max_age);
}

bool* FlagOf(RetryOn& on, std::string_view word) {
  if (word == "connect") return &on.connect;
  if (word == "reset_before_response") return &on.reset_before_response;
  if (word == "502") return &on.status_502;
  if (word == "503") return &on.status_503;
  if (word == "504") return &on.status_504;
  return nullptr;
}

void BuildRetryOn(const Section& retries, RetryOn& on) {
  const std::optional<std::vector<const Node*>> list = retries.ReadList("on");
  if (!list) return;
  const std::vector<std::string_view> words =
      SplitChoices(FindKey("upstreams.*.retries", "on")->choices);
  const std::string expected = QuotedList(words, "or");
  Context& context = retries.context();
  on = {.connect = false, .reset_before_response = false};
  for (const Node* node : *list) {
    const std::optional<Text> text =
        ReadElement(context, *node, "on", expected, Scalar::kTextOrNumber);
    if (!text) continue;
    bool* flag = FlagOf(on, text->value);
    if (flag == nullptr) {
      // A neighbouring status code is no slip of the pen.
      const bool is_code = ParseWhole(text->value).has_value();
      const std::optional<std::string_view> near =
          is_code ? std::nullopt : Nearest(text->value, words);
      context.AddError(text->where, Cat("`on` has ", Quoted(text->value), ", but takes ", expected,
                                        near ? Cat(": write `", *near, "`") : std::string()));
    } else if (*flag) {
      context.AddError(text->where, Cat("`on` has ", Quoted(text->value), " twice"));
    } else {
      *flag = true;
    }
  }
}

void BuildRetries(const Section& upstream, Retries& retries) {
  const std::optional<Section> section = upstream.ReadSection("retries");
  if (!section) return;
  section->ReadWhole("attempts", retries.attempts);
  BuildRetryOn(*section, retries.on);
  section->ReadPercent("budget", retries.budget_percent);
  section->ReadSize("body_buffer", retries.body_buffer);
}

void BuildUpstreamTimeouts(const Section& upstream, UpstreamTimeouts& timeouts) {
  const std::optional<Section> section = upstream.ReadSection("timeouts");
  if (!section) return;
  section->ReadDuration("connect", timeouts.connect);
  section->ReadDuration("response", timeouts.response);
  section->ReadDuration("idle", timeouts.idle);
  section->ReadDuration("tunnel", timeouts.tunnel);
}

void BuildBalance(const Section& upstream, Upstream& config) {
  if (const std::optional<std::string> balance = upstream.ReadChoice("balance")) {
    config.balance = balance::PolicyFromName(*balance).value_or(config.balance);
  }
  const std::optional<Text> text = upstream.ReadText("hash_key");
  if (!text) return;
  Context& context = upstream.context();
  Checked<HashKey> key = CheckHashKey(text->value);
  if (key.value) {
    config.hash_key = std::move(*key.value);
  } else {
    context.AddError(text->where, ValueProblem("hash_key", text->value, key.problem));
  }
  if (config.balance != balance::PolicyKind::kConsistentHash) {
    context.AddError(
        upstream.Find("hash_key")->where,
        "`hash_key` has a meaning only with `balance: consistent_hash`: write that, or "
        "remove it");
  }
}

void BuildSticky(const Section& upstream, std::optional<Sticky>& sticky) {
  const std::optional<Section> section = upstream.ReadSection("sticky");
  if (!section) return;
  sticky.emplace();
  ReadChecked(*section, "cookie", CheckCookieName, sticky->cookie);
  section->ReadDuration("ttl", sticky->ttl);
  if (sticky->ttl % std::chrono::seconds(1) != Duration(0)) {
    section->context().AddError(section->Find("ttl")->value->mark,
                                "`ttl` must be whole seconds: a cookie knows nothing finer");
  }
}

void BuildQueue(const Section& upstream, Queue& queue) {
  const std::optional<Section> section = upstream.ReadSection("queue");
  if (!section) return;
  section->ReadWhole("size", queue.size);
  section->ReadDuration("timeout", queue.timeout);
}

// What must or cannot go with HTTP/2.
void CheckProtocol(const Section& section, const Upstream& upstream) {
  Context& context = section.context();
  const Entry* protocol = section.Find("protocol");
  const bool wrote_tls = upstream.tls || !section.Missing("tls");
  if (upstream.protocol == Protocol::kH2 && !wrote_tls) {
    context.AddError(protocol->value->mark,
                     "`protocol: h2` is HTTP/2 over TLS: write `tls` too (`tls: {}` takes its "
                     "defaults), or `h2c` for HTTP/2 in plain");
  }
  if (upstream.protocol == Protocol::kH2c && upstream.tls) {
    context.AddError(protocol->value->mark,
                     "`protocol: h2c` is HTTP/2 in plain, but there is a `tls`: write `h2`, or "
                     "remove `tls`");
  }
  if (upstream.protocol != Protocol::kHttp1 && upstream.send_proxy != SendProxy::kOff) {
    context.AddError(section.Find("send_proxy")->where,
                     "`send_proxy` tells one client's address for a whole connection, which all "
                     "clients share with HTTP/2: remove it, or write `protocol: http1`");
  }
  const bool asks_grpc =
      upstream.health_check && upstream.health_check->type == HealthCheck::Type::kGrpc;
  if (asks_grpc && upstream.protocol == Protocol::kHttp1) {
    context.AddError(section.Find("health_check")->where,
                     "a check of `type: grpc` needs HTTP/2: write `protocol: h2c` for the "
                     "upstream, or `h2` with `tls`");
  }
}

void BuildProtocol(const Section& section, Upstream& upstream) {
  if (const std::optional<std::string> version = section.ReadChoice("send_proxy")) {
    if (*version == "v1") upstream.send_proxy = SendProxy::kV1;
    if (*version == "v2") upstream.send_proxy = SendProxy::kV2;
  }
  const std::optional<std::string> protocol = section.ReadChoice("protocol");
  if (protocol == "h2c") upstream.protocol = Protocol::kH2c;
  if (protocol == "h2") upstream.protocol = Protocol::kH2;
  // What a wrong value was to be is not known.
  if (protocol || section.Missing("protocol")) CheckProtocol(section, upstream);
}

}  // namespace

Upstream BuildUpstream(const Section& section, std::string_view name) {
  Upstream upstream;
  upstream.name = name;
  BuildBalance(section, upstream);
  BuildSticky(section, upstream.sticky);
  BuildBackends(section, upstream);
  BuildHealth(section, upstream);
  BuildKeepalive(section, upstream.keepalive);
  BuildQueue(section, upstream.queue);
  BuildRetries(section, upstream.retries);
  BuildUpstreamTimeouts(section, upstream.timeouts);
  BuildUpstreamTls(section, upstream.tls);
  BuildProtocol(section, upstream);
  return upstream;
}

std::vector<Upstream> BuildUpstreams(const Section& root) {
  std::vector<Upstream> upstreams;
  const std::optional<std::vector<Entry>> entries = root.ReadNamed("upstreams");
  if (!entries) return upstreams;
  for (const Entry& entry : *entries) {
    const std::optional<Section> section = NamedSection(root.context(), "upstreams.*", entry);
    if (section) {
      upstreams.push_back(BuildUpstream(*section, entry.name));
    } else {
      // Routes may name it all the same.
      upstreams.emplace_back().name = entry.name;
    }
  }
  return upstreams;
}

}  // namespace rondo::config
