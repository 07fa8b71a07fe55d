#include <chrono>
#include <unordered_map>

#include "config/build.h"
#include "config/checks.h"
#include "config/route_checks.h"
#include "config/text.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

constexpr std::string_view kBackendsPath = "upstreams.*.backends[]";
constexpr std::string_view kBackendExpected =
    "an address such as 10.0.1.10:3000 or, in quotes, \"[::1]:3000\"";

void BuildAddress(Context& context, const Text& text, Backend& backend) {
  Checked<SocketAddress> address = CheckBackendAddress(text.value);
  if (address.value && address.value->kind == SocketAddress::Kind::kUnix &&
      !address.value->path.starts_with('@')) {
    address = CheckBackendAddress(Cat("unix:", context.ResolvePath(address.value->path)));
  }
  if (!address.value) {
    context.AddError(text.where, ValueProblem("address", text.value, address.problem));
    return;
  }
  backend.address = std::move(*address.value);
  backend.id = backend.address.ToString();
}

// A backend without an id is one that an error was reported for.
Backend BuildBackend(Context& context, const Node& node) {
  Backend backend;
  if (node.kind != Node::Kind::kMap) {
    const std::optional<Text> text = ReadElement(context, node, "backends", kBackendExpected);
    if (text) BuildAddress(context, *text, backend);
    return backend;
  }
  const Section section(context, kBackendsPath, node, node.mark);
  if (const std::optional<Text> text = section.ReadText("address"))
    BuildAddress(context, *text, backend);
  section.ReadWhole("weight", backend.weight);
  section.ReadBool("backup", backend.backup);
  section.ReadWhole("max_connections", backend.max_connections);
  const bool is_other_kind = section.WroteUnavailable("dns") || section.WroteUnavailable("srv") ||
                             section.WroteUnavailable("file");
  if (section.Missing("address") && !is_other_kind) {
    context.AddError(section.where(),
                     "this backend has no `address`: write one, such as {address: 10.0.1.10:3000}");
  }
  return backend;
}

void BuildBackends(const Section& section, std::string_view name, Upstream& upstream) {
  Context& context = section.context();
  const std::optional<std::vector<const Node*>> list = section.ReadList("backends");
  if (!list) {
    if (section.Missing("backends")) {
      context.AddError(section.where(),
                       Cat("upstream ", Quoted(name), " has no `backends`: write a list, such as [",
                           "10.0.1.10:3000]"));
    }
    return;
  }
  if (list->empty()) {
    context.AddError(section.Find("backends")->value->mark,
                     Cat("`backends` is empty: upstream ", Quoted(name), " needs at least one"));
  }
  std::unordered_map<std::string, int> lines;
  for (const Node* node : *list) {
    if (!context.Visit(node->mark)) return;
    Backend backend = BuildBackend(context, *node);
    if (backend.id.empty()) continue;
    const auto [first, is_new] = lines.emplace(backend.id, node->mark.line);
    if (!is_new) {
      context.AddError(node->mark,
                       Cat("backend ", Quoted(backend.id), " is in this list already, on line ",
                           first->second, ": to send it more requests, raise its `weight`"));
      continue;
    }
    upstream.backends.push_back(std::move(backend));
  }
}

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
    const std::optional<Text> text = ReadElement(context, *node, "on", expected);
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

}  // namespace

std::vector<Upstream> BuildUpstreams(const Section& root) {
  std::vector<Upstream> upstreams;
  const std::optional<std::vector<Entry>> entries = root.ReadNamed("upstreams");
  if (!entries) return upstreams;
  for (const Entry& entry : *entries) {
    Upstream& upstream = upstreams.emplace_back();
    upstream.name = entry.name;
    const std::optional<Section> section = NamedSection(root.context(), "upstreams.*", entry);
    if (!section) continue;
    BuildBalance(*section, upstream);
    BuildSticky(*section, upstream.sticky);
    BuildBackends(*section, entry.name, upstream);
    BuildKeepalive(*section, upstream.keepalive);
    BuildQueue(*section, upstream.queue);
    BuildRetries(*section, upstream.retries);
    BuildUpstreamTimeouts(*section, upstream.timeouts);
    section->ReadChoice("protocol");  // the only choice there is yet is the default
  }
  return upstreams;
}

}  // namespace rondo::config
