// One end of a simulated connection that may speak TLS: the real handshake and the real records,
// over a scripted peer. What arrives is gathered; a callback looks at it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "rondo/tls/handshake.h"
#include "sim/sim_peer.h"

namespace rondo::proxy::testing {

class EdgePeer {
 public:
  EdgePeer(sim::SimWorld& world, sim::SimEngine& engine) : peer(world, engine) {
    peer.on_receive = [this](std::string_view bytes) { Feed(bytes); };
    peer.on_end = [this] { End(false); };
    peer.on_error = [this](int) { End(true); };
    // The other side may have said why before it went.
    peer.on_send_error = [](int) {};
  }

  // From here on TLS is spoken. A client's first message goes out at once.
  void Shake(std::unique_ptr<tls::Handshake> handshake) {
    handshake_ = std::move(handshake);
    Advance();
  }
  // The same, but `bytes` of that message go out, and the rest with FinishShake.
  void BeginShake(std::unique_ptr<tls::Handshake> handshake, size_t bytes) {
    handshake_ = std::move(handshake);
    size_t consumed = 0;
    handshake_->Advance({}, &consumed);
    peer.Send(handshake_->output().substr(0, bytes));
    held_ = handshake_->output().substr(bytes);
    handshake_->OutputTaken();
  }
  void FinishShake() { peer.Send(std::exchange(held_, {})); }
  void Send(std::string_view text) {
    if (handshake_ != nullptr) {
      waiting_ += text;
    } else if (channel_ != nullptr) {
      Seal(text);
    } else {
      peer.Send(text);
    }
  }
  void Close() { peer.Close(); }
  // Says that nothing more comes, in the protocol's way, and closes.
  void EndSecure() {
    channel_->Close();
    Flush();
    peer.CloseWhenSent();
  }
  // What came, or is to be looked at again.
  void Feed(std::string_view bytes) {
    if (handshake_ == nullptr && channel_ == nullptr) {
      Plain(bytes);
      return;
    }
    raw_ += bytes;
    if (handshake_ != nullptr) Advance();
    if (channel_ != nullptr) Open();
  }

  bool secured() const { return channel_ != nullptr; }
  bool ended() const { return ended_; }
  bool reset() const { return reset_; }
  const tls::HandshakeResult& result() const { return result_; }

  sim::SimPeer peer;
  std::string received;  // plain
  std::function<void(EdgePeer&)> on_bytes;
  std::string failure;  // of the handshake
  bool said_close = false;

 private:
  void Advance() {
    size_t consumed = 0;
    const tls::Handshake::Step step = handshake_->Advance(raw_, &consumed);
    raw_.erase(0, consumed);
    peer.Send(handshake_->output());
    handshake_->OutputTaken();
    if (step == tls::Handshake::Step::kNeedMore) return;
    if (step == tls::Handshake::Step::kFailed) {
      failure = handshake_->reason();
      peer.CloseWhenSent();
    } else {
      result_ = handshake_->TakeResult();
      channel_ = handshake_->TakeChannel();
    }
    handshake_.reset();
    if (channel_ == nullptr) return;
    if (!waiting_.empty()) Seal(std::exchange(waiting_, {}));
    Open();
  }
  void Open() {
    std::vector<char> out(64 * 1024);
    for (;;) {
      const tls::Channel::Opened opened = channel_->Open({raw_.data(), raw_.size()}, out);
      raw_.erase(0, opened.consumed);
      said_close |= opened.incoming == tls::Incoming::kClosed;
      Flush();
      if (opened.produced > 0) Plain({out.data(), opened.produced});
      if (opened.consumed == 0 || opened.incoming != tls::Incoming::kOpen) return;
    }
  }
  void Seal(std::string_view text) {
    while (!text.empty()) {
      const size_t size = std::min(text.size(), tls::kRecordPlainMax);
      std::vector<char> record(channel_->SealedSize(size));
      const iovec part{const_cast<char*>(text.data()), size};
      const size_t sealed = channel_->Seal({&part, 1}, 0, size, record.data());
      peer.Send({record.data(), sealed});
      text.remove_prefix(size);
    }
  }
  void Flush() {
    std::vector<char> out(channel_->pending());
    if (out.empty()) return;
    const size_t size = channel_->TakePending(out);
    peer.Send({out.data(), size});
  }
  void Plain(std::string_view bytes) {
    received += bytes;
    if (on_bytes) on_bytes(*this);
  }
  void End(bool by_reset) {
    ended_ = true;
    reset_ |= by_reset;
    if (by_reset) {
      peer.Close();
    } else {
      peer.CloseWhenSent();
    }
  }

  std::unique_ptr<tls::Handshake> handshake_;
  std::unique_ptr<tls::Channel> channel_;
  tls::HandshakeResult result_;
  std::string raw_;
  std::string held_;     // of a first message
  std::string waiting_;  // to be sent when the handshake is done
  bool ended_ = false;
  bool reset_ = false;
};

}  // namespace rondo::proxy::testing
