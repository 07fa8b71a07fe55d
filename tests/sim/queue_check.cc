// What must hold in a QueueWorld after every step.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "queue_world.h"

namespace rondo::sim {
namespace {

using health::Eligibility;
using health::State;
using std::chrono::milliseconds;
using upstream::WorkerUpstream;

// Timers fire on whole milliseconds.
constexpr Duration kWheelSlack = milliseconds(2);

}  // namespace

// -- how things are --

const config::Backend* QueueWorld::SettingsOf(const Worker& worker, size_t backend) const {
  const upstream::UpstreamConfig& config = *worker.upstream->config();
  for (size_t i = 0; i < config.backends.size(); ++i) {
    if (config.backends[i] == backends_[backend]) return &config.settings.backends[i];
  }
  return nullptr;
}

std::vector<Eligibility> QueueWorld::EligibilityIn(const Worker& worker) const {
  std::vector<Eligibility> eligible(backends_.size(), Eligibility::kNo);
  const upstream::UpstreamConfig& config = *worker.upstream->config();
  if (worker.upstream->retired()) return eligible;
  std::vector<health::Member> members;
  for (size_t i = 0; i < config.backends.size(); ++i) {
    members.push_back({config.backends[i]->state, config.settings.backends[i].backup});
  }
  std::vector<Eligibility> listed(members.size());
  health::Evaluate(members, config.settings.panic_percent, listed);
  for (size_t i = 0; i < config.backends.size(); ++i) {
    for (size_t number = 0; number < backends_.size(); ++number) {
      if (backends_[number] == config.backends[i]) eligible[number] = listed[i];
    }
  }
  return eligible;
}

bool QueueWorld::Coming(const Worker& worker) const {
  if (worker.upstream->retired()) return false;
  const auto& backends = worker.upstream->config()->backends;
  return shared_->expecting || std::any_of(backends.begin(), backends.end(), [](const auto& each) {
           return each->state == State::kChecking || each->state == State::kWarming;
         });
}

bool QueueWorld::HasRoom(const Worker& worker, size_t backend) const {
  const config::Backend* settings = SettingsOf(worker, backend);
  return settings != nullptr && (settings->max_connections == 0 ||
                                 backends_[backend]->in_flight < settings->max_connections);
}

// Untried, or all were tried and this one did not refuse; where it drains, also its own.
std::vector<bool> QueueWorld::MayUse(const Flow& flow) const {
  const std::vector<Eligibility> eligible = EligibilityIn(flow.worker);
  const auto tried = [&](size_t i) {
    return flow.tried != nullptr && flow.tried->Contains(backends_[i]->serial);
  };
  bool all_tried = true;
  for (size_t i = 0; i < eligible.size(); ++i) {
    all_tried &= eligible[i] != Eligibility::kYes || tried(i);
  }
  std::vector<bool> may_use(eligible.size());
  for (size_t i = 0; i < eligible.size(); ++i) {
    const bool refused = std::ranges::count(flow.refused, backends_[i]->serial) > 0;
    const bool has_turn = !tried(i) || (all_tried && !refused);
    switch (eligible[i]) {
      case Eligibility::kNo:
        break;
      case Eligibility::kStickyOnly:
        may_use[i] = has_turn && options_.upstream.sticky && flow.plan.key.sticky == StickyHash(i);
        break;
      case Eligibility::kYes:
        may_use[i] = has_turn;
        break;
    }
  }
  return may_use;
}

QueueWorld::Before QueueWorld::Look(const Flow& flow) const {
  Before before;
  before.others_wait = shared_->board.waiting() > 0;
  before.coming = Coming(flow.worker);
  before.may_use = MayUse(flow);
  const std::vector<Eligibility> eligible = EligibilityIn(flow.worker);
  for (size_t i = 0; i < backends_.size(); ++i) {
    before.had_room.push_back(HasRoom(flow.worker, i));
    before.draining.push_back(eligible[i] == Eligibility::kStickyOnly);
  }
  return before;
}

// Sent away from the queue, and not told yet. (Who was cancelled stays in it until he is told.)
bool QueueWorld::IsDismissed(const Flow& flow) const {
  return flow.wait != nullptr && flow.wait->in_flight() && !flow.wait->lease &&
         !flow.wait->ListHook<upstream::QueueWait>::linked();
}

size_t QueueWorld::IndexOf(const upstream::WorkerBackend& backend) const {
  for (size_t i = 0; i < backends_.size(); ++i) {
    if (backends_[i] == backend.shared) return i;
  }
  return SIZE_MAX;
}

// -- what must hold --

void QueueWorld::CheckAcquire(const Flow& flow, const Before& before, WorkerUpstream::Acquired got,
                              const upstream::Lease& lease) {
  bool usable = false;
  bool any = false;
  for (size_t i = 0; i < backends_.size(); ++i) {
    any |= before.may_use[i];
    usable |=
        before.may_use[i] && before.had_room[i] && (!before.others_wait || before.draining[i]);
  }
  switch (got) {
    case WorkerUpstream::Acquired::kLease: {
      const size_t backend = IndexOf(*lease.backend());
      const auto own = flow.plan.key.sticky;
      if (before.others_wait && !before.draining[backend]) {
        Report(flow, "overtakes those that wait");
      }
      if (!before.may_use[backend]) Report(flow, "is sent to a backend that it may not use");
      if (!before.had_room[backend]) Report(flow, "is sent to a backend that is full");
      for (size_t i = 0; own && flow.tried == nullptr && i < backends_.size(); ++i) {
        if (!options_.upstream.sticky || StickyHash(i) != *own) continue;
        if (!before.had_room[i] || !before.may_use[i]) continue;
        if (i != backend) Report(flow, "is not sent to its own backend");
      }
      break;
    }
    case WorkerUpstream::Acquired::kFull:
      if (usable) Report(flow, "finds no free place");
      if (!any && !before.coming) Report(flow, "would wait for nothing");
      break;
    case WorkerUpstream::Acquired::kNone:
      if (any || before.coming) Report(flow, "is sent away too early");
      break;
  }
}

void QueueWorld::CheckTimeout(const Flow& flow, Instant until) {
  const Instant now = world_.now();
  if (now < until) Report(flow, "times out too early");
  // One that comes back after a failed attempt may have no time left.
  const Duration late = now - std::max(until, flow.since);
  if (late > kWheelSlack + options_.wake_max) {
    Report(
        absl::StrCat("request ", flow.number, " times out ", late / milliseconds(1), " ms late"));
  }
}

void QueueWorld::CheckStep() {
  CheckCounts();
  for (Flow* flow : active_) {
    CheckWaiting(*flow);
    if (flow->wait == nullptr || flow->noted) continue;
    if (IsDismissed(*flow)) {
      flow->noted = true;
      CheckDismissed(*flow);
    } else if (flow->wait->lease) {
      flow->noted = true;
      CheckOrder(*flow);
    }
  }
}

void QueueWorld::CheckCounts() {
  uint32_t in_flight = 0;
  for (size_t i = 0; i < backends_.size(); ++i) {
    const uint32_t count = backends_[i]->in_flight.load();
    in_flight += count;
    // A limit that was lowered takes nobody's place away, but nobody gets one beyond what some
    // worker knows.
    uint32_t most = 0;
    for (const auto& worker : workers_) {
      const config::Backend* settings = SettingsOf(*worker, i);
      if (settings == nullptr || worker->upstream->retired()) continue;
      const uint32_t limit = settings->max_connections;
      most = std::max(most, limit == 0 ? UINT32_MAX : limit);
    }
    if (count > std::max(most, counted_[i])) {
      Report(absl::StrCat(count, " at a backend that takes ", most));
    }
    counted_[i] = count;
  }
  uint32_t held = 0;
  uint32_t waiting = 0;
  for (const Flow* flow : active_) {
    const bool waits = flow->wait != nullptr;
    held += flow->holds || (waits && flow->wait->lease) ? 1 : 0;
    waiting += waits && !flow->wait->lease && !IsDismissed(*flow) ? 1 : 0;
  }
  if (held != in_flight) {
    Report(absl::StrCat(in_flight, " counted in flight, but ", held, " hold a place"));
  }
  if (waiting != shared_->board.waiting()) {
    Report(absl::StrCat(shared_->board.waiting(), " counted waiting, but ", waiting, " wait"));
  }
  if (waiting > options_.upstream.queue.size) Report(absl::StrCat(waiting, " wait"));
}

// Nobody waits for longer than a wake takes while a place is free that he could use, or while there
// is nothing to wait for.
void QueueWorld::CheckWaiting(Flow& flow) {
  bool stuck = false;
  bool hopeless = false;
  if (IsWaiting(flow)) {
    hopeless = !Coming(flow.worker);
    const std::vector<bool> may_use = MayUse(flow);
    for (size_t i = 0; i < may_use.size(); ++i) {
      hopeless &= !may_use[i];
      stuck |= may_use[i] && HasRoom(flow.worker, i);
    }
  }
  const auto check = [&](bool holds, Instant& since, const char* what) {
    if (!holds) {
      since = kNever;
    } else if (since == kNever) {
      since = world_.now();
    } else if (world_.now() - since > 3 * options_.wake_max) {
      Report(flow, what);
      since = kNever;
    }
  };
  check(stuck, flow.stuck_since, "waits for a place that is free: a wake-up was lost");
  check(hopeless, flow.hopeless_since, "waits for nothing");
}

// Whether it was the turn of a request that just got its place.
void QueueWorld::CheckOrder(const Flow& served) {
  const size_t backend = IndexOf(*served.wait->lease.backend());
  if (EligibilityIn(served.worker)[backend] == Eligibility::kNo) {
    Report(served, "is given a place at a backend that takes none");
  }
  for (const Flow* other : active_) {
    if (other == &served || !IsWaiting(*other) || !MayUse(*other)[backend]) continue;
    if (&other->worker == &served.worker) {
      if (other->entered < served.entered) {
        Report(absl::StrCat("request ", served.number, " overtakes ", other->number,
                            " on its worker"));
      }
      // Over workers only where nobody passes a place on because it is of no use to him, and where
      // not everybody is served at once.
    } else if (!any_faults_ && !any_steps_ && other->since + options_.wake_max < served.since) {
      Report(absl::StrCat("request ", served.number, " overtakes ", other->number,
                          " of another worker"));
    }
  }
}

void QueueWorld::CheckDismissed(const Flow& flow) {
  if (Coming(flow.worker) || std::ranges::count(MayUse(flow), true) > 0) {
    Report(flow, "is sent away from the queue, but there is something to wait for");
  }
}

void QueueWorld::CheckEnd() {
  for (const auto& backend : backends_) {
    if (backend->in_flight.load() != 0) Report("a place was not given back");
  }
  if (shared_->board.waiting() != 0) Report("somebody is counted waiting for ever");
  if (shared_->board.OldestElsewhere(SIZE_MAX) != kNever)
    Report("a worker still tells of a waiter");
  for (const auto& worker : workers_) {
    if (worker->upstream->retired() && !worker->upstream->done()) {
      Report("an upstream that was removed is still in use");
    }
  }
}

}  // namespace rondo::sim
