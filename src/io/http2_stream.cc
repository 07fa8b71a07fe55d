#include "io/http2_stream.h"

#include <cerrno>
#include <new>

#include "io/http2_link.h"
#include "rondo/base/check.h"

namespace rondo::io {

using http2::ErrorCode;

StreamEngine::Stream* StreamEngine::Stream::Make(Link& link) {
  return new (link.engine().frames_.Allocate(sizeof(Stream))) Stream(link);
}

StreamEngine::Stream::Stream(Link& link)
    : Op(&OnLook),
      link_(link),
      reader_(link.engine().scratch_),
      server_(link.options().role == http2::Role::kServer),
      opening_(!server_),
      begun_(server_) {
  link_.all().PushBack(*this);
  if (!server_) reader_.Begin(http2::MessageReader::Kind::kRequest, false, false, link_.scheme());
}

StreamEngine::Stream::~Stream() {
  InAll::Unlink();
  InNews::Unlink();
  InMoved::Unlink();
  InLeaving::Unlink();
  lead_.Clear(frames());
  body_.Clear(frames());
  trailers_.Clear(frames());
}

Freelist& StreamEngine::Stream::frames() { return link_.engine().frames_; }

http2::Session* StreamEngine::Stream::session() {
  return begun_ && !forgotten_ ? link_.live_session() : nullptr;
}

void StreamEngine::Stream::DestroyIfDone() {
  const bool known_above = told_ && !closed_;
  const bool known_below = begun_ && !forgotten_;
  if (known_above || known_below || in_flight()) return;
  Link& link = link_;
  Freelist& memory = frames();
  this->~Stream();
  memory.Free(this, sizeof(Stream));
  link.Schedule();
}

void StreamEngine::Stream::Submit(Op& op) {
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
  RONDO_CHECK(false && "not an op for a stream's descriptor");
}

void StreamEngine::Stream::Cancel(Op& op) {
  if (&op == receiver_) return CancelReceive();
  RONDO_CHECK(&op == sender_);
  CancelSend();
}

int StreamEngine::Stream::Shutdown(ShutdownHow how) {
  switch (how) {
    case ShutdownHow::kWrite:
      shut_write_ = true;
      if (!out_tunnel_ || out_ended_ || sender_ != nullptr) return 0;
      if (http2::Session* alive = session()) {
        alive->Resume(*this);
        link_.Schedule();
      }
      return 0;
    case ShutdownHow::kBoth:
      shut_both_ = true;
      DropReceived();
      FailSends();
      if (receiver_ != nullptr) PostLook();
      return 0;
  }
}

void StreamEngine::Stream::Close() {
  RONDO_CHECK(receiver_ == nullptr && sender_ == nullptr);
  closed_ = true;
  tell_gone_ = nullptr;
  link_.Closed(opening_);
  DropReceived();
  http2::Session* alive = session();
  if (alive == nullptr) return DestroyIfDone();
  if (out_tunnel_ && !out_ended_ && !reset_ && send_error_ == 0) {
    // Ends like a connection: its own direction properly, then the other one, whatever comes there.
    shut_write_ = true;
    alive->Resume(*this);
    link_.Schedule();
  } else if (out_tunnel_) {
    if (!out_ended_ || !remote_ended_) Reset(ErrorCode::kCancel);
  } else if (!server_) {
    // What answered all is not told that nobody listens: its END_STREAM is on its way.
    if (!out_ended_ || !(remote_ended_ || whole_)) Reset(ErrorCode::kCancel);
  } else if (!out_ended_) {
    Reset(ErrorCode::kInternalError);
  } else if (!remote_ended_) {
    link_.leaving().PushBack(*this);
    link_.Schedule();
  }
}

void StreamEngine::Stream::WhenGone(TellGone tell, void* holder) {
  RONDO_DCHECK(server_);
  tell_gone_ = tell;
  holder_ = holder;
  if (gone_untold()) PostLook();
}

void StreamEngine::Stream::Leave() {
  if (session() != nullptr) Reset(out_tunnel_ ? ErrorCode::kCancel : ErrorCode::kNoError);
}

void StreamEngine::Stream::StopWaiting() {
  if (!closed_ || server_ || stopped_ || session() == nullptr) return;
  stopped_ = true;  // once is enough: it is said when there is room to say it
  Reset(ErrorCode::kCancel);
}

void StreamEngine::Stream::Reset(ErrorCode code) {
  session()->Reset(*this, code);
  link_.Schedule();
}

// -- the end of the session's part --

void StreamEngine::Stream::TakeClosing(const http2::SessionOwner::Closing& closing) {
  forgotten_ = true;
  link_.Changed();
  const bool whole =
      server_ && !tunnel_ ? remote_ended_ && out_ended_ && !closing.by_peer : remote_ended_;
  if (!whole && receive_error_ == 0) {
    receive_error_ = !server_ && closing.unprocessed ? -ECONNREFUSED : -ECONNRESET;
    // A client that gave up wants nothing to be done any more with what it had sent.
    if (server_) DropReceived();
  }
  FailSends();
  if (!told_) DropReceived();
  if (!told_ || closed_) return DestroyIfDone();
  News();
}

bool StreamEngine::Stream::seen() const {
  return begun_ && (forgotten_ || server_ || link_.session().begun(*this));
}

void StreamEngine::Stream::Fail() {
  if (!remote_ended_ || server_) {
    if (receive_error_ == 0) receive_error_ = seen() ? -ECONNRESET : -ECONNREFUSED;
    if (server_) DropReceived();
  }
  FailSends();
  InNews::Unlink();
  if (receiver_ != nullptr || gone_untold()) PostLook();
}

void StreamEngine::Stream::FailSends() {
  if (send_error_ == 0) send_error_ = -EPIPE;
  if (sender_ == nullptr) return;
  // What was taken is told first; the next send fails.
  if (taken_ > 0) {
    ReportSent();
  } else {
    PostSender(sender_->kind == Kind::kWaitWritable ? 0 : send_error_);
  }
}

void StreamEngine::Stream::Forget() {
  forgotten_ = true;
  InNews::Unlink();
  InLeaving::Unlink();
  DestroyIfDone();
}

}  // namespace rondo::io
