// Backends' lives: what checks, workers' reports, operators and time make of their states, and the
// steps of drains.
#include <algorithm>
#include <utility>

#include "control/json_writer.h"
#include "control/members.h"
#include "rondo/base/log.h"
#include "rondo/health/ejection.h"
#include "rondo/health/passive.h"

namespace rondo::control {
namespace {

using health::State;

struct EventText {
  explicit EventText(const UpstreamView& upstream, const BackendView& backend) : json(data) {
    json.BeginObject();
    json.Key("upstream").Text(upstream.settings.name);
    json.Key("backend").Text(backend.id);
  }
  std::string_view Done() {
    json.EndObject();
    return data;
  }
  std::string data;
  JsonWriter json;
};

int64_t Nanoseconds(Instant at) { return at.time_since_epoch().count(); }

}  // namespace

void Members::OnCheck(uint64_t serial, bool passed, std::string_view detail) {
  const auto found = by_serial_.find(serial);
  if (found == by_serial_.end()) return;
  auto& [upstream, backend] = found->second;
  const auto& last = backend->machine.last_check();
  const bool differs = !last || last->passed != passed;
  const State from = backend->machine.state();
  const bool moved = backend->machine.OnCheck(passed, detail, Now());
  if (differs) {
    EventText text(*upstream, *backend);
    text.json.Key("passed").Bool(passed);
    text.json.Key("detail").Text(detail);
    parts_.events.Append(EventType::kHealth, text.Done());
  }
  if (moved) Moved(*upstream, *backend, from);
  if (moved || differs) Commit();
}

void Members::OnWarmedUp(uint64_t serial) {
  const auto found = by_serial_.find(serial);
  if (found == by_serial_.end()) return;
  auto& [upstream, backend] = found->second;
  const State from = backend->machine.state();
  if (!backend->machine.OnWarmedUp(Now())) return;
  Moved(*upstream, *backend, from);
  Commit();
}

void Members::SetUp(uint64_t serial, health::Actor actor) {
  const auto found = by_serial_.find(serial);
  if (found == by_serial_.end()) return;
  auto& [upstream, backend] = found->second;
  const State from = backend->machine.state();
  if (backend->machine.SetUp(actor, "set up", Now())) Moved(*upstream, *backend, from);
}

void Members::SetDrainEnd(uint64_t serial, Instant until) {
  const auto found = by_serial_.find(serial);
  if (found == by_serial_.end()) return;
  auto& [upstream, backend] = found->second;
  if (backend->drain_step != DrainStep::kAnnounced && backend->drain_step != DrainStep::kWaiting)
    return;
  backend->drain_until = until;
  if (backend->machine.state() == State::kDraining) {
    backend->machine.SetDraining(health::Actor::kApi, backend->machine.reason(), until, Now());
  }
  StoreState(*upstream, *backend);
  // Workers spread the ends of WebSockets over the time that is left: they must hear of the new
  // one.
  if (backend->tell_epoch == 0) Announce(*backend, DrainStep::kAnnounced);
}

void Members::Hold(Upstream& upstream, BackendView& backend, control::Hold hold,
                   health::Actor actor) {
  if (backend.hold == hold) return;
  backend.hold = hold;
  const State from = backend.machine.state();
  switch (hold) {
    case control::Hold::kNone:
      backend.drain_step = DrainStep::kNone;
      if (backend.machine.SetUp(actor, "set up", Now())) Moved(upstream, backend, from);
      break;
    case control::Hold::kDraining:
      BeginDrain(upstream, backend, actor, "set draining");
      break;
    case control::Hold::kMaintenance:
      backend.drain_step = DrainStep::kNone;
      if (backend.machine.SetMaintenance(actor, "set maintenance", Now()))
        Moved(upstream, backend, from);
      break;
  }
}

void Members::BeginDrain(Upstream& upstream, BackendView& backend, health::Actor actor,
                         std::string_view reason) {
  Duration timeout = upstream.bare.drain_timeout;
  const auto wish = wishes_.find(backend.serial());
  if (wish != wishes_.end()) {
    timeout = wish->second;
    wishes_.erase(wish);
  }
  backend.drain_since = Now();
  backend.drain_until = Now() + timeout;
  backend.cut = 0;
  if (!std::ranges::count(draining_, backend.serial())) draining_.push_back(backend.serial());
  backend.drain_step = DrainStep::kAnnounced;
  backend.drain_epoch = UINT64_MAX;
  EventText text(upstream, backend);
  text.json.Key("removing").Bool(backend.removing);
  text.json.Key("timeout_ms")
      .Number(std::chrono::duration_cast<std::chrono::milliseconds>(timeout).count());
  parts_.events.Append(EventType::kDrainStarted, text.Done());
  // Out of maintenance nothing is let in again for the sake of its end, not even sticky requests.
  const State from = backend.machine.state();
  if (from == State::kMaintenance && backend.removing) {
    StoreState(upstream, backend);
  } else if (backend.machine.SetDraining(actor, reason, backend.drain_until, Now())) {
    Moved(upstream, backend, from);
  }
  if (backend.tell_epoch == 0) Announce(backend, DrainStep::kAnnounced);
}

void Members::Announce(BackendView& backend, DrainStep step) {
  backend.drain_step = step;
  backend.drain_epoch = UINT64_MAX;
  announced_.push_back(backend.serial());
}

void Members::Moved(Upstream& upstream, BackendView& backend, State from) {
  const State state = backend.machine.state();
  // A drained one that starts anew owes nothing to the failures of before.
  if (!health::IsHeld(state) && state != State::kEjected)
    backend.shared->failure_run.store(0, std::memory_order_relaxed);
  StoreState(upstream, backend);
  const bool was_held = health::IsHeld(from);
  if (!was_held && health::IsHeld(state)) parts_.links.Pause(backend.serial());
  if (was_held && !health::IsHeld(state)) parts_.links.Resume(backend.serial());
  // Nobody need wait for the next turn of its checks.
  if (!was_held && state == State::kChecking) parts_.links.CheckNow(backend.serial());
  if (state == State::kWarming) parts_.links.WarmUp(upstream, backend);
  if (state == State::kEjected) ejected_.push_back(backend.serial());
  EventText text(upstream, backend);
  text.json.Key("from").Text(health::StateName(from));
  text.json.Key("state").Text(health::StateName(state));
  text.json.Key("reason").Text(backend.machine.reason());
  text.json.Key("actor").Text(health::ActorName(backend.machine.actor()));
  parts_.events.Append(EventType::kBackendState, text.Done());
  const bool bad = state == State::kDown || state == State::kEjected;
  const std::string line = "backend " + upstream.settings.name + "/" + backend.id + ": " +
                           std::string(health::StateName(from)) + " to " +
                           std::string(health::StateName(state)) + " (" + backend.machine.reason() +
                           ")";
  Log(bad ? LogLevel::kWarn : LogLevel::kInfo, line);
}

void Members::StoreState(Upstream& upstream, BackendView& backend) {
  const State told = backend.shared->state.load(std::memory_order_relaxed);
  if (health::IsHeld(backend.machine.state()) && !health::IsHeld(told)) {
    HoldBack(backend);
  } else {
    backend.tell_epoch = 0;
    PutState(upstream, backend);
  }
}

void Members::PutState(Upstream& upstream, BackendView& backend) {
  upstream::BackendShared& shared = *backend.shared;
  const bool draining = backend.drain_step != DrainStep::kNone;
  shared.ramp_since.store(Nanoseconds(backend.machine.ramp_since()), std::memory_order_relaxed);
  shared.drain_until.store(draining ? Nanoseconds(backend.drain_until) : INT64_MAX,
                           std::memory_order_relaxed);
  // In one order with the counts of in_flight that are looked at after.
  shared.state.store(backend.machine.state(), std::memory_order_seq_cst);
  upstream.states_moved = true;
}

void Members::Poll() {
  const uint64_t acknowledged = parts_.publisher.acknowledged();
  parts_.publisher.Collect();
  bool moved = acknowledged != std::exchange(acknowledged_, acknowledged);
  for (auto& upstream : upstreams_) {
    if (!upstream->shared->TakeAttention()) continue;
    moved = true;
    TakeReports(*upstream);
  }
  moved = TickEjected() || moved;
  // What is held back may have to wait no longer.
  moved = moved || !untold_.empty();
  // Without workers every step is acknowledged at once.
  while (AdvanceDrains()) {
    moved = false;
    Commit();
  }
  if (moved) Commit();
}

Instant Members::NextPoll() const {
  Instant next = NextTell();
  const uint64_t acknowledged = parts_.publisher.acknowledged();
  for (const uint64_t serial : draining_) {
    const Place& place = by_serial_.at(serial);
    if (place.backend->drain_step == DrainStep::kWaiting) {
      if (WaitIsOver(*place.upstream, *place.backend)) return Now();
      next = std::min(next, place.backend->drain_until);
    } else if (place.backend->drain_epoch <= acknowledged) {
      return Now();
    }
  }
  for (const uint64_t serial : ejected_) {
    if (const BackendView* backend = Find(serial))
      next = std::min(next, backend->machine.NextTick());
  }
  return next;
}

void Members::TakeReports(Upstream& upstream) {
  for (auto& backend : upstream.backends) {
    const uint32_t reports = backend->shared->reports.exchange(0, std::memory_order_seq_cst);
    if (reports == 0) continue;
    backend->faltered = backend->removing;
    if ((reports & upstream::kSuspect) != 0) {
      parts_.links.CheckNow(backend->serial());
      const bool discovered = backend->origin == Origin::kDns || backend->origin == Origin::kFile;
      if (discovered) parts_.links.ResolveNow(upstream.settings.name);
    }
    if ((reports & (upstream::kEjectRefused | upstream::kEjectAnswers)) != 0)
      TryEject(upstream, *backend, reports);
  }
}

void Members::TryEject(Upstream& upstream, BackendView& backend, uint32_t reports) {
  std::vector<State> states;
  states.reserve(upstream.backends.size());
  for (const auto& each : upstream.backends) states.push_back(each->machine.state());
  // What refuses connections serves nobody: that weighs more than bad answers before it.
  const health::EjectionCause cause = (reports & upstream::kEjectRefused) != 0
                                          ? health::EjectionCause::kRefused
                                          : health::EjectionCause::kAnswers;
  if (!health::MayEject(cause, health::CountPool(states))) return;
  const uint32_t fails = upstream.bare.passive_health.max_fails;
  const std::string reason =
      std::to_string(fails) + (fails == 1 ? " failure, last " : " failures, last ") +
      std::string(
          upstream::OutcomeName(backend.shared->last_failure.load(std::memory_order_relaxed)));
  const State from = backend.machine.state();
  if (backend.machine.Eject(reason, Now())) Moved(upstream, backend, from);
}

bool Members::TickEjected() {
  bool moved = false;
  std::vector<uint64_t> before;
  before.swap(ejected_);
  for (const uint64_t serial : before) {
    const auto found = by_serial_.find(serial);
    if (found == by_serial_.end()) continue;
    auto& [upstream, backend] = found->second;
    const State from = backend->machine.state();
    if (from != State::kEjected) continue;
    if (backend->machine.Tick(Now())) {
      moved = true;
      Moved(*upstream, *backend, from);
    } else {
      ejected_.push_back(serial);
    }
  }
  return moved;
}

bool Members::AdvanceDrains() {
  bool moved = false;
  const uint64_t acknowledged = parts_.publisher.acknowledged();
  const std::vector<uint64_t> serials = draining_;
  for (const uint64_t serial : serials) {
    const Place place = by_serial_.at(serial);
    moved = Advance(*place.upstream, *place.backend, acknowledged) || moved;
  }
  EraseGone();
  return moved;
}

bool Members::Advance(Upstream& upstream, BackendView& backend, uint64_t acknowledged) {
  switch (backend.drain_step) {
    case DrainStep::kNone:
    case DrainStep::kDrained:
      return false;  // EraseGone takes it off the list
    case DrainStep::kAnnounced:
      if (backend.tell_epoch != 0 || backend.drain_epoch > acknowledged) return false;
      backend.drain_step = DrainStep::kWaiting;
      EndWaiting(upstream, backend);
      return true;
    case DrainStep::kWaiting:
      return EndWaiting(upstream, backend);
    case DrainStep::kCutting: {
      if (backend.drain_epoch > acknowledged) return false;
      if (backend.removing) {
        Leave(upstream, backend);
        return true;
      }
      backend.drain_step = DrainStep::kDrained;
      EventText text(upstream, backend);
      text.json.Key("cut").Number(backend.cut);
      parts_.events.Append(EventType::kDrainFinished, text.Done());
      return true;
    }
    case DrainStep::kLeaving: {
      if (backend.drain_epoch > acknowledged) return false;
      EventText text(upstream, backend);
      text.json.Key("address").Text(backend.settings.address.ToString());
      text.json.Key("cut").Number(backend.cut);
      const std::string_view data = text.Done();
      parts_.events.Append(EventType::kDrainFinished, data);
      parts_.events.Append(EventType::kBackendRemoved, data);
      LogInfo("backend " + upstream.settings.name + "/" + backend.id + ": removed");
      gone_.insert(backend.serial());
      return true;
    }
  }
  return false;
}

bool Members::WaitIsOver(const Upstream& upstream, const BackendView& backend) const {
  if (Now() >= backend.drain_until) return true;
  const bool sticky =
      upstream.bare.sticky && backend.machine.state() == State::kDraining && !upstream.removing;
  return !sticky && backend.shared->in_flight.load(std::memory_order_seq_cst) == 0;
}

bool Members::EndWaiting(Upstream& upstream, BackendView& backend) {
  if (!WaitIsOver(upstream, backend)) return false;
  backend.cut = backend.shared->in_flight.load(std::memory_order_seq_cst);
  const State from = backend.machine.state();
  // While it was draining its cookie still brought requests: workers must learn that this is over.
  const bool open = upstream.bare.sticky && from == State::kDraining;
  if (backend.machine.SetDrained(backend.machine.actor(), backend.machine.reason(), Now())) {
    Moved(upstream, backend, from);
  }
  if (backend.removing && backend.cut == 0 && !open) {
    Leave(upstream, backend);
  } else {
    Announce(backend, DrainStep::kCutting);
  }
  return true;
}

void Members::Leave(Upstream& upstream, BackendView& backend) {
  parts_.links.Unwatch(backend.serial());
  upstream.list_moved = true;
  Announce(backend, DrainStep::kLeaving);
}

std::optional<DrainProgress> Members::Drain(const BackendView& backend) const {
  if (backend.drain_step == DrainStep::kNone) return std::nullopt;
  const auto found = by_serial_.find(backend.serial());
  DrainProgress progress;
  progress.step = backend.drain_step;
  progress.removing = backend.removing;
  progress.in_flight = backend.shared->in_flight.load(std::memory_order_relaxed);
  const bool waiting =
      backend.drain_step == DrainStep::kAnnounced || backend.drain_step == DrainStep::kWaiting;
  if (waiting) progress.left = std::max(Duration::zero(), backend.drain_until - Now());
  progress.sticky =
      waiting && found != by_serial_.end() && found->second.upstream->bare.sticky.has_value();
  return progress;
}

}  // namespace rondo::control
