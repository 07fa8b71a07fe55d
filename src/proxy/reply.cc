// Rondo's own answers: errors with their reason, and the fixed responses of routes.
#include "proxy/exchange.h"

namespace rondo::proxy {

namespace {

constexpr int kRetryAfterSeconds = 1;

int64_t RoundedUp(Duration time) { return std::chrono::ceil<std::chrono::seconds>(time).count(); }

}

rt::Task<> Exchange::ReplyFailure() {
  if (failure_.status == 0 || client_.token.reason() == rt::CancelReason::kClientGone ||
      client_.token.reason() == rt::CancelReason::kShutdown) {
    co_return;
  }
  http::LocalReply reply;
  reply.status = failure_.status;
  reply.reason = failure_.reason;
  if (request_block_) {
    reply.request_id = spans_.request_id.In(request_block_.data());
  } else {
    http::MakeRequestId(worker_.rng().Next(), worker_.rng().Next(), request_id_);
    reply.request_id = std::string_view(request_id_, sizeof(request_id_));
  }
  reply.date = worker_.Date();
  reply.format = reply_format_;
  reply.close = CloseAfterReply();
  reply.keep_alive = !reply.close && minor_version_ == 0;
  reply.head_only = is_head_;
  if (reply.status == 503) reply.retry_after_s = kRetryAfterSeconds;
  if (reply.status == 429) reply.retry_after_s = RoundedUp(retry_after_);
  reply.extra_fields = client_.listener().reply_fields;
  response_block_ = Block(frames(), http::kLocalReplyMax);
  response_block_.set_size(
      http::WriteLocalReply(reply, response_block_.data(), response_block_.room()));
  status_ = failure_.status;
  co_await SendReply({});
}

// The answer of a route that answers itself.
rt::Task<> Exchange::ReplyFixed() {
  http::FixedReply reply;
  std::string_view body;
  if (route_->redirect) {
    reply.status = route_->redirect->status;
    reply.location = RedirectTarget();
  } else {
    reply.status = route_->respond->status;
    body = route_->respond->body;
  }
  if (!body.empty()) reply.content_type = "text/plain; charset=utf-8";
  reply.body_bytes = body.size();
  reply.date = worker_.Date();
  if (!action_->response_edits.empty()) reply.edits = &action_->response_edits;
  reply.close = CloseAfterReply();
  reply.keep_alive = !reply.close && minor_version_ == 0;
  response_block_ = Block(frames(), http::kLocalReplyMax + reply.location.size() +
                                        action_->response_edits.lines().size());
  response_block_.set_size(
      http::WriteFixedReplyHead(reply, response_block_.data(), response_block_.room()));
  status_ = reply.status;
  co_await SendReply(is_head_ ? std::string_view() : body);
}

// Of the head that was written, since the received one may be gone.
std::string_view Exchange::RedirectTarget() {
  const std::string& to = route_->redirect->to;
  if (to.find('{') == std::string::npos) return to;
  const http::RedirectTarget target{to, spans_.host.In(request_block_.data()),
                                    spans_.target.In(request_block_.data())};
  worker_.target_scratch.resize(http::RedirectTargetBound(target));
  return {worker_.target_scratch.data(),
          http::WriteRedirectTarget(target, worker_.target_scratch.data())};
}

// The rest of a body that was not read would have to be, to find the next request behind it.
bool Exchange::CloseAfterReply() {
  close_after_ = !keep_alive_ || upload_ != Upload::kDone || client_.draining();
  return close_after_;
}

rt::Task<> Exchange::SendReply(std::string_view body) {
  const Duration patience = client_.snapshot().config.timeouts.request_body;
  client_.token.ClearPassing();
  client_.deadline.SetCap(kNever);
  client_sender_.WatchProgress(&client_.deadline, patience);
  client_.deadline.Set(worker_.loop().Now() + patience);
  if (response_rate_.active()) BeginTaking();
  client_sender_.Add(response_block_.data(), response_block_.size());
  client_sender_.Add(body.data(), body.size());
  response_began_ = true;
  const int32_t sent = co_await client_sender_.Send(client_.token);
  CountSent();
  if (response_rate_.active()) EndTaking();
  if (client_too_slow_) Fail(0, kClientTooSlow, Stage::kResponse);
  client_.deadline.Clear();
  response_whole_ = sent == 0;
}

}  // namespace rondo::proxy
