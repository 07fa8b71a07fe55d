// A scripted end of a connection for test clients and backends, by callbacks on bare ops; and an
// acceptor. Both belong to one test object, which destroys them before the world; what is in flight
// then is taken back.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <string_view>

#include "rondo/io/op.h"
#include "rondo/io/socket_address.h"
#include "rondo/tls/channel.h"
#include "sim_world.h"

namespace rondo::sim {

class SimPeer {
 public:
  SimPeer(SimWorld& world, SimEngine& engine);
  SimPeer(const SimPeer&) = delete;
  SimPeer& operator=(const SimPeer&) = delete;
  ~SimPeer();

  // -- called from the engine's tick; they may call everything here, but not destroy the peer --
  std::function<void()> on_connected;
  std::function<void(std::string_view)> on_receive;
  // The peer has ended its direction. Not set: this side closes when all is sent.
  std::function<void()> on_end;
  // Connecting or receiving failed (a negative errno). Not set: closes.
  std::function<void(int)> on_error;
  // Sending failed; what was queued is dropped. An answer may still come.
  std::function<void(int)> on_send_error;
  // All that was queued has been taken.
  std::function<void()> on_sent;
  std::function<void()> on_closed;

  void Connect(const SocketAddress& address);
  void Adopt(int fd);  // an accepted one; begins to receive
  // From now on all bytes go through `channel`: what is given to Send and on_receive is plain. An end
  // without the channel's own is an error, as is what it cannot open. Before anything is sent.
  void SecureWith(std::unique_ptr<tls::Channel> channel) { channel_ = std::move(channel); }
  void Send(std::string_view bytes);
  // Ends this direction once all is sent.
  void FinishSending();
  void CloseWhenSent();
  // Drops what is not sent. on_closed comes later, from the engine's tick, or at once where nothing
  // is in flight.
  void Close();
  void Reset();
  void PauseReading() { reading_ = false; }
  void ResumeReading();
  // At most `bytes` a receive, and `pause` between two.
  void ReadSlowly(size_t bytes, Duration pause);

  bool open() const { return fd_ >= 0 && !closing_; }
  bool connected() const { return connected_; }
  bool ended() const { return ended_; }
  int error() const { return error_; }
  // A reset may be reported here only: receiving then just ends.
  int send_error() const { return send_error_; }
  uint64_t bytes_sent() const { return bytes_sent_; }
  uint64_t bytes_received() const { return bytes_received_; }
  size_t unsent() const { return queued_.size() + sending_.size() - sending_from_; }
  int fd() const { return fd_; }

 private:
  struct PeerOp : io::Op {
    PeerOp(SimPeer& peer, Deliver deliver) : Op(deliver), peer(peer) {}
    SimPeer& peer;
  };
  void OnConnect(int result);
  void OnReceive();
  void Open(std::string_view bytes);
  void Seal(std::string_view bytes);
  void SayClose();
  void OnSend(int result);
  void ArmReceive();
  void ArmSend();
  void Failed(int error);
  void TryClose();
  void Later(Duration delay, void (SimPeer::*then)());

  SimWorld& world_;
  SimEngine& engine_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  int fd_ = -1;
  io::RawAddress address_;
  PeerOp receive_, send_;
  std::string receive_buffer_;
  size_t read_bytes_ = 16 * 1024;
  Duration read_pause_{};
  std::unique_ptr<tls::Channel> channel_;
  std::string sealed_in_;  // received, not opened
  std::string queued_, sending_;
  size_t sending_from_ = 0;
  bool provided_;  // receives into the engine's buffers
  bool connected_ = false;
  bool reading_ = true;
  bool pausing_ = false;
  bool ended_ = false;
  bool finish_ = false;
  bool close_when_sent_ = false;
  bool send_broken_ = false;
  bool closing_ = false;
  int error_ = 0;
  int send_error_ = 0;
  uint64_t bytes_sent_ = 0;
  uint64_t bytes_received_ = 0;
};

// Accepts on an address for as long as it exists, in spite of errors.
class SimAcceptor {
 public:
  // REQUIRES: the address is free.
  SimAcceptor(SimWorld& world, SimEngine& engine, const SocketAddress& address,
              std::function<void(int fd)> on_accept, io::ListenMode mode = io::ListenMode::kAlone);
  SimAcceptor(const SimAcceptor&) = delete;
  SimAcceptor& operator=(const SimAcceptor&) = delete;
  ~SimAcceptor();

  // Stops listening; connections not yet accepted are reset.
  void Stop();
  // The bound address, with its port.
  SocketAddress address() const { return address_; }

 private:
  struct AcceptOp : io::Op {
    AcceptOp(SimAcceptor& acceptor, Deliver deliver) : Op(deliver), acceptor(acceptor) {}
    SimAcceptor& acceptor;
  };
  void OnAccept(int result, bool more);
  void Arm();

  SimWorld& world_;
  SimEngine& engine_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::function<void(int fd)> on_accept_;
  AcceptOp accept_;
  SocketAddress address_;
  int fd_;
  bool stopping_ = false;
};

}  // namespace rondo::sim
