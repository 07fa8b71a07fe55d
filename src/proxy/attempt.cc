// One try at one backend: a connection, the request's head, and the head of the answer.
#include <cerrno>
#include <cstring>

#include "proxy/exchange.h"
#include "rondo/metrics/backend_cell.h"

namespace rondo::proxy {
namespace {

constexpr int kInterimMax = 100;  // 1xx heads before a final one

bool IsRefusal(int error) {
  // The peer, or the way to it, said no at once (also: a unix socket that nobody serves).
  return error == ECONNREFUSED || error == ENOENT || error == EHOSTUNREACH ||
         error == ENETUNREACH || error == ECONNRESET || error == EAGAIN;
}

}  // namespace

// The steady path (an idle connection, an answer that comes whole in one piece) runs through this one frame;
// what is rarer has coroutines of its own.
rt::Task<> Exchange::Attempt() {
  Placed placed = TakePlace();
  if (placed == Placed::kMustWait) placed = co_await WaitForPlace();
  if (placed == Placed::kNowhere) co_return;
  TakeConnection();
  if (backend_ == nullptr) {
    const bool connected = co_await Connect(*lease_.backend());
    if (!connected) co_return;
  }
  if (asks_upgrade_ && backend_->shared()) {
    const bool takes = co_await AskForTunnel();
    if (!takes) co_return;
  }
  PrepareRequest();
  const int32_t sent = co_await backend_->sender.Send(client_.token);
  RequestSent(sent);
  HeadProgress progress = failure_ ? HeadProgress::kFailed : HeadProgress::kNeedMore;
  while (progress == HeadProgress::kNeedMore) {
    const int32_t received = co_await backend_->receiver.Wait(client_.token);
    progress = TakeResponseBytes(received);
    if (progress == HeadProgress::kInterim) progress = co_await PassInterims();
  }
  if (progress == HeadProgress::kFinal) {
    if (status_ == 101) {
      co_await BeginTunnel();
    } else {
      // Without an await between, the first piece is still in the receive buffer.
      const bool more = StartResponse();
      if (!client_sender_.empty()) {
        const int32_t passed = co_await client_sender_.Send(client_.token);
        ResponsePieceSent(passed);
      }
      if (more && !failure_) co_await RelayRest();
      EndResponse();
      if (large_ != nullptr) co_await ReturnLargeBuffer();
    }
  }
  if (backend_ != nullptr) {
    co_await StopUpload();
    GiveUpBackend();
  }
}

// Takes a place at a backend, where one is to be had at once.
Exchange::Placed Exchange::TakePlace() {
  switch (upstream_->Acquire(pick_key_, picks_, &lease_)) {
    case upstream::WorkerUpstream::Acquired::kLease:
      return Placed::kLease;
    case upstream::WorkerUpstream::Acquired::kFull:
      return Placed::kMustWait;
    case upstream::WorkerUpstream::Acquired::kNone:
      break;
  }
  FailNowhere();
  return Placed::kNowhere;
}

// No backend is left to try.
void Exchange::FailNowhere() {
  failure_ = previous_failure_ ? previous_failure_ : Failure{503, "no_backend_up", Stage::kPick};
  failure_.stage = Stage::kPick;
}

// Waits in the upstream's queue, at most queue.timeout in all attempts together.
rt::Task<Exchange::Placed> Exchange::WaitForPlace() {
  const Instant began = worker_.loop().Now();
  if (queue_until_ == kNever) queue_until_ = began + config_->settings.queue.timeout;
  client_.deadline.Set(queue_until_);
  // A client that leaves while it waits gives its place in the queue up.
  waiting_in_queue_ = true;
  if (RequestReceived()) client_.receiver.Arm();
  upstream::QueueWait wait(*upstream_);
  const int32_t result = co_await upstream_->Wait(wait, pick_key_, picks_, client_.token);
  waiting_in_queue_ = false;
  const Duration waited = worker_.loop().Now() - began;
  queue_time_ += waited;
  if (result != -ENOSPC) traffic_->queue_wait.Observe(waited);
  if (result == 0) {
    lease_ = std::move(wait.lease);
    // The deadline of the queue, or the end of the client's direction, came too late to matter: it has a place.
    if (!TotalIsOver()) client_.token.ClearPassing();
    if (!on_drained_backend()) co_return Placed::kLease;
    // Its drain ended while the place was on its way here.
    lease_.Reset();
    const Placed next = TakePlace();
    if (next != Placed::kMustWait) co_return next;
    const Placed later = co_await WaitForPlace();
    co_return later;
  }
  if (result == -ENOENT) {
    FailNowhere();
  } else if (result == -ENOSPC) {
    Fail(503, "queue_full", Stage::kPick);
  } else {
    FailFromQueue();
  }
  co_return Placed::kNowhere;
}

// The wait ended without a place.
void Exchange::FailFromQueue() {
  if (client_.token.reason() == rt::CancelReason::kFinished && upload_ == Upload::kDone) {
    // The client ended its direction while it waited. It may only have nothing more to say: tell it.
    client_.token.ClearPassing();
    Fail(503, "client_left_queue", Stage::kPick);
    return;
  }
  const bool total = TotalIsOver();
  FailFromCancel("queue_timeout", Stage::kPick);
  // Too many requests for too few places is a 503, to be tried again later.
  if (failure_.status == 504 && !total) failure_.status = 503;
}

// Takes an idle connection to the leased backend, where there is one that is fit.
void Exchange::TakeConnection() {
  upstream::WorkerBackend& backend = *lease_.backend();
  tried_ = upstream::BackendRef(backend);
  backend.cell().requests.Add();
  if (previous_failure_) {
    traffic_->retries.Add(previous_failure_.reason);
    ++repeats_;
  }
  attempt_bytes_ = 0;
  status_ = interims_ = 0;
  relayed_bytes_ = 0;
  response_complete_ = backend_broke_ = false;
  // What may not be repeated does not race with a backend that closes an idle connection.
  const Duration idle_max = Repeatable() ? Duration::max() : Duration(std::chrono::seconds(1));
  if (!upstream_->introduces_clients()) {
    backend_ = upstream_->TakeIdle(backend, idle_max);
    return;
  }
  const std::optional<upstream::ClientEndpoints> endpoints = Endpoints();
  backend_ = upstream_->TakeIdle(backend, idle_max, endpoints ? &*endpoints : nullptr);
}

// What a backend is told of the client by a PROXY header; nothing where it has no address.
std::optional<upstream::ClientEndpoints> Exchange::Endpoints() {
  if (!client_.has_peer()) return std::nullopt;
  const std::optional<proxyproto::Endpoint> destination = client_.Destination();
  if (!destination) return std::nullopt;
  // Of a client behind further proxies the address is known, the port is not.
  const uint16_t port = client_address_ == client_.peer() ? client_.peer_port() : uint16_t{0};
  return upstream::ClientEndpoints{{client_address_, port}, *destination};
}

rt::Task<bool> Exchange::Connect(upstream::WorkerBackend& backend) {
  const Instant began = worker_.loop().Now();
  client_.deadline.Set(began + config_->settings.timeouts.connect);
  std::optional<upstream::ClientEndpoints> endpoints;
  if (upstream_->introduces_clients()) endpoints = Endpoints();
  const upstream::ConnectResult result =
      co_await upstream_->Connect(backend, client_.token, endpoints ? &*endpoints : nullptr);
  connect_time_ += worker_.loop().Now() - began;
  backend_ = result.connection;
  if (backend_ != nullptr) co_return true;
  FailConnect(result);
  MarkTried(backend, failure_.refused);
  lease_.Reset();
  co_return false;
}

// Over HTTP/2 there are tunnels for WebSockets alone (RFC 8441), and a backend says whether it takes
// any.
rt::Task<bool> Exchange::AskForTunnel() {
  int takes = 0;
  if (asks_websocket_) {
    client_.deadline.Set(worker_.loop().Now() + config_->settings.timeouts.connect);
    takes = co_await upstream_->TakesTunnels(*backend_, client_.token);
  }
  if (takes == 1) co_return true;
  if (takes == 0) {
    Fail(502, "upgrade_not_supported", Stage::kPick);
  } else if (takes == -ECANCELED) {
    FailFromCancel("connect_timeout", Stage::kConnect);
    ReportIfTimeout(Stage::kConnect, upstream::Outcome::kConnectTimeout);
  } else if (takes == -ECONNREFUSED && backend_->failure() == nullptr) {
    FailUnprocessed();
  } else {
    FailEnded();
  }
  GiveUpBackend();
  co_return false;
}

// The backend refused the stream, or ended its connection and said that it did not get this far. That
// is how it bounds what it has to do: no failure that counts against it.
void Exchange::FailUnprocessed() {
  Fail(503, "stream_refused", Stage::kConnect);
  failure_.unprocessed = true;
  attempt_bytes_ = 0;
}

void Exchange::FailConnect(const upstream::ConnectResult& result) {
  const int error = result.error;
  if (error == ECANCELED) {
    FailFromCancel("connect_timeout", Stage::kConnect);
    ReportIfTimeout(Stage::kConnect, upstream::Outcome::kConnectTimeout);
    return;
  }
  if (error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS) {
    // Our own want of descriptors or memory says nothing about the backend.
    Fail(503, "out_of_resources", Stage::kPick);
    return;
  }
  if (result.tls_failure != nullptr) {
    // Nothing of the request has left: another backend may take it, as after a refusal.
    Fail(502, "tls_failed", Stage::kConnect);
    failure_.detail = result.tls_failure;
    failure_.refused = true;
    Report(upstream::Outcome::kTlsFailed);
    return;
  }
  if (error == EADDRNOTAVAIL) {
    // Nor does our want of ports. But those are counted by where they lead: another backend will
    // do.
    Fail(503, "out_of_resources", Stage::kConnect);
    failure_.refused = true;
    return;
  }
  if (IsRefusal(error)) {
    Fail(503, "connect_refused", Stage::kConnect);
    failure_.refused = true;
    Report(upstream::Outcome::kRefused);
    return;
  }
  const bool late = error == ETIMEDOUT;
  Fail(late ? 504 : 502, late ? "connect_timeout" : "connect_failed", Stage::kConnect);
  Report(late ? upstream::Outcome::kConnectTimeout : upstream::Outcome::kRefused);
}

// Puts the head and what is here of the body into the backend's sender.
void Exchange::PrepareRequest() {
  const Duration idle = config_->settings.timeouts.idle;
  backend_->sender.WatchProgress(&client_.deadline, idle);
  client_.deadline.Set(worker_.loop().Now() + idle);
  backend_->receiver.Arm();
  // The next thing from this client goes the same way; until it is wanted, it is held.
  if (RequestReceived()) client_.receiver.Arm();
  AddInitialBody(backend_->sender);
}

// Starts sending the rest of the body beside, and the wait for the answer.
void Exchange::RequestSent(int32_t result) {
  attempt_bytes_ = backend_->sender.sent();
  if (result == -ECANCELED) {
    FailFromCancel("send_timeout", Stage::kResponse);
    ReportIfTimeout(Stage::kResponse, upstream::Outcome::kResponseTimeout);
    return;
  }
  first_waits_ = result == -EAGAIN;
  if (result < 0 && !first_waits_) {
    // It takes no more, but may have answered before: the answer, or its absence, decides.
    upload_ = request_body_.done() ? Upload::kDone : Upload::kBackendFailed;
    backend_broke_ = true;
  } else if (first_waits_ || !request_body_.done()) {
    upload_ = Upload::kRunning;
    sent_at_ = worker_.loop().Now();
    client_.deadline.Clear();  // the upload watches itself, and sets this when it is through
    // What ended an attempt before its upload began, a drain, is not of this one.
    upload_token_.ClearPassing();
    upload_scope_.Spawn(UploadBody());
    return;
  }
  sent_at_ = worker_.loop().Now();
  client_.deadline.Set(sent_at_ + ResponseTimeout());
}

void Exchange::AddInitialBody(rt::Sender& sender) {
  const std::string_view body = held_body_ ? held_body_.view() : initial_body_;
  if (body.empty() && !(chunked_request_ && request_body_.done())) {
    sender.Add(request_block_.data(), request_block_.size());
    return;
  }
  if (!chunked_request_ && spans_.kept_bytes == 0 && body.size() <= request_block_.room()) {
    // One small send beats two parts.
    std::memcpy(request_block_.data() + request_block_.size(), body.data(), body.size());
    sender.Add(request_block_.data(), request_block_.size() + body.size());
    return;
  }
  sender.Add(request_block_.data(), request_block_.size());
  AddBody(sender, chunked_request_, request_chunk_, body, request_body_);
}

// Takes what the backend sent and looks for the head of its answer. kFinal: it is in the worker's scratch and
// was prepared for the client.
Exchange::HeadProgress Exchange::TakeResponseBytes(int32_t received) {
  // Too late: whoever cancelled has decided already, and no send would begin any more.
  if (client_.token.cancelled()) received = -ECANCELED;
  if (received <= 0) {
    FailReceive(received);
    return HeadProgress::kFailed;
  }
  if (first_byte_ < Duration::zero()) first_byte_ = worker_.loop().Now() - began_;
  response_input_.Append(backend_->receiver.TakeBuffer(), frames());
  return ParseResponseHead();
}

Exchange::HeadProgress Exchange::ParseResponseHead() {
  http::ResponseParser& parser = worker_.response_parser;
  http::ResponseHead& head = worker_.response_head;
  const std::string_view bytes = response_input_.view();
  const http::HeadResult result =
      backend_->shared() ? parser.ParseOwn(bytes, is_head_, asks_upgrade_, head)
                         : parser.Parse(bytes, response_scanned_, worker_.head_limits(), is_head_,
                                        asks_upgrade_, head);
  response_scanned_ = result.scanned;
  if (result.status == http::HeadStatus::kNeedMore) return HeadProgress::kNeedMore;
  response_scanned_ = 0;
  if (result.status == http::HeadStatus::kRefused) {
    Fail(502, "bad_response", Stage::kResponse);
    failure_.detail = result.refusal.detail;
    Report(upstream::Outcome::kBadAnswer);
    return HeadProgress::kFailed;
  }
  if (head.interim()) return HeadProgress::kInterim;
  return PrepareResponse() ? HeadProgress::kFinal : HeadProgress::kFailed;
}

// Passes on interim heads, as many as are here.
rt::Task<Exchange::HeadProgress> Exchange::PassInterims() {
  HeadProgress progress = HeadProgress::kInterim;
  while (progress == HeadProgress::kInterim) {
    const http::ResponseHead& head = worker_.response_head;
    if (++interims_ > kInterimMax) {
      Fail(502, "bad_response", Stage::kResponse);
      failure_.detail = "too_many_interim_responses";
      Report(upstream::Outcome::kBadAnswer);
      co_return HeadProgress::kFailed;
    }
    // 1.0 clients know no interim answers; a 100 that nobody waits for says nothing.
    if (minor_version_ > 0 && (head.status != 100 || expects_continue_)) {
      http::ForwardResponse options;
      options.via_name = client_.listener().settings.via;
      if (!action_->response_edits.empty()) options.edits = &action_->response_edits;
      response_block_ = Block(frames(), http::ForwardedResponseBound(head, options));
      response_block_.set_size(http::WriteForwardedResponse(head, options, response_block_.data()));
      response_input_.Consume(head.head_bytes);
      client_sender_.Add(response_block_.data(), response_block_.size());
      const Instant due = upload_ == Upload::kRunning ? kNever : client_.deadline.at();
      const Duration idle = config_->settings.timeouts.idle;
      client_sender_.WatchProgress(&client_.deadline, idle);
      client_.deadline.Set(worker_.loop().Now() + idle);
      const int32_t result = co_await client_sender_.Send(client_.token);
      CountSent();
      if (result < 0) {
        FailToClient(result);
        if (client_sender_.sent() > 0) failure_.status = 0;  // nothing can follow half a head
        co_return HeadProgress::kFailed;
      }
      ResumeResponseWait(due);
    } else {
      response_input_.Consume(head.head_bytes);
    }
    if (response_input_.empty()) co_return HeadProgress::kNeedMore;
    progress = ParseResponseHead();
  }
  co_return progress;
}

// The wait for the final head goes on as it was before the client had to take an interim one.
void Exchange::ResumeResponseWait(Instant due) {
  if (upload_ == Upload::kRunning) {
    client_.deadline.Clear();
  } else if (due != kNever) {
    client_.deadline.Set(due);
  } else {
    // The upload came to its end meanwhile.
    client_.deadline.Set(worker_.loop().Now() + ResponseTimeout());
  }
}

// The backend ended before a whole head had come.
void Exchange::FailReceive(int32_t received) {
  if (received == -ECANCELED) {
    ObserveLatency();  // it takes at least this long
    FailFromCancel("response_timeout", Stage::kResponse);
    ReportIfTimeout(Stage::kResponse, upstream::Outcome::kResponseTimeout);
  } else if (received == -ECONNREFUSED && backend_->shared()) {
    FailUnprocessed();
  } else if (received == -EPROTO && backend_->shared()) {
    Fail(502, "bad_response", Stage::kResponse);
    failure_.detail = worker_.loop().streams().RefusalOf(backend_->fd()).detail;
    Report(upstream::Outcome::kBadAnswer);
  } else if (!response_input_.empty()) {
    Fail(502, "bad_response", Stage::kResponse);
    Report(upstream::Outcome::kBadAnswer);
  } else {
    FailEnded();
  }
}

// Its connection ended, and nothing came for this request.
void Exchange::FailEnded() {
  if (backend_->failure() != nullptr) {
    Fail(502, "bad_response", Stage::kSend);
    failure_.detail = backend_->failure();
    Report(upstream::Outcome::kBadAnswer);
  } else {
    Fail(502, "backend_reset", Stage::kSend);
    // A pooled connection that was closed while we took it is nobody's failure.
    if (!backend_->reused()) Report(upstream::Outcome::kReset);
  }
}

void Exchange::Fail(int status, const char* reason, Stage stage) {
  failure_ = Failure{status, reason, stage};
}

// A wait ended because of the token: what that means depends on who cancelled it.
void Exchange::FailFromCancel(const char* timeout_reason, Stage stage) {
  switch (client_.token.reason()) {
    case rt::CancelReason::kDeadline:
      client_.token.ClearPassing();
      if (TotalIsOver()) {
        Fail(504, total_reason_, Stage::kPick);  // whatever it waited for; nothing is tried again
      } else {
        Fail(504, timeout_reason, stage);
      }
      return;
    case rt::CancelReason::kFinished:
      client_.token.ClearPassing();
      FailFromUpload();
      return;
    case rt::CancelReason::kClientGone:
      Fail(0, "client_gone", stage);
      return;
    case rt::CancelReason::kDrained:
      client_.token.ClearPassing();
      Fail(503, "drained", stage);
      return;
    case rt::CancelReason::kNone:
    case rt::CancelReason::kShutdown:
      Fail(0, "shutdown", stage);
      return;
  }
}

void Exchange::FailToClient(int32_t result) {
  if (result == -ECANCELED && client_.token.reason() == rt::CancelReason::kDeadline) {
    client_.token.ClearPassing();
    Fail(0, client_too_slow_ ? kClientTooSlow : "client_stalled", Stage::kResponse);
  } else if (result == -ECANCELED) {
    FailFromCancel("client_stalled", Stage::kResponse);
  } else {
    Fail(0, "client_gone", Stage::kResponse);
  }
}

void Exchange::MarkTried(const upstream::WorkerBackend& backend, bool refused) {
  if (picks_ == nullptr) {
    picks_ = new (frames().Allocate(sizeof(upstream::PickState))) upstream::PickState();
  }
  upstream::WorkerUpstream::MarkTried(*picks_, backend, refused);
}

bool Exchange::WasTried(const upstream::WorkerBackend& backend) const {
  if (picks_ == nullptr) return false;
  return picks_->Contains(backend.shared->serial);
}

void Exchange::ForgetPicks() {
  if (picks_ == nullptr) return;
  picks_->~PickState();
  frames().Free(std::exchange(picks_, nullptr), sizeof(upstream::PickState));
}

// The connection cannot be used again.
void Exchange::GiveUpBackend() {
  if (failure_) MarkTried(*lease_.backend(), false);
  if (failure_.status == 504) upstream_->TimedOut(*backend_);
  upstream_->Close(*std::exchange(backend_, nullptr));
  lease_.Reset();
  response_input_.Reset();
  response_scanned_ = 0;
}

}  // namespace rondo::proxy
