// A client's connection between requests: idle it is this one record, waiting for a receive; with the first
// bytes of a head an Exchange is made. Owned by the worker; frees itself through Worker::Closed.
#pragma once

#include <cstdint>

#include "proxy/input.h"
#include "rondo/proxy/worker.h"
#include "rondo/rt/receiver.h"
#include "rondo/rt/task.h"

namespace rondo::proxy {

class ClientConnection : public ListHook<> {
 public:
  ClientConnection(Worker& worker, int fd, const upstream::ListenerSnapshot& listener);

  Freelist& frames() { return worker_.frames(); }
  Worker& worker() { return worker_; }
  int fd() const { return fd_; }
  const upstream::ListenerSnapshot& listener() const { return listener_; }
  bool has_peer() const { return has_peer_; }
  const IpAddress& peer() const { return peer_; }
  bool peer_trusted() const { return peer_trusted_; }

  // Begins to wait for the first request.
  void Start();
  // The process drains: an idle connection has a few more seconds for a request that is on its way.
  void Drain();
  // Ends whatever goes on.
  void Cancel(rt::CancelReason reason);

  rt::Receiver receiver;
  rt::CancelToken token;
  rt::Deadline deadline;

  static constexpr Duration kDrainIdle = std::chrono::seconds(5);
  static constexpr Duration kLingerMax = std::chrono::seconds(2);

 private:
  enum class State : uint8_t { kIdle, kExchange, kLingering, kClosing };

  static void OnUnawaited(rt::Receiver& receiver);
  static void OnStopped(rt::Receiver& receiver);
  static rt::Task<> Serve(ClientConnection& connection);
  void BecomeIdle();
  // What a lost connection may still have in its buffers would be thrown away by a plain close: say that we
  // are done sending, and read until the peer has closed as well (RFC 9112 §9.6).
  void Linger();
  void Close(bool reset);

  Worker& worker_;
  const upstream::ListenerSnapshot& listener_;
  Exchange* exchange_ = nullptr;
  int fd_;
  uint32_t lingered_bytes_ = 0;
  IpAddress peer_;
  bool has_peer_ = false;
  bool peer_trusted_ = false;
  State state_ = State::kIdle;
};

}  // namespace rondo::proxy
