#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

#include "io/secured.h"
#include "rondo/base/check.h"

namespace rondo::io {
namespace {

constexpr size_t kPendingMax = 512;  // of the protocol's own bytes in one send

bool IsSend(const Op& op) { return op.kind == Op::Kind::kSend || op.kind == Op::Kind::kSendVector; }

}  // namespace

// At the head of its own block of memory.
struct SecureEngine::Secured::Outgoing : Op {
  explicit Outgoing(Secured& of) : Op(&OnSent), owner(of) {}
  char* bytes() { return reinterpret_cast<char*>(this + 1); }
  Secured& owner;
  uint32_t allocated = 0;
  uint32_t filled = 0;
  uint32_t sent = 0;
};

void SecureEngine::Secured::SubmitSend(Op& op) {
  RONDO_CHECK(sender_ == nullptr);
  op.state = State::kInFlight;
  sender_ = &op;
  taken_ = 0;
  if (send_error_ != 0) return PostSender(IsSend(op) ? send_error_ : 0);
  Flush();
}

void SecureEngine::Secured::CancelSend(Op& op) {
  if (taken_ > 0) return PostSender(static_cast<int32_t>(taken_));
  if (outgoing_ != nullptr && outgoing_->kind == Kind::kWaitWritable) {
    op.state = State::kCancelling;
    return engine_.below_.Cancel(*outgoing_);
  }
  PostSender(-ECANCELED);
}

void SecureEngine::Secured::Pump() {
  const bool pending = channel_->pending() > 0;
  if (!pending && said_close_) {
    if (std::exchange(shut_wanted_, false)) engine_.below_.Shutdown(fd, ShutdownHow::kWrite);
    if (sender_ != nullptr) PostSender(IsSend(*sender_) ? -EPIPE : 0);
    return;
  }
  if (!pending && sender_ == nullptr) return;
  Used();
  if (sender_ != nullptr && IsSend(*sender_) && !said_close_) {
    SealSend();
  } else if (pending) {
    Outgoing& outgoing = NewOutgoing(kPendingMax);
    outgoing.filled = static_cast<uint32_t>(
        channel_->TakePending(std::span<char>(outgoing.bytes(), kPendingMax)));
  } else {
    Outgoing& wait = NewOutgoing(0);
    wait.kind = Kind::kWaitWritable;
    return engine_.below_.Submit(wait);
  }
  if (outgoing_->filled == 0) {  // the channel has failed
    FreeOutgoing();
    send_error_ = -EPIPE;
    if (sender_ != nullptr) PostSender(IsSend(*sender_) ? -EPIPE : 0);
    return;
  }
  outgoing_->kind = Kind::kSend;
  outgoing_->data = outgoing_->bytes();
  outgoing_->size = outgoing_->filled;
  engine_.below_.Submit(*outgoing_);
}

// Seals the beginning of the send, or all of it; what is pending goes in front.
void SecureEngine::Secured::SealSend() {
  const iovec whole{sender_->data, sender_->size};
  const std::span<const iovec> parts = sender_->kind == Kind::kSend
                                           ? std::span<const iovec>(&whole, 1)
                                           : std::span<const iovec>(sender_->vector, sender_->size);
  size_t offered = 0;
  for (const iovec& part : parts) offered += part.iov_len;
  size_t plain = 0;
  size_t bytes = 0;
  const size_t most = std::min<size_t>(offered, send_max_);
  while (plain < most) {
    const size_t record = std::min(most - plain, tls::kRecordPlainMax);
    const size_t sealed = channel_->SealedSize(record);
    if (plain > 0 && bytes + sealed > kLongBytes - sizeof(Outgoing))
      break;  // a peer that wants small records
    plain += record;
    bytes += sealed;
  }
  Outgoing& outgoing = NewOutgoing(bytes);
  while (taken_ < plain) {
    const size_t record = std::min(plain - taken_, tls::kRecordPlainMax);
    const size_t sealed = channel_->Seal(parts, taken_, record, outgoing.bytes() + outgoing.filled);
    if (sealed == 0) return;
    outgoing.filled += static_cast<uint32_t>(sealed);
    taken_ += static_cast<uint32_t>(record);
  }
}

void SecureEngine::Secured::OnSent(Op& op) {
  auto& outgoing = static_cast<Outgoing&>(op);
  outgoing.owner.Sent(outgoing);
}

void SecureEngine::Secured::Sent(Outgoing& outgoing) {
  const int32_t outcome = outgoing.result;
  const bool waited = outgoing.kind == Kind::kWaitWritable;
  if (outcome > 0) {
    outgoing.sent += static_cast<uint32_t>(outcome);
    if (outgoing.sent < outgoing.filled && send_error_ == 0) {
      send_max_ = tls::kRecordPlainMax;
      outgoing.data = outgoing.bytes() + outgoing.sent;
      outgoing.size = outgoing.filled - outgoing.sent;
      return engine_.below_.Submit(outgoing);
    }
  }
  if (static_cast<uint32_t>(outcome) == outgoing.filled && taken_ == send_max_) {
    send_max_ = std::min<uint32_t>(2 * send_max_, kSendMax);
  }
  FreeOutgoing();
  Op* done = nullptr;
  int32_t done_outcome = outcome;
  if (waited) {
    done = std::exchange(sender_, nullptr);
  } else if (outcome <= 0) {
    // Half a record may be out: nothing that is sent after it would be understood.
    send_error_ = outcome == 0 || outcome == -ECANCELED ? -EPIPE : outcome;
    done = std::exchange(sender_, nullptr);
    done_outcome = done != nullptr && !IsSend(*done) ? 0 : send_error_;
    if (send_error_ == -ECONNRESET) send_error_ = -EPIPE;  // said once, as a kernel does
  } else if (taken_ > 0) {
    done = std::exchange(sender_, nullptr);
    done_outcome = static_cast<int32_t>(taken_);
  }
  taken_ = 0;
  if (send_error_ == 0) Pump();
  if (closed_ && outgoing_ == nullptr) return Destroy();
  if (done != nullptr) DeliverTo(*done, done_outcome);
}

void SecureEngine::Secured::Cut() {
  if (send_error_ == 0) send_error_ = -EPIPE;
  engine_.below_.Cancel(*outgoing_);
}

uint64_t SecureEngine::Secured::Unacknowledged() const {
  const uint64_t bytes = engine_.below_.Unacknowledged(fd);
  const uint64_t unreported = outgoing_ != nullptr ? outgoing_->sent : 0;
  return bytes - std::min(bytes, unreported);
}

void SecureEngine::Secured::PostSender(int32_t outcome) {
  Op& op = *std::exchange(sender_, nullptr);
  op.state = State::kIdle;
  taken_ = 0;
  engine_.below_.Post(op, outcome);
}

SecureEngine::Secured::Outgoing& SecureEngine::Secured::NewOutgoing(size_t bytes) {
  const size_t all = sizeof(Outgoing) + bytes;
  const bool is_long = all > Freelist::kBlockMax;
  RONDO_CHECK(all <= kLongBytes);
  void* memory = is_long ? engine_.TakeLong() : engine_.frames_.Allocate(all);
  outgoing_ = new (memory) Outgoing(*this);
  outgoing_->allocated = static_cast<uint32_t>(all);
  outgoing_->fd = fd;
  return *outgoing_;
}

void SecureEngine::Secured::FreeOutgoing() {
  const size_t all = outgoing_->allocated;
  outgoing_->~Outgoing();
  if (all > Freelist::kBlockMax) {
    engine_.ReturnLong(reinterpret_cast<char*>(outgoing_));
  } else {
    engine_.frames_.Free(outgoing_, all);
  }
  outgoing_ = nullptr;
}

}  // namespace rondo::io
