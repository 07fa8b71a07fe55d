// A client's connection between requests: idle it is this one record, waiting for a receive; with the first
// bytes of a head an Exchange is made. A stream of an HTTP/2 connection (http2_client.h) is one of these too: its
// descriptor brings one request, and it is closed behind it. Owned by the worker; frees itself through
// Worker::Closed.
#pragma once

#include <cstdint>

#include "proxy/facts.h"
#include "proxy/input.h"
#include "proxy/versions.h"
#include "rondo/io/stream_engine.h"
#include "rondo/proxy/worker.h"
#include "rondo/rt/receiver.h"
#include "rondo/rt/task.h"

namespace rondo::proxy {

class Exchange;

class ClientConnection : public ListHook<> {
 public:
  ClientConnection(Worker& worker, int fd, uint32_t slot, Origin origin);

  Freelist& frames() { return worker_.frames(); }
  Worker& worker() { return worker_; }
  int fd() const { return fd_; }
  uint32_t slot() const { return slot_; }
  bool on_stream() const { return io::StreamEngine::is_stream(fd_); }
  bool has_peer() const { return has_peer_; }
  // Of one that has none: what logs call it.
  std::string_view nameless() const { return unknown_ ? "unknown" : "unix"; }
  const IpAddress& peer() const { return peer_; }
  // 0: unknown.
  uint16_t peer_port() const { return peer_port_; }
  // What was agreed on in its TLS handshake; null: it is plain.
  const tls::HandshakeResult* tls() const {
    return facts_ != nullptr && facts_->tls ? &*facts_->tls : nullptr;
  }
  // What the client connected to; nothing where that is no IP address. Asks the socket once.
  std::optional<proxyproto::Endpoint> Destination();
  // For the tunnel that it goes on into; may be null.
  FactsPtr TakeFacts() { return std::move(facts_); }
  // All that is known of it, for what it becomes.
  Origin TakeOrigin();
  // Whether what comes now are its first bytes, so that they may say that all is HTTP/2; once. With
  // TLS that is said in the handshake.
  bool TakeFirst() { return std::exchange(first_, false); }
  // Its next answer ends it: the process ends, or its listener was removed.
  bool draining() const;

  // -- for the exchange that runs; it calls PinVersion once its head is there or refused --
  // From here to its end it goes by the snapshot that is current now.
  void PinVersion();
  const upstream::Snapshot& snapshot() const { return *version_->snapshot; }
  const upstream::ListenerSnapshot& listener() const { return *listener_; }
  bool peer_trusted() const { return peer_trusted_; }
  // Of the current configuration, by an index of that snapshot.
  upstream::WorkerUpstream& upstream(size_t index) const { return *version_->upstreams[index]; }

  // Begins to wait for the first request, of which `early` are the first bytes, where there are
  // any already.
  void Start(io::BufferRef early);
  // The same for a stream.
  void StartStream();
  // It begins to drain: an idle connection has a few more seconds for a request that is on its way.
  void Drain();
  // Ends an exchange that is on a backend which was let go.
  void LetGo();
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
  static void OnGone(void* connection);
  static rt::Task<> Serve(ClientConnection& connection);
  void BecomeIdle();
  void UnpinVersion();
  // What a lost connection may still have in its buffers would be thrown away by a plain close: say that we
  // are done sending, and read until the peer has closed as well (RFC 9112 §9.6).
  void Linger();
  void Close(bool reset);

  Worker& worker_;
  Exchange* exchange_ = nullptr;
  FactsPtr facts_;
  Pin version_;  // while an exchange needs one
  const upstream::ListenerSnapshot* listener_ = nullptr;  // of that
  int fd_;
  uint32_t slot_;
  uint32_t lingered_bytes_ = 0;
  IpAddress peer_;
  uint16_t peer_port_ = 0;
  bool has_peer_ = false;
  bool unknown_ = false;
  bool peer_trusted_ = false;
  bool first_;
  State state_ = State::kIdle;
};

}  // namespace rondo::proxy
