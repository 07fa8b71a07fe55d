// How a tunnel is closed by us: each side of a WebSocket gets a Close frame between two frames of
// the other (RFC 6455 §5.5.1, §7.4.1), and a while to answer it.
#include <algorithm>

#include "proxy/leaving.h"
#include "proxy/tunnel.h"

namespace rondo::proxy {

void Tunnel::CloseWithBackend(Instant at, Instant until) {
  backend_close_at_ = at;
  leaves_by_ = until;
  Appoint();
}

void Tunnel::CloseWithProcess(Instant at) {
  process_close_at_ = at;
  Appoint();
}

void Tunnel::Appoint() {
  if (closing_ || cut_) return;
  close_at_ = std::min(backend_close_at_, process_close_at_);
  // Where it is later now the timer fires in vain once.
  if (close_at_ != kNever && (!timer_.armed() || timer_.deadline() > close_at_)) Arm();
}

void Tunnel::BeginClosing() {
  const bool leaves = IsLeaving(backend());
  if (!leaves) {
    backend_close_at_ = leaves_by_ = kNever;
    if (worker_.loop().Now() < process_close_at_) {
      close_at_ = process_close_at_;
      return;
    }
  }
  close_at_ = kNever;
  GiveReason(leaves ? "drained" : "shutdown");
  if (!websocket_ || up_.cursor.broken() || down_.cursor.broken()) {
    Cut("");
    return;
  }
  closing_ = true;
  WantGoodbye(up_);
  WantGoodbye(down_);
  CutIfAnswered();
}

void Tunnel::WantGoodbye(Direction& direction) {
  // Behind a Close of its own nothing may follow, and nothing needs to.
  if (direction.goodbye == Goodbye::kSaid) return;
  if (direction.over || direction.cursor.closed()) {
    direction.goodbye = Goodbye::kSaid;
    return;
  }
  direction.goodbye = direction.cursor.at_boundary() ? Goodbye::kReady : Goodbye::kWanted;
  if (direction.goodbye == Goodbye::kReady && !direction.send.in_flight()) SayGoodbye(direction);
}

// Follows what was received; how much of it goes on to the other side.
size_t Tunnel::Follow(Direction& direction, std::string_view bytes) {
  size_t passed = bytes.size();
  switch (direction.goodbye) {
    case Goodbye::kNone:
      direction.cursor.Advance(bytes);
      return passed;
    case Goodbye::kWanted:
      passed = direction.cursor.AdvanceToBoundary(bytes);
      if (direction.cursor.broken()) {
        Cut("");
        return passed;
      }
      if (direction.cursor.closed()) {
        direction.goodbye = Goodbye::kSaid;
      } else if (direction.cursor.at_boundary()) {
        direction.goodbye = Goodbye::kReady;
      }
      break;
    case Goodbye::kReady:
    case Goodbye::kSending:
    case Goodbye::kSaid:
      passed = 0;
      break;
  }
  direction.cursor.Advance(bytes.substr(passed));
  return passed;
}

void Tunnel::SayGoodbye(Direction& direction) {
  std::optional<uint32_t> mask;
  if (&direction == &up_) mask = static_cast<uint32_t>(worker_.rng().Next());
  const size_t size = http::WriteCloseFrame(http::kCloseGoingAway, mask, direction.goodbye_frame);
  direction.goodbye = Goodbye::kSending;
  Send(direction, direction.goodbye_frame, size);
}

// From here on its bytes are only looked at for the answer to the other direction's good-bye.
void Tunnel::GoodbyeSaid(Direction& direction) {
  direction.goodbye = Goodbye::kSaid;
  if (direction.over) {
    EndDirection(direction);
  } else {
    CutIfAnswered();
  }
}

// Both sides are told: they have a while to answer. Both have answered, or are gone: done. Who is
// slow to take what comes before has until the end of the drain, which cuts what is left.
void Tunnel::CutIfAnswered() {
  if (cut_ || up_.goodbye != Goodbye::kSaid || down_.goodbye != Goodbye::kSaid) return;
  const auto over = [](const Direction& direction) {
    return !direction.piece && !direction.early && (direction.over || direction.cursor.closed());
  };
  if (over(up_) && over(down_)) {
    Cut("");
  } else if (close_at_ == kNever) {
    close_at_ = worker_.loop().Now() + kCloseMax;
    Arm();
  }
}

}  // namespace rondo::proxy
