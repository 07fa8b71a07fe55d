#include "proxy/exchange.h"

#include <cstring>

#include "proxy/listeners.h"
#include "proxy/tunnel.h"
#include "rondo/balance/stable_hash.h"
#include "rondo/route/normalise.h"

namespace rondo::proxy {

Exchange::Exchange(ClientConnection& client)
    : client_(client),
      worker_(client.worker()),
      client_sender_(client.worker().engine()),
      upload_token_(client.worker().engine()),
      upload_deadline_(client.worker().loop().wheel(), upload_token_),
      pace_timer_(*this) {
  client_sender_.Open(client.fd());
}

Exchange::~Exchange() {
  ForgetPicks();
  RONDO_CHECK(backend_ == nullptr);
  RONDO_CHECK(large_ == nullptr && request_large_ == nullptr);
}

rt::Task<After> Exchange::Run() {
  if (client_.receiver.ready() && client_.receiver.held_result() > 0) {
    input_.Append(client_.receiver.TakeBuffer(), frames());
  }
  began_ = worker_.loop().Now();
  if (client_.TakeFirst() && MayBePreface()) {
    const bool http2 = co_await ReadPreface();
    if (http2) co_return After::kHttp2;
  }
  HeadState head = ParseHead();
  if (head == HeadState::kNeedMore) {
    const bool complete = co_await ReadHead();
    head = complete ? HeadState::kComplete : HeadState::kNone;
  }
  // Without a failure to tell the client went away before its head was whole: nobody to answer.
  if (head == HeadState::kNone && !failure_) co_return After::kClose;
  client_.PinVersion();
  WatchPace();
  traffic_ = &worker_.traffic_table().Of(client_.slot(), client_.listener().settings.name);
  const bool forward = head == HeadState::kComplete && Route();
  if (failure_) {
    co_await ReplyFailure();
  } else if (forward) {
    co_await Forward();
  } else {
    co_await ReplyFixed();
  }
  co_return Finish();
}

// Looks for a whole head in input_. kNone: it is refused, and failure_ says so.
Exchange::HeadState Exchange::ParseHead() {
  if (input_.empty()) {
    // A stream whose head is not to be believed gives no bytes.
    if (!client_.on_stream()) return HeadState::kNeedMore;
    const http::Refusal refusal = worker_.loop().streams().RefusalOf(client_.fd());
    if (!refusal) return HeadState::kNeedMore;
    Refuse(refusal);
    return HeadState::kNone;
  }
  const http::HeadResult result =
      client_.on_stream()
          ? worker_.request_parser.ParseOwn(input_.view(), worker_.request_head)
          : worker_.request_parser.Parse(input_.view(), request_scanned_, worker_.head_limits(),
                                         worker_.request_head);
  request_scanned_ = result.scanned;
  if (result.status == http::HeadStatus::kNeedMore) return HeadState::kNeedMore;
  request_scanned_ = 0;
  if (result.status == http::HeadStatus::kComplete) return HeadState::kComplete;
  Refuse(result.refusal);
  return HeadState::kNone;
}

// A head is not here whole: one deadline and one pace for all of it, however its bytes dribble in,
// those included that looked like HTTP/2's preface. Until when it has to be.
Instant Exchange::WatchHead() {
  if (!request_rate_.active()) {
    const upstream::ListenerSnapshot& listener = *worker_.listeners().Find(client_.slot());
    request_rate_ = protect::RateWatch(listener.settings.min_rate_request);
    request_rate_.Moved(input_.size(), began_);
  }
  return began_ + worker_.snapshot().config.timeouts.request_header;
}

// Reads until the whole head is in input_ and parsed; false where there will be none, with failure_ set
// where the client is to be told.
rt::Task<bool> Exchange::ReadHead() {
  const Instant latest = WatchHead();
  for (;;) {
    client_.deadline.Set(RequestDue(worker_.loop().Now(), latest));
    const int32_t received = co_await client_.receiver.Wait(client_.token);
    const bool too_slow = TookTooLong(received, worker_.loop().Now());
    if (received <= 0) {
      if (client_.token.reason() == rt::CancelReason::kDeadline && !input_.empty()) {
        Fail(408, too_slow ? "request_too_slow" : "request_header_timeout", Stage::kPick);
      }
      co_return false;
    }
    input_.Append(client_.receiver.TakeBuffer(), frames());
    const HeadState state = ParseHead();
    if (state != HeadState::kNeedMore) co_return state == HeadState::kComplete;
  }
}

// The bytes cannot be understood: where the next request would begin is not known either.
void Exchange::Refuse(const http::Refusal& refusal) {
  Fail(refusal.status, refusal.reason, Stage::kPick);
  keep_alive_ = false;
  upload_ = Upload::kRefused;
}

// Takes what came of the body with the head.
void Exchange::TakeInitialBody() {
  initial_body_ = {};
  input_consumed_ = 0;
  upload_ = request_body_.done() ? Upload::kDone : Upload::kRunning;
  if (request_body_.done() || input_.empty()) return;
  const http::BodyDecoder::Step step = request_body_.Decode(input_.data(), input_.size());
  if (step.refusal) {
    Refuse(step.refusal);
    return;
  }
  initial_body_ = std::string_view(step.data, step.size);
  CountReceived(step.size);
  input_consumed_ = step.consumed;
  if (step.done) upload_ = Upload::kDone;
  if (body_max_ > 0 && received_bytes_ > body_max_ && !failure_) {
    Fail(413, "body_too_large", Stage::kPick);
    upload_ = Upload::kRefused;
  }
}

// Tries backends until one answers, or none is left.
rt::Task<> Exchange::Forward() {
  upstream_->OnRequest();
  if (route_->timeout_total) {
    const Instant until = worker_.loop().Now() + *route_->timeout_total;
    if (until < total_until_) {
      total_until_ = until;
      total_reason_ = "total_timeout";
    }
  }
  if (total_until_ != kNever) client_.deadline.SetCap(total_until_);
  // Nothing but its body, held until it is wanted, can come of a stream. Who gives one up is heard
  // at once, whatever is waited for: by this receive, and once that brought something by OnGone.
  if (client_.on_stream()) client_.receiver.Arm();
  // Nothing of the receive buffer is needed any more, unless body bytes or another request are in it.
  input_.ReleaseIfEmpty();
  for (;;) {
    previous_failure_ = std::exchange(failure_, Failure{});
    retry_decided_ = false;
    co_await Attempt();
    if (!failure_ || response_began_) break;
    // What the upload still received while it was stopped may have been too much to hold.
    if (retry_decided_ ? !body_held_ : !DecideRetry(failure_)) break;
  }
  client_.deadline.SetCap(kNever);
  if (failure_ && !response_began_) co_await ReplyFailure();
}

// Whether this failure is followed by another attempt; counts it where it is.
bool Exchange::DecideRetry(const Failure& failure) {
  RetryQuestion question;
  question.failure = failure;
  question.repeatable = Repeatable();
  question.body_held = body_held_ && !upload_refusal_;
  question.sent_bytes = attempt_bytes_;
  question.retries = retries_;
  question.unprocessed = unprocessed_;
  switch (MayRetry(question, config_->settings.retries)) {
    case RetryAnswer::kNo:
      return false;
    case RetryAnswer::kFree:
      if (failure.unprocessed) ++unprocessed_;
      break;
    case RetryAnswer::kCounted:
      if (!upstream_->TryRetry()) return false;
      ++retries_;
      break;
  }
  retry_decided_ = true;
  return true;
}

// What becomes of the connection, now that all is over; counts it and writes the log.
After Exchange::Finish() {
  CountEnd();
  if (tunnelled_) return After::kTunnel;
  Account();
  // Whether a stream ends as it should or is cut shows in what was sent to it.
  if (!response_began_ || client_.on_stream()) return After::kClose;
  // Where only the end of the connection ends the body, an ordinary end would make a cut answer look whole. Who is
  // too slow to read it is not waited for.
  if (!response_whole_ && (close_ends_response_ || failure_.reason == kClientTooSlow)) {
    return After::kReset;
  }
  const rt::CancelReason reason = client_.token.reason();
  if (reason == rt::CancelReason::kClientGone || reason == rt::CancelReason::kShutdown) {
    return After::kClose;
  }
  // The framing shows that it was cut; what came of it should arrive.
  if (!response_whole_) return After::kLinger;
  // While draining only where the answer said so: a client that was not told may send another request.
  if (!keep_alive_ || close_after_ || upload_ != Upload::kDone) return After::kLinger;
  // What was received of this request's body goes; what is behind it is the next request.
  input_.Consume(std::exchange(input_consumed_, 0));
  const rt::Receiver& receiver = client_.receiver;
  if (!input_.empty() || (receiver.ready() && receiver.held_result() > 0)) {
    ResetForNext();
    return After::kNextRequest;
  }
  return receiver.ready() ? After::kClose : After::kKeepAlive;
}

void Exchange::Account() {
  if (!worker_.access_log().enabled() || (!request_block_ && status_ == 0)) return;
  AccessRecord record;
  char client_text[IpAddress::kTextMax];
  record.finished = worker_.engine().WallNow();
  record.listener = client_.listener().settings.name;
  record.client = client_.nameless();
  if (client_.has_peer()) {
    const IpAddress& address = request_block_ ? client_address_ : client_.peer();
    record.client = std::string_view(client_text, address.Write(client_text));
  }
  record.status = response_began_ ? status_ : 0;
  record.version_minor = minor_version_;
  record.http2 = client_.on_stream();
  record.request_id = std::string_view(request_id_, sizeof(request_id_));
  if (request_block_) {
    const char* head = request_block_.data();
    record.method = spans_.method.In(head);
    record.target = spans_.target.In(head);
    record.host = spans_.host.In(head);
    record.request_id = spans_.request_id.In(head);
    record.user_agent = spans_.user_agent.In(head);
    record.referer = spans_.referer.In(head);
  }
  if (upstream_ != nullptr) record.upstream = config_->settings.name;
  if (tried_) record.backend = tried_->shared->id;
  record.retries = repeats_;
  record.received_bytes = received_bytes_;
  record.sent_bytes = sent_bytes_;
  record.queue = queue_time_;
  record.connect = connect_time_;
  record.first_byte = first_byte_;
  if (sticky_outcome_ != nullptr) record.sticky = sticky_outcome_;
  record.total = worker_.loop().Now() - began_;
  if (failure_) record.reason = failure_.reason;
  if (failure_.detail != nullptr) record.detail = failure_.detail;
  record.tls = client_.tls();
  worker_.access_log().Write(record);
}

// What the log will need when the tunnel ends, without the rest of the head.
TunnelLog* Exchange::MakeTunnelLog() {
  if (!worker_.access_log().enabled()) return nullptr;
  auto* log = new (frames().Allocate(sizeof(TunnelLog))) TunnelLog();
  const char* head = request_block_.data();
  http::ForwardedRequest& to = log->spans;
  const std::pair<http::TextSpan*, std::string_view> texts[] = {
      {&to.method, spans_.method.In(head)},
      {&to.target, spans_.target.In(head)},
      {&to.host, spans_.host.In(head)},
      {&to.request_id, spans_.request_id.In(head)},
      {&to.user_agent, spans_.user_agent.In(head)},
      {&to.referer, spans_.referer.In(head)},
      {&log->listener, client_.listener().settings.name},
      {&log->upstream, config_->settings.name},
      {&log->backend, tried_->shared->id},
  };
  size_t bytes = 0;
  for (const auto& [span, text] : texts) bytes += text.size();
  log->texts = Block(frames(), bytes);
  for (const auto& [span, text] : texts) {
    *span = {static_cast<uint32_t>(log->texts.size()), static_cast<uint32_t>(text.size())};
    if (text.empty()) continue;
    std::memcpy(log->texts.data() + log->texts.size(), text.data(), text.size());
    log->texts.set_size(log->texts.size() + text.size());
  }
  log->client = client_address_;
  log->has_client = client_.has_peer();
  log->nameless = client_.nameless();
  log->retries = repeats_;
  log->head_bytes = sent_bytes_;
  log->began = began_;
  log->connect = connect_time_;
  log->first_byte = first_byte_;
  return log;
}

void Exchange::ResetForNext() {
  input_.ReleaseIfEmpty();
  request_block_.Reset();
  response_block_.Reset();
  response_input_.Reset();
  held_body_.Reset();
  route_ = nullptr;
  action_ = nullptr;
  upstream_ = nullptr;
  traffic_ = nullptr;
  method_ = metrics::Method::kOther;
  config_ = nullptr;
  pick_key_ = upstream::PickKey();
  total_until_ = queue_until_ = kNever;
  total_reason_ = nullptr;
  queue_time_ = Duration::zero();
  sticky_outcome_ = nullptr;
  // What is said of a head that never becomes whole must not follow the request before.
  minor_version_ = 1;
  keep_alive_ = is_head_ = asks_upgrade_ = asks_websocket_ = false;
  if (request_rate_.active() || response_rate_.active()) ForgetPace();
  reply_format_ = http::ReplyFormat::kJson;
  initial_body_ = {};
  received_bytes_ = 0;
  body_held_ = true;
  upload_refusal_ = http::Refusal{};
  ForgetPicks();
  tried_.Reset();
  failure_ = Failure{};
  retries_ = unprocessed_ = repeats_ = 0;
  attempt_bytes_ = 0;
  response_began_ = response_complete_ = response_whole_ = close_ends_response_ = false;
  backend_keeps_ = close_after_ = false;
  status_ = interims_ = 0;
  sent_bytes_ = relayed_bytes_ = 0;
  connect_time_ = Duration::zero();
  first_byte_ = Duration(-1);
  client_.token.ClearPassing();
}

}  // namespace rondo::proxy
