// One event loop with everything on it: accepts clients, reads their requests, forwards them.
// Shares nothing with other workers but the counters that snapshots lead to and those in
// ProcessCounters. All of it runs on the thread that calls Tick, but for what says that it may be
// called from another.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "rondo/base/rng.h"
#include "rondo/http/h1_parser.h"
#include "rondo/metrics/traffic_table.h"
#include "rondo/proxy/access_log.h"
#include "rondo/proxy/publication.h"
#include "rondo/route/normalise.h"
#include "rondo/rt/task.h"
#include "rondo/upstream/worker_upstream.h"

namespace rondo::proxy {

class Arrival;
class ClientConnection;
class Http2Client;
class Listeners;
struct Origin;
class Tunnel;
class Turns;
class Versions;

// Shared by all workers of a process.
struct ProcessCounters {
  std::atomic<uint32_t> connections{0};  // of clients, tunnels and those that arrive included
  std::atomic<uint32_t> handshakes{0};   // TLS ones with clients, under way
};

struct WorkerOptions {
  size_t index = 0;
  size_t count = 1;    // of workers
  uint64_t seed = 0;   // of request ids and starting points
  // Rung after an acknowledgement, when an old snapshot is no longer pinned, and when the worker
  // has finished.
  upstream::ControlBell* bell = nullptr;
  // Of the snapshot that it starts with.
  uint64_t epoch = 0;
};

class Worker {
 public:
  // `engine`, `counters` and `log_sink` (null: no access log) outlive the worker.
  Worker(io::Engine& engine, std::shared_ptr<const upstream::Snapshot> snapshot,
         std::vector<ListenFd> listen_fds, ProcessCounters& counters, AccessLogSink* log_sink,
         const WorkerOptions& options);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker();  // REQUIRES: finished()

  // Starts accepting.
  void Start();
  // One round of the loop: waits for something to happen, and deals with it.
  void Tick();
  // For the simulation: when Tick has something to do at the latest.
  Instant NextDeadline() const { return loop_.wheel().NextDeadline(); }

  // Control thread. One slot and no queue: what the worker has not yet taken goes into the new one.
  // At the top of its next Tick the worker acts on it:
  // - The snapshot is what new exchanges see; those under way keep theirs for routes and timeouts,
  //   but pick backends by the new one. Listeners are known by their slots, so idle connections
  //   follow.
  // - A listener that is gone: its sockets are closed, and its connections end as in a drain.
  // - An upstream that is gone: who waits in its queue gets 503 no_backend_up.
  // - Backends found `draining`: WebSockets get close 1001, spread over the second half of the time
  //   until drain_until; other tunnels are cut at their moment.
  // - Backends found `drained`: requests on them that have no answer yet get 503 with reason
  //   "drained", other answers and tunnels are cut.
  // - The epoch is acknowledged, and the bell rung. From then on no lease begins that was not to be
  //   had under it.
  void Publish(std::unique_ptr<Publication> publication);
  // Any thread: the latest epoch acted on; larger than any once it has finished.
  uint64_t acknowledged() const { return acknowledged_.load(std::memory_order_acquire); }
  // Any thread: the epoch that brought the oldest snapshot in use here. A snapshot must live, held
  // by control, until this is larger in all workers than every epoch under which it was published:
  // so the worker never frees one. One that has finished uses none.
  uint64_t oldest_pinned() const { return oldest_pinned_.load(std::memory_order_acquire); }

  // Stop accepting, finish what is there, and end (spec section 4). WebSockets get close 1001,
  // spread over the time until `until`, and other tunnels are cut then; kNever: tunnels stay until
  // RequestCancel. Any thread.
  void RequestDrain(Instant until = kNever) {
    tunnels_until_.store(until.time_since_epoch().count(), std::memory_order_relaxed);
    RequestPhase(Phase::kDraining);
  }
  // The grace is over: cut what is left. Any thread.
  void RequestCancel() { RequestPhase(Phase::kCancelling); }
  // Drained: no connection, tunnel or op is left, and the access log is handed over.
  bool finished() const { return finished_; }

  // Any thread, as long as the worker stays: what it has counted.
  const metrics::TrafficCells& traffic() const { return traffic_table_.cells(); }
  const metrics::Minute& minute() const { return minute_; }

  // -- for the worker's own parts --
  rt::Loop& loop() { return loop_; }
  io::Engine& engine() { return loop_.engine(); }
  Freelist& frames() { return loop_.frames(); }
  // The current one; exchanges look at the one that they pin.
  const upstream::Snapshot& snapshot() const;
  Versions& versions() { return *versions_; }
  Listeners& listeners() { return *listeners_; }
  ProcessCounters& counters() { return counters_; }
  size_t index() const { return options_.index; }
  // For handshakes.
  Turns& turns() { return *turns_; }
  AccessLog& access_log() { return access_log_; }
  metrics::TrafficTable& traffic_table() { return traffic_table_; }
  // A request is over that was answered.
  void CountAnswer(metrics::TrafficCell& cell, metrics::Method method, int status, Instant began) {
    const Instant now = loop_.Now();
    metrics::CountAnswer(cell, minute_, method, status, now - began, now);
  }
  Rng& rng() { return rng_; }
  rt::Scope& scope() { return scope_; }
  bool draining() const { return phase_ != Phase::kServing; }
  // When the tunnels of a draining process have to be gone.
  Instant tunnels_until() const {
    return Instant(Duration(tunnels_until_.load(std::memory_order_relaxed)));
  }
  const http::HeadLimits& head_limits() const { return head_limits_; }
  // An IMF-fixdate of the current second (RFC 9110 §5.6.7).
  std::string_view Date();

