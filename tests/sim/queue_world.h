// Workers that share one upstream with limits, and requests that are nothing but a place at a
// backend: taken at once or waited for, held for a while, given back; and a control that changes
// states and publishes other configurations meanwhile. Checked after every step of the simulation.
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "rondo/health/eligible.h"
#include "rondo/rt/cancel.h"
#include "rondo/upstream/worker_upstream.h"
#include "sim_world.h"

namespace rondo::sim {

enum class PlaceFault : uint8_t { kNone, kRefuses, kBreaks };

// What one request is going to do.
struct PlaceRequest {
  size_t worker = 0;
  Duration start{};
  Duration hold{};
  Duration leaves_after{};         // of its start; zero: stays
  std::vector<PlaceFault> faults;  // by attempt; later ones succeed
  upstream::PickKey key;
};

// What control does at some time.
struct ControlStep {
  enum class Kind : uint8_t {
    kState,      // `state` for `backend`
    kExpecting,  // whether more backends are to come: `value`
    kLimit,      // `value` as max_connections of `backend`
    kWeight,     // `value`
    kBackup,     // of `backend`: it becomes one, or ceases to be
    kRemove,     // `backend`, as it is
    kAdd,        // `backend` again where it was removed, else another
    kReplace,    // `backend`, by one of the same id that is not the same
    kRetire,     // the upstream
  };
  Kind kind = Kind::kState;
  Duration at{};
  size_t backend = 0;  // its number; those that join are numbered on
  health::State state = health::State::kUp;
  uint32_t value = 0;
};

enum class PlaceEnd : uint8_t { kNone, kServed, kNowhere, kQueueFull, kTimeout, kLeft };

struct QueueWorldOptions {
  size_t workers = 1;
  config::Upstream upstream;
  FaultPlan faults;
  // The longest that a worker takes to do what it was woken for.
  Duration wake_max = std::chrono::milliseconds(1);
};

class QueueWorld {
 public:
  QueueWorld(uint64_t seed, const QueueWorldOptions& options);
  ~QueueWorld();

  static config::Upstream Upstream(const std::vector<uint32_t>& max_connections,
                                   size_t backups = 0);
  uint64_t StickyHash(size_t backend) const;
  void Add(PlaceRequest request);
  void Add(const ControlStep& step);
  // To the end of all requests. True where all held.
  bool Run();

  SimWorld& world() { return world_; }
  std::string Findings() const;
  PlaceEnd EndOf(size_t request) const { return flows_[request].end; }
  // Requests in the order in which they got their (last) place.
  const std::vector<size_t>& served() const { return served_; }
  // When, since its start.
  Duration TookUntilPlace(size_t request) const {
    return flows_[request].placed - flows_[request].began;
  }
  size_t BackendOf(size_t request) const { return flows_[request].backend; }
  size_t waits() const { return waits_; }
  size_t Count(PlaceEnd end) const;

 private:
  struct Worker {
    explicit Worker(SimEngine& of) : engine(of), loop(of) {}
    SimEngine& engine;
    rt::Loop loop;
    std::unique_ptr<upstream::WorkerUpstream> upstream;
    rt::Scope scope;
    int actor = -1;
    // The slot of a publication.
    std::shared_ptr<const upstream::UpstreamConfig> published;
    bool retire = false;
  };
  struct Flow {
    Flow(size_t id, PlaceRequest what, Worker& on, size_t in_order)
        : number(id),
          plan(std::move(what)),
          worker(on),
          token(on.engine),
          deadline(on.loop.wheel(), token),
          entered(in_order),
          leave(*this) {}
    struct LeaveTimer : io::Timer {
      explicit LeaveTimer(Flow& of) : io::Timer(&OnFire), flow(of) {}
      static void OnFire(io::Timer& timer) {
        static_cast<LeaveTimer&>(timer).flow.token.Cancel(rt::CancelReason::kClientGone);
      }
      Flow& flow;
    };
    Freelist& frames() { return worker.loop.frames(); }
    size_t number;
    PlaceRequest plan;
    Worker& worker;
    rt::CancelToken token;
    rt::Deadline deadline;
    upstream::PickState state;
    upstream::PickState* tried = nullptr;  // null: nothing was
    std::vector<uint64_t> refused;         // serials
    Instant stuck_since = kNever;
    Instant hopeless_since = kNever;
    upstream::QueueWait* wait = nullptr;  // while it waits
    size_t entered;                       // its number among all waits
    Instant since{};
    Instant began{};
    Instant placed{};
    bool noted = false;  // that its wait got a place
    bool holds = false;
    size_t backend = SIZE_MAX;
    size_t attempt = 0;
    PlaceEnd end = PlaceEnd::kNone;
    LeaveTimer leave;
  };

  static rt::Task<> RunFlow(Flow& flow, QueueWorld& world);
  static rt::Task<bool> Place(Flow& flow, QueueWorld& world, Instant* until,
                              upstream::Lease* lease);
  static rt::Task<> Wait(Flow& flow, QueueWorld& world, Instant until, upstream::Lease* lease);
  // How things were when a request asked.
  struct Before {
    bool others_wait = false;
    bool coming = false;
    std::vector<bool> had_room;
    std::vector<bool> may_use;
    std::vector<bool> draining;
  };
  Before Look(const Flow& flow) const;
  void CheckAcquire(const Flow& flow, const Before& before, upstream::WorkerUpstream::Acquired got,
                    const upstream::Lease& lease);
  void CheckTimeout(const Flow& flow, Instant until);
  void CheckStep();
  void CheckCounts();
  void CheckWaiting(Flow& flow);
  void CheckOrder(const Flow& served);
  void CheckDismissed(const Flow& flow);
  void CheckEnd();
  void Tick(Worker& worker);
  void Do(const ControlStep& step);
  size_t Join(const config::Backend& settings);
  void Publish();
  // As `worker` has it now: null where it is not in its configuration.
  const config::Backend* SettingsOf(const Worker& worker, size_t backend) const;
  std::vector<health::Eligibility> EligibilityIn(const Worker& worker) const;
  bool Coming(const Worker& worker) const;
  bool HasRoom(const Worker& worker, size_t backend) const;
  // Whether the request may be placed there, full or not; for all backends.
  std::vector<bool> MayUse(const Flow& flow) const;
  bool IsWaiting(const Flow& flow) const { return flow.wait != nullptr && !flow.wait->in_flight(); }
  bool IsDismissed(const Flow& flow) const;
  size_t IndexOf(const upstream::WorkerBackend& backend) const;
  void Report(const std::string& finding);
  void Report(const Flow& flow, const std::string& finding);

  QueueWorldOptions options_;
  SimWorld world_;
  // Control's. All backends there ever were, by number; `listed_` are those of the upstream, in
  // order.
  std::shared_ptr<upstream::UpstreamShared> shared_;
  std::vector<std::shared_ptr<upstream::BackendShared>> backends_;
  struct Listed {
    size_t number;
    config::Backend settings;
  };
  std::vector<Listed> listed_;
  std::vector<uint32_t> counted_;  // in flight at each backend after the step before
  std::vector<std::unique_ptr<Worker>> workers_;
  std::deque<Flow> flows_;
  std::list<Flow*> active_;
  std::vector<size_t> served_;
  std::vector<std::string> findings_;
  size_t waits_ = 0;
  size_t done_ = 0;
  bool any_faults_ = false;
  bool any_steps_ = false;
};

}  // namespace rondo::sim
