// A connection to a backend, as an exchange leases it or the pool holds it idle. Over HTTP/2 it is
// one stream of a connection that many share (a trunk), and used in the same way.
#pragma once

#include <memory>

#include "rondo/base/freelist.h"
#include "rondo/base/intrusive_list.h"
#include "rondo/proxyproto/header.h"
#include "rondo/rt/receiver.h"
#include "rondo/rt/sender.h"
#include "rondo/upstream/worker_backend.h"

namespace rondo::upstream {

// A client's connection, as a PROXY header tells a backend of it.
struct ClientEndpoints {
  proxyproto::Endpoint source;
  proxyproto::Endpoint destination;
  friend bool operator==(const ClientEndpoints&, const ClientEndpoints&) = default;
};

struct FreeEndpoints {
  void operator()(ClientEndpoints* client) const;
  Freelist* memory = nullptr;
};

// Made by WorkerUpstream, which frees it once its last op has completed.
class BackendConnection : public ListHook<> {
 public:
  rt::Receiver receiver;
  rt::Sender sender;
  // Whether its end, before a byte of an answer came, may be the normal race with a backend that
  // closes what was idle, and no failure: it has served a request before, and (over HTTP/2) ended
  // as a whole.
  bool reused() const { return requests_ > 1 && (trunk_ == nullptr || TrunkEnds()); }
  // A stream: nobody else's, but its connection is.
  bool shared() const { return trunk_ != nullptr; }
  // What the backend did against HTTP/2; static; null: nothing.
  const char* failure() const { return trunk_ == nullptr ? nullptr : TrunkFailure(); }
  // What the backend said in `Keep-Alive: timeout=`; -1: nothing.
  void set_keepalive_hint(int seconds) { keepalive_hint_s_ = seconds; }
  WorkerBackend& backend() { return backend_; }
  // The secured descriptor, where TLS is spoken.
  int fd() const { return fd_; }
  // The client that it was introduced for: only that one's requests may use it. Null: anybody's.
  const ClientEndpoints* client() const { return client_.get(); }

 private:
  friend class WorkerUpstream;
  BackendConnection(WorkerBackend& backend, int fd, io::Engine& engine, Instant now);
  bool TrunkEnds() const;
  const char* TrunkFailure() const;

  WorkerBackend& backend_;
  Trunk* trunk_ = nullptr;
  struct IdleTimer : io::Timer {
    IdleTimer(Fire fire, BackendConnection& of) : io::Timer(fire), connection(of) {}
    BackendConnection& connection;
  };
  IdleTimer idle_timer_;
  Instant opened_at_;
  Instant idle_since_{};
  std::unique_ptr<ClientEndpoints, FreeEndpoints> client_;
  int fd_;
  // Of WorkerUpstream::way_: one that was made otherwise than new ones are now is used up.
  uint32_t way_ = 0;
  uint32_t requests_ = 0;  // of its trunk, where it is a stream
  int keepalive_hint_s_ = -1;
  bool idle_ = false;
};

// What came of a connection attempt.
struct ConnectResult {
  BackendConnection* connection = nullptr;
  int error = 0;  // errno; ECANCELED: the token
  // Where there was a connection, but no TLS handshake: why (static).
  const char* tls_failure = nullptr;
};

}  // namespace rondo::upstream
