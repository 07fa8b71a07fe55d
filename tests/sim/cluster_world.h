// A whole Rondo but for its sockets and names: real workers, the real cluster and prober on a
// control thread of its own, and clients and backends around them, in virtual time. What DNS says
// is said by the test.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "control/cluster.h"
#include "control/fake_disk.h"
#include "control/links.h"
#include "control/prober.h"
#include "http_backend.h"
#include "http_client.h"
#include "rondo/base/check.h"
#include "sim_world.h"

namespace rondo::sim {

class ClusterWorld {
 public:
  static constexpr const char* kListen = "10.0.0.1:80";
  static SocketAddress BackendAddress(uint64_t number) {
    return *SocketAddress::Parse("10.0.1." + std::to_string(number) + ":80");
  }
  static config::Backend BackendAt(uint64_t number, uint32_t weight = 1) {
    config::Backend backend;
    backend.address = BackendAddress(number);
    backend.id = backend.address.ToString();
    backend.weight = weight;
    return backend;
  }

  // `file`: what the configuration says; it listens at kListen.
  ClusterWorld(uint64_t seed, const std::string& file, size_t workers, const FaultPlan& faults = {})
      : world_(seed),
        path_("/tmp/rondo_cluster_sim_" + std::to_string(getpid()) + ".yaml"),
        engine_(world_.AddEngine("control", Options("rondo", {}))),
        loop_(engine_),
        store_(disk_, "/state.json"),
        events_(engine_),
        prober_(loop_, links_, seed) {
    WriteFile(file);
    config::LoadResult loaded = config::LoadFile(path_);
    RONDO_CHECK(loaded.config.has_value());
    control::ClusterOptions options;
    options.workers = workers;
    options.bell = &bell_;
    options.config_path = path_;
    options.environment = [](std::string_view) { return std::optional<std::string>(); };
    cluster_ = std::make_unique<control::Cluster>(loop_, *std::move(loaded.config), options, links_,
                                                  publisher_, store_, events_);
    bell_.Attach(&engine_);
    links_.Attach(*cluster_, prober_, nullptr);
    const auto snapshot = cluster_->Start();
    RONDO_CHECK(snapshot.ok());
    StartWorkers(*snapshot, workers, faults);
    control_actor_ = world_.AddActor(
        engine_, [this] { ControlTick(); },
        [this] { return std::min(loop_.wheel().NextDeadline(), cluster_->NextPoll()); });
    client_engine_ = &world_.AddThread("clients", Options("clients", {}));
    backend_engine_ = &world_.AddThread("backends", Options("backends", {}));
  }
  ~ClusterWorld() { std::remove(path_.c_str()); }

  SimWorld& world() { return world_; }
  control::Cluster& cluster() { return *cluster_; }
  control::Publisher& publisher() { return publisher_; }
  control::Events& events() { return events_; }
  void WriteFile(const std::string& text) { std::ofstream(path_, std::ios::trunc) << text; }

  SimHttpBackend& AddBackend(uint64_t number, SimHttpBackend::Handler handler) {
    backends_[number] = std::make_unique<SimHttpBackend>(
        world_, *backend_engine_, BackendAddress(number), std::move(handler));
    return *backends_[number];
  }
  std::map<uint64_t, std::unique_ptr<SimHttpBackend>>& backends() { return backends_; }
  // Sends `requests` one after another.
  SimHttpClient& AddClient(const std::string& name, size_t requests) {
    clients_.push_back(std::make_unique<SimHttpClient>(world_, *client_engine_, name,
                                                       *SocketAddress::Parse(kListen)));
    for (size_t i = 0; i < requests; ++i) clients_.back()->Add(ClientRequest{});
    clients_.back()->Start();
    return *clients_.back();
  }
  const std::vector<std::unique_ptr<SimHttpClient>>& clients() const { return clients_; }
  bool clients_done() const {
    return std::ranges::all_of(clients_, [](const auto& client) { return client->done(); });
  }
  // Requests that were not answered with 200 by a backend, a line each; and what was wrong with
  // answers.
  std::vector<std::string> Failures() const {
    std::vector<std::string> lines;
    for (const auto& client : clients_) {
      for (const ClientResult& result : client->results()) {
        if (result.outcome == ClientOutcome::kAnswered && result.status == 200 &&
            result.from_backend)
          continue;
        lines.push_back(
            result.id + ": outcome " + std::to_string(static_cast<int>(result.outcome)) +
            ", status " + std::to_string(result.status) + " at " +
            std::to_string(result.ended.time_since_epoch() / std::chrono::milliseconds(1)) + " ms");
      }
      for (const std::string& error : client->errors()) lines.push_back(error);
    }
    return lines;
  }
  uint64_t Served(uint64_t number) const {
    const auto found = backends_.find(number);
    if (found == backends_.end()) return 0;
    return static_cast<uint64_t>(std::ranges::count_if(found->second->requests(), IsTraffic));
  }
  static bool IsTraffic(const BackendRequest& request) { return !request.id.empty(); }

