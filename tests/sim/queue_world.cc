#include "queue_world.h"

#include <algorithm>
#include <cerrno>

#include "absl/strings/str_cat.h"
#include "rondo/balance/stable_hash.h"

namespace rondo::sim {
namespace {

using std::chrono::milliseconds;
using upstream::WorkerUpstream;

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
      shared_(std::make_shared<upstream::UpstreamShared>(options.upstream.name, options.workers)) {
  for (const config::Backend& each : options.upstream.backends) {
    listed_.push_back(Listed{Join(each), each});
  }
  for (size_t i = 0; i < options.workers; ++i) {
    SimEngineOptions engine_options;
    engine_options.process = "rondo";
    engine_options.faults = options.faults;
    workers_.push_back(
        std::make_unique<Worker>(world_.AddEngine(absl::StrCat("worker", i), engine_options)));
  }
  Publish();
  for (size_t i = 0; i < options.workers; ++i) {
    Worker* worker = workers_[i].get();
    worker->upstream = std::make_unique<WorkerUpstream>(
        worker->loop, std::exchange(worker->published, nullptr), i, options.workers, i);
    worker->actor = world_.AddActor(
        worker->engine, [this, worker] { Tick(*worker); },
        [worker] { return worker->loop.wheel().NextDeadline(); });
  }
}

void QueueWorld::Tick(Worker& worker) {
  const auto published = std::exchange(worker.published, nullptr);
  if (published != nullptr && !worker.retire) worker.upstream->Adopt(published);
  if (worker.retire) worker.upstream->Retire();
  worker.loop.Tick();
  worker.upstream->ServeQueue();
}

// -- control --

size_t QueueWorld::Join(const config::Backend& settings) {
  backends_.push_back(std::make_shared<upstream::BackendShared>(
      settings.id, settings.address, upstream::BackendShared::NextSerial(), options_.workers));
  counted_.push_back(0);
  return backends_.size() - 1;
}

void QueueWorld::Publish() {
  config::Upstream settings = options_.upstream;
  settings.backends.clear();
  std::vector<std::shared_ptr<upstream::BackendShared>> backends;
  for (const Listed& each : listed_) {
    settings.backends.push_back(each.settings);
    backends.push_back(backends_[each.number]);
  }
  const auto config =
      std::make_shared<const upstream::UpstreamConfig>(settings, shared_, std::move(backends));
  for (auto& worker : workers_) {
    worker->published = config;
    worker->engine.Wake();
  }
}

void QueueWorld::Add(const ControlStep& step) {
  any_steps_ = true;
  world_.After(step.at, [this, step] { Do(step); });
}

void QueueWorld::Do(const ControlStep& step) {
  using Kind = ControlStep::Kind;
  const auto listed = std::find_if(listed_.begin(), listed_.end(),
                                   [&](const Listed& each) { return each.number == step.backend; });
  const bool is_listed = listed != listed_.end();
  switch (step.kind) {
    case Kind::kState: {
      if (step.backend >= backends_.size()) return;
      upstream::BackendShared& backend = *backends_[step.backend];
      backend.ramp_since = world_.now().time_since_epoch().count();
      backend.state = step.state;
      shared_->StatesChanged();
      return;
    }
    case Kind::kExpecting:
      shared_->expecting = step.value != 0;
      shared_->StatesChanged();
      return;
    case Kind::kRetire:
      for (auto& worker : workers_) {
        worker->retire = true;
        worker->engine.Wake();
      }
      return;
    case Kind::kLimit:
      if (is_listed) listed->settings.max_connections = step.value;
      break;
    case Kind::kWeight:
      if (is_listed) listed->settings.weight = std::max(1u, step.value);
      break;
    case Kind::kBackup:
      if (is_listed) listed->settings.backup = !listed->settings.backup;
      break;
    case Kind::kRemove:
      if (is_listed) listed_.erase(listed);
      break;
    case Kind::kAdd: {
      if (is_listed) return;
      config::Backend settings = options_.upstream.backends[0];
      settings.max_connections = step.value;
      if (step.backend < backends_.size()) {
        settings.id = backends_[step.backend]->id;
        for (const Listed& each : listed_) {
          if (each.settings.id == settings.id) return;  // it was replaced
        }
        settings.address = backends_[step.backend]->address;
        listed_.push_back(Listed{step.backend, settings});
      } else {
        settings.id = absl::StrCat("10.0.2.", backends_.size(), ":80");
        settings.address = *SocketAddress::Parse(settings.id);
        listed_.push_back(Listed{Join(settings), settings});
      }
      break;
    }
    case Kind::kReplace:
      if (!is_listed) return;
      listed->number = Join(listed->settings);
      break;
  }
  Publish();
}

QueueWorld::~QueueWorld() {
  for (auto& worker : workers_) world_.RemoveActor(worker->actor);
  // What has not ended cannot be taken back: it stays, for the report's sake.
  if (done_ == flows_.size()) return;
  for (auto& worker : workers_) (void)worker.release();
  (void)new std::deque<Flow>(std::move(flows_));
}

uint64_t QueueWorld::StickyHash(size_t backend) const {
  return balance::StickyHash(options_.upstream.name, backends_[backend]->id);
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
  const upstream::UpstreamRef keeps(*flow.worker.upstream);
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
      if (fault == PlaceFault::kRefuses) {
        flow.refused.push_back(lease.backend()->shared->serial);
      }
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
  if (*until == kNever) *until = flow.worker.loop.Now() + world.options_.upstream.queue.timeout;
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
    if (world.shared_->board.waiting() < world.options_.upstream.queue.size) {
      world.Report(flow, "finds a queue full that is not");
    }
  } else if (result == -ENOENT) {
    flow.end = PlaceEnd::kNowhere;
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
