#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "io/http2_link.h"
#include "io/http2_stream.h"
#include "rondo/base/check.h"

namespace rondo::io {

using http2::ErrorCode;
using http2::MessageReader;
using Supply = http2::SessionOwner::Supply;

void StreamEngine::Stream::SubmitSend(Op& op) {
  RONDO_CHECK(sender_ == nullptr);
  op.state = State::kInFlight;
  sender_ = &op;
  taken_ = 0;
  part_ = 0;
  part_at_ = 0;
  if (op.kind == Kind::kWaitWritable) return WaitForRoom();
  if (send_error_ != 0) return PostSender(send_error_);
  if (first_ && answered_) return InterruptFirst();
  first_ |= !server_ && !head_sent_;
  if (!head_sent_ && !ReadHeads()) return;
  if (out_ended_) {
    if (!ReadRest()) return;
  } else if (head_sent_ && !Piece().empty()) {
    session()->Resume(*this);
  }
  link_.Schedule();
}

// There is room when the session asks for something.
void StreamEngine::Stream::WaitForRoom() {
  http2::Session* alive = session();
  if (alive == nullptr || send_error_ != 0 || !head_sent_ || out_ended_) return PostSender(0);
  alive->Resume(*this);
  link_.Schedule();
}

void StreamEngine::Stream::CancelSend() {
  if (taken_ > 0) return ReportSent();
  PostSender(-ECANCELED);
}

void StreamEngine::Stream::PostSender(int32_t outcome) {
  InMoved::Unlink();
  Op& op = *std::exchange(sender_, nullptr);
  op.state = State::kIdle;
  taken_ = 0;
  link_.engine().below_.Post(op, outcome);
}

void StreamEngine::Stream::ReportSent() {
  constexpr size_t kMost = std::numeric_limits<int32_t>::max();
  RONDO_DCHECK(taken_ <= kMost);
  first_ = first_ && !Piece().empty();
  PostSender(static_cast<int32_t>(std::min(taken_, kMost)));
}

// Whoever sends a request's head and some of its body together may wait with both for the backend's
// window before it looks at the answer, which may be all that ever comes: it is told to look.
void StreamEngine::Stream::InterruptFirst() {
  answered_ = true;
  if (!first_ || sender_ == nullptr || Piece().empty()) return;
  if (taken_ > 0) return ReportSent();  // the one that follows is told
  first_ = false;
  PostSender(-EAGAIN);
}

std::string_view StreamEngine::Stream::Piece() {
  if (sender_ == nullptr || sender_->kind == Kind::kWaitWritable) return {};
  if (sender_->kind == Kind::kSend) {
    return std::string_view(sender_->data + taken_, sender_->size - taken_);
  }
  while (part_ < sender_->size && part_at_ == sender_->vector[part_].iov_len) {
    ++part_;
    part_at_ = 0;
  }
  if (part_ == sender_->size) return {};
  const iovec& part = sender_->vector[part_];
  return std::string_view(static_cast<const char*>(part.iov_base) + part_at_,
                          part.iov_len - part_at_);
}

void StreamEngine::Stream::TakeOfSend(size_t bytes) {
  if (bytes == 0) return;
  taken_ += bytes;
  part_at_ += bytes;
  if (!InMoved::linked()) link_.moved().PushBack(*this);
}

// -- heads: submitted as soon as they are whole --

bool StreamEngine::Stream::ReadHeads() {
  while (!head_sent_) {
    const std::string_view piece = Piece();
    if (piece.empty()) return true;
    const MessageReader::Step step = reader_.Read(piece, 0);
    TakeOfSend(step.consumed);
    switch (step.what) {
      case MessageReader::What::kNeedMore:
        break;
      case MessageReader::What::kHead:
        if (!SubmitHead()) return false;
        break;
      case MessageReader::What::kData:
      case MessageReader::What::kEnd:
      case MessageReader::What::kBad:
        FailText();
        return false;
    }
  }
  return true;
}

bool StreamEngine::Stream::SubmitHead() {
  const http2::OutgoingHead& head = reader_.head();
  http2::Session* alive = link_.live_session();
  if (!head.interim) {
    head_sent_ = true;
    out_ended_ = head.ends;
    out_tunnel_ = head.tunnel;
  }
  if (server_) {
    if (alive != nullptr && !forgotten_ && alive->SubmitHead(*this, head) == 0) return true;
  } else {
    tunnel_ = head.tunnel;
    opening_ = false;
    link_.Began();
    if (alive != nullptr && alive->OpenStream(*this, head)) {
      begun_ = true;
      return true;
    }
    // There was room when it was made, but the peer wants no more by now.
    if (receive_error_ == 0) receive_error_ = -ECONNREFUSED;
    if (receiver_ != nullptr) PostLook();
  }
  send_error_ = -EPIPE;
  PostSender(send_error_);
  return false;
}

bool StreamEngine::Stream::ReadRest() {
  for (std::string_view piece = Piece(); !piece.empty(); piece = Piece()) {
    const MessageReader::Step step = reader_.Read(piece, piece.size());
    if (step.what == MessageReader::What::kBad || step.consumed == 0) {
      FailText();
      return false;
    }
    TakeOfSend(step.consumed);
  }
  return true;
}

void StreamEngine::Stream::FailText() {
  send_error_ = -EPROTO;
  if (session() != nullptr && !out_ended_) Reset(ErrorCode::kInternalError);
  if (sender_ != nullptr) PostSender(send_error_);
}

// -- bodies: taken by the session when it can send them --

Supply StreamEngine::Stream::GiveBody(std::span<char> out, size_t* count) {
  *count = 0;
  if (sender_ != nullptr && sender_->kind == Kind::kWaitWritable) PostSender(0);
  while (!out_ended_) {
    const std::string_view piece = Piece();
    const MessageReader::Step step = reader_.Read(piece, out.size() - *count);
    TakeOfSend(step.consumed);
    switch (step.what) {
      case MessageReader::What::kNeedMore:
        if (!piece.empty()) continue;
        if (!out_tunnel_ || !shut_write_) return Supply::kWait;
        out_ended_ = true;
        if (closed_) link_.leaving().PushBack(*this);
        break;
      case MessageReader::What::kData:
        if (step.data.empty()) return Supply::kMore;
        std::memcpy(out.data() + *count, step.data.data(), step.data.size());
        *count += step.data.size();
        break;
      case MessageReader::What::kEnd:
        out_ended_ = true;
        if (!reader_.trailers().empty()) {
          link_.live_session()->SubmitTrailers(*this, reader_.trailers());
        }
        break;
      case MessageReader::What::kHead:
      case MessageReader::What::kBad:
        send_error_ = -EPROTO;
        if (sender_ != nullptr) PostSender(send_error_);
        return Supply::kFailed;
    }
  }
  return Supply::kEnd;
}

}  // namespace rondo::io
