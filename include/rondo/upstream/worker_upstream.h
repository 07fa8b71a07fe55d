// One worker's view of one upstream: it picks backends, holds their idle connections and counts
// retries. Owned by the worker, used on its thread only.
//
// The backends that may be picked now (the eligible view) are those whose state and weight say so.
// The view is made anew at the next pick after UpstreamShared::generation moved or a step of
// somebody's slow start is due, and by Adopt; otherwise a pick costs one look at the generation.
// Which backends there are at all changes only by Adopt.
#pragma once

#include <cerrno>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "rondo/balance/policy.h"
#include "rondo/base/intrusive_list.h"
#include "rondo/http/h1_parser.h"
#include "rondo/rt/task.h"
#include "rondo/upstream/backend_connection.h"
#include "rondo/upstream/pick_state.h"
#include "rondo/upstream/snapshot.h"
#include "rondo/upstream/worker_backend.h"

namespace rondo::tls {
class ClientSetup;
class SessionStore;
}  // namespace rondo::tls

namespace rondo::upstream {

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

// A request that waits for a stream of an HTTP/2 connection to its backend.
class StreamWait : public rt::Cancelable, public ListHook<StreamWait> {
 public:
  explicit StreamWait(WorkerBackend& backend) : rt::Cancelable(&OnDeliver), backend_(backend) {}
  // Where the wait ended with 0.
  BackendConnection* connection = nullptr;
  // Where there was a connection, but no handshake.
  const char* tls_failure = nullptr;

 private:
  friend class WorkerUpstream;
  friend class IntrusiveList<StreamWait, StreamWait>;
  static void OnDeliver(io::Op& op);
  void Leave();
  WorkerBackend& backend_;
  std::coroutine_handle<> waiter_;
};

class WorkerUpstream {
 public:
  // `worker` of `workers`: the pool's bound is shared out, and starting points differ.
  WorkerUpstream(rt::Loop& loop, std::shared_ptr<const UpstreamConfig> config, size_t worker,
                 size_t workers, uint64_t seed);
  ~WorkerUpstream();  // REQUIRES: done(), or nothing of it in use

  // -- configuration --
  // The configuration in force: it changes with Adopt, so references into it do not outlive an
  // await.
  const config::Upstream& settings() const { return config_->settings; }
  const http::StickyCookie& sticky_cookie() const { return config_->sticky_cookie; }
  const std::shared_ptr<const UpstreamConfig>& config() const { return config_; }
  UpstreamShared& shared() const { return *config_->shared; }
  Freelist& frames() { return loop_.frames(); }

  // Takes over the difference: backends that stay keep their connections, leases and turns, those
  // that left finish what they have. REQUIRES: `config` is of the same UpstreamShared (where it is
  // not, it is another upstream: Retire this one and make a new one).
  void Adopt(std::shared_ptr<const UpstreamConfig> config);
  // The upstream is no longer there: nothing can be picked any more, who waits gets -ENOENT, idle
  // connections close. It must stay until done().
  void Retire();
  // Retired, and no UpstreamRef, lease, connection or BackendRef is left: it may be destroyed.
  bool done() const {
    return retired_ && users_ == 0 && connections_ == 0 && retired_backends_.empty();
  }
  bool retired() const { return retired_; }
  // Of heads that backends send over HTTP/2; connections that are there keep theirs.
  void SetHeadLimits(const http::HeadLimits& limits) { head_limits_ = limits; }
  // UpstreamRefs.
  size_t users() const { return users_; }

  // Makes the view anew where it is out of date; true where it was. Every pick does so by itself:
  // this is for who wants it seen at once (idle connections to a backend that was drained close
  // then).
  bool Refresh() {
    if (generation_.load(std::memory_order_acquire) == seen_generation_ && loop_.Now() < next_step_)
        [[likely]] {
      return false;
    }
    MakeView();
    return true;
  }

