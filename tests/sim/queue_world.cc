#include "queue_world.h"

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "rondo/balance/stable_hash.h"

namespace rondo::sim {
namespace {

using std::chrono::milliseconds;
using upstream::WorkerUpstream;

// Timers fire on whole milliseconds.
constexpr Duration kWheelSlack = milliseconds(2);

struct Sleep : io::Timer {
  Sleep(rt::Loop& on, Duration time) : io::Timer(&OnFire), loop(on), duration(time) {}
  static void OnFire(io::Timer& timer) { static_cast<Sleep&>(timer).waiter.resume(); }
  bool await_ready() const { return duration == Duration::zero(); }
  void await_suspend(std::coroutine_handle<> handle) {
    waiter = handle;
    loop.wheel().Arm(*this, loop.Now() + duration);
  }
  void await_resume() {}
  rt::Loop& loop;
  Duration duration;
  std::coroutine_handle<> waiter;
};

}  // namespace

config::Upstream QueueWorld::Upstream(const std::vector<uint32_t>& max_connections,
                                      size_t backups) {
  config::Upstream upstream;
  upstream.name = "a";
  for (size_t i = 0; i < max_connections.size(); ++i) {
    config::Backend backend;
    backend.id = absl::StrCat("10.0.1.", i + 1, ":80");
    backend.address = *SocketAddress::Parse(backend.id);
    backend.max_connections = max_connections[i];
    backend.backup = i + backups >= max_connections.size();
    upstream.backends.push_back(backend);
  }
  upstream.queue = {100, milliseconds(500)};
  return upstream;
}

QueueWorld::QueueWorld(uint64_t seed, const QueueWorldOptions& options)
    : options_(options),
      world_(seed),
      config_(std::make_shared<const upstream::UpstreamConfig>(options.upstream, options.workers)) {
  size_t members[2] = {};
  for (const auto& backend : config_->backends)
    member_.push_back(members[backend->settings.backup]++);
  for (size_t i = 0; i < options.workers; ++i) {
    SimEngineOptions engine_options;
    engine_options.process = "rondo";
    engine_options.faults = options.faults;
    workers_.push_back(
        std::make_unique<Worker>(world_.AddEngine(absl::StrCat("worker", i), engine_options)));
    Worker* worker = workers_.back().get();
    worker->upstream =
        std::make_unique<WorkerUpstream>(worker->loop, config_, i, options.workers, i);
    const auto tick = [worker] {
      worker->loop.Tick();
      worker->upstream->ServeQueue();
    };
    worker->actor = world_.AddActor(worker->engine, tick,
                                    [worker] { return worker->loop.wheel().NextDeadline(); });
  }
}

QueueWorld::~QueueWorld() {
  for (auto& worker : workers_) world_.RemoveActor(worker->actor);
  // What has not ended cannot be taken back: it stays, for the report's sake.
  if (done_ == flows_.size()) return;
  for (auto& worker : workers_) (void)worker.release();
  (void)new std::deque<Flow>(std::move(flows_));
}

uint64_t QueueWorld::StickyHash(size_t backend) const {
  return balance::StickyHash(config_->settings.name, config_->settings.backends[backend].id);
}

void QueueWorld::Add(PlaceRequest request) {
  Worker& worker = *workers_[request.worker];
  any_faults_ |= !request.faults.empty();
  Flow& flow = flows_.emplace_back(flows_.size(), std::move(request), worker, 0);
  worker.scope.Spawn(RunFlow(flow, *this));
}

rt::Task<> QueueWorld::RunFlow(Flow& flow, QueueWorld& world) {
  rt::Loop& loop = flow.worker.loop;
  co_await Sleep(loop, flow.plan.start);
  flow.began = loop.Now();
  world.active_.push_back(&flow);
  if (flow.plan.leaves_after > Duration::zero()) {
    loop.wheel().Arm(flow.leave, flow.began + flow.plan.leaves_after);
  }
  Instant until = kNever;
  for (;; ++flow.attempt) {
    upstream::Lease lease;
    const bool placed = co_await Place(flow, world, &until, &lease);
    if (!placed) break;
    flow.holds = true;
    flow.backend = world.IndexOf(*lease.backend());
    const PlaceFault fault =
        flow.attempt < flow.plan.faults.size() ? flow.plan.faults[flow.attempt] : PlaceFault::kNone;
    if (fault == PlaceFault::kNone) {
      flow.placed = loop.Now();
      world.served_.push_back(flow.number);
      co_await Sleep(loop, flow.plan.hold);
      flow.end = PlaceEnd::kServed;
    } else {
      co_await Sleep(loop, flow.plan.hold / 4);
    }
    if (fault != PlaceFault::kNone) {
      flow.tried = &flow.state;
      WorkerUpstream::MarkTried(flow.state, *lease.backend(), fault == PlaceFault::kRefuses);
    }
    flow.holds = false;
    lease.Reset();
    if (flow.end == PlaceEnd::kServed) break;
  }
  flow.deadline.Clear();
  flow.leave.Cancel();
  world.active_.remove(&flow);
  ++world.done_;
}

// Takes a place or waits for one; false where there is none, with flow.end set.
rt::Task<bool> QueueWorld::Place(Flow& flow, QueueWorld& world, Instant* until,
                                 upstream::Lease* lease) {
  WorkerUpstream& mine = *flow.worker.upstream;
  const Before before = world.Look(flow);
  const WorkerUpstream::Acquired got = mine.Acquire(flow.plan.key, flow.tried, lease);
  world.CheckAcquire(flow, before, got, *lease);
  switch (got) {
    case WorkerUpstream::Acquired::kLease:
      co_return true;
    case WorkerUpstream::Acquired::kNone:
      flow.end = PlaceEnd::kNowhere;
      co_return false;
    case WorkerUpstream::Acquired::kFull:
      break;
  }
  if (*until == kNever) *until = flow.worker.loop.Now() + world.config_->settings.queue.timeout;
  co_await Wait(flow, world, *until, lease);
  co_return static_cast<bool>(*lease);
}

rt::Task<> QueueWorld::Wait(Flow& flow, QueueWorld& world, Instant until, upstream::Lease* lease) {
  flow.deadline.Set(until);
  upstream::QueueWait wait(*flow.worker.upstream);
  flow.entered = world.waits_++;
  flow.since = flow.worker.loop.Now();
  flow.noted = false;
  flow.wait = &wait;
  const int32_t result =
      co_await flow.worker.upstream->Wait(wait, flow.plan.key, flow.tried, flow.token);
  flow.wait = nullptr;
  flow.deadline.Clear();
  if (result == 0) {
    *lease = std::move(wait.lease);
    flow.token.ClearPassing();  // as the proxy: it has a place
  } else if (result == -ENOSPC) {
    flow.end = PlaceEnd::kQueueFull;
    if (world.config_->board->waiting() < world.config_->settings.queue.size) {
      world.Report(flow, "finds a queue full that is not");
    }
  } else if (flow.token.reason() == rt::CancelReason::kDeadline) {
    flow.end = PlaceEnd::kTimeout;
    world.CheckTimeout(flow, until);
  } else {
    flow.end = PlaceEnd::kLeft;
  }
}

bool QueueWorld::Run() {
  const RunEnd end = world_.RunUntil(
      [this] {
        CheckStep();
        return done_ == flows_.size() || findings_.size() > 5;
      },
      std::chrono::seconds(300));
  if (end.stop != Stop::kPredicate) Report("some requests never end: " + end.why);
  if (done_ == flows_.size()) CheckEnd();
  return findings_.empty();
}

// -- what must hold --

QueueWorld::Before QueueWorld::Look(const Flow& flow) const {
  Before before;
  before.others_wait = config_->board != nullptr && config_->board->waiting() > 0;
  for (size_t i = 0; i < config_->backends.size(); ++i) {
    before.had_room.push_back(HasRoom(i));
    before.may_use.push_back(MayUse(flow, i));
  }
  return before;
}

void QueueWorld::CheckAcquire(const Flow& flow, const Before& before, WorkerUpstream::Acquired got,
                              const upstream::Lease& lease) {
  bool usable = false;
  bool any = false;
  for (size_t i = 0; i < config_->backends.size(); ++i) {
    any |= before.may_use[i];
    usable |= before.may_use[i] && before.had_room[i];
  }
  switch (got) {
    case WorkerUpstream::Acquired::kLease: {
      const size_t backend = IndexOf(*lease.backend());
      const auto own = flow.plan.key.sticky;
      if (before.others_wait) Report(flow, "overtakes those that wait");
      if (!before.may_use[backend]) Report(flow, "is sent once more to a backend that failed");
      for (size_t i = 0; own && flow.tried == nullptr && i < config_->backends.size(); ++i) {
        if (!config_->settings.sticky || StickyHash(i) != *own || !before.had_room[i]) continue;
        if (i != backend) Report(flow, "is not sent to its own backend");
      }
      break;
    }
    case WorkerUpstream::Acquired::kFull:
      if (!before.others_wait && usable) Report(flow, "finds no free place");
      if (!any) Report(flow, "would wait for nothing");
      break;
    case WorkerUpstream::Acquired::kNone:
      if (any) Report(flow, "is sent away too early");
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
  CheckStuck();
  for (Flow* flow : active_) {
    if (flow->wait == nullptr || !flow->wait->lease || flow->noted) continue;
    flow->noted = true;
    CheckOrder(*flow);
  }
}

void QueueWorld::CheckCounts() {
  uint32_t in_flight = 0;
  for (const auto& backend : config_->backends) {
    const uint32_t count = backend->in_flight.load();
    const uint32_t most = backend->settings.max_connections;
    if (most > 0 && count > most) Report(absl::StrCat(count, " at a backend that takes ", most));
    in_flight += count;
  }
  uint32_t held = 0;
  uint32_t waiting = 0;
  for (const Flow* flow : active_) {
    const bool waits = flow->wait != nullptr;
    held += flow->holds || (waits && flow->wait->lease) ? 1 : 0;
    waiting += waits && !flow->wait->lease ? 1 : 0;
  }
  if (held != in_flight)
    Report(absl::StrCat(in_flight, " counted in flight, but ", held, " hold a place"));
  if (config_->board == nullptr) return;
  if (waiting != config_->board->waiting()) {
    Report(absl::StrCat(config_->board->waiting(), " counted waiting, but ", waiting, " wait"));
  }
  if (waiting > config_->settings.queue.size) Report(absl::StrCat(waiting, " wait"));
}

// No place is free for longer than a wake takes while somebody waits who could use it.
void QueueWorld::CheckStuck() {
  bool stuck = false;
  for (size_t i = 0; i < config_->backends.size() && !stuck; ++i) {
    if (!HasRoom(i)) continue;
    for (const Flow* flow : active_) stuck |= IsWaiting(*flow) && MayUse(*flow, i);
  }
  if (!stuck) {
    stuck_since_ = kNever;
  } else if (stuck_since_ == kNever) {
    stuck_since_ = world_.now();
  } else if (world_.now() - stuck_since_ > 3 * options_.wake_max) {
    Report("a wake-up was lost: a request waits for a place that is free");
    stuck_since_ = kNever;
  }
}

// Whether it was the turn of a request that just got its place.
void QueueWorld::CheckOrder(const Flow& served) {
  const size_t backend = IndexOf(*served.wait->lease.backend());
  for (const Flow* other : active_) {
    if (other == &served || !IsWaiting(*other) || !MayUse(*other, backend)) continue;
    if (&other->worker == &served.worker) {
      if (other->entered < served.entered) {
        Report(absl::StrCat("request ", served.number, " overtakes ", other->number,
                            " on its worker"));
      }
      // Over workers only where nobody passes a place on because it is of no use to him.
    } else if (!any_faults_ && other->since + options_.wake_max < served.since) {
      Report(absl::StrCat("request ", served.number, " overtakes ", other->number,
                          " of another worker"));
    }
  }
}

void QueueWorld::CheckEnd() {
  for (const auto& backend : config_->backends) {
    if (backend->in_flight.load() != 0) Report("a place was not given back");
  }
  if (config_->board == nullptr) return;
  if (config_->board->waiting() != 0) Report("somebody is counted waiting for ever");
  if (config_->board->OldestElsewhere(SIZE_MAX) != kNever)
    Report("a worker still tells of a waiter");
}

bool QueueWorld::HasRoom(size_t backend) const {
  const upstream::BackendShared& shared = *config_->backends[backend];
  return shared.settings.max_connections == 0 ||
         shared.in_flight.load() < shared.settings.max_connections;
}

// Untried, or all were tried and this one did not refuse.
bool QueueWorld::MayUse(const Flow& flow, size_t backend) const {
  if (flow.tried == nullptr) return true;
  const bool backup = config_->settings.backends[backend].backup;
  const upstream::PickState& state = *flow.tried;
  if (!(backup ? state.backup : state.primary).Contains(member_[backend])) return true;
  if ((backup ? state.backup_refused : state.primary_refused).Contains(member_[backend]))
    return false;
  return state.primary.count() + state.backup.count() == config_->backends.size();
}

size_t QueueWorld::IndexOf(const upstream::WorkerBackend& backend) const {
  for (size_t i = 0; i < config_->backends.size(); ++i) {
    if (config_->backends[i] == backend.shared) return i;
  }
  return SIZE_MAX;
}

size_t QueueWorld::Count(PlaceEnd end) const {
  size_t count = 0;
  for (const Flow& flow : flows_) count += flow.end == end ? 1 : 0;
  return count;
}

void QueueWorld::Report(const std::string& finding) {
  const Duration at = world_.now().time_since_epoch();
  findings_.push_back(absl::StrCat(at / std::chrono::microseconds(1), " us: ", finding));
}

void QueueWorld::Report(const Flow& flow, const std::string& finding) {
  Report(absl::StrCat("request ", flow.number, " ", finding));
}

std::string QueueWorld::Findings() const {
  std::string text;
  for (const std::string& each : findings_) absl::StrAppend(&text, "  ", each, "\n");
  return text;
}

}  // namespace rondo::sim
