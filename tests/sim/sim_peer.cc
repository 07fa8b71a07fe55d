#include "sim_peer.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace rondo::sim {

SimPeer::SimPeer(SimWorld& world, SimEngine& engine)
    : world_(world),
      engine_(engine),
      receive_(*this, [](io::Op& op) { static_cast<PeerOp&>(op).peer.OnReceive(); }),
      send_(*this,
            [](io::Op& op) {
              SimPeer& peer = static_cast<PeerOp&>(op).peer;
              if (op.kind == io::Op::Kind::kConnect) return peer.OnConnect(op.result);
              peer.OnSend(op.result);
            }),
      provided_(world.rng().Chance(0.5)) {}

SimPeer::~SimPeer() {
  *alive_ = false;
  engine_.Forget(receive_);
  engine_.Forget(send_);
  if (fd_ >= 0) engine_.Close(fd_);
}

void SimPeer::Connect(const SocketAddress& address) {
  RONDO_CHECK(fd_ < 0 && !closing_);
  fd_ = engine_.OpenStream(address);
  if (fd_ < 0) {
    error_ = std::exchange(fd_, -1);
    Later(Duration(0), &SimPeer::TryClose);
    return;
  }
  address_ = io::ToRawAddress(address);
  send_.kind = io::Op::Kind::kConnect;
  send_.fd = fd_;
  send_.address = &address_.any;
  send_.size = address_.length;
  engine_.Submit(send_);
}

void SimPeer::OnConnect(int result) {
  if (closing_) return TryClose();
  if (result < 0) return Failed(result);
  connected_ = true;
  if (on_connected) on_connected();
  ArmReceive();
  ArmSend();
}

void SimPeer::Adopt(int fd) {
  fd_ = fd;
  connected_ = true;
  ArmReceive();
}

void SimPeer::Send(std::string_view bytes) {
  if (closing_ || send_broken_ || finish_ || close_when_sent_) return;
  if (channel_ != nullptr) {
    Seal(bytes);
  } else {
    queued_ += bytes;
  }
  ArmSend();
}

void SimPeer::FinishSending() {
  SayClose();
  finish_ = true;
  ArmSend();
}

void SimPeer::CloseWhenSent() {
  SayClose();
  close_when_sent_ = true;
  ArmSend();
}

void SimPeer::Close() {
  if (closing_) return;
  closing_ = true;
  queued_.clear();
  engine_.Cancel(receive_);
  engine_.Cancel(send_);
  TryClose();
}

void SimPeer::Reset() {
  if (fd_ >= 0 && !closing_) engine_.ResetOnClose(fd_);
  Close();
}

void SimPeer::ResumeReading() {
  reading_ = true;
  ArmReceive();
}

void SimPeer::ReadSlowly(size_t bytes, Duration pause) {
  read_bytes_ = bytes;
  read_pause_ = pause;
}

void SimPeer::ArmReceive() {
  if (!connected_ || closing_ || !reading_ || pausing_ || ended_ || error_ != 0) return;
  if (receive_.in_flight()) return;
  receive_.fd = fd_;
  // Pooled buffers bring what they hold, so a slow reader brings its own small one.
  if (provided_ && read_pause_ == Duration(0)) {
    receive_.kind = io::Op::Kind::kReceiveProvided;
  } else {
    receive_buffer_.resize(read_bytes_);
    receive_.kind = io::Op::Kind::kReceive;
    receive_.data = receive_buffer_.data();
    receive_.size = receive_buffer_.size();
  }
  engine_.Submit(receive_);
}

void SimPeer::OnReceive() {
  const int result = receive_.result;
  const io::BufferRef buffer = std::move(receive_.buffer);
  if (closing_) return TryClose();
  if (result == 0 && channel_ != nullptr && !ended_) return Failed(-ECONNRESET);
  if (result == 0) {
    ended_ = true;
    return on_end ? on_end() : CloseWhenSent();
  }
  if (result < 0) return Failed(result);
  const std::string_view bytes(buffer ? buffer.data() : receive_buffer_.data(),
                               static_cast<size_t>(result));
  if (channel_ != nullptr) {
    Open(bytes);
  } else {
    bytes_received_ += bytes.size();
    if (on_receive) on_receive(bytes);
  }
  if (read_pause_ > Duration(0)) {
    pausing_ = true;
    world_.After(read_pause_, [this, alive = alive_] {
      if (!*alive) return;
      pausing_ = false;
      ArmReceive();
    });
  }
  ArmReceive();
}

