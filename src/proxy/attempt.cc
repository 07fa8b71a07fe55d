// One try at one backend: a connection, the request's head, and the head of the answer.
#include <cerrno>
#include <cstring>

#include "proxy/exchange.h"

namespace rondo::proxy {
namespace {

constexpr int kInterimMax = 100;  // 1xx heads before a final one

bool IsRefusal(int error) {
  // The peer, or the way to it, said no at once (also: a unix socket that nobody serves).
  return error == ECONNREFUSED || error == ENOENT || error == EHOSTUNREACH ||
         error == ENETUNREACH || error == ECONNRESET || error == EAGAIN;
}

}  // namespace

rt::Task<> Exchange::Attempt() {
  const bool acquired = co_await Acquire();
  if (!acquired) co_return;
  co_await SendRequest();
  if (!failure_) {
    const bool answered = co_await ReadResponseHead();
    if (answered) {
      if (status_ == 101) {
        co_await BeginTunnel();
      } else {
        co_await RelayResponse();
      }
    }
  }
  if (backend_ != nullptr) {
    co_await StopUpload();
    GiveUpBackend();
  }
}

// Leases a backend and a connection to it.
rt::Task<bool> Exchange::Acquire() {
  upstream::WorkerBackend* backend = upstream_->Pick(hash_key_, picks_);
  if (backend == nullptr) {
    failure_ = previous_failure_ ? previous_failure_ : Failure{503, "no_backend_up", Stage::kPick};
    failure_.stage = Stage::kPick;
    co_return false;
  }
  lease_ = upstream::Lease(*backend);
  backend_id_ = backend->shared->settings.id;
  attempt_bytes_ = 0;
  // What may not be repeated does not race with a backend that closes an idle connection.
  const Duration idle_max = Repeatable() ? Duration::max() : Duration(std::chrono::seconds(1));
  backend_ = upstream_->TakeIdle(*backend, idle_max);
  if (backend_ != nullptr) co_return true;

  const Instant began = worker_.loop().Now();
  client_.deadline.Set(began + upstream_->settings().timeouts.connect);
  const upstream::ConnectResult result = co_await upstream_->Connect(*backend, client_.token);
  connect_time_ += worker_.loop().Now() - began;
  backend_ = result.connection;
  if (backend_ != nullptr) co_return true;
  FailConnect(result.error);
  upstream_->MarkTried(picks_, *backend, failure_.refused);
  lease_.Reset();
  co_return false;
}

void Exchange::FailConnect(int error) {
  if (error == ECANCELED) {
    FailFromCancel("connect_timeout", Stage::kConnect);
    return;
  }
  if (error == EMFILE || error == ENFILE || error == ENOMEM || error == ENOBUFS ||
      error == EADDRNOTAVAIL) {
    // Our own want of descriptors, memory or ports says nothing about the backend.
    Fail(503, "out_of_resources", Stage::kPick);
    return;
  }
  if (IsRefusal(error)) {
    Fail(503, "connect_refused", Stage::kConnect);
    failure_.refused = true;
    return;
  }
  Fail(error == ETIMEDOUT ? 504 : 502, error == ETIMEDOUT ? "connect_timeout" : "connect_failed",
       Stage::kConnect);
}

// Sends the head and what is here of the body; starts sending the rest beside.
rt::Task<> Exchange::SendRequest() {
  const auto& timeouts = upstream_->settings().timeouts;
  rt::Sender& sender = backend_->sender;
  sender.WatchProgress(&client_.deadline, timeouts.idle);
  client_.deadline.Set(worker_.loop().Now() + timeouts.idle);
  backend_->receiver.Arm();
  // The next thing from this client goes the same way; until it is wanted, it is held.
  if (request_body_.done() && input_.size() == input_consumed_) client_.receiver.Arm();
  AddInitialBody(sender);
  const int32_t result = co_await sender.Send(client_.token);
  attempt_bytes_ = sender.sent();
  if (result == -ECANCELED) {
    FailFromCancel("send_timeout", Stage::kResponse);
  } else if (result < 0) {
    // It takes no more, but may have answered before: the answer, or its absence, decides.
    upload_ = request_body_.done() ? Upload::kDone : Upload::kBackendFailed;
  } else if (!request_body_.done()) {
    upload_ = Upload::kRunning;
    upload_scope_.Spawn(UploadBody());
  }
}

void Exchange::AddInitialBody(rt::Sender& sender) {
  const std::string_view body = held_body_ ? held_body_.view() : initial_body_;
  if (body.empty() && !(chunked_request_ && request_body_.done())) {
    sender.Add(request_block_.data(), request_block_.size());
    return;
  }
  if (!chunked_request_ && body.size() <= request_block_.room()) {
    // One small send beats two parts.
    std::memcpy(request_block_.data() + request_block_.size(), body.data(), body.size());
    sender.Add(request_block_.data(), request_block_.size() + body.size());
    return;
  }
  sender.Add(request_block_.data(), request_block_.size());
  AddBody(sender, chunked_request_, request_chunk_, body, request_body_);
}

// Waits for the head of the final answer, passing on interim ones. True once it is in the worker's scratch
// and has been prepared for the client; otherwise failure_ says why not.
rt::Task<bool> Exchange::ReadResponseHead() {
  if (upload_ != Upload::kRunning) {
    client_.deadline.Set(worker_.loop().Now() + upstream_->settings().timeouts.response);
  } else {
    client_.deadline.Clear();  // the upload watches itself, and sets this when it is through
  }
  size_t scanned = 0;
  int interim = 0;
  for (;;) {
    const int32_t received = co_await backend_->receiver.Wait(client_.token);
    if (received <= 0) {
      FailReceive(received);
      co_return false;
    }
    if (first_byte_ < Duration::zero()) first_byte_ = worker_.loop().Now() - began_;
    response_input_.Append(backend_->receiver.TakeBuffer(), frames());
    for (;;) {
      const http::HeadResult result = worker_.response_parser.Parse(
          response_input_.view(), scanned, worker_.head_limits(), is_head_, asks_upgrade_,
          worker_.response_head);
      scanned = result.scanned;
      if (result.status == http::HeadStatus::kNeedMore) break;
      if (result.status == http::HeadStatus::kRefused || ++interim > kInterimMax) {
        Fail(502, "bad_response", Stage::kResponse);
        co_return false;
      }
      if (!worker_.response_head.interim()) co_return PrepareResponse();
      scanned = 0;
      const bool passed = co_await PassInterim();
      if (!passed) co_return false;
    }
  }
}

rt::Task<bool> Exchange::PassInterim() {
  const http::ResponseHead& head = worker_.response_head;
  const size_t head_bytes = head.head_bytes;
  // 1.0 clients know no interim answers; a 100 that nobody waits for says nothing.
  if (minor_version_ == 0 || (head.status == 100 && !expects_continue_)) {
    response_input_.Consume(head_bytes);
    co_return true;
  }
  http::ForwardResponse options;
  options.via_name = client_.listener().settings.via;
  response_block_ = Block(frames(), http::ForwardedResponseBound(head, options));
  response_block_.set_size(http::WriteForwardedResponse(head, options, response_block_.data()));
  response_input_.Consume(head_bytes);
  client_sender_.Add(response_block_.data(), response_block_.size());
  const int32_t result = co_await client_sender_.Send(client_.token);
  sent_bytes_ += client_sender_.sent();
  if (result == 0) co_return true;
  FailToClient(result);
  co_return false;
}

// The backend ended before a whole head had come.
void Exchange::FailReceive(int32_t received) {
  if (received == -ECANCELED) {
    FailFromCancel("response_timeout", Stage::kResponse);
  } else if (!response_input_.empty()) {
    Fail(502, "bad_response", Stage::kResponse);
  } else {
    Fail(502, "backend_reset", Stage::kSend);
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
      Fail(504, timeout_reason, stage);
      return;
    case rt::CancelReason::kFinished:
      client_.token.ClearPassing();
      FailFromUpload();
      return;
    case rt::CancelReason::kClientGone:
      Fail(0, "client_gone", stage);
      return;
    case rt::CancelReason::kDrained:
      Fail(0, "drained", stage);
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
    Fail(0, "client_stalled", Stage::kResponse);
  } else if (result == -ECANCELED) {
    FailFromCancel("client_stalled", Stage::kResponse);
  } else {
    Fail(0, "client_gone", Stage::kResponse);
  }
}

// The connection cannot be used again.
void Exchange::GiveUpBackend() {
  if (failure_) upstream_->MarkTried(picks_, *lease_.backend(), false);
  upstream_->Close(*std::exchange(backend_, nullptr));
  lease_.Reset();
  response_input_.Reset();
}

}  // namespace rondo::proxy
