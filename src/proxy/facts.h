// What is known of a client's connection beyond its descriptor. Most plain connections have nothing
// of it but their address, so the rest is a record of its own, made where there is something to
// say.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "rondo/io/buffer_pool.h"
#include "rondo/proxyproto/header.h"
#include "rondo/tls/handshake.h"
#include "rondo/upstream/listener_shared.h"

namespace rondo::proxy {

class Worker;

// Belongs to the connection, and then to the tunnel that it goes on into; the streams of an HTTP/2
// connection have a share in those of theirs.
struct ConnectionFacts {
  explicit ConnectionFacts(Worker& of) : worker(of) {}
  ConnectionFacts(const ConnectionFacts&) = delete;

  Worker& worker;
  uint32_t holders = 1;
  std::optional<tls::HandshakeResult> tls;
  // What the client connected to: as a PROXY header says, or once somebody has asked the socket.
  std::optional<proxyproto::Endpoint> destination;
  // In the limits of its listener, where that has any.
  upstream::Place place;
};

struct FreeFacts {
  void operator()(ConnectionFacts* facts) const;
};
using FactsPtr = std::unique_ptr<ConnectionFacts, FreeFacts>;
FactsPtr MakeFacts(Worker& worker);
FactsPtr Share(const FactsPtr& facts);

// Who a new connection is from, as the one who let it in found out.
struct Origin {
  bool has_peer = false;  // false: a unix socket's, or
  bool unknown = false;   // a trusted proxy says that nothing is known of the client
  IpAddress peer;         // a PROXY header's source takes the place of the socket's peer
  uint16_t port = 0;      // of the peer
  FactsPtr facts;
  io::BufferRef early;  // bytes that came behind a PROXY header
};

}  // namespace rondo::proxy
