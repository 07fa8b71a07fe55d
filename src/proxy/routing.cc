// From the head of a request to what is done with it, and the head that a backend will see.
#include <algorithm>

#include "proxy/exchange.h"
#include "rondo/balance/stable_hash.h"
#include "rondo/http/grpc.h"
#include "rondo/http/rewrite.h"
#include "rondo/http/sticky.h"
#include "rondo/route/normalise.h"

namespace rondo::proxy {

// Decides what is done with the request whose head is in the worker's scratch. False with failure_ set where
// it is not served; false without where the route answers itself.
bool Exchange::Route() {
  const http::RequestHead& head = worker_.request_head;
  method_ = metrics::MethodOf(head.method);
  minor_version_ = head.minor_version;
  keep_alive_ = head.keep_alive;
  is_head_ = head.is_head;
  idempotent_ = head.idempotent;
  has_idempotency_key_ = head.known.Has(http::FieldId::kIdempotencyKey);
  expects_continue_ = head.expect_continue;
  reply_format_ = http::ReplyFormatFor(head);
  http::MakeRequestId(worker_.rng().Next(), worker_.rng().Next(), request_id_);
  if (reply_format_ == http::ReplyFormat::kGrpc) BoundCall();
  FindClient();
  FindRoute();
  if (!head.upgrade.empty() && client_.on_stream() && !failure_) CheckTunnel();
  if (!failure_ && action_->guarded) Guard();
  body_max_ = route_ != nullptr && route_->body_bytes ? *route_->body_bytes
                                                      : client_.snapshot().config.limits.body_bytes;
  if (!failure_ && body_max_ > 0 && head.framing == http::Framing::kLength &&
      head.content_length > body_max_) {
    Fail(413, "body_too_large", Stage::kPick);
  }
  if (!failure_) ChooseUpstream();
  // Written also where it is not forwarded: the log and the answer read it.
  WriteRequestHead();
  TakeInitialBody();
  return !failure_ && upstream_ != nullptr;
}

// A call of gRPC says how long its client waits for all of it.
void Exchange::BoundCall() {
  for (const http::Field& field : worker_.request_head.fields) {
    if (!http::EqualsIgnoreCase(field.name, "grpc-timeout")) continue;
    const std::optional<Duration> timeout = http::ParseGrpcTimeout(field.value);
    if (!timeout) continue;
    total_until_ = std::min(total_until_, began_ + *timeout);
    total_reason_ = "grpc_timeout";
  }
}

// The stream asks for a WebSocket (RFC 8441). Forwarded without that it would be another request than
// its client made.
void Exchange::CheckTunnel() {
  if (!route_->forwards() || !worker_.loop().streams().IsTunnelRequest(client_.fd())) return;
  if (http::ChooseUpgrade(worker_.request_head, route_->upgrades).empty()) {
    Fail(501, "upgrade_not_allowed", Stage::kPick);
  }
}

void Exchange::FindClient() {
  if (!client_.has_peer()) return;
  client_address_ = client_.peer();
  if (client_.peer_trusted()) {
    client_address_ = http::ClientAddress(worker_.request_head, client_.peer(),
                                          client_.listener().settings.trusted_proxies);
  }
}

void Exchange::FindRoute() {
  const http::RequestHead& head = worker_.request_head;
  const route::NormaliseResult path =
      route::NormalisePath(head.path_and_query, worker_.path_scratch);
  if (!path.ok()) {
    Fail(400, path.reason, Stage::kPick);
    return;
  }
  // The last proxy that an OPTIONS or TRACE may reach answers itself (RFC 9110 §7.6.2).
  if (head.max_forwards == 0) {
    Fail(501, "max_forwards_reached", Stage::kPick);
    return;
  }
  normalised_path_ = path.path;
  route::RequestView view;
  view.host = head.host;
  view.path = path.path;
  view.method = head.method;
  view.query = route::QueryOf(head.path_and_query);
  view.fields = head.fields;
  const auto& listener = client_.listener();
  // Who came without a proxy was judged on arrival, but perhaps by other lists.
  if (listener.guarded && !MayCome(listener.settings.allow, listener.settings.deny)) {
    Fail(403, "denied", Stage::kPick);
    return;
  }
  const size_t matched = listener.router.Match(view, worker_.match_scratch);
  if (matched == route::Router::kNone) {
    Fail(404, "no_route", Stage::kPick);
    return;
  }
  route_ = &listener.settings.routes[matched];
  action_ = &listener.actions[matched];
  if (route_->redirect && head.host.empty() && http::RedirectNeedsHost(route_->redirect->to)) {
    Fail(400, "missing_host", Stage::kPick);
  }
}

// Which upstream, and what decides about the backend there.
void Exchange::ChooseUpstream() {
  if (!route_->forwards()) return;
  size_t index = action_->upstream;
  if (!action_->split.empty()) {
    index = action_->split_upstreams[action_->split.Pick(KeyOf(route_->split_by))];
  }
  upstream_ = &client_.upstream(index);
  config_ = client_.snapshot().upstreams[index].get();
  const config::Upstream& settings = config_->settings;
  traffic_ = &worker_.traffic_table().Of(client_.slot(), client_.listener().settings.name, index, settings.name);
  switch (settings.balance) {
    case balance::PolicyKind::kIpHash:
      pick_key_.hash = balance::AddressKey(client_address_);
      break;
    case balance::PolicyKind::kConsistentHash:
      pick_key_.hash = KeyOf(settings.hash_key);
      break;
    case balance::PolicyKind::kRoundRobin:
    case balance::PolicyKind::kLeastConnections:
    case balance::PolicyKind::kRandomTwo:
    case balance::PolicyKind::kPeakEwma:
      break;
  }
  if (settings.sticky) {
    pick_key_.sticky = http::FindSticky(worker_.request_head, settings.sticky->cookie);
  }
}

uint64_t Exchange::KeyOf(const config::HashKey& key) const {
  using Source = config::HashKey::Source;
  const http::RequestHead& head = worker_.request_head;
  std::string_view value;
  switch (key.source) {
    case Source::kRequestId:
      return RequestIdKey();
    case Source::kClientIp:
      return balance::AddressKey(client_address_);
    case Source::kPath:
      return balance::StableHash(normalised_path_);
    case Source::kUri:
      return balance::StableHash(head.path_and_query);
    case Source::kHeader:
      for (const http::Field& field : head.fields) {
        if (http::EqualsIgnoreCase(field.name, key.name)) {
          value = field.value;
          break;
        }
      }
      break;
    case Source::kCookie:
      value = http::FindCookie(head, key.name).value_or(std::string_view());
      break;
  }
  if (!value.empty()) return balance::StableHash(value);
  // Without that header or cookie: a split shares out by request, a policy keeps the client together.
  return &key == &route_->split_by ? RequestIdKey() : balance::AddressKey(client_address_);
}

// Of the id that the request will carry.
uint64_t Exchange::RequestIdKey() const {
  if (client_.peer_trusted()) {
    const http::Field* received = worker_.request_head.Find(http::FieldId::kXRequestId);
    if (received != nullptr && http::IsValidRequestId(received->value)) {
      return balance::StableHash(received->value);
    }
  }
  return balance::StableHash(std::string_view(request_id_, sizeof(request_id_)));
}

void Exchange::WriteRequestHead() {
  const http::RequestHead& head = worker_.request_head;
  http::ForwardRequest options;
  if (client_.has_peer()) {
    options.peer = client_.peer();
    options.peer_trusted = client_.peer_trusted();
    if (client_.peer_trusted()) options.client = client_address_;
  }
  if (client_.tls() != nullptr) options.scheme = "https";
  options.request_id = std::string_view(request_id_, sizeof(request_id_));
  options.via_name = client_.listener().settings.via;
  options.framing = head.framing;
  options.content_length = head.content_length;
  std::string host;  // of last resort
  const bool has_body = head.framing == http::Framing::kChunked ||
                        (head.framing == http::Framing::kLength && head.content_length > 0);
  if (upstream_ != nullptr) {
    if (!head.upgrade.empty() && !has_body) {
      options.upgrade = http::ChooseUpgrade(head, route_->upgrades);
      asks_upgrade_ = !options.upgrade.empty();
      asks_websocket_ = http::EqualsIgnoreCase(options.upgrade, "websocket");
    }
    // HTTP/1.0 without Host: the first backend stands for all of them, since the head is written once. Where
    // there is none yet, the client meant this listener.
    if (const auto& backends = config_->settings.backends; head.host.empty()) {
      if (backends.empty()) host = client_.listener().settings.listen.front().ToString();
      options.backend_host = backends.empty() ? host : backends.front().id;
    }
    if (!action_->request_edits.empty()) options.edits = &action_->request_edits;
    if (client_.tls() != nullptr) options.extra_fields = ClientFields();
    if (config_->settings.sticky) options.strip_cookie = config_->settings.sticky->cookie;
    if (!route_->rewrite_prefix.empty()) options.target = RewrittenTarget();
    options.keep_received = worker_.access_log().enabled() &&
                            (options.edits != nullptr || !options.target.empty());
  }
  chunked_request_ = head.framing == http::Framing::kChunked;
  request_body_.Begin(head.framing, head.content_length, worker_.head_limits(), 400,
                      options.edits);

  const size_t small_body = has_body ? kSmallBodyBytes : 0;
  request_block_ = Block(frames(), http::ForwardedRequestBound(head, options) + small_body);
  request_block_.set_size(
      http::WriteForwardedRequest(head, options, request_block_.data(), &spans_));
  input_.Consume(head.head_bytes);
}

std::string_view Exchange::RewrittenTarget() {
  http::PrefixRewrite rewrite;
  rewrite.path_and_query = worker_.request_head.path_and_query;
  rewrite.normalised_path = normalised_path_;
  rewrite.prefix = route_->match.path_prefix;
  rewrite.replacement = route_->rewrite_prefix;
  worker_.target_scratch.resize(http::RewritePrefixBound(rewrite));
  return {worker_.target_scratch.data(),
          http::RewritePrefix(rewrite, worker_.target_scratch.data())};
}

// The stickiness cookie, where the client has none that holds; empty where it keeps its own.
std::string_view Exchange::StickySetCookie() {
  const upstream::WorkerBackend& backend = *lease_.backend();
  const uint64_t own = backend.sticky_hash;
  if (own == 0) return {};  // stickiness was turned off meanwhile
  if (pick_key_.sticky == own) {
    sticky_outcome_ = "kept";
    return {};
  }
  const upstream::WorkerBackend* wanted =
      pick_key_.sticky ? upstream_->FindSticky(*pick_key_.sticky) : nullptr;
  if (wanted != nullptr && !WasTried(*wanted)) {
    // Its backend had no place left just now: the next request may find one.
    sticky_outcome_ = "overflowed";
    return {};
  }
  sticky_outcome_ = pick_key_.sticky ? "moved" : "new";
  const http::StickyCookie& cookie = config_->sticky_cookie;
  worker_.cookie_scratch.resize(http::SetCookieBound(cookie));
  return {worker_.cookie_scratch.data(),
          http::WriteSetCookie(cookie, own, false, worker_.cookie_scratch.data())};
}

}  // namespace rondo::proxy
