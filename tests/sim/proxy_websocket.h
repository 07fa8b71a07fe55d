// Both ends of a WebSocket through the simulated proxy, as a test writes them down: a head, then
// frames, read by a strict reader of its own.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "proxy_plan.h"

namespace rondo::sim {

struct SocketFrame {
  uint8_t first = 0;  // FIN, reserved bits, opcode
  bool masked = false;
  std::string payload;
  Instant at{};
  uint8_t opcode() const { return first & 0x0f; }
  bool is_close() const { return opcode() == 8; }
};

// A frame as a client (masked) or a server sends it.
std::string WriteFrame(bool masked, uint8_t first, const std::string& payload);

// One end.
class SocketEnd {
 public:
  enum class Role : uint8_t { kClient, kServer };
  SocketEnd(Scene& scene, SimEngine& engine, Role role);

  // A client: connects and asks. `fields`: further lines of its head.
  void Connect(const SocketAddress& address, const std::string& target,
               const std::string& fields = "");
  // A server: agrees to what an accepted connection asks.
  void Adopt(int fd) { peer_.Adopt(fd); }

  void Say(uint8_t first, const std::string& payload) {
    SendRaw(WriteFrame(role_ == Role::kClient, first, payload));
  }
  void SendRaw(const std::string& bytes);
  void Close() { peer_.Close(); }
  SimPeer& peer() { return peer_; }

  bool answers_close = true;  // and then ends
  bool speaks_frames = true;  // else bytes are only gathered in `raw`
  std::string protocol = "websocket";

  bool open() const { return opened_; }
  const std::string& head() const { return head_; }
  const std::vector<SocketFrame>& frames() const { return frames_; }
  const std::string& raw() const { return raw_; }
  // The first Close frame, or null.
  const SocketFrame* close() const;
  // Bytes that are no whole frame.
  bool inside() const { return !raw_.empty(); }
  bool ended() const { return ended_at_ != Instant{}; }
  Instant ended_at() const { return ended_at_; }
  bool broken() const { return broken_; }

 private:
  void Take(std::string_view bytes);
  void TakeHead();
  bool TakeFrame();
  void End(bool orderly);

  Scene& scene_;
  Role role_;
  SimPeer peer_;
  std::string asked_;
  std::string head_;
  std::string raw_;
  std::string held_;  // to send once the tunnel is open
  std::vector<SocketFrame> frames_;
  bool opened_ = false;
  bool said_close_ = false;
  bool broken_ = false;
  Instant ended_at_{};
};

// A backend that agrees to every upgrade and then does what the test says.
class SocketBackend {
 public:
  SocketBackend(Scene& scene, SimEngine& engine, const SocketAddress& address);
  std::function<void(SocketEnd&)> on_accept;
  std::vector<std::unique_ptr<SocketEnd>>& ends() { return ends_; }
  SocketEnd& end(size_t i) { return *ends_.at(i); }
  void Stop();

 private:
  std::vector<std::unique_ptr<SocketEnd>> ends_;
  SimAcceptor acceptor_;
};

}  // namespace rondo::sim
