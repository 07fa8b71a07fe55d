#include "rondo/control/explain.h"

#include <algorithm>
#include <string_view>

#include "control/explain_request.h"
#include "rondo/balance/stable_hash.h"
#include "rondo/base/check.h"
#include "rondo/http/forwarding.h"
#include "rondo/http/h1_parser.h"
#include "rondo/http/local_reply.h"
#include "rondo/http/rewrite.h"
#include "rondo/http/sticky.h"
#include "rondo/route/normalise.h"
#include "rondo/route/router.h"
#include "rondo/route/weighted_split.h"

namespace rondo::control {
namespace {

std::string Names(const std::vector<config::Listener>& listeners) {
  std::string names;
  for (const config::Listener& listener : listeners) {
    if (!names.empty()) names += ", ";
    names += listener.name;
  }
  return names;
}

bool ListensOn(const SocketAddress& address, const ExplainUrl& url) {
  if (address.kind != SocketAddress::Kind::kIp || address.port != *url.port) return false;
  const bool any = address.both_families || address.ip == IpAddress{} ||
                   address.ip == IpAddress::V4(0) || !url.ip;
  return any || address.ip == *url.ip;
}

// The listener that a connection to the URL reaches. A configuration with one listener has nothing
// to choose: its port is often mapped to another one, by Docker say.
const config::Listener* FindListener(const config::Config& config, const ExplainQuestion& question,
                                     const ExplainUrl& url, std::string& problem) {
  std::vector<const config::Listener*> found;
  for (const config::Listener& listener : config.listeners) {
    const bool takes =
        question.listener.empty()
            ? config.listeners.size() == 1 ||
                  (url.port && std::any_of(listener.listen.begin(), listener.listen.end(),
                                           [&](const auto& a) { return ListensOn(a, url); }))
            : listener.name == question.listener;
    if (takes) found.push_back(&listener);
  }
  if (found.size() == 1) return found.front();
  const std::string names = Names(config.listeners);
  if (!question.listener.empty()) {
    problem = "--listener " + question.listener + ": there is no such listener; there is " + names;
  } else {
    problem = found.empty() ? "no listener listens on the port of that URL"
                            : "more than one listener listens on the port of that URL";
    problem += "; name one with --listener: " + names;
  }
  return nullptr;
}

// What a hash is made of.
struct Hashed {
  std::string words;
  std::optional<uint64_t> key;  // nothing where only the running process could tell
};

Hashed HashClient(const Explanation& explanation) {
  if (!explanation.client) return {.words = "the client's address", .key = std::nullopt};
  return {.words = "the client's address " + explanation.client->ToString(),
          .key = balance::AddressKey(*explanation.client)};
}

Hashed HashValue(const std::string& name, std::string_view value, const Hashed& otherwise) {
  if (!value.empty()) {
    return {.words = name + " `" + std::string(value) + "`", .key = balance::StableHash(value)};
  }
  return {.words = otherwise.words + ", since " + name + " is missing,", .key = otherwise.key};
}

std::string_view FirstValue(const http::RequestHead& head, std::string_view name) {
  for (const http::Field& field : head.fields) {
    if (http::EqualsIgnoreCase(field.name, name)) return field.value;
  }
  return {};
}

// As the data plane does it. `otherwise` where the request has no such header or cookie.
Hashed HashOf(const config::HashKey& key, const http::RequestHead& head,
              const Explanation& explanation, const Hashed& otherwise) {
  switch (key.source) {
    case config::HashKey::Source::kRequestId:
      return {.words = "the request id", .key = std::nullopt};
    case config::HashKey::Source::kClientIp:
      return HashClient(explanation);
    case config::HashKey::Source::kPath:
      return {.words = "the path", .key = std::nullopt};
    case config::HashKey::Source::kUri:
      return {.words = "the path and query", .key = std::nullopt};
    case config::HashKey::Source::kHeader:
      return HashValue("the header " + key.name, FirstValue(head, key.name), otherwise);
    case config::HashKey::Source::kCookie:
      return HashValue("the cookie " + key.name, http::FindCookie(head, key.name).value_or(""),
                       otherwise);
  }
  return {};
}

void ExplainSticky(const http::RequestHead& head, ExplainUpstream& choice) {
  const config::Upstream& upstream = *choice.upstream;
  if (!upstream.sticky) return;
  const std::optional<uint64_t> value = http::FindSticky(head, upstream.sticky->cookie);
  if (!value) {
    const bool foreign = http::FindCookie(head, upstream.sticky->cookie).has_value();
    choice.sticky = foreign ? StickyState::kForeign : StickyState::kNone;
    return;
  }
  choice.sticky = StickyState::kGone;
  for (const config::Backend& backend : upstream.backends) {
    // The name that upstream/ gives a backend in cookies.
    if (balance::StickyHash(upstream.name, backend.id) != *value) continue;
    choice.sticky = StickyState::kOurs;
    choice.sticky_backend = &backend;
  }
}

void AddUpstream(const config::Config& config, const http::RequestHead& head,
                 const std::string& name, uint32_t weight, Explanation& explanation) {
  const auto it = std::find_if(config.upstreams.begin(), config.upstreams.end(),
                               [&](const config::Upstream& u) { return u.name == name; });
  RONDO_CHECK(it != config.upstreams.end());
  ExplainUpstream& added = explanation.upstreams.emplace_back();
  added.upstream = &*it;
  added.weight = weight;
  ExplainSticky(head, added);
  switch (it->balance) {
    case balance::PolicyKind::kRoundRobin:
    case balance::PolicyKind::kLeastConnections:
    case balance::PolicyKind::kRandomTwo:
    case balance::PolicyKind::kPeakEwma:
      break;
    case balance::PolicyKind::kIpHash:
      added.hashes = HashClient(explanation).words;
      break;
    case balance::PolicyKind::kConsistentHash:
      added.hashes = HashOf(it->hash_key, head, explanation, HashClient(explanation)).words;
      break;
  }
}

// As the data plane judges a client, where it is known.
bool IsDenied(const std::vector<Network>& allow, const std::vector<Network>& deny,
              const std::optional<IpAddress>& client) {
  if (!client) return false;
  return http::IsIn(*client, deny) || (!allow.empty() && !http::IsIn(*client, allow));
}

// What keeps a request from what its route does.
http::Refusal Admission(const config::RouteConfig& route, const http::RequestHead& head,
                        const Explanation& explanation) {
  const config::Listener& listener = *explanation.listener;
  if (IsDenied(listener.allow, listener.deny, explanation.client) ||
      IsDenied(route.allow, route.deny, explanation.client)) {
    return {.status = 403, .reason = "denied"};
  }
  if (route.uri_bytes > 0 && head.target.size() > route.uri_bytes)
    return {.status = 414, .reason = "uri_too_long"};
  return {};
}

std::string LocationOf(const config::Redirect& redirect, const http::RequestHead& head) {
  const http::RedirectTarget target{redirect.to, head.host, head.path_and_query};
  std::string location(http::RedirectTargetBound(target), '\0');
  location.resize(http::WriteRedirectTarget(target, location.data()));
  return location;
}

// Which of several upstreams takes the request, where that does not depend on its id.
void ExplainSplit(const http::RequestHead& head, Explanation& explanation) {
  std::vector<uint32_t> weights;
  explanation.weights = 0;
  for (const ExplainUpstream& choice : explanation.upstreams) {
    weights.push_back(choice.weight);
    explanation.weights += choice.weight;
  }
  const Hashed by_id{.words = "the request id", .key = std::nullopt};
  const Hashed hashed = HashOf(explanation.route->split_by, head, explanation, by_id);
  explanation.split_by = hashed.words;
  if (!hashed.key) return;
  const size_t taken = route::WeightedSplit(weights).Pick(*hashed.key);
  for (size_t i = 0; i < weights.size(); ++i) explanation.upstreams[i].taken = i == taken;
}

void ExplainForwarding(const config::Config& config, const http::RequestHead& head,
                       Explanation& explanation) {
  const config::RouteConfig& route = *explanation.route;
  const uint64_t body_max = route.body_bytes.value_or(config.limits.body_bytes);
  if (body_max > 0 && head.framing == http::Framing::kLength && head.content_length > body_max) {
    explanation.refusal = {.status = 413, .reason = "body_too_large"};
  }
  explanation.forwarded_target = head.path_and_query;
  if (!route.rewrite_prefix.empty()) {
    const http::PrefixRewrite rewrite{head.path_and_query, explanation.normalised_path,
                                      route.match.path_prefix, route.rewrite_prefix};
    explanation.forwarded_target.resize(http::RewritePrefixBound(rewrite));
    const size_t size = http::RewritePrefix(rewrite, explanation.forwarded_target.data());
    explanation.forwarded_target.resize(size);
  }
  // As the data plane has it: not together with a body.
  if (head.framing == http::Framing::kNone ||
      (head.framing == http::Framing::kLength && head.content_length == 0)) {
    explanation.upgrade = http::ChooseUpgrade(head, route.upgrades);
  }
  if (!route.upstream.empty()) {
    AddUpstream(config, head, route.upstream, 1, explanation);
    explanation.upstreams.back().taken = true;
    return;
  }
  for (const config::WeightedUpstream& choice : route.upstreams) {
    AddUpstream(config, head, choice.name, choice.weight, explanation);
  }
  ExplainSplit(head, explanation);
}

void ExplainHead(const config::Config& config, const http::RequestHead& head,
                 Explanation& explanation) {
  const config::Listener& listener = *explanation.listener;
  explanation.host = head.host;
  if (explanation.peer && http::IsIn(*explanation.peer, listener.trusted_proxies)) {
    explanation.client = http::ClientAddress(head, *explanation.peer, listener.trusted_proxies);
  }
  route::Scratch scratch;
  const route::NormaliseResult path = route::NormalisePath(head.path_and_query, scratch);
  if (!path.ok()) {
    explanation.refusal = {.status = 400, .reason = path.reason};
    return;
  }
  explanation.normalised_path = path.path;
  if (head.max_forwards == 0) {
    explanation.refusal = {.status = 501, .reason = "max_forwards_reached"};
    return;
  }
  std::vector<route::RouteMatch> matches;
  for (const config::RouteConfig& route : listener.routes) matches.push_back(route.match);
  explanation.match = route::Router(matches).Explain({.host = head.host,
                                                      .path = path.path,
                                                      .method = head.method,
                                                      .query = route::QueryOf(head.path_and_query),
                                                      .fields = head.fields});
  if (explanation.match.route == route::Router::kNone) {
    explanation.refusal = {.status = 404, .reason = "no_route"};
    return;
  }
  explanation.route = &listener.routes[explanation.match.route];
  explanation.refusal = Admission(*explanation.route, head, explanation);
  if (explanation.refusal) return;
  if (explanation.route->redirect)
    explanation.location = LocationOf(*explanation.route->redirect, head);
  if (explanation.route->forwards()) ExplainForwarding(config, head, explanation);
}

}  // namespace

ExplainResult Explain(const config::Config& config, const ExplainQuestion& question) {
  ExplainResult result;
  const std::optional<ExplainUrl> url = ParseExplainUrl(question.url, result.problem);
  if (!url) return result;
  const std::optional<std::string> bytes = MakeExplainHead(question, *url, result.problem);
  if (!bytes) return result;
  const config::Listener* listener = FindListener(config, question, *url, result.problem);
  if (listener == nullptr) return result;

  Explanation& explanation = result.explanation.emplace();
  explanation.method = question.method;
  explanation.host = url->host;
  explanation.target = url->target;
  explanation.peer = explanation.client = question.peer;
  explanation.listener = listener;
  http::RequestParser parser;
  http::RequestHead head;
  const http::HeadLimits limits{config.limits.header_bytes, config.limits.header_count};
  const http::HeadResult parsed = parser.Parse(*bytes, 0, limits, head);
  if (parsed.status == http::HeadStatus::kComplete) {
    ExplainHead(config, head, explanation);
  } else {
    RONDO_CHECK(parsed.refusal);
    explanation.refusal = parsed.refusal;
  }
  return result;
}

}  // namespace rondo::control
