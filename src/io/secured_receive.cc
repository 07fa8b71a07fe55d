#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "io/secured.h"
#include "rondo/base/check.h"

namespace rondo::io {
namespace {

// A record of unknown length: few bytes of its header are here, and most records are small.
constexpr size_t kShortRaw = 1024;

}  // namespace

void SecureEngine::Secured::SubmitReceive(Op& op) {
  RONDO_CHECK(receiver_ == nullptr);
  op.state = State::kInFlight;
  receiver_ = &op;
  if (plain_ || ended() || WholeRecord()) {
    PostLook();
  } else {
    Listen();
  }
}

void SecureEngine::Secured::CancelReceive(Op& op) {
  if (InList::linked()) {  // parked
    InList::Unlink();
    receiver_ = nullptr;
    op.state = State::kIdle;
    return engine_.below_.Post(op, -ECANCELED);
  }
  op.state = State::kCancelling;
  engine_.below_.Cancel(*this);
}

// Delivered by the engine below: bytes, an end, or the look that was posted.
void SecureEngine::Secured::OnReceived(Op& op) {
  auto& self = static_cast<Secured&>(op);
  self.Used();
  if (op.kind != Kind::kNone) {
    if (op.result > 0) {
      if (op.kind == Kind::kReceive) {
        self.raw_end_ += static_cast<uint32_t>(op.result);
      } else if (const size_t placed = self.TakeProvided(); placed > 0) {
        return self.FinishReceive(static_cast<int32_t>(placed));
      }
    } else if (op.result != -ECANCELED) {
      self.SetEnd(op.result);
    }
  }
  self.Advance();
}

// Opens what came in a buffer of the pool, mostly in that buffer. How many bytes went straight into
// the receiver's memory.
size_t SecureEngine::Secured::TakeProvided() {
  BufferRef received = std::move(buffer);
  const std::span<char> in(received.data(), received.size());
  const bool straight =
      receiver_->kind == Kind::kReceive && receiver_->size >= BufferPool::kBufferBytes;
  const std::span<char> out = straight ? std::span<char>(receiver_->data, receiver_->size)
                                       : std::span<char>(in.data(), BufferPool::kBufferBytes);
  const tls::Channel::Opened opened = Open(in, out);
  if (opened.consumed < in.size() && !ended()) SaveRaw(in.subspan(opened.consumed));
  if (straight) return opened.produced;
  if (opened.produced > 0) {
    received.set_size(static_cast<uint32_t>(opened.produced));
    plain_ = std::move(received);
    plain_at_ = 0;
  }
  return 0;
}

// Something has come, or may have: finishes the receiver or waits on.
void SecureEngine::Secured::Advance() {
  const bool cancelling = receiver_->state == State::kCancelling;
  int32_t filled = -ECANCELED;
  switch (Fill(*receiver_, &filled)) {
    case Filled::kResult:
      break;
    case Filled::kNeedsBuffer:
      if (cancelling) break;
      return engine_.AddTo(engine_.parked_, *this);
    case Filled::kNeedsBytes:
      if (cancelling) break;
      return Listen();
  }
  FinishReceive(filled);
}

SecureEngine::Secured::Filled SecureEngine::Secured::Fill(Op& op, int32_t* filled) {
  while (!plain_ && WholeRecord()) {
    if (op.kind == Kind::kReceive) {
      const tls::Channel::Opened opened = OpenRaw(std::span<char>(op.data, op.size));
      if (opened.produced > 0) {
        *filled = static_cast<int32_t>(opened.produced);
        return Filled::kResult;
      }
      if (opened.consumed > 0 || ended()) continue;
    }
    if (!OpenToPool()) return Filled::kNeedsBuffer;
  }
  if (plain_) {
    *filled = TakePlain(op);
    return Filled::kResult;
  }
  if (!ended()) return Filled::kNeedsBytes;
  *filled = end_;
  return Filled::kResult;
}

// REQUIRES: plain_ holds something.
int32_t SecureEngine::Secured::TakePlain(Op& op) {
  if (op.kind == Kind::kWaitReadable) return 0;
  const uint32_t left = plain_.size() - plain_at_;
  char* from = plain_.data() + plain_at_;
  if (op.kind == Kind::kReceive) {
    const auto count = static_cast<uint32_t>(std::min<size_t>(left, op.size));
    std::memcpy(op.data, from, count);
    plain_at_ += count;
    if (count == left) plain_.Reset();
    return static_cast<int32_t>(count);
  }
  if (plain_at_ > 0) std::memmove(plain_.data(), from, left);
  plain_.set_size(left);
  op.buffer = std::move(plain_);
  return static_cast<int32_t>(left);
}

// Opens whole records into a buffer of the pool; false where there is none.
bool SecureEngine::Secured::OpenToPool() {
  BufferRef into = engine_.TakeBuffer();
  if (!into) return false;
  const tls::Channel::Opened opened =
      OpenRaw(std::span<char>(into.data(), BufferPool::kBufferBytes));
  if (opened.produced > 0) {
    into.set_size(static_cast<uint32_t>(opened.produced));
    plain_ = std::move(into);
    plain_at_ = 0;
  } else if (opened.consumed == 0 && !ended()) {
    SetEnd(-EPROTO);  // longer than any record may be
    FreeRaw();
  }
  return true;
}

bool SecureEngine::Secured::Unpark() {
  if (!plain_ && WholeRecord() && !OpenToPool()) return false;
  InList::Unlink();
  PostLook();
  return true;
}

tls::Channel::Opened SecureEngine::Secured::OpenRaw(std::span<char> out) {
  const tls::Channel::Opened opened = Open(std::span<char>(raw_ + raw_begin_, raw_size()), out);
  raw_begin_ += static_cast<uint32_t>(opened.consumed);
  if (raw_begin_ == raw_end_ || ended()) FreeRaw();
  return opened;
}

tls::Channel::Opened SecureEngine::Secured::Open(std::span<char> in, std::span<char> out) {
  const tls::Channel::Opened opened = channel_->Open(in, out);
  switch (opened.incoming) {
    case tls::Incoming::kOpen:
      break;
    case tls::Incoming::kClosed:
      end_ = 0;
      break;
    case tls::Incoming::kFailed:
      end_ = -EPROTO;
      break;
  }
  if (channel_->pending() > 0) Flush();
  return opened;
}

// REQUIRES: nothing is here that could be opened.
void SecureEngine::Secured::Listen() {
  if (raw_ == nullptr) {
    kind = Kind::kReceiveProvided;
    wait_first = receiver_->wait_first;
    data = nullptr;
    size = 0;
  } else {
    MakeRoom();
    kind = Kind::kReceive;
    data = raw_ + raw_end_;
    size = raw_capacity_ - raw_end_;
  }
  engine_.below_.Submit(*this);
}

void SecureEngine::Secured::PostLook() {
  kind = Kind::kNone;
  engine_.below_.Post(*this, 0);
}

void SecureEngine::Secured::FinishReceive(int32_t outcome) {
  DeliverTo(*std::exchange(receiver_, nullptr), outcome);
}

void SecureEngine::Secured::SetEnd(int32_t outcome) {
  if (shut_both_ || (outcome == 0 && truncation_ends_)) {
    end_ = 0;
  } else {
    end_ = outcome == 0 ? -ECONNRESET : outcome;
  }
}

// -- bytes that are not opened yet --

bool SecureEngine::Secured::WholeRecord() const {
  if (raw_ == nullptr) return false;
  const size_t record = channel_->RecordSize(std::span<const char>(raw_ + raw_begin_, raw_size()));
  // No valid record is longer than that: to open it says so.
  return raw_size() >= record || record > tls::kRecordMax;
}

void SecureEngine::Secured::SaveRaw(std::span<const char> bytes) {
  RONDO_DCHECK(raw_ == nullptr);
  const size_t record = std::min(channel_->RecordSize(bytes), tls::kRecordMax);
  raw_ = NewRaw(std::max(record, bytes.size()), &raw_capacity_);
  std::memcpy(raw_, bytes.data(), bytes.size());
  raw_begin_ = 0;
  raw_end_ = static_cast<uint32_t>(bytes.size());
}

// Moves the beginning of a record to the front of a block that the whole of it has room in.
void SecureEngine::Secured::MakeRoom() {
  const size_t record = channel_->RecordSize(std::span<const char>(raw_ + raw_begin_, raw_size()));
  const uint32_t here = raw_end_ - raw_begin_;
  if (raw_capacity_ >= record && raw_capacity_ > here) {
    if (raw_begin_ > 0) std::memmove(raw_, raw_ + raw_begin_, here);
  } else {
    uint32_t capacity;
    char* larger = NewRaw(record, &capacity);
    std::memcpy(larger, raw_ + raw_begin_, here);
    FreeRaw();
    raw_ = larger;
    raw_capacity_ = capacity;
  }
  raw_begin_ = 0;
  raw_end_ = here;
}

char* SecureEngine::Secured::NewRaw(size_t bytes, uint32_t* capacity) {
  if (bytes > Freelist::kBlockMax) {
    RONDO_CHECK(bytes <= kLongBytes);
    *capacity = kLongBytes;
    return engine_.TakeLong();
  }
  *capacity = static_cast<uint32_t>(Freelist::RoundUp(std::max(bytes, kShortRaw)));
  return static_cast<char*>(engine_.frames_.Allocate(*capacity));
}

void SecureEngine::Secured::FreeRaw() {
  if (raw_ == nullptr) return;
  if (raw_capacity_ > Freelist::kBlockMax) {
    engine_.ReturnLong(raw_);
  } else {
    engine_.frames_.Free(raw_, raw_capacity_);
  }
  raw_ = nullptr;
  raw_begin_ = raw_end_ = 0;
}

}  // namespace rondo::io
