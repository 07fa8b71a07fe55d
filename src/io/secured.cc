#include "io/secured.h"

#include <new>
#include <utility>

#include "rondo/base/check.h"

namespace rondo::io {

SecureEngine::Secured* SecureEngine::Secured::Make(SecureEngine& engine, int fd,
                                                   std::unique_ptr<tls::Channel> channel,
                                                   std::span<const char> early,
                                                   bool truncation_ends) {
  void* memory = engine.frames_.Allocate(sizeof(Secured));
  auto* made = new (memory) Secured(engine, fd, std::move(channel), truncation_ends);
  if (!early.empty()) made->SaveRaw(early);
  // The handshake may have left something to be said.
  if (made->channel_->pending() > 0) made->Pump();
  return made;
}

SecureEngine::Secured::Secured(SecureEngine& on, int kernel_fd, std::unique_ptr<tls::Channel> over,
                               bool truncation_is_end)
    : Op(&OnReceived), engine_(on), channel_(std::move(over)), truncation_ends_(truncation_is_end) {
  fd = kernel_fd;
  ++engine_.unshrunk_;
}

SecureEngine::Secured::~Secured() {
  RONDO_CHECK(outgoing_ == nullptr && raw_ == nullptr);
  if (!shrunk_) --engine_.unshrunk_;
}

void SecureEngine::Secured::Destroy() {
  InList::Unlink();
  engine_.below_.Close(fd);
  Freelist& frames = engine_.frames_;
  this->~Secured();
  frames.Free(this, sizeof(Secured));
}

void SecureEngine::Secured::Submit(Op& op) {
  RONDO_CHECK(op.state == State::kIdle && !closed_);
  op.buffer.Reset();
  op.more = false;
  switch (op.kind) {
    case Kind::kReceive:
    case Kind::kReceiveProvided:
    case Kind::kWaitReadable:
      return SubmitReceive(op);
    case Kind::kSend:
    case Kind::kSendVector:
    case Kind::kWaitWritable:
      return SubmitSend(op);
    case Kind::kNone:
    case Kind::kAccept:
    case Kind::kConnect:
      break;
  }
  RONDO_CHECK(false && "not an op for a secured descriptor");
}

void SecureEngine::Secured::Cancel(Op& op) {
  if (&op == receiver_) return CancelReceive(op);
  RONDO_CHECK(&op == sender_);
  CancelSend(op);
}

int SecureEngine::Secured::Shutdown(ShutdownHow how) {
  switch (how) {
    case ShutdownHow::kWrite:
      // Nothing can be said any more: the kernel answers for the connection.
      if (shut_both_ || send_error_ != 0) return engine_.below_.Shutdown(fd, how);
      if (said_close_) return 0;
      said_close_ = true;
      shut_wanted_ = true;
      channel_->Close();
      Flush();
      return 0;
    case ShutdownHow::kBoth:
      shut_both_ = true;
      break;
  }
  return engine_.below_.Shutdown(fd, how);
}

void SecureEngine::Secured::ResetOnClose() {
  reset_ = true;
  engine_.below_.ResetOnClose(fd);
}

void SecureEngine::Secured::Close() {
  RONDO_CHECK(receiver_ == nullptr && sender_ == nullptr && !in_flight());
  closed_ = true;
  plain_.Reset();
  FreeRaw();
  const bool speaks = !reset_ && !shut_both_ && send_error_ == 0 && end_ != -ECONNRESET;
  if (speaks) {
    if (!std::exchange(said_close_, true)) channel_->Close();
    Flush();
  }
  if (outgoing_ == nullptr) return Destroy();
  close_by_ = engine_.Now() + kCloseGrace;
  if (speaks) return engine_.AddTo(engine_.closing_, *this);
  engine_.cutting_.PushBack(*this);
  Cut();
}

void SecureEngine::Secured::Used() {
  used_ = true;
  if (!shrunk_) return;
  shrunk_ = false;
  ++engine_.unshrunk_;
}

void SecureEngine::Secured::ShrinkIdle() {
  if (std::exchange(used_, false) || shrunk_) return;
  channel_->Shrink();
  shrunk_ = true;
  --engine_.unshrunk_;
}

void SecureEngine::Secured::DeliverTo(Op& op, int32_t outcome) {
  op.state = State::kIdle;
  op.result = outcome;
  op.more = false;
  op.deliver(op);
}

}  // namespace rondo::io
