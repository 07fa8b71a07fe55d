// Warm-up requests to backends that join, before their first real one: so many, some at a time,
// each flow on a connection that it keeps. A failed request counts as sent: a warm-up does not
// judge. Part of the prober; control thread.
#pragma once

#include <coroutine>
#include <cstdint>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "control/probe_listener.h"
#include "control/probe_wire.h"
#include "rondo/base/address.h"
#include "rondo/base/intrusive_list.h"
#include "rondo/config/config.h"
#include "rondo/rt/cancel.h"
#include "rondo/rt/loop.h"
#include "rondo/rt/task.h"

namespace rondo::control {

class WarmUps {
 public:
  static constexpr size_t kFlowsMax =
      256;  // connections at once, over all backends; one backend may have more

  WarmUps(rt::Loop& loop, ProbeListener& listener) : loop_(loop), listener_(listener) {}
  WarmUps(const WarmUps&) = delete;
  WarmUps& operator=(const WarmUps&) = delete;
  ~WarmUps() = default;  // REQUIRES: idle()

  // Sends `request` warm_up.requests times, warm_up.concurrency at a time, then calls OnWarmedUp;
  // at the latest warm_up.timeout from now, also where it had to wait for its turn. One that runs
  // for this serial ends without a report: it belonged to an earlier life of the backend.
  void Start(uint64_t serial, const SocketAddress& to, ProbeWire wire, std::string request,
             const config::WarmUp& warm_up);
  // Ends it without a report. No effect where none runs.
  void End(uint64_t serial);
  void EndAll();
  // Nothing is in flight.
  bool idle() const { return scope_.count() == 0; }
  // Connections that run or are promised.
  size_t flows() const { return flows_; }
  Freelist& frames() { return loop_.frames(); }

 private:
  struct Run;
  struct TurnTag;
  // Waits until `flows` more may run; first come, first served.
  struct Turn : rt::Cancelable, ListHook<TurnTag> {
    Turn(WarmUps& owner, size_t wanted)
        : rt::Cancelable(&OnDeliver), warm_ups(owner), flows(wanted) {}
    static void OnDeliver(io::Op& op);
    using rt::Cancelable::LeaveToken;
    WarmUps& warm_ups;
    size_t flows;
    std::coroutine_handle<> waiter;
  };
  struct TurnAwaiter;

  rt::Task<> RunAll(uint64_t serial, SocketAddress to, ProbeWire wire, std::string request,
                    config::WarmUp warm_up);
  static rt::Task<> RunFlow(Run& run);
  void GrantTurns();

  rt::Loop& loop_;
  ProbeListener& listener_;
  size_t flows_ = 0;
  absl::flat_hash_map<uint64_t, Run*> runs_;  // those that are to be reported
  IntrusiveList<Turn, TurnTag> turns_;
  rt::Scope scope_;
};

}  // namespace rondo::control
