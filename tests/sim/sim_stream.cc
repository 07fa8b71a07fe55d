#include "sim_stream.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "draw.h"

namespace rondo::sim {

int SimStream::Receive(char* out, size_t size) {
  if (state_ == State::kConnecting) return -EAGAIN;
  if (const size_t there = unread_bytes(); there > 0) {
    size_t taken = std::min(size, there);
    if (taken > 1 && rng_.Chance(faults_->short_receive)) taken = DrawPart(rng_, taken);
    unread_.copy(out, taken, unread_from_);
    unread_from_ += taken;
    if (unread_from_ == unread_.size() || unread_from_ > 64 * 1024) {
      unread_.erase(0, unread_from_);
      unread_from_ = 0;
    }
    pipe_bytes_ -= taken;
    if (peer_ && std::exchange(peer_->wants_room_, false)) {
      events_.After(Latency(), [peer = peer_] { peer->Notify(Side::kWrite); });
    }
    return static_cast<int>(taken);
  }
  if (end_arrived_) return 0;
  if (error_ != 0) return -std::exchange(error_, 0);
  if (reset_ || read_shut_) return 0;
  return state_ == State::kConnected ? -EAGAIN : -ENOTCONN;
}

int SimStream::Send(const char* bytes, size_t size) {
  if (state_ == State::kConnecting) return -EAGAIN;
  if (error_ != 0) return -std::exchange(error_, 0);
  if (write_shut_ || reset_ || !peer_) return -EPIPE;
  if (state_ != State::kConnected) return -ENOTCONN;
  size_t taken = std::min(room(), size);
  if (taken == 0) {
    wants_room_ = true;
    return -EAGAIN;
  }
  if (taken > 1 && rng_.Chance(faults_->short_send)) taken = DrawPart(rng_, taken);
  bytes_sent_ += taken;
  // What was sent together may arrive apart.
  size_t from = 0;
  for (int piece = 0; piece < 3 && from < taken; ++piece) {
    const size_t left = taken - from;
    const size_t length =
        piece == 2 || left == 1 || !rng_.Chance(faults_->split_send) ? left : DrawPart(rng_, left);
    peer_->Push(Segment::Kind::kData, std::string(bytes + from, length));
    from += length;
  }
  return static_cast<int>(taken);
}

size_t SimStream::room() const {
  return peer_ ? peer_->capacity_ - std::min(peer_->capacity_, peer_->pipe_bytes_) : 0;
}

bool SimStream::readable() const {
  if (state_ == State::kConnecting) return false;
  return unread_bytes() > 0 || end_arrived_ || error_ != 0 || reset_ || read_shut_ ||
         state_ != State::kConnected;
}

bool SimStream::writable() {
  if (state_ == State::kConnecting) return false;
  if (error_ != 0 || write_shut_ || reset_ || !peer_ || state_ != State::kConnected) return true;
  if (peer_->pipe_bytes_ < peer_->capacity_) return true;
  wants_room_ = true;
  return false;
}

int SimStream::ConnectResult() {
  switch (state_) {
    case State::kFresh:
    case State::kConnecting:
      return -EINPROGRESS;
    case State::kConnected:
      return 0;
    case State::kFailed:
      return error_ != 0 ? -std::exchange(error_, 0) : -ECONNREFUSED;
  }
  return 0;
}

int SimStream::Shutdown(io::ShutdownHow how) {
  if (state_ == State::kConnecting) {
    Fail(ECONNRESET);  // as Linux: the attempt is given up
    return 0;
  }
  if (state_ != State::kConnected || reset_) return -ENOTCONN;
  if (!write_shut_) {
    write_shut_ = true;
    if (peer_) peer_->Push(Segment::Kind::kEnd, {});
    Notify(Side::kWrite);
  }
  switch (how) {
    case io::ShutdownHow::kWrite:
      break;
    case io::ShutdownHow::kBoth:
      read_shut_ = true;
      Notify(Side::kRead);
      break;
  }
  return 0;
}

void SimStream::Close() {
  if (std::exchange(closed_, true)) return;
  watcher_ = nullptr;
  if (state_ == State::kConnected && !reset_ && peer_) {
    if (linger_zero_ || unread_bytes() > 0) {
      SendReset();
    } else if (!write_shut_) {
      peer_->Push(Segment::Kind::kEnd, {});
    }
  }
  if (state_ == State::kConnecting) state_ = State::kFailed;
  if (peer_ && peer_->closed_) LetGo();
}

void SimStream::Pair(SimStream& client, SimStream& server, std::shared_ptr<AddressControl> control,
                     Duration latency) {
  client.peer_ = server.shared_from_this();
  server.peer_ = client.shared_from_this();
  Rng& rng = client.rng_;
  for (SimStream* side : {&client, &server}) {
    side->control_ = control;
    side->state_ = State::kConnected;
    side->base_latency_ = latency;
    side->capacity_ = static_cast<size_t>(rng.Chance(client.faults_->tiny_buffers)
                                              ? DrawSkewed(rng, 1, 512)
                                              : DrawSkewed(rng, 512, kCapacityMax));
    // Roughly one in three resets strikes at the first bytes, the others anywhere.
    if (rng.Chance(client.faults_->reset_connection / 2)) {
      side->reset_at_ = static_cast<uint64_t>(DrawSkewed(rng, 1, 200'000));
    }
  }
  server.local_ = client.remote_;
  server.remote_ = client.local_;
}

void SimStream::Fail(int error) {
  state_ = State::kFailed;
  error_ = error;
  Notify(Side::kWrite);
  Notify(Side::kRead);
}

void SimStream::Push(Segment::Kind kind, std::string bytes) {
  Instant departs = std::max(events_.now() + Latency(), last_arrival_);
  if (control_->bytes_per_second > 0) {
    departs += std::chrono::nanoseconds(static_cast<int64_t>(bytes.size()) * 1'000'000'000 /
                                        control_->bytes_per_second);
  }
  last_arrival_ = departs;
  pipe_bytes_ += bytes.size();
  flying_.push_back(Segment{kind, departs, std::move(bytes)});
  events_.At(departs, [self = shared_from_this()] { self->Arrive(); });
}

void SimStream::Arrive() {
  if (control_->silent) return;  // SimNetwork::Restore calls again
  bool arrived = false;
  while (!flying_.empty() && flying_.front().arrives <= events_.now()) {
    Segment segment = std::move(flying_.front());
    flying_.pop_front();
    arrived = true;
    if (!TakeSegment(segment)) break;
  }
  if (arrived) Notify(Side::kRead);
}

bool SimStream::TakeSegment(Segment& segment) {
  switch (segment.kind) {
    case Segment::Kind::kData:
      if (closed_ || read_shut_) {
        pipe_bytes_ -= segment.bytes.size();
        // Nobody will read this: the sender is told by a reset.
        if (read_shut_ && !closed_) TakeReset();
        if (peer_ && !peer_->reset_) SendReset();
        flying_.clear();
        return false;
      }
      bytes_received_ += segment.bytes.size();
      unread_ += segment.bytes;
      if (bytes_received_ < reset_at_) return true;
      ResetBoth();
      return false;
    case Segment::Kind::kEnd:
      end_arrived_ = true;
      return true;
    case Segment::Kind::kReset:
      TakeReset();
      return false;
  }
  return true;
}

void SimStream::TakeReset() {
  aborted_ = true;
  if (std::exchange(reset_, true)) return;
  error_ = end_arrived_ ? EPIPE : ECONNRESET;
  flying_.clear();
  if (rng_.Chance(faults_->reset_discards)) {
    unread_.clear();
    unread_from_ = 0;
  }
  pipe_bytes_ = unread_bytes();
  Notify(Side::kRead);
  Notify(Side::kWrite);
}

void SimStream::SendReset() {
  aborted_ = true;
  if (!peer_) return;
  peer_->aborted_ = true;
  // What was still on its way may be lost: the last pieces, never one from the middle.
  while (!peer_->flying_.empty() && rng_.Chance(0.3)) {
    peer_->pipe_bytes_ -= peer_->flying_.back().bytes.size();
    peer_->flying_.pop_back();
  }
  peer_->Push(Segment::Kind::kReset, {});
}

void SimStream::ResetBoth() {
  const std::shared_ptr<SimStream> peer = peer_;
  TakeReset();
  if (peer) peer->TakeReset();
}

void SimStream::Notify(Side side) {
  if (watcher_ != nullptr) watcher_->OnReady(fd_, side);
}

void SimStream::LetGo() {
  const std::shared_ptr<SimStream> peer = std::exchange(peer_, nullptr);
  if (peer) peer->peer_ = nullptr;
}

Duration SimStream::Latency() {
  Duration delay = base_latency_ + std::chrono::nanoseconds(rng_.Between(0, 20'000));
  if (rng_.Chance(faults_->slow_segment)) {
    delay += std::chrono::microseconds(DrawSkewed(rng_, 100, 500'000));
  }
  return delay;
}

}  // namespace rondo::sim
