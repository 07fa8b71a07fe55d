#include "control/warm_ups.h"

#include <algorithm>
#include <cerrno>
#include <optional>
#include <utility>

#include "control/probe_connection.h"
#include "control/probe_http.h"

namespace rondo::control {

// One backend's warm-up: lives in the frame of RunAll, shared by its flows.
struct WarmUps::Run {
  explicit Run(rt::Loop& on_loop)
      : loop(on_loop), token(on_loop.engine()), deadline(on_loop.wheel(), token) {}
  Freelist& frames() { return loop.frames(); }

  rt::Loop& loop;
  rt::CancelToken token;
  rt::Deadline deadline;
  SocketAddress to;
  ProbeWire wire;
  std::string request;
  uint32_t left = 0;
  uint32_t succeeded = 0;
  bool ended = false;  // nobody wants to hear of it any more
  rt::Scope flows;
};

struct WarmUps::TurnAwaiter {
  TurnAwaiter(Turn& waiting, rt::CancelToken& by) : turn(waiting), token(by) {}
  TurnAwaiter(const TurnAwaiter&) = delete;
  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> waiter) noexcept {
    turn.waiter = waiter;
    token.Link(turn);
    turn.warm_ups.turns_.PushBack(turn);
    turn.warm_ups.GrantTurns();
  }
  // 0: its flows are counted; or -ECANCELED.
  int32_t await_resume() const noexcept { return turn.result; }
  Turn& turn;
  rt::CancelToken& token;
};

void WarmUps::Turn::OnDeliver(io::Op& op) {
  auto& self = static_cast<Turn&>(op);
  self.LeaveToken();
  static_cast<ListHook<TurnTag>&>(self).Unlink();
  std::exchange(self.waiter, {}).resume();
}

// By Post, so that nothing begins within the call that made room for it.
void WarmUps::GrantTurns() {
  while (!turns_.empty()) {
    Turn& turn = turns_.front();
    const bool cancelled = turn.in_flight();
    if (!cancelled) {
      if (flows_ > 0 && flows_ + turn.flows > kFlowsMax) return;
      flows_ += turn.flows;
      loop_.engine().Post(turn, 0);
    }
    static_cast<ListHook<TurnTag>&>(turn).Unlink();
  }
}

void WarmUps::Start(uint64_t serial, const SocketAddress& to, ProbeWire wire, std::string request,
                    const config::WarmUp& warm_up) {
  End(serial);
  scope_.Spawn(RunAll(serial, to, std::move(wire), std::move(request), warm_up));
}

void WarmUps::End(uint64_t serial) {
  const auto found = runs_.find(serial);
  if (found == runs_.end()) return;
  found->second->ended = true;
  found->second->token.Cancel(rt::CancelReason::kShutdown);
  runs_.erase(found);
}

void WarmUps::EndAll() {
  while (!runs_.empty()) End(runs_.begin()->first);
}

rt::Task<> WarmUps::RunAll(uint64_t serial, SocketAddress to, ProbeWire wire, std::string request,
                           config::WarmUp warm_up) {
  Run run(loop_);
  run.to = std::move(to);
  run.wire = std::move(wire);
  run.request = std::move(request);
  run.left = warm_up.requests;
  run.deadline.Set(loop_.Now() + warm_up.timeout);
  runs_[serial] = &run;
  const size_t flows = std::max<size_t>(std::min(warm_up.concurrency, warm_up.requests), 1);
  Turn turn(*this, flows);
  TurnAwaiter granted(turn, run.token);
  const int32_t waited = co_await granted;
  if (waited == 0) {
    for (size_t i = 0; i < flows; ++i) run.flows.Spawn(RunFlow(run));
    co_await run.flows.Join();
    flows_ -= flows;
    GrantTurns();
  }
  if (run.ended) co_return;
  runs_.erase(serial);
  listener_.OnWarmedUp(serial, run.succeeded);
}

rt::Task<> WarmUps::RunFlow(Run& run) {
  std::optional<ProbeConnection> connection;
  while (run.left > 0 && !run.token.cancelled()) {
    --run.left;
    if (!connection) {
      connection.emplace(run.loop, run.token);
      const ProbeConnection::Connected connected = co_await connection->Connect(run.to, run.wire);
      if (connected.error != 0) {
        connection.reset();
        continue;
      }
    }
    ProbeAnswer answer({.body_bytes_max = SIZE_MAX, .whole_body = true});
    const int error = co_await connection->Ask(run.request, answer);
    const bool whole = error == 0 && answer.progress() == ProbeAnswer::Progress::kDecided;
    if (whole && answer.status() < 500) ++run.succeeded;
    if (!whole || !answer.reusable()) connection.reset();
  }
}

}  // namespace rondo::control
