#include "control/admin_connection.h"

#include <algorithm>
#include <cerrno>

#include "control/admin_call.h"
#include "control/admin_wire.h"
#include "control/events.h"
#include "rondo/http/field.h"
#include "rondo/http/local_reply.h"
#include "rondo/rt/secure.h"
#include "rondo/tls/handshake.h"

namespace rondo::control {
namespace {

constexpr http::HeadLimits kHeadLimits{16 * 1024, 100};
constexpr Duration kLinger = std::chrono::seconds(2);
constexpr size_t kLingerBytesMax = 2 * AdminServer::kBodyBytesMax;
constexpr http::Refusal kTooLarge{413, "body_too_large", nullptr};
constexpr http::Refusal kTooSlow{408, "request_timeout", nullptr};
constexpr http::Refusal kNobody{0, "client_gone", nullptr};

std::string_view Value(const http::RequestHead& head, http::FieldId id) {
  const http::Field* field = head.Find(id);
  return field == nullptr ? std::string_view() : field->value;
}

std::string_view ValueOf(const http::RequestHead& head, std::string_view name) {
  for (const http::Field& field : head.fields) {
    if (http::EqualsIgnoreCase(field.name, name)) return field.value;
  }
  return {};
}

AdminReply ReplyTo(const http::Refusal& refusal) {
  return ErrorReply(refusal.status, refusal.reason,
                    http::MessageOf(refusal.reason, refusal.status));
}

}  // namespace

AdminConnection::AdminConnection(AdminServer& server, int fd)
    : server_(server),
      tls_(server.tls()),
      fd_(fd),
      receiver_(server.loop().engine(), &OnUnawaited, this),
      sender_(server.loop().engine()),
      token_(server.loop().engine()),
      deadline_(server.loop().wheel(), token_) {
  receiver_.Open(fd);
  sender_.Open(fd);
  sender_.WatchProgress(&deadline_, AdminServer::kSendTimeout);
}

rt::Task<> AdminConnection::Run() {
  const bool secured = co_await Secure();
  Next next = secured ? Next::kRequest : Next::kClose;
  while (next == Next::kRequest) {
    idle_since_ = Now();
    const bool have_head = co_await ReadHead();
    idle_since_ = kNever;
    if (!have_head) break;
    served_ = true;
    next = co_await ServeRequest();
    // What is left belongs to the next request.
    input_.erase(0, used_);
    input_ += behind_;
    behind_.clear();
    used_ = 0;
    if (body_.capacity() > 64 * 1024) body_ = std::string();
  }
  co_await Finish();
}

rt::Task<bool> AdminConnection::Secure() {
  if (tls_ == nullptr) co_return true;
  const std::unique_ptr<tls::Handshake> handshake = tls::MakeServerHandshake(tls_->ForWorker(0));
  deadline_.Set(Now() + AdminServer::kHeadTimeout);
  const rt::Secured secured =
      co_await rt::Secure(server_.loop(), fd_, *handshake, {}, true, token_);
  deadline_.Clear();
  if (secured.fd < 0) co_return false;
  verified_ = secured.result.client != nullptr;
  fd_ = secured.fd;
  receiver_.Open(fd_);
  sender_.Open(fd_);
  co_return true;
}

rt::Task<> AdminConnection::TurnAway() {
  if (tls_ != nullptr) {
    // A handshake would take what there is too little of.
    co_await Finish();
    co_return;
  }
  const AdminReply reply =
      ErrorReply(503, "too_many_connections", "the admin API serves as many as it can; try again");
  co_await SendReply(reply, false);
  co_await Finish();
}

rt::Task<bool> AdminConnection::ReadHead() {
  size_t scanned = 0;
  // Who has asked nothing yet has no reason to be waited for.
  const bool rests = input_.empty() && served_;
  deadline_.Set(Now() + (rests ? AdminServer::kIdleTimeout : AdminServer::kHeadTimeout));
  for (;;) {
    if (!input_.empty()) {
      const http::HeadResult result = parser_.Parse(input_, scanned, kHeadLimits, head_);
      scanned = result.scanned;
      if (result.status == http::HeadStatus::kComplete) {
        used_ = result.head_bytes;
        deadline_.Clear();
        co_return true;
      }
      if (result.status == http::HeadStatus::kRefused) {
        head_.Clear();
        const AdminReply reply = ReplyTo(result.refusal);
        co_await SendReply(reply, false);
        co_return false;
      }
    }
    const int32_t received = co_await receiver_.Wait(token_);
    if (received <= 0) {
      if (TakeTimeout() && !input_.empty()) {
        head_.Clear();
        const AdminReply reply = ReplyTo(kTooSlow);
        co_await SendReply(reply, false);
      }
      co_return false;
    }
    if (input_.empty()) deadline_.Set(Now() + AdminServer::kHeadTimeout);
    const io::BufferRef buffer = receiver_.TakeBuffer();
    input_.append(buffer.data(), buffer.size());
  }
}

// A certificate counts as long as the same is asked of clients as when it was shown: a
// changed authority is not gone round by a connection, or a handshake, that was there before.
bool AdminConnection::Verified() const {
  if (!verified_ || tls_ == server_.tls()) return verified_;
  if (server_.tls() == nullptr) return false;
  const tls::ServerSettings& then = tls_->settings();
  const tls::ServerSettings& now = server_.tls()->settings();
  return then.client_auth == now.client_auth && then.client_ca == now.client_ca;
}

Access AdminConnection::MayCall() const {
  const bool open = AdminApi::IsOpen(head_.method, head_.target);
  return CheckAccess(server_.access(), head_, open, Verified());
}

rt::Task<AdminConnection::Next> AdminConnection::ServeRequest() {
  Access access = MayCall();
  const bool has_body = head_.framing == http::Framing::kChunked || head_.content_length > 0;
  AdminReply reply;
  bool keep = head_.keep_alive;
  if (access != Access::kGranted) {
    // The body of somebody who may not call is not even read.
    reply = RefuseAccess(access);
    keep = keep && !has_body;
  } else {
    const http::Refusal refusal = co_await ReadBody();
    if (refusal && refusal.status == 0) co_return Next::kClose;
    // Another configuration may have come while the body did.
    access = MayCall();
    if (access != Access::kGranted) {
      reply = RefuseAccess(access);
      if (refusal) keep = false;
    } else if (refusal) {
      reply = ReplyTo(refusal);
      keep = false;
    } else {
      reply = server_.api().Handle(RequestOf());
    }
  }
  if (reply.wait) co_await Wait(reply);
  if (token_.cancelled()) co_return Next::kClose;
  if (reply.events_after && !head_.is_head) {
    co_await StreamEvents(*reply.events_after);
    co_return Next::kClose;
  }
  // Who stays is asked anew who he is.
  if (tls_ != server_.tls()) keep = false;
  const bool sent = co_await SendReply(reply, keep);
  const bool goes_on = sent && keep && !server_.stopping();
  co_return goes_on ? Next::kRequest : Next::kClose;
}

rt::Task<http::Refusal> AdminConnection::ReadBody() {
  body_.clear();
  if (head_.framing == http::Framing::kLength && head_.content_length > AdminServer::kBodyBytesMax)
    co_return kTooLarge;
  decoder_.Begin(head_.framing, head_.content_length, kHeadLimits, 400);
  http::BodyDecoder::Step step = decoder_.Decode(input_.data() + used_, input_.size() - used_);
  used_ += step.consumed;
  if (step.refusal) co_return step.refusal;
  body_.append(step.data, step.size);
  if (head_.expect_continue && !decoder_.done()) {
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    const bool sent = co_await SendBytes(kContinue, {});
    if (!sent) co_return kNobody;
  }
  // For the whole of it: a client that drips would hold its place for ever.
  deadline_.Set(Now() + AdminServer::kBodyTimeout);
  while (!decoder_.done()) {
    if (body_.size() > AdminServer::kBodyBytesMax) co_return kTooLarge;
    const int32_t received = co_await receiver_.Wait(token_);
    if (received <= 0) co_return TakeTimeout() ? kTooSlow : kNobody;
    const io::BufferRef buffer = receiver_.TakeBuffer();
    step = decoder_.Decode(buffer.data(), buffer.size());
    if (step.refusal) co_return step.refusal;
    body_.append(step.data, step.size);
    behind_.assign(buffer.data() + step.consumed, buffer.size() - step.consumed);
  }
  deadline_.Clear();
  if (body_.size() > AdminServer::kBodyBytesMax) co_return kTooLarge;
  co_return http::Refusal{};
}

rt::Task<> AdminConnection::Wait(AdminReply& reply) {
  const AdminWait wait = *reply.wait;
  // Only so that the end of a client that gives up is seen.
  if (input_.size() == used_ && behind_.empty()) receiver_.Arm();
  const Instant until = Now() + wait.timeout;
  for (;;) {
    std::optional<AdminReply> answer = server_.api().Look(wait, Moment());
    if (answer) {
      reply = std::move(*answer);
      break;
    }
    deadline_.Set(until);
    co_await server_.api().context().cluster.changed().Wait(token_);
    deadline_.Clear();
    if (TakeTimeout()) {
      reply = server_.api().TimedOut(wait, Moment());
      break;
    }
    if (token_.cancelled()) co_return;
  }
  deadline_.Clear();
}

rt::Task<> AdminConnection::StreamEvents(uint64_t after) {
  Events& events = server_.api().context().events;
  const bool chunked = head_.minor_version > 0;
  std::string piece = EventStreamHead(chunked, server_.loop().engine().WallNow());
  std::string text = ": rondo\n\n";
  if (input_.size() == used_ && behind_.empty()) receiver_.Arm();
  for (;;) {
    if (!events.Knows(after)) {
      after = events.last();
      AppendEvent(after, "reset", "{\"message\":\"events before this one are not kept\"}", text);
    }
    // No more at a time than a slow reader should make us hold.
    while (const Event* event = text.size() < 64 * 1024 ? events.Next(after) : nullptr) {
      after = event->id;
      AppendEvent(event->id, EventTypeName(event->type), event->data, text);
    }
    if (!text.empty()) {
      AppendStreamPiece(chunked, text, piece);
      const bool sent = co_await SendBytes(piece, {});
      if (!sent) co_return;
      piece.clear();
      text.clear();
      continue;
    }
    deadline_.Set(Now() + kEventsQuiet);
    co_await events.notice().Wait(token_);
    deadline_.Clear();
    // Tells proxies in between, and us, that both ends are there.
    if (TakeTimeout()) text = ": keepalive\n\n";
    if (token_.cancelled() || MayCall() != Access::kGranted) co_return;
  }
}

rt::Task<bool> AdminConnection::SendReply(const AdminReply& reply, bool keep) {
  const std::string head =
      ReplyHead(reply, keep, head_.minor_version, server_.loop().engine().WallNow());
  const std::string_view body = head_.is_head ? std::string_view() : std::string_view(reply.body);
  // Progress alone is not enough: a byte now and then would hold the place, and the answer, for
  // ever.
  deadline_.SetCap(Now() + AdminServer::kAnswerTimeout);
  const bool sent = co_await SendBytes(head, body);
  deadline_.SetCap(kNever);
  co_return sent;
}

rt::Task<bool> AdminConnection::SendBytes(std::string_view bytes, std::string_view more) {
  sender_.Add(bytes.data(), bytes.size());
  sender_.Add(more.data(), more.size());
  deadline_.Set(Now() + AdminServer::kSendTimeout);
  const int32_t result = co_await sender_.Send(token_);
  deadline_.Clear();
  co_return result == 0;
}

// A close with unread bytes of the client would be a reset, which may overtake the answer: so our
// end is closed first, and what still comes is read for a moment.
rt::Task<> AdminConnection::Finish() {
  io::Engine& engine = server_.loop().engine();
  TakeTimeout();
  if (!token_.cancelled() && engine.Shutdown(fd_, io::ShutdownHow::kWrite) == 0) {
    deadline_.Set(Now() + kLinger);
    size_t dropped = 0;
    int32_t received = 1;
    while (received > 0 && dropped < kLingerBytesMax) {
      received = co_await receiver_.Wait(token_);
      if (received > 0) {
        dropped += static_cast<size_t>(received);
        receiver_.TakeBuffer();
      }
    }
  }
  deadline_.Clear();
  co_await receiver_.Settle();
  engine.Close(fd_);
}

// While a call waits or events are sent, the receive is armed and nobody awaits it: its end is the
// client's.
void AdminConnection::OnUnawaited(rt::Receiver& receiver) {
  auto& self = *static_cast<AdminConnection*>(receiver.owner());
  if (receiver.ready() && receiver.held_result() <= 0)
    self.token_.Cancel(rt::CancelReason::kClientGone);
}

bool AdminConnection::TakeTimeout() {
  if (token_.reason() != rt::CancelReason::kDeadline) return false;
  token_.ClearPassing();
  return true;
}

AdminMoment AdminConnection::Moment() const {
  return {.now = server_.loop().Now(), .wall = server_.loop().engine().WallNow()};
}

AdminRequest AdminConnection::RequestOf() const {
  AdminRequest request;
  request.method = head_.method;
  request.target = head_.path_and_query;
  request.content_type = Value(head_, http::FieldId::kContentType);
  request.accept = Value(head_, http::FieldId::kAccept);
  request.if_match = Value(head_, http::FieldId::kIfMatch);
  request.last_event_id = ValueOf(head_, "last-event-id");
  request.body = body_;
  request.moment = Moment();
  return request;
}

AdminReply AdminConnection::RefuseAccess(Access access) const {
  switch (access) {
    case Access::kGranted:
      break;
    case Access::kForeignHost:
      return ErrorReply(403, "foreign_host",
                        "Host names neither this machine nor the admin address");
    case Access::kForeignOrigin:
      return ErrorReply(403, "foreign_origin", "a page of another site may not call the admin API");
    case Access::kNoCertificate:
      return ErrorReply(403, "certificate_required",
                        "this call needs a certificate that admin.tls.client_ca has signed");
    case Access::kNoToken:
      return ErrorReply(401, "unauthorised",
                        "this call needs Authorization: Bearer with the admin token");
    case Access::kWrongToken:
      return ErrorReply(401, "unauthorised", "the token is not the admin token");
  }
  return ErrorReply(403, "forbidden", "this call is not allowed");
}

}  // namespace rondo::control
