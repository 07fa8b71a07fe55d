// One worker's view of one upstream: it picks backends, holds their idle connections and counts retries.
// Owned by the worker, used on its thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "rondo/balance/policy.h"
#include "rondo/base/intrusive_list.h"
#include "rondo/io/socket_address.h"
#include "rondo/rt/receiver.h"
#include "rondo/rt/sender.h"
#include "rondo/rt/task.h"
#include "rondo/upstream/snapshot.h"

namespace rondo::upstream {

class WorkerUpstream;
class BackendConnection;

// A backend as one worker has it.
struct WorkerBackend {
  WorkerUpstream* upstream = nullptr;
  std::shared_ptr<BackendShared> shared;
  io::RawAddress address;
  size_t member = 0;  // index in its policy
  bool backup = false;
  IntrusiveList<BackendConnection> idle;  // most recently used first
  size_t idle_count = 0;
};

// What a request has tried so far.
struct PickState {
  balance::Tried primary;
  balance::Tried backup;
  balance::Tried primary_refused;  // the part of the above that would not even take a connection
  balance::Tried backup_refused;
};

// A request's place at a backend: counted in flight from the pick to the end of the answer.
class Lease {
 public:
  Lease() = default;
  explicit Lease(WorkerBackend& backend) : backend_(&backend) {
    backend.shared->in_flight.fetch_add(1, std::memory_order_relaxed);
  }
  Lease(Lease&& other) noexcept : backend_(std::exchange(other.backend_, nullptr)) {}
  Lease& operator=(Lease&& other) noexcept {
    if (this != &other) {
      Reset();
      backend_ = std::exchange(other.backend_, nullptr);
    }
    return *this;
  }
  ~Lease() { Reset(); }
  void Reset() {
    if (backend_ != nullptr) {
      std::exchange(backend_, nullptr)->shared->in_flight.fetch_sub(1, std::memory_order_relaxed);
    }
  }
  WorkerBackend* backend() const { return backend_; }
  explicit operator bool() const { return backend_ != nullptr; }

 private:
  WorkerBackend* backend_ = nullptr;
};

// A connection to a backend: leased to an exchange or idle in the pool. Made by WorkerUpstream, which frees
// it once its last op has completed.
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

class WorkerUpstream {
 public:
  // `worker` of `workers`: the pool's bound is shared out, and starting points differ.
  WorkerUpstream(rt::Loop& loop, std::shared_ptr<const UpstreamConfig> config, size_t worker,
                 size_t workers, uint64_t seed);
  ~WorkerUpstream();  // no connection may be left

  const config::Upstream& settings() const { return config_->settings; }
  Freelist& frames() { return loop_.frames(); }

  // The backend for a request with this hash key, or nothing where none is left to try: first those not tried
  // yet, backups only when no other is left, then those that failed otherwise than by refusing.
  // `state` null: nothing was tried.
  WorkerBackend* Pick(uint64_t key, PickState* state);
  // `refused`: it would not take a connection.
  static void MarkTried(PickState& state, const WorkerBackend& backend, bool refused);

  // The warmest idle connection that is fit for another request, or nothing. `idle_less_than`: one that was
  // idle longer is left alone.
  BackendConnection* TakeIdle(WorkerBackend& backend, Duration idle_less_than);
  // A new connection; `token` ends the attempt.
  rt::Task<ConnectResult> Connect(WorkerBackend& backend, rt::CancelToken& token);
  // The answer was received whole and the backend keeps the connection open: into the pool, where there is room.
  void Release(BackendConnection& connection);
  // Ends it; its ops complete later by themselves. With `reset` the peer sees a reset.
  void Close(BackendConnection& connection, bool reset = false);

  void OnRequest() { budget_.OnRequest(loop_.Now()); }
  bool TryRetry() { return budget_.TryRetry(loop_.Now(), config_->retry_floor); }

  // Hands the descriptor over to the caller, who closes it, and frees the record. REQUIRES: no op in flight.
  int Detach(BackendConnection& connection);

  // For shutting down: closes what is idle; connections still open, closing ones included.
  void CloseIdle();
  size_t connections() const { return connections_; }
  size_t idle_connections() const { return idle_connections_; }

 private:
  static void OnUnawaited(rt::Receiver& receiver);
  static void OnStopped(rt::Receiver& receiver);
  static void OnIdleTimeout(io::Timer& timer);
  BackendConnection& Make(WorkerBackend& backend, int fd);
  void Free(BackendConnection& connection);
  void LeavePool(BackendConnection& connection);
  bool Fit(const BackendConnection& connection) const;

  rt::Loop& loop_;
  std::shared_ptr<const UpstreamConfig> config_;
  std::vector<std::unique_ptr<WorkerBackend>> backends_;
  std::vector<WorkerBackend*> primaries_;
  std::vector<WorkerBackend*> backups_;
  std::unique_ptr<balance::Policy> primary_policy_;
  std::unique_ptr<balance::Policy> backup_policy_;
  RetryBudget budget_;
  size_t idle_max_;  // for each backend
  size_t connections_ = 0;
  size_t idle_connections_ = 0;
};

}  // namespace rondo::upstream
