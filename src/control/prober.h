// The one prober of the process: it checks each backend once an interval, however many workers
// there are, and sends warm-up requests. It knows no states: what came of a check goes to its
// listener, which decides.
//
// A target that is not being checked is a record with a timer: no flow, no connection. Checks of
// one target never overlap, and at most kChecksMax run at once; what is due beyond waits in the
// order in which it fell due. Control thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "rondo/base/address.h"
#include "rondo/base/rng.h"
#include "rondo/config/config.h"
#include "rondo/health/check_result.h"
#include "rondo/rt/loop.h"
#include "rondo/rt/task.h"

namespace rondo::control {

// Called from the loop, never from within a call to the prober. It may call anything of the prober,
// also about the target it is told of.
class ProbeListener {
 public:
  // A check ended. Not called with outcome kLocal, which says nothing about the backend (it is
  // counted, and the check is repeated after an interval).
  virtual void OnCheck(uint64_t serial, const health::CheckResult& result) = 0;
  // The warm-up is over, after its last answer or its timeout; `succeeded` of its requests had an
  // answer below 500.
  virtual void OnWarmedUp(uint64_t serial, uint32_t succeeded) = 0;

 protected:
  ~ProbeListener() = default;
};

struct ProbeTarget {
  uint64_t serial = 0;    // BackendShared::serial
  SocketAddress address;  // HealthCheck::port takes the place of its port
  // Null: no checks, only warm-ups.
  std::shared_ptr<const config::HealthCheck> check;
};

// Checks ended, by outcome.
using ProbeCounts = std::array<uint64_t, health::kCheckOutcomeCount>;

class Prober {
 public:
  static constexpr size_t kChecksMax = 64;        // at once, over all targets
  static constexpr size_t kWarmUpFlowsMax = 256;  // warm-up connections at once, over all targets
  static constexpr Duration kSuspectGap = std::chrono::seconds(1);
  static constexpr size_t kBodyBytesMax = 64 * 1024;  // of an answer are searched for expect_body

  // `loop` and `listener` outlive the prober. `user_agent` is sent with each request.
  Prober(rt::Loop& loop, ProbeListener& listener, uint64_t seed,
         std::string_view user_agent = "rondo-health");
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;
  ~Prober();  // REQUIRES: stopped()

  // Checks it at once, then again a drawn part of an interval later, then each interval, give or
  // take a tenth. REQUIRES: no such serial yet.
  void Add(const ProbeTarget& target);
  // Another check for a target there is (or none, or one where there was none, which then runs at
  // once). A check in flight ends by the rules it began with. The next comes when it was due, but
  // not later than one interval from now. The address is part of the identity: it does not change.
  void Update(const ProbeTarget& target);
  // Ends what is in flight without a report. No effect where there is no such target; the same for
  // all that follow.
  void Remove(uint64_t serial);
  // No checks until Resume, and no report of what is in flight, which is ended, as is a warm-up:
  // for backends that are held back. Counts stay.
  void Pause(uint64_t serial);
  // Checks at once.
  void Resume(uint64_t serial);

  // The backend is suspect: checked now, unless a check runs or waits already. At most once in
  // kSuspectGap: what comes sooner is done at its end. The regular check then comes an interval
  // later.
  void CheckNow(uint64_t serial);

  // Sends `warm_up.requests` requests, `warm_up.concurrency` at a time, then calls OnWarmedUp; at
  // the latest after warm_up.timeout. One for a target at a time: a second call while one runs has
  // no effect.
  void StartWarmUp(uint64_t serial, const config::WarmUp& warm_up);

  // Cancels everything; no more reports. Nothing may be added any more. When stopped(), all
  // connections are closed (some ticks of the loop later).
  void Stop();
  bool stopped() const;

  bool Has(uint64_t serial) const { return targets_.contains(serial); }
  size_t size() const { return targets_.size(); }
  // Null for an unknown serial. Valid until the next call to Add or Remove.
  const ProbeCounts* counts(uint64_t serial) const;
  // Checks in flight now.
  size_t running() const { return running_; }
  // When the next check of this target begins, as far as is known; kNever where none is planned.
  // For tests and the admin API.
  Instant NextCheck(uint64_t serial) const;

  Freelist& frames() { return loop_.frames(); }
  rt::Loop& loop() { return loop_; }
  const std::string& user_agent() const { return user_agent_; }

 private:
  struct Target;
  struct WarmUpRun;

  Target* Find(uint64_t serial) const;
  static void OnTimer(io::Timer& timer);
  void Due(Target& target);
  void StartChecks();
  void ScheduleNext(Target& target, Duration delay);
  Duration DrawInterval(const Target& target);
  void EndInFlight(Target& target);
  rt::Task<> RunCheck(uint64_t serial);
  void CheckEnded(uint64_t serial, health::CheckResult result);

  rt::Loop& loop_;
  ProbeListener& listener_;
  Rng rng_;
  std::string user_agent_;
  bool stopping_ = false;
  size_t running_ = 0;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Target>> targets_;
  rt::Scope flows_;
};

}  // namespace rondo::control
