// A connection to a backend, as an exchange leases it or the pool holds it idle.
#pragma once

#include "rondo/base/intrusive_list.h"
#include "rondo/rt/receiver.h"
#include "rondo/rt/sender.h"
#include "rondo/upstream/worker_backend.h"

namespace rondo::upstream {

// Made by WorkerUpstream, which frees it once its last op has completed.
class BackendConnection : public ListHook<> {
 public:
  rt::Receiver receiver;
  rt::Sender sender;
  // Whether it has served a request before: then a silent close is the normal race, not a failure.
  bool reused() const { return requests_ > 1; }
  // What the backend said in `Keep-Alive: timeout=`; -1: nothing.
  void set_keepalive_hint(int seconds) { keepalive_hint_s_ = seconds; }
  WorkerBackend& backend() { return backend_; }
  int fd() const { return fd_; }

 private:
  friend class WorkerUpstream;
  BackendConnection(WorkerBackend& backend, int fd, io::Engine& engine, Instant now);

  WorkerBackend& backend_;
  struct IdleTimer : io::Timer {
    IdleTimer(Fire fire, BackendConnection& of) : io::Timer(fire), connection(of) {}
    BackendConnection& connection;
  };
  IdleTimer idle_timer_;
  Instant opened_at_;
  Instant idle_since_{};
  int fd_;
  uint32_t requests_ = 0;
  int keepalive_hint_s_ = -1;
  bool idle_ = false;
};

// What came of a connection attempt.
struct ConnectResult {
  BackendConnection* connection = nullptr;
  int error = 0;  // errno; ECANCELED: the token
};

}  // namespace rondo::upstream