  // -- picking --
  enum class Acquired : uint8_t {
    kLease,
    kFull,  // to be waited for: every backend that is left is at its max_connections, or others
            // wait already, or none is left but some are checking or warming
    kNone,  // no backend is left to try
  };
  // A place at the backend for this request: at that of its stickiness cookie, where that has room
  // (also while it drains); else first at those not tried yet (backups only when no other has
  // room), then at those that failed otherwise than by refusing. `state` null: nothing was tried.
  Acquired Acquire(const PickKey& key, PickState* state, Lease* lease);

  // Waits for a place: 0 with a lease, -ENOSPC where the queue is full, -ENOENT where no backend is
  // left to wait for (all went down, or the upstream was removed), -ECANCELED by the token.
  auto Wait(QueueWait& wait, const PickKey& key, PickState* state, rt::CancelToken& token) {
    struct Awaiter {
      Awaiter(WorkerUpstream& of, QueueWait& queued, rt::CancelToken& by)
          : upstream(of), wait(queued), token(by) {}
      Awaiter(const Awaiter&) = delete;
      bool await_ready() noexcept {
        wait.result = token.cancelled() ? -ECANCELED : upstream.Enqueue(wait);
        return wait.result != 0;
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
  // Gives free places to waiting requests, where this worker was told that there are any. Once a
  // tick.
  void ServeQueue() {
    if (board_.poked(worker_)) ServeBoard();
  }
  // The backend of a stickiness cookie, whether or not it has room; null where it takes none.
  const WorkerBackend* FindSticky(uint64_t hash);

  // `refused`: it would not take a connection.
  static void MarkTried(PickState& state, const WorkerBackend& backend, bool refused) {
    state.Add(backend.shared->serial, refused);
  }
  // What came of a request; control is called where it matters. Costs one look where there is
  // nothing to report. A reused connection that ends before a byte of the answer is no failure: do
  // not report it.
  void Report(WorkerBackend& backend, Outcome outcome) {
    if (outcome == Outcome::kSuccess &&
        backend.shared->failure_run.load(std::memory_order_relaxed) == 0) {
      return;
    }
    ReportSlow(backend, outcome);
  }

  // -- connections --
  // Whether backends are told of each client by a PROXY header: then its endpoints are asked for
  // below (null: unknown).
  bool introduces_clients() const { return settings().send_proxy != config::SendProxy::kOff; }
  // Whether requests share connections, each on a stream of its own.
  bool http2() const { return settings().protocol != config::Protocol::kHttp1; }
  // The warmest idle connection that is fit for another request, or nothing. `idle_less_than`: one
  // that was idle longer is left alone. `client`: only one that was introduced for it. Over HTTP/2:
  // a stream of the oldest connection that has room, however long it was idle, since a backend that
  // closes one says what it has not begun (RFC 9113 §6.8); so that younger ones, once a burst is
  // over, become idle and go.
  BackendConnection* TakeIdle(WorkerBackend& backend, Duration idle_less_than,
                              const ClientEndpoints* client = nullptr);
  // A new connection, with its PROXY header and TLS handshake behind it where the upstream has
  // them; `token` ends the attempt. `client` outlives the task. Over HTTP/2: a stream, of a
  // connection that is being made for all who ask, or of one that has room again; then `token` ends
  // the wait alone.
  rt::Task<ConnectResult> Connect(WorkerBackend& backend, rt::CancelToken& token,
                                  const ClientEndpoints* client = nullptr);
  // The answer was received whole and the backend keeps the connection open: into the pool, where
  // there is room.
  void Release(BackendConnection& connection);
  // Ends it; its ops complete later by themselves. With `reset` the peer sees a reset. What is not
  // over of a stream is cancelled.
  void Close(BackendConnection& connection, bool reset = false);
  // No answer came in time. Where nothing at all was heard over its trunk for a second since its
  // stream began, or nothing gets away there, nobody may be there any more, and further requests
  // get another one.
  void TimedOut(BackendConnection& connection);
  // Whether the backend takes a WebSocket over this stream, once it has said so: 1 or 0;
  // -ECONNREFUSED where it takes nothing any more, -ECONNRESET where it ended its connection before,
  // -ECANCELED by the token.
  rt::Task<int> TakesTunnels(BackendConnection& connection, rt::CancelToken& token);
  // Hands the descriptor over to the caller, who closes it, and frees the record. REQUIRES: no op
  // in flight.
  int Detach(BackendConnection& connection);
  // For shutting down: closes what is idle, and ends attempts that nobody waits for. Connections
  // still open, closing ones included; of HTTP/2 their streams as well.
  void CloseIdle();
  size_t connections() const { return connections_; }
  size_t idle_connections() const { return idle_connections_; }

  // -- retries --
  void OnRequest() { budget_.OnRequest(loop_.Now()); }
  bool TryRetry() { return budget_.TryRetry(loop_.Now(), config_->shared->retry_floor); }

 private:
  friend class Lease;
  friend class QueueWait;
  friend class StreamWait;
  friend class Trunk;
  friend class UpstreamRef;
  friend struct WorkerBackend;
  friend void FreeIfRetired(WorkerBackend& backend);
  class ViewBuilder;

  // -- worker_view.cc --
  using Backends = IntrusiveList<WorkerBackend, WorkerBackend>;
  void TakeConfig(Backends& left);
  void MatchBackends(Backends& left);
  void RetireBackend(WorkerBackend& backend);
  void MakeView();
  void Sync(PickState& state) const;

  // -- worker_queue.cc --
  Lease TryLease(const PickKey& key, PickState* state);
  void BeginRound(const PickKey& key, PickState& state) const;
  Lease TrySticky(const PickKey& key, const PickState* state);
  Lease PickLease(balance::PickContext context, PickState* state);
  bool AnyFree() const;
  bool PoliciesFree() const;
  const WorkerBackend* StickyOnly(const PickKey& key) const;
  bool Hopeless(const PickKey& key, const PickState* state) const;
  int32_t Enqueue(QueueWait& wait);
  void LeaveQueue(QueueWait& wait);
  void PublishOldest();
  void LeaseEnded(WorkerBackend& backend, uint32_t in_flight_before, health::State state);
  struct Served {
    size_t served = 0;
    size_t refused = 0;  // by TryLease, though something was free
  };
  Served ServeWaiting(Instant until);
  void ServeBoard();
  void ServeUnlimited();
  void Dismiss();
  void ReportSlow(WorkerBackend& backend, Outcome outcome);

  // -- worker_upstream.cc --
  static void OnUnawaited(rt::Receiver& receiver);
  static void OnStopped(rt::Receiver& receiver);
  static void OnIdleTimeout(io::Timer& timer);
  BackendConnection& Make(WorkerBackend& backend, int fd, Trunk* trunk = nullptr);
  void Free(BackendConnection& connection);
  void LeavePool(BackendConnection& connection);
  rt::Task<ConnectResult> Dial(WorkerBackend& backend, rt::CancelToken& token,
                               const ClientEndpoints* client, bool for_http2);
  // What served so many requests since it was made, in which way, may serve another.
  bool Fit(uint32_t way, uint64_t requests, Instant opened_at) const;
  bool Fit(const BackendConnection& connection) const;
  void MakeRoom(WorkerBackend& backend);

  // -- worker_trunks.cc --
  struct TrunkAttempt;
  BackendConnection* TakeStream(WorkerBackend& backend);
  BackendConnection* FindStream(WorkerBackend& backend);
  BackendConnection* OpenStream(Trunk& trunk);
  auto WaitForStream(StreamWait& wait, rt::CancelToken& token);
  void EnqueueStream(StreamWait& wait);
  void ServeStreams(WorkerBackend& backend);
  void FailStreams(WorkerBackend& backend, int error, const char* tls_failure);
  rt::Task<> MakeTrunk(WorkerBackend& backend);
  void TrunkMade(BackendConnection& dialled);
  void TrunkChanged(Trunk& trunk);
  void LeaveIdle(Trunk& trunk);
  void DrainTrunk(Trunk& trunk);
  bool Stalled(const Trunk& trunk) const;
  bool HasTrunk(WorkerBackend& backend) const;
  void DrainTrunks(WorkerBackend& backend);
  void CloseIdleTrunks();
  void FreeTrunk(Trunk& trunk);
  static void OnTrunkTimer(io::Timer& timer);
  rt::Task<ConnectResult> ConnectStream(WorkerBackend& backend, rt::CancelToken& token);

  // -- worker_introduce.cc --
  rt::Task<ConnectResult> Introduce(BackendConnection& connection, const ClientEndpoints* client,
                                    rt::CancelToken& token);
  rt::Task<ConnectResult> ShakeHands(BackendConnection& connection,
                                     std::shared_ptr<const tls::ClientSetup> setup,
                                     std::string name, rt::CancelToken& token);
  void KeepClient(BackendConnection& connection, const ClientEndpoints& client);
  std::string ServerName(const WorkerBackend& backend) const;
  static bool MayPool(const WorkerBackend& backend);

  rt::Loop& loop_;
  std::shared_ptr<const UpstreamConfig> config_;
  const std::atomic<uint64_t>& generation_;
  WaitBoard& board_;
  const size_t worker_;
  const size_t workers_;
  const uint64_t seed_;

  std::vector<std::unique_ptr<WorkerBackend>> backends_;  // in the order of the configuration
  absl::flat_hash_map<uint64_t, WorkerBackend*> by_serial_;
  Backends retired_backends_;

  // The view.
  uint64_t seen_generation_ = 0;
  Instant next_step_ = kNever;  // of a slow start
  uint64_t view_ = 0;           // its number; PickState
  bool unlimited_ = false;      // somebody in it has no max_connections
  bool coming_ = false;         // something is checking or warming, or not resolved yet
  std::vector<WorkerBackend*> primaries_;
  std::vector<WorkerBackend*> backups_;
  std::vector<WorkerBackend*> sticky_only_;
  balance::PolicyKind policy_kind_{};
  std::unique_ptr<balance::Policy> primary_policy_;
  std::unique_ptr<balance::Policy> backup_policy_;
  absl::flat_hash_map<uint64_t, WorkerBackend*> sticky_;  // empty without `sticky`

  std::unique_ptr<tls::SessionStore> sessions_;  // made with the first TLS connection
  uint32_t way_ = 0;  // moves with every change to how connections begin

  http::HeadLimits head_limits_;
  IntrusiveList<TrunkAttempt> trunk_attempts_;
  rt::Scope trunk_scope_;

  IntrusiveList<QueueWait, QueueWait> queue_;
  RetryBudget budget_;
  size_t idle_max_ = 0;  // for each backend
  size_t connections_ = 0;
  size_t idle_connections_ = 0;
  size_t users_ = 0;
  bool retired_ = false;
};

// Keeps a WorkerUpstream while a request uses it, also when it is removed from the configuration
// meanwhile.
class UpstreamRef {
 public:
  UpstreamRef() = default;
  explicit UpstreamRef(WorkerUpstream& upstream) : upstream_(&upstream) { ++upstream.users_; }
  UpstreamRef(UpstreamRef&& other) noexcept : upstream_(std::exchange(other.upstream_, nullptr)) {}
  UpstreamRef& operator=(UpstreamRef&& other) noexcept {
    if (this != &other) {
      Reset();
      upstream_ = std::exchange(other.upstream_, nullptr);
    }
    return *this;
  }
  ~UpstreamRef() { Reset(); }
  void Reset() {
    if (upstream_ != nullptr) --std::exchange(upstream_, nullptr)->users_;
  }
  WorkerUpstream* get() const { return upstream_; }
  WorkerUpstream& operator*() const { return *upstream_; }
  WorkerUpstream* operator->() const { return upstream_; }
  explicit operator bool() const { return upstream_ != nullptr; }

 private:
  WorkerUpstream* upstream_ = nullptr;
};

}  // namespace rondo::upstream