  // Ends everything; what is left then, a line each.
  std::vector<std::string> Finish() {
    const Duration patience = std::chrono::minutes(5);
    for (auto& worker : workers_) worker->RequestDrain();
    world_.RunUntil(
        [this] {
          return std::ranges::all_of(workers_,
                                     [](const auto& worker) { return worker->finished(); });
        },
        patience);
    prober_.Stop();
    engine_.Wake();
    world_.RunUntil([this] { return prober_.stopped(); }, patience);
    std::vector<std::string> lines;
    if (!prober_.stopped()) lines.push_back("the prober has not stopped");
    for (const auto& worker : workers_) {
      if (!worker->finished()) lines.push_back("a worker has not finished");
    }
    for (auto& [number, backend] : backends_) {
      backend->StopListening();
      backend->CloseAll();
    }
    bell_.Attach(nullptr);
    for (const int actor : worker_actors_) world_.RemoveActor(actor);
    world_.RemoveActor(control_actor_);
    world_.RunUntilQuiet(patience);
    workers_.clear();
    for (const std::string& leak : world_.Leaks()) lines.push_back(leak);
    clients_.clear();
    backends_.clear();
    cluster_.reset();
    return lines;
  }

 private:
  static SimEngineOptions Options(const std::string& process, const FaultPlan& faults) {
    SimEngineOptions options;
    options.process = process;
    options.faults = faults;
    options.buffers_max = 1000;
    options.source_v4 = *IpAddress::Parse(process == "clients" ? "192.0.2.7" : "10.0.0.2");
    return options;
  }

  void StartWorkers(const std::shared_ptr<const upstream::Snapshot>& snapshot, size_t count,
                    const FaultPlan& faults) {
    std::vector<proxy::Worker*> workers;
    for (size_t i = 0; i < count; ++i) {
      SimEngine& engine = world_.AddEngine("worker" + std::to_string(i), Options("rondo", faults));
      const int fd = engine.Listen(*SocketAddress::Parse(kListen),
                                   i == 0 ? io::ListenMode::kFirst : io::ListenMode::kFurther);
      proxy::WorkerOptions options;
      options.index = i;
      options.count = count;
      options.seed = world_.rng().Next();
      options.bell = &bell_;
      options.epoch = publisher_.epoch();
      workers_.push_back(std::make_unique<proxy::Worker>(
          engine, snapshot, control::WithSlots({{fd, "web", 1}}, *snapshot), counters_, nullptr,
          options));
      proxy::Worker* worker = workers_.back().get();
      workers.push_back(worker);
      worker_actors_.push_back(world_.AddActor(
          engine, [worker] { worker->Tick(); }, [worker] { return worker->NextDeadline(); }));
      worker->Start();
    }
    publisher_.Start(workers);
  }

  void ControlTick() {
    const Instant poll = cluster_->NextPoll();
    loop_.Tick(poll);
    if (bell_.Take() || loop_.Now() >= poll) cluster_->Poll();
  }

  SimWorld world_;
  const std::string path_;
  SimEngine& engine_;
  upstream::ControlBell bell_;
  rt::Loop loop_;
  control::FakeDisk disk_;
  control::StateStore store_;
  control::Events events_;
  control::Publisher publisher_;
  control::Links links_;
  control::Prober prober_;
  std::unique_ptr<control::Cluster> cluster_;
  proxy::ProcessCounters counters_;
  std::vector<std::unique_ptr<proxy::Worker>> workers_;
  std::vector<int> worker_actors_;
  int control_actor_ = 0;
  SimEngine* client_engine_;
  SimEngine* backend_engine_;
  std::map<uint64_t, std::unique_ptr<SimHttpBackend>> backends_;
  std::vector<std::unique_ptr<SimHttpClient>> clients_;
};

}  // namespace rondo::sim