  // A descriptor that a listener accepted; this worker's from here on.
  void Accepted(int fd, uint32_t slot);
  // One that was accepted before becomes a client, or is closed. REQUIRES: no op in flight.
  void LetIn(int fd, uint32_t slot, Origin origin);
  // A stream of a connection that speaks HTTP/2. Streams are no connections: neither limits nor
  // counts of these know them.
  void LetInStream(int fd, uint32_t slot, Origin origin);
  void TurnedAway(int fd, uint32_t slot);
  void Add(Arrival& arrival);
  void Removed(Arrival& arrival);  // frees it
  // The connection's memory is given back and its descriptor closed. REQUIRES: no op in flight.
  void Closed(ClientConnection& connection);
  // Its descriptor went on into a tunnel; only the memory is given back, the count stays.
  void HandedOver(ClientConnection& connection);
  // The first bytes of a plain connection, `preface`, were those of HTTP/2. REQUIRES: no op in
  // flight.
  void SpeakHttp2(ClientConnection& connection, io::BufferRef preface);
  void Add(Http2Client& client);
  void Ended(Http2Client& client);  // frees it
  void Add(Tunnel& tunnel);
  void Removed(Tunnel& tunnel);

  // How long a finished worker waits for its access log to be taken.
  static constexpr Duration kLogPatience = std::chrono::seconds(1);
  // Receive buffers that stay warm; those beyond are given back to the kernel some time after a
  // burst.
  static constexpr size_t kWarmBuffers = 128;
  static constexpr size_t kWarmBytes = 1024 * 1024;  // of the freelist, likewise
  // TLS handshakes that begin in one tick: some milliseconds of arithmetic.
  static constexpr size_t kHandshakesPerTick = 4;
  static constexpr Duration kTrimAfter = std::chrono::seconds(10);
  // Large buffers for long bodies.
  static constexpr size_t kLargeBytes = 256 * 1024;
  // So many connections of HTTP/2 may use in all their streams: one could have hundreds that wait
  // for windows, each with an answer on its way.
  static constexpr size_t kLargeForStreams = 64;
  bool spares_large() const { return large_out_ < kLargeForStreams; }
  char* TakeLarge();
  void ReturnLarge(char* buffer);

  // Scratch: valid until the next await of whoever fills it.
  http::RequestParser request_parser;
  http::ResponseParser response_parser;
  http::RequestHead request_head;
  http::ResponseHead response_head;
  route::Scratch path_scratch;
  route::MatchScratch match_scratch;
  std::string target_scratch;  // a rewritten target
  std::string cookie_scratch;  // fields added to an answer

 private:
  enum class Phase : uint8_t { kServing, kDraining, kCancelling };
  void TakePublication();
  void OpenSockets(const Publication& publication);
  void ApplySettings();
  void LetGo();
  void ReportPinned();
  void RequestPhase(Phase phase);
  void EnterDraining();
  void EnterCancelling();
  void CheckFinished();
  ClientConnection& AddClient(int fd, uint32_t slot, Origin origin);
  void Discount(uint32_t slot);
  void Free(ClientConnection& connection);
  void WatchMemory();
  static void OnMemoryTimer(io::Timer& timer);

  rt::Loop loop_;
  ProcessCounters& counters_;
  WorkerOptions options_;
  Rng rng_;
  http::HeadLimits head_limits_;
  std::unique_ptr<Versions> versions_;
  std::unique_ptr<Listeners> listeners_;
  AccessLog access_log_;
  metrics::TrafficTable traffic_table_;
  metrics::Minute minute_;
  rt::Scope scope_;
  std::unique_ptr<Turns> turns_;
  IntrusiveList<Arrival> arrivals_;
  IntrusiveList<ClientConnection> clients_;  // streams too
  IntrusiveList<Http2Client> http2_clients_;
  IntrusiveList<Tunnel> tunnels_;
  size_t client_count_ = 0;
  size_t tunnel_count_ = 0;
  std::vector<char*> large_free_;
  size_t large_out_ = 0;
  struct MemoryTimer : io::Timer {
    MemoryTimer(Fire fire, Worker& of) : io::Timer(fire), worker(of) {}
    Worker& worker;
  };
  MemoryTimer memory_timer_;
  size_t buffers_peak_ = 0;  // held at once since the memory timer was last armed
  char date_[32] = {};
  int64_t date_second_ = -1;
  std::atomic<Publication*> published_{nullptr};  // not yet taken; owned
  std::atomic<uint64_t> acknowledged_;
  std::atomic<uint64_t> oldest_pinned_;
  std::atomic<int64_t> tunnels_until_{INT64_MAX};
  std::atomic<Phase> requested_{Phase::kServing};
  Phase phase_ = Phase::kServing;
  Instant log_until_ = kNever;  // once everything else has ended
  bool finished_ = false;
};

}  // namespace rondo::proxy
