#include "io/http2_link.h"

#include <algorithm>
#include <cerrno>
#include <new>
#include <utility>

#include "rondo/base/check.h"
#include "rondo/io/secure_engine.h"

namespace rondo::io {
namespace {

constexpr uint32_t kOutBytes = 16 * 1024;
constexpr uint32_t kOutBytesMax = 64 * 1024;
// Received beyond the connection's window while nothing of ours gets away. Two ends that both wait
// for the other one to read must not come to that by bodies alone.
constexpr size_t kUnsentInputMax = 256 * 1024;
constexpr size_t kDiscardMax = 1024 * 1024;
// For how many ticks what is ready waits for more, at the most.
constexpr uint8_t kGatherMax = 3;

}  // namespace

StreamEngine::Link* StreamEngine::Link::Make(StreamEngine& engine, int fd,
                                             const http2::SessionOptions& options, BufferRef early,
                                             Http2Owner& owner) {
  void* memory = engine.frames_.Allocate(sizeof(Link));
  auto* made = new (memory) Link(engine, fd, options, std::move(early), owner);
  ++engine.connection_count_;
  made->Schedule();
  return made;
}

StreamEngine::Link::Link(StreamEngine& engine, int fd, const http2::SessionOptions& options,
                         BufferRef early, Http2Owner& owner)
    : engine_(engine),
      owner_(owner),
      options_(options),
      fd_(fd),
      receive_(&OnReceived, *this),
      send_(&OnSent, *this),
      early_(std::move(early)),
      out_next_(kOutBytes),
      heard_at_(engine.Now()) {
  receive_.fd = send_.fd = fd;
  session_ = http2::Session::Make(options_, *this, engine.frames_);
}

StreamEngine::Link::~Link() {
  InTimed::Unlink();
  InWork::Unlink();
}

// Streams are secured where their connection is.
std::string_view StreamEngine::Link::scheme() const {
  return SecureEngine::secured(fd_) ? "https" : "http";
}

void StreamEngine::Link::Schedule() {
  added_ = true;
  if (InWork::linked()) return;
  engine_.working_.PushBack(*this);
  engine_.Nudge();
}

// -- streams --

size_t StreamEngine::Link::room() const {
  if (ending_ || session_ == nullptr) return 0;
  const size_t all = session_->room();
  return all - std::min(all, unbegun_);
}

int StreamEngine::Link::OpenStream() {
  RONDO_CHECK(options_.role == http2::Role::kClient);
  if (room() == 0) return -EAGAIN;
  Stream& stream = *Stream::Make(*this);
  stream.set_told();
  ++open_;
  ++unbegun_;
  return engine_.AddStream(stream);
}

void StreamEngine::Link::Closed(bool unbegun) {
  --open_;
  if (unbegun) --unbegun_;
  changed_ = true;
  Schedule();
}

http2::SessionStream* StreamEngine::Link::OnRequest(const http2::IncomingHead& head, bool ends) {
  if (dead_ || finishing_) return nullptr;
  Stream& stream = *Stream::Make(*this);
  stream.TakeRequest(head, ends);
  news_.PushBack(stream);
  return &stream;
}

void StreamEngine::Link::OnResponse(http2::SessionStream& stream, const http2::IncomingHead& head,
                                    bool ends) {
  static_cast<Stream&>(stream).TakeResponse(head, ends);
}

void StreamEngine::Link::OnData(http2::SessionStream& stream, std::string_view bytes) {
  static_cast<Stream&>(stream).TakeData(bytes);
}

void StreamEngine::Link::OnEnd(http2::SessionStream& stream, std::string_view trailers) {
  static_cast<Stream&>(stream).TakeEnd(trailers);
}

http2::SessionOwner::Supply StreamEngine::Link::OnSupply(http2::SessionStream& stream,
                                                         std::span<char> out, size_t* count) {
  if (!dead_) return static_cast<Stream&>(stream).GiveBody(out, count);
  *count = 0;
  return Supply::kWait;
}

void StreamEngine::Link::OnClosed(http2::SessionStream& stream, const Closing& closing) {
  static_cast<Stream&>(stream).TakeClosing(closing);
}

void StreamEngine::Link::OnGoaway(http2::ErrorCode) {
  ending_ = true;
  changed_ = true;
}

void StreamEngine::Link::OnSettings() { changed_ = true; }

// -- receiving --

void StreamEngine::Link::Listen() {
  if (receive_.in_flight() || receive_ended_ || cut_) return;
  // Behind what is being sent much may have been caused already: its end comes back here.
  if (send_.in_flight() && unsent_input_ > options_.connection_window + kUnsentInputMax) return;
  receive_.kind = Op::Kind::kReceiveProvided;
  receive_.data = nullptr;
  receive_.size = 0;
  receive_.wait_first = true;
  engine_.below_.Submit(receive_);
}

void StreamEngine::Link::OnReceived(Op& op) {
  Link& self = static_cast<Part&>(op).link;
  // What was cut is over, also where bytes were quicker than the cancel.
  if (op.result <= 0 || self.cut_) {
    op.buffer.Reset();
    self.receive_ended_ = true;
    return self.Lose();
  }
  self.Take(std::move(op.buffer));
  self.Listen();
}

void StreamEngine::Link::Take(BufferRef buffer) {
  const std::span<const char> bytes(buffer.data(), buffer.size());
  heard_at_ = engine_.Now();
  if (send_.in_flight()) unsent_input_ += bytes.size();
  if (dead_ || finishing_) {
    discarded_ += bytes.size();
    if (discarded_ > kDiscardMax) Cut();
    return;
  }
  const http2::Session::State state = session_->Feed(bytes, heard_at_);
  buffer.Reset();  // the next one to receive may well want it
  if (state == http2::Session::State::kFailed) return Fail(session_->failure());
  if (draining_ && !goaway_said_ && session_->pongs() != pongs_) EndPause();
  WatchHead();
  TellNews();
  if (session_->wants_fill() || changed_ || ending_) Schedule();
}

void StreamEngine::Link::WatchHead() {
  if (!session_->in_head()) {
    in_head_since_ = kNever;
  } else if (in_head_since_ == kNever || session_->heads() != unfinished_head_) {
    // Each has its own time: pieces that end one head may begin the next.
    in_head_since_ = engine_.Now();
    unfinished_head_ = session_->heads();
    changed_ = true;
  }
}

// What is told may end anything here but the connection's own record.
void StreamEngine::Link::TellNews() {
  while (!news_.empty()) {
    Stream& stream = news_.PopFront();
    if (stream.told()) {
      stream.Advance();
      continue;
    }
    stream.set_told();
    ++open_;
    changed_ = true;
    owner_.OnStream(*this, engine_.AddStream(stream));
  }
}

// -- sending --

void StreamEngine::Link::Work() {
  if (!std::exchange(started_, true)) {
    if (early_) Take(std::move(early_));
    Listen();
  }
  if (Gathers()) {
    InWork::Unlink();  // what has just begun has been scheduled by that
    engine_.Gather(*this);
  } else {
    if (session_ != nullptr) Flush();
    if (session_ != nullptr) FinishIfOver();
    if (over()) return Destroy();
  }
  if (std::exchange(changed_, false)) owner_.OnChange(*this);
}

// A worker that keeps up sees few events in a tick: sent at its end, most answers would go alone,
// each with a record and a send of its own. So they wait for one more look at what has come, and
// for another one as long as that adds to them. Requests are not made to wait: those of many
// clients come in the same tick anyway.
bool StreamEngine::Link::Gathers() {
  const bool added = std::exchange(added_, false);
  if (added && gathered_ < kGatherMax && open_ > 1 && options_.role == http2::Role::kServer &&
      !ending_ && !send_.in_flight() && session_ != nullptr && session_->wants_fill()) {
    ++gathered_;
    return true;
  }
  gathered_ = 0;
  return false;
}

void StreamEngine::Link::Flush() {
  if (send_.in_flight() || mute_ || cut_) return;
  // Only now, so that these frames go at once: as long as a reset waits, nghttp2 does not see that
  // the other end was done as well, and counts the stream against it.
  while (!leaving_.empty()) leaving_.PopFront().Leave();
  if (session_->wants_fill()) {
    out_capacity_ = out_next_;
    out_ = engine_.TakeBlock(out_capacity_);
    out_size_ = static_cast<uint32_t>(session_->Fill(std::span<char>(out_, out_capacity_)));
    out_sent_ = 0;
    if (out_size_ == 0) FreeOut();
  }
  while (!moved_.empty()) moved_.PopFront().ReportSent();
  // A stream that we reset is over once that is said. Here nobody is told anything at once.
  while (!news_.empty()) news_.PopFront().PostLook();
  if (!dead_ && session_->state() == http2::Session::State::kFailed) Fail(session_->failure());
  if (out_ != nullptr) {
    send_.kind = Op::Kind::kSend;
    send_.data = out_;
    send_.size = out_size_;
    sent_at_ = engine_.Now();
    engine_.below_.Submit(send_);
  } else if (!leaving_.empty()) {
    Schedule();
  }
}

void StreamEngine::Link::OnSent(Op& op) { static_cast<Part&>(op).link.Sent(); }

void StreamEngine::Link::Sent() {
  const int32_t result = send_.result;
  if (result <= 0) {
    SendFailed();
    return Listen();
  }
  sent_at_ = engine_.Now();
  unsent_input_ = 0;
  out_sent_ += static_cast<uint32_t>(result);
  if (out_sent_ < out_size_) {
    // What a slow peer takes is to be seen piece by piece.
    out_next_ = kOutBytes;
    if (cut_) return SendFailed();
    send_.data = out_ + out_sent_;
    send_.size = out_size_ - out_sent_;
    engine_.below_.Submit(send_);
  } else {
    if (static_cast<uint32_t>(result) == out_capacity_ ||
        (out_next_ == kOutBytes && out_size_ + http2::Session::kFillMin > kOutBytes)) {
      out_next_ = kOutBytesMax;
    }
    FreeOut();
    Schedule();
  }
  if (started_) Listen();
}

void StreamEngine::Link::FreeOut() {
  if (out_ == nullptr) return;
  engine_.ReturnBlock(std::exchange(out_, nullptr), out_capacity_);
}

// What the peer still says is heard: the receive tells the end.
void StreamEngine::Link::SendFailed() {
  FreeOut();
  Schedule();
  if (std::exchange(mute_, true)) return;
  ending_ = changed_ = true;
  all_.ForEach([](Stream& stream) { stream.FailSends(); });
  if (!finishing_) SetDue(engine_.closing_, kCloseGrace);
}

}  // namespace rondo::io
