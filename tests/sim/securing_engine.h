// An engine over an engine that secures connections behind its user's back: what it accepts, what
// it connects, or both. So everything above is tested on secured descriptors without a handshake.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "rondo/base/freelist.h"
#include "rondo/io/secure_engine.h"

namespace rondo::sim {

struct Secures {
  bool accepted = false;
  bool connected = false;
  double chatter = 0;  // see TestChannel
};

class SecuringEngine final : public io::Engine {
 public:
  SecuringEngine(io::Engine& below, const Secures& secures);
  ~SecuringEngine() override;

  // See SecureEngine.
  bool busy() const { return secure_.busy(); }

  void Submit(io::Op& op) override;
  void Cancel(io::Op& op) override;
  void Run(Instant deadline) override { secure_.Run(deadline); }
  void Wake() override { secure_.Wake(); }
  void Post(io::Op& op, int32_t result) override { secure_.Post(op, result); }
  int OpenStream(const SocketAddress& address) override { return secure_.OpenStream(address); }
  int Shutdown(int fd, io::ShutdownHow how) override { return secure_.Shutdown(Below(fd), how); }
  void Close(int fd) override;
  void ResetOnClose(int fd) override { secure_.ResetOnClose(Below(fd)); }
  SocketAddress PeerAddress(int fd) override { return secure_.PeerAddress(Below(fd)); }
  SocketAddress LocalAddress(int fd) override { return secure_.LocalAddress(Below(fd)); }
  WallTime WallNow() const override { return secure_.WallNow(); }

 private:
  // Stands for an op of the user's at the engine below.
  struct Shadow : io::Op {
    Shadow(SecuringEngine& on, io::Op& of);
    SecuringEngine& engine;
    io::Op& op;
  };
  static void OnDeliver(io::Op& op);
  int Below(int fd) const {
    const auto found = secured_.find(fd);
    return found == secured_.end() ? fd : found->second;
  }

  const Secures secures_;
  Freelist frames_;
  io::SecureEngine secure_;
  std::map<int, int> secured_;  // the user's number -> the secured one
};

// The channel of a connection's accepting or connecting end; `port` is that of the connecting one.
std::unique_ptr<tls::Channel> TestChannelOf(uint16_t port, bool accepting, double chatter);

}  // namespace rondo::sim
