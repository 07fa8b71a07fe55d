// Bodies in both directions, in bounded memory: a piece is received, sent on, and only then the next one is
// asked for (or, for pooled buffers, at most one ahead).
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "proxy/exchange.h"
#include "proxy/tunnel.h"

namespace rondo::proxy {
namespace {

// From here on a body moves through a large buffer: fewer, larger sends.
constexpr uint64_t kLongBodyBytes = 64 * 1024;

}  // namespace

// Adds body data, and the body's end where it is done, to what `sender` sends next.
void Exchange::AddBody(rt::Sender& sender, bool chunked, char* chunk_head, std::string_view data,
                       const http::BodyDecoder& body) {
  if (!chunked) {
    sender.Add(data.data(), data.size());
    return;
  }
  if (!data.empty()) {
    sender.Add(chunk_head, http::WriteChunkHead(chunk_head, data.size()));
    sender.Add(data.data(), data.size());
  }
  // The end of a chunk and the end of the body leave as one part: at most six with the head and trailers.
  const bool ended = body.done() || (body.CloseEndsBody() && until_close_ended_);
  const std::string_view trailers = ended ? body.trailers() : std::string_view();
  std::string_view tail = !ended ? "\r\n" : trailers.empty() ? "\r\n0\r\n\r\n" : "\r\n0\r\n";
  if (data.empty()) tail.remove_prefix(http::kChunkTail.size());
  sender.Add(tail.data(), tail.size());
  if (trailers.empty()) return;
  sender.Add(trailers.data(), trailers.size());
  sender.Add(http::kChunkTail.data(), http::kChunkTail.size());
}

// -- from the client to the backend --

// What came with the head has been sent; keeps it only where it may be needed again.
void Exchange::BeginUpload() {
  if (!held_body_) HoldForRetry(initial_body_);
  initial_body_ = {};
  input_.Reset();
  input_consumed_ = 0;
}

rt::Task<> Exchange::UploadBody() {
  const Duration patience = client_.snapshot().config.timeouts.request_body;
  const Duration idle = config_->settings.timeouts.idle;
  backend_->sender.WatchProgress(&upload_deadline_, idle);
  if (first_waits_) co_await SendRestOfFirst();
  if (upload_ == Upload::kRunning) BeginUpload();
  while (upload_ == Upload::kRunning) {
    PassUploadDeadline();
    const Instant waits_from = worker_.loop().Now();
    upload_deadline_.Set(RequestDue(waits_from, waits_from + patience));
    // A cancelled wait does not begin, so nothing would end a receive that was begun before it.
    if (request_large_ != nullptr && !upload_token_.cancelled()) {
      client_.receiver.ArmInto(request_large_, Worker::kLargeBytes);
    }
    const int32_t received = co_await client_.receiver.Wait(upload_token_);
    const bool too_slow = TookTooLong(received, worker_.loop().Now());
    if (received == -ECANCELED && !too_slow && AnswersAlready()) continue;
    if (received <= 0) {
      const Upload late = too_slow ? Upload::kClientTooSlow : Upload::kClientTimeout;
      const bool by_deadline = upload_token_.reason() == rt::CancelReason::kDeadline;
      EndUpload(received == -ECANCELED ? (by_deadline ? late : Upload::kStopped)
                                       : Upload::kClientGone);
      break;
    }
    io::BufferRef buffer;
    char* bytes = request_large_;
    if (client_.receiver.plain()) {
      client_.receiver.TakePlain();
    } else {
      buffer = client_.receiver.TakeBuffer();
      bytes = buffer.data();
    }
    const http::BodyDecoder::Step step = request_body_.Decode(bytes, static_cast<size_t>(received));
    CountReceived(step.size);
    if (step.refusal || (body_max_ > 0 && received_bytes_ > body_max_)) {
      upload_refusal_ = step.refusal ? step.refusal : http::Refusal{413, "body_too_large"};
      EndUpload(Upload::kRefused);
      break;
    }
    HoldForRetry(std::string_view(step.data, step.size));
    AddBody(backend_->sender, chunked_request_, request_chunk_,
            std::string_view(step.data, step.size), request_body_);
    PassUploadDeadline();
    upload_deadline_.Set(worker_.loop().Now() + idle);
    // As the next piece is received meanwhile, there is no large buffer for these.
    if (client_.on_stream()) client_.receiver.Arm();
    const int32_t sent = co_await backend_->sender.Send(upload_token_);
    attempt_bytes_ += backend_->sender.sent();
    if (step.done) KeepNextRequest(std::move(buffer), bytes, step.consumed, received);
    if (sent < 0) {
      UploadSendFailed(sent);
    } else if (step.done) {
      EndUpload(Upload::kDone);
    } else if (request_large_ == nullptr && received_bytes_ >= kLongBodyBytes &&
               !client_.on_stream()) {
      request_large_ = worker_.TakeLarge();
    }
  }
  upload_deadline_.Clear();
  upload_token_.ClearPassing();
  if (request_large_ != nullptr) {
    RONDO_CHECK(!client_.receiver.armed() || !client_.receiver.plain());
    worker_.ReturnLarge(std::exchange(request_large_, nullptr));
  }
}

// What came with the head is sent on while the answer is read. It stays where it is until then, for
// another attempt.
rt::Task<> Exchange::SendRestOfFirst() {
  first_waits_ = false;
  AddInitialBody(backend_->sender);
  backend_->sender.Skip(attempt_bytes_);
  upload_deadline_.Set(worker_.loop().Now() + config_->settings.timeouts.idle);
  const int32_t sent = co_await backend_->sender.Send(upload_token_);
  attempt_bytes_ += backend_->sender.sent();
  if (sent < 0) {
    UploadSendFailed(sent);
  } else if (request_body_.done()) {
    EndUpload(Upload::kDone);
  }
}

void Exchange::UploadSendFailed(int32_t sent) {
  backend_broke_ = sent != -ECANCELED;
  const bool late = upload_token_.reason() == rt::CancelReason::kDeadline;
  EndUpload(sent != -ECANCELED ? Upload::kBackendFailed
                               : (late ? Upload::kBackendStalled : Upload::kStopped));
}

// Nothing more came for a while from a client that has its answer coming: a call that streams both
// ways may have nothing to say for long. The answer has deadlines of its own.
bool Exchange::AnswersAlready() const {
  return status_ != 0 && upload_token_.reason() == rt::CancelReason::kDeadline;
}

// What was waited for came after all, or may still come: a deadline that passed meanwhile is not one
// of what is waited for next.
void Exchange::PassUploadDeadline() {
  if (upload_token_.reason() == rt::CancelReason::kDeadline) upload_token_.ClearPassing();
}

// Bytes behind the body are the beginning of the next request.
void Exchange::KeepNextRequest(io::BufferRef buffer, const char* bytes, size_t consumed,
                               int32_t received) {
  const size_t rest = static_cast<size_t>(received) - consumed;
  if (rest == 0) {
    client_.receiver.Arm();
  } else if (buffer) {
    buffer.set_size(static_cast<uint32_t>(received));
    input_.Append(std::move(buffer), frames());
    input_.Consume(consumed);
  } else {
    input_.AppendCopy(std::string_view(bytes + consumed, rest), frames());
  }
}

// Keeps what is sent of the body, as long as the whole of it fits, so that the request can be repeated.
void Exchange::HoldForRetry(std::string_view data) {
  if (!body_held_ || data.empty()) return;
  const uint64_t limit = config_->settings.retries.body_buffer;
  // What a stream's backend did nothing with may be sent again whatever it is.
  const bool wanted =
      backend_->shared() || (Repeatable() && config_->settings.retries.attempts > 0);
  if (!wanted || held_body_.size() + data.size() > limit) {
    body_held_ = false;
    held_body_.Reset();
    return;
  }
  if (held_body_.room() < data.size()) {
    Block larger(frames(), (held_body_.size() + data.size()) * 2);
    if (held_body_.size() > 0) std::memcpy(larger.data(), held_body_.data(), held_body_.size());
    larger.set_size(held_body_.size());
    held_body_ = std::move(larger);
  }
  std::memcpy(held_body_.data() + held_body_.size(), data.data(), data.size());
  held_body_.set_size(held_body_.size() + data.size());
}

// Says how the upload ended to the flow that waits for the answer.
void Exchange::EndUpload(Upload how) {
  upload_ = how;
  switch (how) {
    case Upload::kDone:
    case Upload::kBackendFailed:
      // From now on the backend owes an answer.
      if (status_ == 0) {
        sent_at_ = worker_.loop().Now();
        client_.deadline.Set(sent_at_ + ResponseTimeout());
      }
      return;
    case Upload::kBackendStalled:
      // An answer that is on its way already has its own deadlines, and does not need the rest of the request.
      if (status_ == 0) client_.token.Cancel(rt::CancelReason::kFinished);
      return;
    case Upload::kClientTimeout:
    case Upload::kClientTooSlow:
    case Upload::kClientGone:
    case Upload::kRefused:
      client_.token.Cancel(rt::CancelReason::kFinished);
      return;
    case Upload::kRunning:
    case Upload::kStopped:
      return;
  }
}

// The answer cannot come any more, because the request did not go through.
void Exchange::FailFromUpload() {
  switch (upload_) {
    case Upload::kClientTimeout:
      Fail(408, "request_body_timeout", Stage::kPick);
      return;
    case Upload::kClientTooSlow:
      Fail(408, "request_too_slow", Stage::kPick);
      return;
    case Upload::kRefused:
      Fail(upload_refusal_.status, upload_refusal_.reason, Stage::kPick);
      return;
    case Upload::kBackendStalled:
      Fail(504, "send_timeout", Stage::kResponse);
      return;
    case Upload::kClientGone:
    case Upload::kDone:
    case Upload::kRunning:
    case Upload::kBackendFailed:
    case Upload::kStopped:
      Fail(0, "client_gone", Stage::kPick);
      return;
  }
}

rt::Task<> Exchange::StopUpload() {
  if (upload_scope_.count() > 0) {
    // Where its deadline came in the same moment it would go on waiting, as for a call that streams
    // both ways, and one reason that passes does not take the place of another.
    upload_token_.ClearPassing();
    upload_token_.Cancel(rt::CancelReason::kFinished);
    co_await upload_scope_.Join();
  }
  // Another attempt goes on where this one stopped.
  if (upload_ == Upload::kStopped || upload_ == Upload::kBackendFailed) {
    upload_ = request_body_.done() ? Upload::kDone : Upload::kRunning;
  }
}

// -- from the backend to the client --

// Writes the head for the client, from the worker's scratch. False where the request is to be repeated, or the
// backend's framing is broken from the start.
bool Exchange::PrepareResponse() {
  const http::ResponseHead& head = worker_.response_head;
  const config::Retries& retries = config_->settings.retries;
  const bool asks_for_retry = retries.on.Status(head.status);
  CountHead(head.status);
  Report(asks_for_retry ? upstream::Outcome::kStatus : upstream::Outcome::kSuccess);
  if (asks_for_retry) {
    Failure failure{head.status, "backend_status", Stage::kResponse};
    failure.from_backend = true;
    if (DecideRetry(failure)) {
      failure_ = failure;
      return false;
    }
  }
  status_ = head.status;
  ObserveLatency();
  backend_keeps_ = head.keep_alive && !backend_broke_;
  backend_->set_keepalive_hint(static_cast<int>(std::min<int64_t>(head.keepalive_timeout_s, 86400)));
  http::ForwardResponse options;
  options.framing = http::ResponseFraming(head, minor_version_);
  options.content_length = head.content_length;
  // An answer that comes before its request is through ends the connection: the rest of the body would have
  // to be read to find the next request.
  close_after_ = !keep_alive_ || upload_ != Upload::kDone || client_.draining() ||
                 options.framing == http::Framing::kUntilClose;
  if (head.status == 101) {
    close_after_ = false;
  } else if (close_after_) {
    options.connection = http::ConnectionField::kClose;
  } else if (minor_version_ == 0) {
    options.connection = http::ConnectionField::kKeepAlive;
  }
  options.via_name = client_.listener().settings.via;
  options.date = worker_.Date();
  if (!action_->response_edits.empty()) options.edits = &action_->response_edits;
  if (config_->settings.sticky) options.extra_fields = StickySetCookie();
  chunked_response_ = options.framing == http::Framing::kChunked;
  close_ends_response_ = options.framing == http::Framing::kUntilClose;
  response_body_.Begin(head.framing, head.content_length, worker_.head_limits(), 502);
  response_block_ = Block(frames(), http::ForwardedResponseBound(head, options) + kSmallBodyBytes);
  response_block_.set_size(http::WriteForwardedResponse(head, options, response_block_.data()));
  response_input_.Consume(head.head_bytes);
  return true;
}

// Puts the head and what came of the body with it into the client's sender. Whether more is to come.
bool Exchange::StartResponse() {
  client_sender_.WatchProgress(&client_.deadline, config_->settings.timeouts.idle);
  return TakePiece(response_input_.data(), response_input_.size(), true);
}

// The same for each piece of the body. Not to be continued where failure_ is set.
bool Exchange::TakePiece(char* bytes, size_t size, bool with_head) {
  const http::BodyDecoder::Step step = response_body_.Decode(bytes, size);
  if (step.refusal) {
    Fail(502, "bad_response", Stage::kResponse);
    failure_.detail = step.refusal.detail;
    Report(upstream::Outcome::kBadAnswer);
    return false;
  }
  relayed_bytes_ += step.size;
  const bool done = step.done || until_close_ended_;
  if (done) {
    // Bytes behind the answer belong to nobody.
    if (step.consumed < size) backend_keeps_ = false;
    response_complete_ = true;
  } else {
    PrepareNextPiece(bytes);
  }
  AddResponsePiece(with_head, std::string_view(step.data, step.size));
  if (done && upload_ == Upload::kDone) ReleaseBackend();
  if (!client_sender_.empty()) {
    response_began_ = true;
    client_.deadline.Set(worker_.loop().Now() + config_->settings.timeouts.idle);
    if (response_rate_.active()) BeginTaking();
  }
  return !done;
}

void Exchange::ResponsePieceSent(int32_t result) {
  CountSent();
  if (result < 0) FailToClient(result);
  if (response_rate_.active()) EndTaking();
}

// The rest of a body that did not come whole with its head.
rt::Task<> Exchange::RelayRest() {
  bool more = true;
  while (more && !failure_) {
    const int32_t received = co_await NextResponsePiece();
    if (received < 0) co_return;
    char* bytes = response_large_held_ ? large_ : response_input_.data();
    more = TakePiece(bytes, static_cast<size_t>(received), false);
    if (client_sender_.empty()) continue;
    const int32_t sent = co_await client_sender_.Send(client_.token);
    ResponsePieceSent(sent);
  }
}

void Exchange::EndResponse() {
  response_whole_ = response_complete_ && !failure_;
  client_.deadline.Clear();
  until_close_ended_ = false;
}

// How long the backend took to answer; only peak_ewma asks.
void Exchange::ObserveLatency() {
  if (config_->settings.balance != balance::PolicyKind::kPeakEwma) return;
  const Instant now = worker_.loop().Now();
  lease_.backend()->shared->latency.Observe(now - sent_at_, now);
}

rt::Task<> Exchange::ReturnLargeBuffer() {
  if (backend_ != nullptr) co_await backend_->receiver.Settle();
  worker_.ReturnLarge(std::exchange(large_, nullptr));
}

// Asks for more while this piece is being sent, where there is a second buffer to receive it into.
void Exchange::PrepareNextPiece(const char* current) {
  const bool long_body =
      response_body_.remaining() >= kLongBodyBytes || relayed_bytes_ >= kLongBodyBytes;
  if (large_ == nullptr && long_body && (!client_.on_stream() || worker_.spares_large())) {
    large_ = worker_.TakeLarge();
  }
  if (large_ == nullptr) {
    backend_->receiver.Arm();
  } else if (current != large_) {
    backend_->receiver.ArmInto(large_, Worker::kLargeBytes);
  }
}

// The size of the next piece of the body, which is then in large_ or response_input_; 0 where the end of the
// connection ended the body; negative with failure_ set.
rt::Task<int32_t> Exchange::NextResponsePiece() {
  client_.deadline.Set(worker_.loop().Now() + config_->settings.timeouts.idle);
  if (large_ != nullptr) backend_->receiver.ArmInto(large_, Worker::kLargeBytes);
  const int32_t received = co_await backend_->receiver.Wait(client_.token);
  if (received > 0) {
    response_large_held_ = backend_->receiver.plain();
    if (response_large_held_) {
      backend_->receiver.TakePlain();
    } else {
      response_input_.Reset();
      response_input_.Append(backend_->receiver.TakeBuffer(), frames());
    }
    co_return received;
  }
  // After a failed send the end of the stream may be what is left of a reset: then nothing says that the body is
  // whole.
  if (received == 0 && response_body_.CloseEndsBody() && !backend_broke_) {
    until_close_ended_ = true;
    backend_keeps_ = false;
    response_large_held_ = false;
    response_input_.Reset();
    co_return 0;
  }
  if (received == -ECANCELED) {
    FailFromCancel("idle_timeout", Stage::kResponse);
    ReportIfTimeout(Stage::kResponse, upstream::Outcome::kResponseTimeout);
  } else {
    Fail(502, "backend_reset", Stage::kResponse);
    Report(upstream::Outcome::kReset);
  }
  co_return -1;
}

void Exchange::AddResponsePiece(bool head_pending, std::string_view data) {
  if (head_pending && !chunked_response_ && data.size() <= response_block_.room()) {
    // An empty piece may have no address, which memcpy must not be given.
    if (!data.empty()) {
      std::memcpy(response_block_.data() + response_block_.size(), data.data(), data.size());
    }
    client_sender_.Add(response_block_.data(), response_block_.size() + data.size());
    return;
  }
  if (head_pending) client_sender_.Add(response_block_.data(), response_block_.size());
  AddBody(client_sender_, chunked_response_, response_chunk_, data, response_body_);
}

// The backend has done its part, whatever the client still has to read.
void Exchange::ReleaseBackend() {
  upstream::BackendConnection& connection = *std::exchange(backend_, nullptr);
  if (backend_keeps_) {
    upstream_->Release(connection);
  } else {
    upstream_->Close(connection);
  }
  lease_.Reset();
}

// 101: from here on bytes, not messages.
rt::Task<> Exchange::BeginTunnel() {
  const bool websocket = http::EqualsIgnoreCase(worker_.response_head.upgrade, "websocket");
  client_sender_.WatchProgress(&client_.deadline, config_->settings.timeouts.idle);
  client_sender_.Add(response_block_.data(), response_block_.size());
  response_began_ = true;
  const int32_t sent = co_await client_sender_.Send(client_.token);
  CountSent();
  if (sent < 0) {
    FailToClient(sent);
    co_return;
  }
  co_await client_.receiver.Settle();
  co_await backend_->receiver.Settle();
  client_.deadline.Clear();
  if (client_.token.cancelled()) {
    FailFromCancel("shutdown", Stage::kResponse);
    co_return;
  }
  // What each side has said already goes first. Bytes behind the request waited for the 101.
  input_.Consume(std::exchange(input_consumed_, 0));
  if (client_.receiver.ready() && client_.receiver.held_result() > 0) {
    input_.Append(client_.receiver.TakeBuffer(), frames());
  }
  if (backend_->receiver.ready() && backend_->receiver.held_result() > 0) {
    response_input_.Append(backend_->receiver.TakeBuffer(), frames());
  }
  TunnelParts parts(std::move(input_), std::move(response_input_));
  parts.client_fd = client_.fd();
  parts.backend_fd = upstream_->Detach(*std::exchange(backend_, nullptr));
  parts.lease = std::move(lease_);
  parts.idle = config_->settings.timeouts.tunnel;
  parts.websocket = websocket;
  parts.log = MakeTunnelLog();
  parts.facts = client_.TakeFacts();
  parts.traffic = traffic_;
  Tunnel::Start(worker_, std::move(parts));
  tunnelled_ = true;
  response_whole_ = true;
}

}  // namespace rondo::proxy