void SimPeer::Open(std::string_view bytes) {
  sealed_in_ += bytes;
  std::string plain(std::max(sealed_in_.size(), tls::kRecordPlainMax), '\0');
  const tls::Channel::Opened opened = channel_->Open(sealed_in_, plain);
  RONDO_CHECK(opened.incoming != tls::Incoming::kFailed);  // the proxy mixed something up
  sealed_in_.erase(0, opened.consumed);
  if (channel_->pending() > 0 && !send_broken_ && !finish_ && !close_when_sent_) {
    std::string said(channel_->pending(), '\0');
    said.resize(channel_->TakePending(said));
    queued_ += said;
    ArmSend();
  }
  bytes_received_ += opened.produced;
  plain.resize(opened.produced);
  if (!plain.empty() && on_receive) on_receive(plain);
  if (opened.incoming != tls::Incoming::kClosed || closing_ || ended_) return;
  ended_ = true;
  if (on_end) {
    on_end();
  } else {
    CloseWhenSent();
  }
}

void SimPeer::Seal(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t count = std::min(bytes.size(), tls::kRecordPlainMax);
    const iovec part{const_cast<char*>(bytes.data()), count};
    std::string record(channel_->SealedSize(count), '\0');
    record.resize(channel_->Seal(std::span<const iovec>(&part, 1), 0, count, record.data()));
    queued_ += record;
    bytes.remove_prefix(count);
  }
}

void SimPeer::SayClose() {
  if (channel_ == nullptr || closing_ || send_broken_ || finish_ || close_when_sent_) return;
  channel_->Close();
  std::string said(channel_->pending(), '\0');
  said.resize(channel_->TakePending(said));
  queued_ += said;
}

void SimPeer::ArmSend() {
  if (!connected_ || closing_ || send_.in_flight()) return;
  if (sending_from_ == sending_.size()) {
    sending_ = std::exchange(queued_, {});
    sending_from_ = 0;
  }
  if (sending_.empty()) {
    if (close_when_sent_) return Close();
    if (finish_ && !send_broken_) {
      send_broken_ = true;
      engine_.Shutdown(fd_, io::ShutdownHow::kWrite);
    }
    return;
  }
  send_.kind = io::Op::Kind::kSend;
  send_.fd = fd_;
  send_.data = sending_.data() + sending_from_;
  send_.size = sending_.size() - sending_from_;
  engine_.Submit(send_);
}

void SimPeer::OnSend(int result) {
  if (result > 0) bytes_sent_ += static_cast<uint64_t>(result);
  if (closing_) return TryClose();
  if (result < 0) {
    send_broken_ = true;
    send_error_ = result;
    queued_.clear();
    sending_.clear();
    sending_from_ = 0;
    if (on_send_error) on_send_error(result);
    if (close_when_sent_) Close();
    return;
  }
  sending_from_ += static_cast<size_t>(result);
  if (unsent() == 0 && on_sent) on_sent();
  ArmSend();
}

void SimPeer::Failed(int error) {
  error_ = error;
  return on_error ? on_error(error) : Close();
}

void SimPeer::TryClose() {
  if (fd_ < 0 && error_ != 0 && !closing_) return Failed(error_);  // there was no descriptor
  if (!closing_ || receive_.in_flight() || send_.in_flight()) return;
  if (fd_ >= 0) engine_.Close(std::exchange(fd_, -1));
  if (const auto closed = std::exchange(on_closed, {})) closed();
}

void SimPeer::Later(Duration delay, void (SimPeer::*then)()) {
  world_.After(delay, [this, alive = alive_, then] {
    if (*alive) (this->*then)();
  });
}

SimAcceptor::SimAcceptor(SimWorld& world, SimEngine& engine, const SocketAddress& address,
                         std::function<void(int fd)> on_accept, io::ListenMode mode)
    : world_(world),
      engine_(engine),
      on_accept_(std::move(on_accept)),
      accept_(*this,
              [](io::Op& op) { static_cast<AcceptOp&>(op).acceptor.OnAccept(op.result, op.more); }),
      fd_(engine.Listen(address, mode)) {
  RONDO_CHECK(fd_ >= 0);
  address_ = engine_.LocalAddress(fd_);
  Arm();
}

SimAcceptor::~SimAcceptor() {
  *alive_ = false;
  engine_.Forget(accept_);
  if (fd_ >= 0) engine_.Close(fd_);
}

void SimAcceptor::Stop() {
  if (std::exchange(stopping_, true)) return;
  if (accept_.in_flight()) return engine_.Cancel(accept_);
  engine_.Close(std::exchange(fd_, -1));
}

void SimAcceptor::OnAccept(int result, bool more) {
  if (result >= 0) on_accept_(result);
  if (more) return;
  if (stopping_) return engine_.Close(std::exchange(fd_, -1));
  if (result >= 0) return Arm();
  // Out of descriptors, or an attempt that was aborted: again after a moment.
  world_.After(std::chrono::milliseconds(5), [this, alive = alive_] {
    if (*alive && !stopping_) Arm();
  });
}

void SimAcceptor::Arm() {
  accept_.kind = io::Op::Kind::kAccept;
  accept_.fd = fd_;
  engine_.Submit(accept_);
}

}  // namespace rondo::sim
