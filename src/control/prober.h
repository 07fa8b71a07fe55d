// The one prober of the process: it checks each backend once an interval, however many workers
// there are, and sends warm-up requests. It knows no states: what came of a check goes to its
// listener, which decides.
//
// A target that is not being checked is a record with a timer: no flow, no connection. Checks of
// one target never overlap, and at most kChecksMax run at once; what is due beyond waits in the
// order in which it fell due. Control thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/container/flat_hash_map.h"
#include "control/probe_listener.h"
#include "control/probe_wire.h"
#include "control/warm_ups.h"
#include "rondo/base/address.h"
#include "rondo/base/intrusive_list.h"
#include "rondo/base/rng.h"
#include "rondo/config/config.h"
#include "rondo/health/check_result.h"
#include "rondo/io/timer_wheel.h"
#include "rondo/rt/cancel.h"
#include "rondo/rt/loop.h"
#include "rondo/rt/task.h"

namespace rondo::control {

struct ProbeTarget {
  uint64_t serial = 0;    // BackendShared::serial
  SocketAddress address;  // HealthCheck::port takes the place of its port
  // Null: no checks, only warm-ups.
  std::shared_ptr<const config::HealthCheck> check;
  ProbeWire wire = {};
};

// Checks ended, by outcome.
using ProbeCounts = std::array<uint64_t, health::kCheckOutcomeCount>;

class Prober {
 public:
  static constexpr size_t kChecksMax = 64;  // at once, over all targets
  static constexpr Duration kSuspectGap = std::chrono::seconds(1);
  // Once an answer is judged, so long the rest of its body is read, so that no backend sees its
  // connection closed while it writes.
  static constexpr Duration kRestPatience = std::chrono::seconds(1);

  // `loop`, on which nobody else speaks HTTP/2, and `listener` outlive the prober. `user_agent` is
  // sent with each request.
  Prober(rt::Loop& loop, ProbeListener& listener, uint64_t seed,
         std::string_view user_agent = "rondo-health");
  Prober(const Prober&) = delete;
  Prober& operator=(const Prober&) = delete;
  ~Prober();  // REQUIRES: nothing in flight: stopped(), or nothing was begun

  // Checks it at once, then again a drawn part of an interval later, then each interval, give or
  // take a tenth. For a target there is already: Update, and Resume. No effect after Stop.
  void Add(const ProbeTarget& target);
  // Another check for a target there is (or none; or one where there was none, which then runs at
  // once). A check in flight ends by the rules it began with. The next comes when it was due, but
  // not later than one interval from now. An equal check changes nothing, but that the next one
  // goes by the new wire. The address is part of the identity: it does not change. No effect where
  // there is no such target; the same for all that follow.
  void Update(const ProbeTarget& target);
  // Ends what is in flight without a report.
  void Remove(uint64_t serial);
  // No checks until Resume; what is in flight, also a warm-up, ends without a report: for backends
  // that are held back. Counts stay.
  void Pause(uint64_t serial);
  // Checks at once.
  void Resume(uint64_t serial);

  // The backend is suspect, or somebody waits for its result: checked now, unless a check runs or
  // waits its turn. At most once in kSuspectGap: what is asked for sooner is done at its end. The
  // regular check comes an interval later.
  void CheckNow(uint64_t serial);

  // See WarmUps::Start. Host is that of the check, where there is one.
  void StartWarmUp(uint64_t serial, const config::WarmUp& warm_up);

  // Cancels everything; no more reports. When stopped(), all connections are closed (some ticks of
  // the loop later).
  void Stop();
  bool stopped() const {
    return stopping_ && flows_.count() == 0 && warm_ups_.idle() &&
           loop_.streams().connections() == 0;
  }

  bool Has(uint64_t serial) const { return targets_.contains(serial); }
  size_t size() const { return targets_.size(); }
  // Null for an unknown serial. Valid until the target is removed.
  const ProbeCounts* counts(uint64_t serial) const;
  // Checks in flight now.
  size_t running() const { return running_; }
  // When its next check begins, as far as is known: kNever where none is planned (one runs or waits
  // its turn).
  Instant NextCheck(uint64_t serial) const;

  Freelist& frames() { return loop_.frames(); }

 private:
  struct Target;
  struct DueTag;

  Target* Find(uint64_t serial) const;
  // The target, where its check of this number is still of interest.
  Target* FindRun(uint64_t serial, uint64_t run) const;
  static void OnTimer(io::Timer& timer);
  void CheckAt(Target& target, Instant at);
  void StartChecks();
  void ScheduleNext(Target& target);
  Duration DrawInterval(const config::HealthCheck& check);
  // Nothing planned, nothing in flight.
  void Quieten(Target& target);
  rt::Task<> RunCheck(ProbeTarget probe, uint64_t run);
  void Report(uint64_t serial, uint64_t run, const health::CheckResult& result);
  void Finish(uint64_t serial, uint64_t run);

  rt::Loop& loop_;
  ProbeListener& listener_;
  Rng rng_;
  std::string user_agent_;
  bool stopping_ = false;
  bool starting_ = false;  // StartChecks runs
  size_t running_ = 0;
  uint64_t last_run_ = 0;
  absl::flat_hash_map<uint64_t, std::unique_ptr<Target>> targets_;
  IntrusiveList<Target, DueTag> due_;  // wait for one of kChecksMax places
  rt::Scope flows_;
  WarmUps warm_ups_;
};

}  // namespace rondo::control
