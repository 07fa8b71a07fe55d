// Control's part in a simulation of the proxy: keeps the configuration and what workers share about
// it, publishes changes while traffic flows, drains backends step by step, and checks that what it
// handed out comes back.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "proxy_plan.h"
#include "rondo/proxy/worker.h"

namespace rondo::sim {

class ProxyControl {
 public:
  ProxyControl(Scene& scene, const config::Config& config, size_t workers);

  // The first snapshot, and the current one.
  const std::shared_ptr<const upstream::Snapshot>& snapshot() const { return snapshot_; }
  const config::Config& config() const { return config_; }
  // A worker that runs with the first snapshot; it outlives its last Tick only.
  void AddWorker(proxy::Worker& worker, SimEngine& engine);
  // The workers are gone.
  void Forget() { workers_.clear(); }

  // Publishes what `change` makes of the configuration. Its epoch.
  uint64_t Change(const std::function<void(config::Config&)>& change);
  // Publishes the state of a backend that is listed.
  uint64_t SetState(const std::string& upstream, const std::string& id, health::State state,
                    Instant drain_until = kNever);
  // Only the generation moves, as for a health check; nothing is published.
  void Flip(const std::string& upstream, const std::string& id, health::State state);
  bool Acknowledged(uint64_t epoch) const;
  // Calls `then` once all have acknowledged.
  void WhenAcknowledged(uint64_t epoch, std::function<void()> then);

  // Drains as the real one does: draining, acknowledged, nothing in flight or time over, drained,
  // acknowledged, and (with `remove`) gone. From each acknowledgement on nothing may come to it any
  // more that the step does not allow.
  void Drain(const std::string& upstream, const std::string& id, Duration timeout, bool remove);

  upstream::BackendShared& backend(const std::string& upstream, const std::string& id);
  uint32_t in_flight() const;  // over all backends there ever were
  uint32_t tunnels() const;
  const std::vector<std::shared_ptr<upstream::BackendShared>>& all_backends() const {
    return all_backends_;
  }
  // Snapshots that some worker still uses, the current one included.
  size_t snapshots_held();

 private:
  struct Held {
    uint64_t last_epoch;
    std::shared_ptr<const upstream::Snapshot> snapshot;
  };
  using Key = std::pair<std::string, std::string>;
  void Build();
  uint64_t Publish();
  std::shared_ptr<const upstream::UpstreamConfig> MakeUpstream(const config::Upstream& upstream);
  std::vector<config::Listener> Differences(const std::vector<config::Listener>& from,
                                            const std::vector<config::Listener>& to) const;
  uint32_t IdOf(const config::Listener& listener, size_t address);
  void AwaitEnd(const Key& key, Instant until, bool remove);
  void FinishDrain(const Key& key, bool remove);

  Scene& scene_;
  config::Config config_;
  size_t worker_count_;
  uint64_t revision_ = 0;
  uint64_t epoch_ = 0;
  std::map<std::string, std::shared_ptr<upstream::UpstreamShared>> upstreams_;
  std::map<Key, std::shared_ptr<upstream::BackendShared>> backends_;
  std::vector<std::shared_ptr<upstream::BackendShared>> all_backends_;
  std::shared_ptr<const upstream::Snapshot> snapshot_;
  std::vector<Held> held_;
  struct WorkerPort {
    proxy::Worker* worker;
    SimEngine* engine;
    std::vector<proxy::ListenFd> open;
  };
  std::vector<WorkerPort> workers_;
  std::vector<uint32_t> close_;
  std::map<std::string, uint32_t> socket_ids_;
};

}  // namespace rondo::sim
