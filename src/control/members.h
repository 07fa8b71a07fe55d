// The upstreams and backends that are really there, each backend with its life: made equal to what
// is wanted (overlay.h) step by step, since what is removed drains first. Publishes; stores states
// where workers see them. Control thread only; used by Cluster alone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "control/cluster_links.h"
#include "control/cluster_view.h"
#include "control/events.h"
#include "control/overlay.h"
#include "control/publisher.h"
#include "rondo/rt/loop.h"
#include "rondo/rt/notice.h"

namespace rondo::control {

class Members {
 public:
  struct Parts {
    rt::Loop& loop;
    ClusterLinks& links;
    Publisher& publisher;
    Events& events;
    rt::Notice& changed;
    upstream::ControlBell* bell;
    size_t workers;
  };
  struct Upstream : UpstreamView {
    config::Upstream bare;  // settings without backends
    std::shared_ptr<const upstream::UpstreamConfig> published;
    absl::flat_hash_map<std::string, BackendView*> by_id;
    bool list_moved = true;     // to be published
    bool states_moved = false;  // workers to be told
    uint64_t list_epoch = 0;    // of the publication that brought its list of now
    // What was expected has come, or is not any more: said once all workers have this epoch.
    uint64_t expecting_epoch = 0;
  };

  explicit Members(const Parts& parts);
  Members(const Members&) = delete;
  Members& operator=(const Members&) = delete;

  // -- what should be; takes effect at Commit --
  // Values of the whole process, and listeners. `config` stays in place until the next call.
  void SetConfig(const config::Config& config, uint64_t revision);
  // Backends are matched by id and address: those kept keep everything, new ones join, others
  // drain.
  void Set(EffectiveUpstream wanted, health::Actor actor);
  // All its backends drain; it goes with the last.
  void Remove(std::string_view name, health::Actor actor);
  // Puts those named first, in this order; upstreams not named come after.
  void Order(const std::vector<std::string>& names);
  // How long the next removal or drain of this one may take, instead of its upstream's
  // drain_timeout.
  void WishDrain(uint64_t serial, Duration drain) { wishes_[serial] = drain; }
  void DropWish(uint64_t serial) { wishes_.erase(serial); }
  // Ends an ejection.
  void SetUp(uint64_t serial, health::Actor actor);
  // A drain that goes on gets another end.
  void SetDrainEnd(uint64_t serial, Instant until);
  // Setups of TLS are other ones.
  void TlsMoved() { config_moved_ = true; }
  // Publishes where a list or the configuration moved, tells workers of states (of those that take
  // a backend out only when all have what is published), wakes who waits.
  void Commit();

  // -- what happens --
  void OnCheck(uint64_t serial, bool passed, std::string_view detail);
  void OnWarmedUp(uint64_t serial);
  // Workers' reports, due times, drains; commits.
  void Poll();
  Instant NextPoll() const;

  // -- reads --
  const std::vector<std::unique_ptr<Upstream>>& upstreams() const { return upstreams_; }
  Upstream* Find(std::string_view name) const;
  BackendView* Find(std::string_view upstream, std::string_view id) const;
  BackendView* Find(uint64_t serial) const;
  std::optional<DrainProgress> Drain(const BackendView& backend) const;

 private:
  struct Place {
    Upstream* upstream = nullptr;
    BackendView* backend = nullptr;
  };

  // members.cc: lists
  Upstream& FindOrMake(const std::string& name);
  std::unique_ptr<BackendView> Make(Upstream& upstream, const EffectiveBackend& wanted,
                                    health::Actor actor);
  void Keep(Upstream& upstream, BackendView& backend, const EffectiveBackend& wanted,
            health::Actor actor, bool settings_moved);
  void BeginRemoval(Upstream& upstream, BackendView& backend, health::Actor actor);
  void NameThem(Upstream& upstream);
  void Watch(const Upstream& upstream, const BackendView& backend);
  std::shared_ptr<const upstream::Snapshot> BuildSnapshot();
  std::shared_ptr<const tls::ClientSetup> TlsOf(const Upstream& upstream) const;
  void Republish(Upstream& upstream, std::shared_ptr<const tls::ClientSetup> tls);

  // members_life.cc: states and drains
  void Hold(Upstream& upstream, BackendView& backend, control::Hold hold, health::Actor actor);
  void BeginDrain(Upstream& upstream, BackendView& backend, health::Actor actor,
                  std::string_view reason);
  // After the machine has changed: stores, tells, logs, begins what the new state asks for.
  void Moved(Upstream& upstream, BackendView& backend, health::State from);
  void StoreState(Upstream& upstream, BackendView& backend);
  void PutState(Upstream& upstream, BackendView& backend);

  // members_tell.cc: when workers learn of what takes service away
  void PublishLists();
  void PublishSteps();
  void HoldBack(BackendView& backend);
  void Tell(Upstream& upstream, BackendView& backend);
  void TellOfBackends();
  void TellOfExpecting(Upstream& upstream);
  // The answer for the upstream that was asked about last: leavers come by the thousand.
  struct Replaced {
    const Upstream* of = nullptr;
    bool yes = false;
  };
  bool MayTell(const Upstream& upstream, const BackendView& backend, Replaced& replaced) const;
  bool IsReplaced(const Upstream& upstream) const;
  Instant NextTell() const;

  void TakeReports(Upstream& upstream);
  void TryEject(Upstream& upstream, BackendView& backend, uint32_t reports);
  bool TickEjected();
  bool AdvanceDrains();
  bool Advance(Upstream& upstream, BackendView& backend, uint64_t acknowledged);
  bool EndWaiting(Upstream& upstream, BackendView& backend);
  void Announce(BackendView& backend, DrainStep step);
  bool WaitIsOver(const Upstream& upstream, const BackendView& backend) const;
  void Leave(Upstream& upstream, BackendView& backend);
  // Those of gone_, and from draining_ what is through.
  void EraseGone();
  void EraseUpstream(std::string_view name);
  Instant Now() const { return parts_.loop.Now(); }

  Parts parts_;
  const config::Config* config_ = nullptr;
  uint64_t revision_ = 0;
  bool config_moved_ = false;
  std::vector<std::unique_ptr<Upstream>> upstreams_;
  absl::flat_hash_map<std::string, Upstream*> by_name_;
  absl::flat_hash_map<uint64_t, Place> by_serial_;
  absl::flat_hash_map<uint64_t, Duration> wishes_;
  std::vector<uint64_t> announced_;  // whose drain_epoch is that of the next publication
  uint64_t routes_epoch_ = 0;        // of the publication that brought the routes of now
  std::vector<uint64_t> untold_;     // those with a tell_epoch, and some that had one
  std::vector<uint64_t> draining_;   // those with a drain step but kDrained
  absl::flat_hash_set<uint64_t> gone_;
  std::vector<uint64_t> ejected_;  // those with a NextTick, and some that had one
  uint64_t acknowledged_ = 0;      // as of the last Poll
};

}  // namespace rondo::control
