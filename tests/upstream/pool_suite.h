// One worker's view of an upstream on the simulated network, with backends that accept, keep what
// they get and do what a test says.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "rondo/base/rng.h"
#include "rondo/upstream/worker_upstream.h"
#include "sim/sim_peer.h"
#include "sim/sim_world.h"

namespace rondo::upstream::testing {

inline SocketAddress At(std::string_view text) { return *SocketAddress::Parse(text); }

inline config::Backend BackendAt(std::string address, bool backup = false) {
  config::Backend backend;
  backend.address = At(address);
  backend.id = std::move(address);
  backend.backup = backup;
  return backend;
}

// A backend's process: accepts and reads.
class Origin {
 public:
  Origin(sim::SimWorld& world, sim::SimEngine& engine, const std::string& address)
      : acceptor_(world, engine, At(address), [this, &world, &engine](int fd) {
          auto peer = std::make_unique<sim::SimPeer>(world, engine);
          peer->on_receive = [](std::string_view) {};
          peer->Adopt(fd);
          peers.push_back(std::move(peer));
        }) {}
  size_t open_count() const {
    size_t count = 0;
    for (const auto& peer : peers) count += peer->open() ? 1 : 0;
    return count;
  }
  void Stop() { acceptor_.Stop(); }

  std::vector<std::unique_ptr<sim::SimPeer>> peers;

 private:
  sim::SimAcceptor acceptor_;
};

// The worker's side. What is left over at the end fails the test.
class PoolWorld {
 public:
  explicit PoolWorld(uint64_t seed = 1, const sim::SimEngineOptions& options = {}) : world(seed) {
    backend_engine = &world.AddThread("backends");
    sim::SimEngineOptions mine = options;
    mine.drives_world = true;
    engine = world.MakeEngine("worker", mine);
    loop = std::make_unique<rt::Loop>(*engine);
    settings.name = "pool";
    settings.keepalive.idle_timeout = std::chrono::seconds(60);
  }
  ~PoolWorld() {
    if (upstream != nullptr) {
      upstream->CloseIdle();
      RunUntil([&] { return upstream->connections() == 0; });
      EXPECT_EQ(upstream->idle_connections(), 0u);
    }
    for (const auto& backend : shared_backends()) EXPECT_EQ(backend->in_flight.load(), 0u);
    for (const auto& backend : gone_) EXPECT_EQ(backend->in_flight.load(), 0u);
    for (auto& origin : origins) {
      origin->Stop();
      for (auto& peer : origin->peers) peer->Close();
    }
    RunFor(std::chrono::seconds(30));
    upstream.reset();
    origins.clear();
    EXPECT_EQ(loop->frames().blocks_out(), 0u);
    EXPECT_EQ(engine->buffers().buffers_out(), 0u);
    EXPECT_TRUE(loop->wheel().empty());
    loop.reset();
    engine.reset();
    EXPECT_THAT(world.Leaks(), ::testing::IsEmpty());
  }

