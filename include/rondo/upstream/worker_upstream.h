// One worker's view of one upstream: it picks backends, holds their idle connections and counts retries.
// Owned by the worker, used on its thread only.
#pragma once

#include <cstdint>
#include <cerrno>
#include <coroutine>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"

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
  uint32_t max_in_flight = 0;  // 0: no limit
  uint64_t sticky_hash = 0;    // what its stickiness cookie carries
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
  Lease(Lease&& other) noexcept : backend_(std::exchange(other.backend_, nullptr)) {}
  Lease& operator=(Lease&& other) noexcept {
    if (this != &other) {
      Reset();
      backend_ = std::exchange(other.backend_, nullptr);
    }
    return *this;
  }
  ~Lease() { Reset(); }
  // Takes a place; an empty lease where the backend is at its max_connections.
  static Lease Take(WorkerBackend& backend);
  void Reset() {
    if (backend_ == nullptr) return;
    WorkerBackend& backend = *std::exchange(backend_, nullptr);
    if (backend.max_in_flight == 0) {
      backend.shared->in_flight.fetch_sub(1, std::memory_order_relaxed);
    } else {
      GiveBack(backend);
    }
  }
  WorkerBackend* backend() const { return backend_; }
  explicit operator bool() const { return backend_ != nullptr; }

 private:
  explicit Lease(WorkerBackend& backend) : backend_(&backend) {}
  static void GiveBack(WorkerBackend& backend);
  WorkerBackend* backend_ = nullptr;
};

// What a request tells about where it wants to go.
struct PickKey {
  uint64_t hash = 0;                  // what ip_hash or consistent_hash hash
  std::optional<uint64_t> sticky;     // from its stickiness cookie
};

// A request that waits in the queue: linked into its worker's list, resumed by a posted completion.
class QueueWait : public rt::Cancelable, public ListHook<QueueWait> {
 public:
  explicit QueueWait(WorkerUpstream& upstream) : rt::Cancelable(&OnDeliver), upstream_(upstream) {}
  Lease lease;

 private:
  friend class WorkerUpstream;
  friend class IntrusiveList<QueueWait, QueueWait>;
  static void OnDeliver(io::Op& op);
  WorkerUpstream& upstream_;
  std::coroutine_handle<> waiter_;
  Instant since_{};
  PickKey key_;
  PickState* state_ = nullptr;
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
  const http::StickyCookie& sticky_cookie() const { return config_->sticky_cookie; }
  Freelist& frames() { return loop_.frames(); }

  enum class Acquired : uint8_t {
    kLease,
    kFull,  // every backend that is left is at its max_connections, or others wait already
    kNone,  // no backend is left to try
  };
  // A place at the backend for this request: at that of its stickiness cookie, where that has room; else first
  // at those not tried yet (backups only when no other has room), then at those that failed otherwise than by
  // refusing. `state` null: nothing was tried.
  Acquired Acquire(const PickKey& key, PickState* state, Lease* lease);

  // Waits for a place: 0 with a lease, -ENOSPC where the queue is full, -ECANCELED by the token.
  auto Wait(QueueWait& wait, const PickKey& key, PickState* state, rt::CancelToken& token) {
    struct Awaiter {
      Awaiter(WorkerUpstream& of, QueueWait& queued, rt::CancelToken& by)
          : upstream(of), wait(queued), token(by) {}
      Awaiter(const Awaiter&) = delete;
      bool await_ready() noexcept {
        if (token.cancelled()) {
          wait.result = -ECANCELED;
          return true;
        }
        if (upstream.Enqueue(wait)) return false;
        wait.result = -ENOSPC;
        return true;
      }
      void await_suspend(std::coroutine_handle<> waiter) noexcept {
        wait.waiter_ = waiter;
        token.Link(wait);
      }
      int32_t await_resume() noexcept { return wait.result; }
      WorkerUpstream& upstream;
      QueueWait& wait;
      rt::CancelToken& token;
    };
    wait.key_ = key;
    wait.state_ = state;
    return Awaiter(*this, wait, token);
  }
  // Gives free places to waiting requests, where this worker was told that there are any. Once a tick.
  void ServeQueue() {
    if (board_ != nullptr) ServeBoard();
  }
  // The backend of a stickiness cookie, whether or not it has room; null where it is gone.
  const WorkerBackend* FindSticky(uint64_t hash) const;

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
  friend class Lease;
  friend class QueueWait;
  Lease TryLease(const PickKey& key, PickState* state);
  Lease PickLease(balance::PickContext context, PickState* state);
  bool AnyLeft(const balance::Tried& primary, const balance::Tried& backup) const;
  bool AnyFree() const;
  bool Enqueue(QueueWait& wait);
  void LeaveQueue(QueueWait& wait);
  void PublishOldest();
  void PlaceFreed();
  struct Served {
    size_t served = 0;
    size_t refused = 0;  // by TryLease, though something was free
  };
  Served ServeWaiting(Instant until);
  void ServeBoard();

  rt::Loop& loop_;
  std::shared_ptr<const UpstreamConfig> config_;
  std::vector<std::unique_ptr<WorkerBackend>> backends_;
  std::vector<WorkerBackend*> primaries_;
  std::vector<WorkerBackend*> backups_;
  std::unique_ptr<balance::Policy> primary_policy_;
  std::unique_ptr<balance::Policy> backup_policy_;
  WaitBoard* board_;  // null where no backend has a limit
  IntrusiveList<QueueWait, QueueWait> queue_;
  absl::flat_hash_map<uint64_t, WorkerBackend*> sticky_;  // empty without `sticky`
  size_t worker_;
  RetryBudget budget_;
  size_t idle_max_;  // for each backend
  size_t connections_ = 0;
  size_t idle_connections_ = 0;
};

}  // namespace rondo::upstream
