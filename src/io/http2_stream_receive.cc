#include <algorithm>
#include <cerrno>
#include <utility>

#include "io/http2_link.h"
#include "io/http2_stream.h"
#include "rondo/base/check.h"

namespace rondo::io {
namespace {

// A chunk that does not fit in the room there is goes through memory of ours, so much at a time.
constexpr size_t kSmallChunk = 512;
constexpr size_t kChunkMax = 0xffff;  // four digits

}  // namespace

// -- told by the session --

void StreamEngine::Stream::TakeRequest(const http2::IncomingHead& head, bool ends) {
  if (head.refusal) {
    refusal_ = head.refusal;
  } else {
    AddLead(head.text);
    chunked_ = head.framing == http::Framing::kChunked;
    tunnel_ = head.framing == http::Framing::kUntilClose;
  }
  remote_ended_ = ends;
  reader_.Begin(http2::MessageReader::Kind::kResponse, head.text.starts_with("HEAD "), tunnel_, {});
}

void StreamEngine::Stream::TakeResponse(const http2::IncomingHead& head, bool ends) {
  if (head.refusal) {
    refusal_ = head.refusal;
    receive_error_ = -EPROTO;
    return;
  }
  if (!closed_) {
    if (head.interim && lead_.size() >= link_.options().header_bytes) return;  // may be left out
    AddLead(head.text);
  }
  if (!head.interim) {
    chunked_ = head.framing == http::Framing::kChunked;
    length_known_ = head.framing == http::Framing::kLength || head.framing == http::Framing::kNone;
    body_left_ = head.framing == http::Framing::kLength ? head.content_length : 0;
    whole_ = length_known_ && body_left_ == 0;
  }
  if (ends) remote_ended_ = true;
  InterruptFirst();
  News();
}

void StreamEngine::Stream::TakeData(std::string_view bytes) {
  if (length_known_) {
    body_left_ -= std::min<uint64_t>(body_left_, bytes.size());
    whole_ = body_left_ == 0;
  }
  if (closed_ || shut_both_ || refusal_) return Consume(bytes.size());
  body_.Append(frames(), bytes);
  News();
}

void StreamEngine::Stream::TakeEnd(std::string_view trailers) {
  remote_ended_ = true;
  if (closed_) return;
  if (chunked_) trailers_.Append(frames(), trailers);
  News();
}

void StreamEngine::Stream::News() {
  if ((receiver_ != nullptr || gone_untold()) && !InNews::linked()) link_.news().PushBack(*this);
}

// -- the receive above --

void StreamEngine::Stream::SubmitReceive(Op& op) {
  RONDO_CHECK(receiver_ == nullptr);
  op.state = State::kInFlight;
  receiver_ = &op;
  if (HasBytes() || Outcome() != kGoesOn) PostLook();
}

void StreamEngine::Stream::CancelReceive() {
  InParked::Unlink();
  if (!gone_untold()) InNews::Unlink();
  Op& op = *std::exchange(receiver_, nullptr);
  op.state = State::kIdle;
  link_.engine().below_.Post(op, -ECANCELED);
}

void StreamEngine::Stream::PostLook() {
  if (InParked::linked() || in_flight()) return;
  fd = -1;
  link_.engine().below_.Post(*this, 0);
}

void StreamEngine::Stream::OnLook(Op& op) {
  auto& self = static_cast<Stream&>(op);
  if (self.closed_) return self.DestroyIfDone();
  self.Advance();
}

int32_t StreamEngine::Stream::Outcome() const {
  if (shut_both_) return 0;
  if (receive_error_ != 0) return receive_error_;
  if (remote_ended_ && (!server_ || tunnel_)) return 0;
  return kGoesOn;
}

void StreamEngine::Stream::Advance() {
  if (receiver_ == nullptr) {
    if (gone_untold()) std::exchange(tell_gone_, nullptr)(holder_);
    return;
  }
  if (InParked::linked()) return;
  Op& op = *receiver_;
  if (!HasBytes()) {
    const int32_t outcome = op.kind == Kind::kWaitReadable ? 0 : Outcome();
    if (Outcome() != kGoesOn) FinishReceive(outcome);
    return;
  }
  if (op.kind == Kind::kWaitReadable) return FinishReceive(0);
  if (op.kind == Kind::kReceive) {
    return FinishReceive(static_cast<int32_t>(Compose(std::span<char>(op.data, op.size))));
  }
  BufferRef into = link_.engine().TakeBuffer();
  if (!into) return link_.engine().Park(*this);
  const size_t count = Compose(std::span<char>(into.data(), BufferPool::kBufferBytes));
  into.set_size(static_cast<uint32_t>(count));
  op.buffer = std::move(into);
  FinishReceive(static_cast<int32_t>(count));
}

void StreamEngine::Stream::Unpark() {
  InParked::Unlink();
  PostLook();
}

void StreamEngine::Stream::FinishReceive(int32_t outcome) {
  Op& op = *std::exchange(receiver_, nullptr);
  op.state = State::kIdle;
  op.result = outcome;
  op.more = false;
  op.deliver(op);
}

// Writes what is here as text. REQUIRES: HasBytes(), out not empty.
size_t StreamEngine::Stream::Compose(std::span<char> out) {
  size_t count = 0;
  for (;;) {
    count += lead_.Take(frames(), out.data() + count, out.size() - count);
    const std::span<char> rest = out.subspan(count);
    if (rest.empty()) return count;
    if (!body_.empty()) {
      if (!chunked_) {
        const size_t taken = body_.Take(frames(), rest.data(), rest.size());
        Consume(taken);
        return count + taken;
      }
      if (rest.size() > kChunkFrame) {
        count += WriteChunk(rest);
      } else {
        if (count > 0) return count;
        char chunk[kSmallChunk];
        AddLead(std::string_view(chunk, WriteChunk(chunk)));
      }
    } else if (tail_due()) {
      tail_given_ = true;
      AddLead("0\r\n");
      lead_.Splice(trailers_);
      AddLead("\r\n");
    } else {
      return count;
    }
  }
}

// Takes of the body what fits in `out` as a chunk. REQUIRES: room for one byte at least.
size_t StreamEngine::Stream::WriteChunk(std::span<char> out) {
  constexpr char kDigits[] = "0123456789abcdef";
  char* at = out.data();
  const size_t size = body_.Take(frames(), at + 6, std::min(out.size() - kChunkFrame, kChunkMax));
  for (int digit = 3; digit >= 0; --digit) *at++ = kDigits[(size >> (4 * digit)) & 15];
  *at++ = '\r';
  *at++ = '\n';
  at += size;
  *at++ = '\r';
  *at++ = '\n';
  Consume(size);
  return size + kChunkFrame;
}

void StreamEngine::Stream::AddLead(std::string_view text) { lead_.Append(frames(), text); }

// Tells the peer that it may send as many bytes more.
void StreamEngine::Stream::Consume(size_t bytes) {
  http2::Session* alive = link_.live_session();
  if (alive == nullptr || bytes == 0 || !begun_) return;
  alive->Consume(id(), bytes);
  link_.Schedule();
}

void StreamEngine::Stream::DropReceived() {
  Consume(body_.size());
  lead_.Clear(frames());
  body_.Clear(frames());
  trailers_.Clear(frames());
  tail_given_ = true;
}

}  // namespace rondo::io