  // A backend that accepts.
  Origin& AddOrigin(const std::string& address, bool backup = false) {
    settings.backends.push_back(BackendAt(address, backup));
    origins.push_back(std::make_unique<Origin>(world, *backend_engine, address));
    return *origins.back();
  }
  void Start(size_t worker = 0, size_t workers = 1) {
    workers_ = workers;
    config = std::make_shared<const UpstreamConfig>(settings, workers);
    upstream = std::make_unique<WorkerUpstream>(*loop, config, worker, workers, /*seed=*/worker);
  }
  // As control does: publishes `settings` as they are now, with the backends that stay, to this one
  // worker.
  void Change() {
    const std::shared_ptr<const UpstreamConfig> before = config;
    config = Next();
    upstream->Adopt(config);
    for (const auto& each : before->backends) gone_.push_back(each);
  }
  // What would be published.
  std::shared_ptr<const UpstreamConfig> Next() const {
    std::vector<std::shared_ptr<BackendShared>> backends;
    for (const config::Backend& each : settings.backends) {
      std::shared_ptr<BackendShared> shared;
      for (const auto& old : config->backends) {
        if (old->id == each.id && old->address == each.address) shared = old;
      }
      if (shared == nullptr) {
        shared = std::make_shared<BackendShared>(each.id, each.address, BackendShared::NextSerial(),
                                                 workers_);
      }
      backends.push_back(std::move(shared));
    }
    return ReuseOrMake(config, settings, config->shared, std::move(backends));
  }
  config::Backend& SettingsOf(std::string_view id) {
    for (config::Backend& each : settings.backends) {
      if (each.id == id) return each;
    }
    RONDO_CHECK(false);
  }
  void Remove(std::string_view id) {
    std::erase_if(settings.backends, [id](const auto& each) { return each.id == id; });
  }
  BackendShared& Shared(std::string_view id) {
    for (const auto& each : config->backends) {
      if (each->id == id) return *each;
    }
    RONDO_CHECK(false);
  }
  void SetState(std::string_view id, health::State state) {
    Shared(id).state.store(state);
    config->shared->StatesChanged();
  }
  // Where `count` picks in a row go, by id; none: "".
  std::map<std::string, int> Share(int count, PickKey key = {}) {
    std::map<std::string, int> share;
    for (int i = 0; i < count; ++i) {
      Lease lease;
      key.hash = Mix64(static_cast<uint64_t>(i));
      upstream->Acquire(key, nullptr, &lease);
      ++share[lease ? lease.backend()->shared->id : ""];
    }
    return share;
  }

  const std::vector<std::shared_ptr<BackendShared>>& shared_backends() const {
    static const std::vector<std::shared_ptr<BackendShared>> kNone;
    return config == nullptr ? kNone : config->backends;
  }

  template <class Condition>
  bool RunUntil(Condition condition, Duration max = std::chrono::minutes(10)) {
    const Instant limit = engine->Now() + max;
    while (!condition()) {
      if (engine->Now() >= limit) {
        ADD_FAILURE() << "it did not happen";
        return false;
      }
      loop->Tick(std::min(limit, engine->Now() + std::chrono::seconds(1)));
    }
    return true;
  }
  void RunFor(Duration time) {
    const Instant until = engine->Now() + time;
    while (engine->Now() < until) loop->Tick(until);
  }
  // The one backend, or the first by round robin.
  WorkerBackend& PickAny() { return *Pick(nullptr); }
  // What would be picked; null where nothing is left. Its place is given back at once.
  WorkerBackend* Pick(PickState* state) {
    Lease lease;
    const auto got = upstream->Acquire({.hash = 1, .sticky = {}}, state, &lease);
    return got == WorkerUpstream::Acquired::kLease ? lease.backend() : nullptr;
  }

  Freelist& frames() { return loop->frames(); }
  static rt::Task<> ConnectFlow(PoolWorld& pool, WorkerBackend* backend, rt::CancelToken* token,
                                ConnectResult* out) {
    *out = co_await pool.upstream->Connect(*backend, *token);
  }
  // Connects to its end.
  ConnectResult TryConnect(WorkerBackend& backend, rt::CancelToken& token) {
    ConnectResult result;
    scope.Spawn(ConnectFlow(*this, &backend, &token, &result));
    RunUntil([&] { return scope.count() == 0; });
    return result;
  }
  BackendConnection& Connect(WorkerBackend& backend) {
    rt::CancelToken token(*engine);
    const ConnectResult result = TryConnect(backend, token);
    EXPECT_EQ(result.error, 0);
    RONDO_CHECK(result.connection != nullptr);
    return *result.connection;
  }

  sim::SimWorld world;
  sim::SimEngine* backend_engine;
  std::unique_ptr<sim::SimEngine> engine;
  std::unique_ptr<rt::Loop> loop;
  config::Upstream settings;
  std::shared_ptr<const UpstreamConfig> config;
  std::unique_ptr<WorkerUpstream> upstream;
  std::vector<std::unique_ptr<Origin>> origins;
  rt::Scope scope;

 private:
  size_t workers_ = 1;
  std::vector<std::shared_ptr<BackendShared>> gone_;
};

}  // namespace rondo::upstream::testing
