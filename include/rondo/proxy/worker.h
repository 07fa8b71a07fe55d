// One event loop with everything on it: accepts clients, reads their requests, forwards them. Shares
// nothing with other workers but the counters in the snapshot and in ProcessCounters. All of it runs on
// the thread that calls Tick, but for RequestDrain and RequestCancel.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "rondo/base/rng.h"
#include "rondo/http/h1_parser.h"
#include "rondo/proxy/access_log.h"
#include "rondo/route/normalise.h"
#include "rondo/rt/task.h"
#include "rondo/upstream/worker_upstream.h"

namespace rondo::proxy {

class ClientConnection;
class Exchange;
class ListenerSocket;
class Tunnel;

// Shared by all workers of a process.
struct ProcessCounters {
  std::atomic<uint32_t> connections{0};  // of clients, tunnels included
};

// A listening socket of this worker; it closes it when it drains.
struct ListenFd {
  int fd = -1;
  size_t listener = 0;  // index in Snapshot::listeners
};

struct WorkerOptions {
  size_t index = 0;
  size_t count = 1;    // of workers
  uint64_t seed = 0;   // of request ids and starting points
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

  // Stop accepting, finish what is there, and end (spec section 4). Any thread.
  void RequestDrain() { RequestPhase(Phase::kDraining); }
  // The grace is over: cut what is left. Any thread.
  void RequestCancel() { RequestPhase(Phase::kCancelling); }
  // Drained: no connection, tunnel or op is left, and the access log is handed over.
  bool finished() const { return finished_; }

  // -- for the worker's own parts --
  rt::Loop& loop() { return loop_; }
  io::Engine& engine() { return engine_; }
  Freelist& frames() { return loop_.frames(); }
  const upstream::Snapshot& snapshot() const { return *snapshot_; }
  upstream::WorkerUpstream& upstream(size_t index) { return *upstreams_[index]; }
  AccessLog& access_log() { return access_log_; }
  Rng& rng() { return rng_; }
  rt::Scope& scope() { return scope_; }
  bool draining() const { return phase_ != Phase::kServing; }
  const http::HeadLimits& head_limits() const { return head_limits_; }
  // An IMF-fixdate of the current second (RFC 9110 §5.6.7).
  std::string_view Date();

  // A descriptor that a listener accepted; this worker's from here on.
  void Accepted(int fd, size_t listener);
  // The connection's memory is given back and its descriptor closed. REQUIRES: no op in flight.
  void Closed(ClientConnection& connection);
  // Its descriptor went on into a tunnel; only the memory is given back, the count stays.
  void HandedOver(ClientConnection& connection);
  void Add(Tunnel& tunnel);
  void Removed(Tunnel& tunnel);

  // How long a finished worker waits for its access log to be taken.
  static constexpr Duration kLogPatience = std::chrono::seconds(1);
  // Receive buffers that stay warm; those beyond are given back to the kernel some time after a burst.
  static constexpr size_t kWarmBuffers = 128;
  static constexpr size_t kWarmBytes = 1024 * 1024;  // of the freelist, likewise
  static constexpr Duration kTrimAfter = std::chrono::seconds(10);
  // Large buffers for long bodies.
  static constexpr size_t kLargeBytes = 256 * 1024;
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
  void RequestPhase(Phase phase);
  void EnterDraining();
  void EnterCancelling();
  void CheckFinished();
  void WatchMemory();
  static void OnMemoryTimer(io::Timer& timer);

  io::Engine& engine_;
  rt::Loop loop_;
  std::shared_ptr<const upstream::Snapshot> snapshot_;
  ProcessCounters& counters_;
  WorkerOptions options_;
  Rng rng_;
  http::HeadLimits head_limits_;
  std::vector<std::unique_ptr<upstream::WorkerUpstream>> upstreams_;
  AccessLog access_log_;
  rt::Scope scope_;
  IntrusiveList<ClientConnection> clients_;
  IntrusiveList<Tunnel> tunnels_;
  size_t client_count_ = 0;
  size_t tunnel_count_ = 0;
  std::vector<std::unique_ptr<ListenerSocket>> listeners_;
  std::vector<char*> large_free_;
  struct MemoryTimer : io::Timer {
    MemoryTimer(Fire fire, Worker& of) : io::Timer(fire), worker(of) {}
    Worker& worker;
  };
  MemoryTimer memory_timer_;
  size_t buffers_peak_ = 0;  // held at once since the memory timer was last armed
  char date_[32] = {};
  int64_t date_second_ = -1;
  std::atomic<Phase> requested_{Phase::kServing};
  Phase phase_ = Phase::kServing;
  Instant log_until_ = kNever;  // once everything else has ended
  bool finished_ = false;
};

}  // namespace rondo::proxy
