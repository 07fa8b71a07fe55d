// What all workers and the control thread share about a backend and about an upstream. Both live
// longer than a snapshot: as long as one names them, or a worker still uses them. Control writes
// states, workers count and report.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "rondo/balance/latency.h"
#include "rondo/base/address.h"
#include "rondo/base/time.h"
#include "rondo/health/state.h"
#include "rondo/upstream/control_bell.h"
#include "rondo/upstream/retry_budget.h"
#include "rondo/upstream/wait_board.h"

namespace rondo::metrics {
struct BackendCell;
}  // namespace rondo::metrics

namespace rondo::upstream {

// What came of a request, as far as its backend is to blame or to praise.
enum class Outcome : uint8_t {
  kSuccess,         // a final head came
  kRefused,         // the connection was: nobody listens, or no way leads there
  kConnectTimeout,  // no answer to a connect
  kReset,  // the connection broke before the head was whole; not for a reused one, where that is a
           // race
  kBadAnswer,        // not HTTP
  kResponseTimeout,  // no head in time
  kStatus,           // one of those that retries.on names
  kTlsFailed,        // the connection was made, but no TLS handshake
};
inline constexpr size_t kOutcomeCount = 8;
// "success", "connect_refused", "connect_timeout", "backend_reset", "bad_response",
// "response_timeout", "status", "tls_failed".
std::string_view OutcomeName(Outcome outcome);

// Bits of BackendShared::reports.
enum ReportBit : uint32_t {
  kSuspect = 1,       // refused or reset: check it now, and resolve its name again
  kEjectRefused = 2,  // max_fails in a row, the last one a connection that was not made
  kEjectAnswers = 4,  // max_fails in a row, the last one an answer that was none
};

// How often something rare happened within the last ten seconds. Any thread; reads may be off by
// what happens at the same moment.
class RecentCount {
 public:
  void Add(Instant now);
  uint32_t Sum(Instant now) const;

 private:
  static constexpr int kSeconds = 11;  // ten whole ones, and the current one
  std::atomic<uint64_t> seconds_[kSeconds] =
      {};  // the second in the upper half, its count in the lower
};

// One backend: its upstream's name, its id and its address are its identity. A backend that is
// removed and comes back while it still drains is the same; later it is another, with another
// serial.
struct alignas(64) BackendShared {
  // `workers`: at most so many use it. The state is up until control says otherwise.
  BackendShared(std::string id, const SocketAddress& address, uint64_t serial, size_t workers);
  BackendShared(const BackendShared&) = delete;
  ~BackendShared();
  // Never given twice in the process. Any thread.
  static uint64_t NextSerial();

  // -- the line that every request writes --
  // Requests and tunnels in flight over all workers. A worker that takes it to zero while the
  // backend is held (draining, drained, maintenance) rings the bell: control stores the state first
  // and looks at this after.
  std::atomic<uint32_t> in_flight{0};
  // Written by control. Workers act on it when UpstreamShared::generation has moved.
  std::atomic<health::State> state{health::State::kUp};
  // How the latest failure of the run below failed.
  std::atomic<Outcome> last_failure{Outcome::kSuccess};
  // Bits of ReportBit, set by workers: control takes them by exchange.
  std::atomic<uint32_t> reports{0};
  // Failures in a row over all workers: health::FailureRun as a word; 0 on the steady path.
  std::atomic<uint64_t> failure_run{0};
  // How long it takes to answer; kept only where the balance asks for it.
  balance::LatencyCell latency;
  // Of in_flight: tunnels. Counted by proxy/.
  std::atomic<uint32_t> tunnels{0};

  // -- what is only read, or seldom written --
  alignas(64) const std::string id;
  const SocketAddress address;
  const uint64_t serial;
  // Nanoseconds of Instant, as health::Machine::ramp_since() and drain_until() say. Written by
  // control before the generation moves.
  std::atomic<int64_t> ramp_since{INT64_MIN};
  std::atomic<int64_t> drain_until{INT64_MAX};
  // Requests that came to it by their cookie while it drained.
  RecentCount sticky_requests;

  // The worker's numbers about it, made at the first call. That worker's thread only.
  metrics::BackendCell& CellOf(size_t worker);
  // The same for readers of any thread; null where that worker has made none.
  const metrics::BackendCell* cell(size_t worker) const {
    return cells_[worker].load(std::memory_order_acquire);
  }
  size_t workers() const { return workers_; }

 private:
  const size_t workers_;
  const std::unique_ptr<std::atomic<metrics::BackendCell*>[]> cells_;
};

// One upstream, by its name.
struct UpstreamShared {
  // `workers`: at most so many use it. `bell`: control's, null where there is no control; outlives
  // this.
  UpstreamShared(std::string name, size_t workers, ControlBell* bell = nullptr);
  UpstreamShared(const UpstreamShared&) = delete;

  // Control, once after all changes to states, ramps and `expecting` that belong together: workers
  // take a new view at their next pick, and requests that wait are looked at by all workers.
  void StatesChanged();
  // Worker: there are reports about a backend, or its last request has ended.
  void CallControl();
  // Control: whether a worker called since the last time; then look at all backends' reports.
  bool TakeAttention() { return attention.exchange(0, std::memory_order_seq_cst) != 0; }

  const std::string name;
  // Moves after states have changed; starts at 1.
  std::atomic<uint64_t> generation{1};
  // Sources of backends that have not answered yet: requests may wait for what they bring, as in a
  // cold start. Written by control, which then calls StatesChanged().
  std::atomic<bool> expecting{false};
  WaitBoard board;
  RetryFloor retry_floor;
  std::atomic<uint32_t> attention{0};
  ControlBell* const bell;
};

}  // namespace rondo::upstream
