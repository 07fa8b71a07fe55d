// A cluster without workers in virtual time: every publication counts as acknowledged at once. What
// checks and DNS say is said by the test.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "control/certificates.h"
#include "control/cluster.h"
#include "fake_disk.h"
#include "rondo/base/check.h"
#include "sim/sim_world.h"

namespace rondo::control {

// Notes what the cluster asks for.
class NotingLinks : public ClusterLinks {
 public:
  void Watch(const UpstreamView&, const BackendView& backend) override {
    watched.insert(backend.serial());
  }
  void Pause(uint64_t serial) override { paused.insert(serial); }
  void Resume(uint64_t serial) override { paused.erase(serial); }
  void Unwatch(uint64_t serial) override {
    watched.erase(serial);
    paused.erase(serial);
  }
  void CheckNow(uint64_t serial) override { checked_now.push_back(serial); }
  void WarmUp(const UpstreamView&, const BackendView& backend) override {
    warming.push_back(backend.serial());
  }
  void SetSources(const std::vector<const config::Upstream*>& upstreams) override {
    sources.clear();
    for (const config::Upstream* upstream : upstreams) sources[upstream->name] = upstream->sources;
  }
  void ResolveNow(const std::string& upstream) override { resolved_now.push_back(upstream); }
  const std::vector<config::Backend>* Known(std::string_view upstream,
                                            size_t source) const override {
    const auto found = sources.find(std::string(upstream));
    if (found == sources.end() || source >= found->second.size()) return nullptr;
    const auto answer = answers.find(found->second[source].name);
    return answer == answers.end() ? nullptr : &answer->second;
  }
  bool CanApply(std::string_view) const override { return false; }
  absl::Status PrepareConfig(const config::Config&, const config::Config&) override {
    return prepare;
  }
  TlsProblems PrepareTls(const TlsWanted& wanted) override {
    if (!certificates) return {};
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return certificates->Prepare(wanted, WallTime(std::chrono::duration_cast<Duration>(now)));
  }
  bool CommitTls() override { return certificates && certificates->Commit(); }
  void DropTls() override {
    if (certificates) certificates->Drop();
  }
  std::shared_ptr<const tls::ServerSetup> ServerTls(std::string_view listener) const override {
    return certificates ? certificates->Listener(listener) : nullptr;
  }
  std::shared_ptr<const tls::ClientSetup> ClientTls(
      const config::Upstream& upstream) const override {
    return certificates ? certificates->Upstream(upstream) : nullptr;
  }
  void DropPrepared() override { ++dropped; }
  void CommitConfig(const config::Config&, const config::Config&) override { ++committed; }

  std::optional<Certificates> certificates;
  std::set<uint64_t> watched;
  std::set<uint64_t> paused;
  std::vector<uint64_t> checked_now;
  std::vector<uint64_t> warming;
  std::vector<std::string> resolved_now;
  std::map<std::string, std::vector<config::BackendSource>> sources;  // by upstream
  std::map<std::string, std::vector<config::Backend>> answers;        // by the source's name
  absl::Status prepare;
  int dropped = 0;
  int committed = 0;
};

// What outlives a process: its file, its state file, the time.
struct Machine {
  Machine() { path = ::testing::TempDir() + "rondo_cluster_" + std::to_string(getpid()) + ".yaml"; }
  ~Machine() { std::remove(path.c_str()); }
  void WriteFile(std::string_view text) {
    std::ofstream(path, std::ios::trunc) << text;
    disk.Put(path, std::string(text));
  }

  sim::SimWorld world{1};
  FakeDisk disk;
  std::string path;
  std::map<std::string, std::string> tls_files;  // by path
};

class ClusterProcess {
 public:
  explicit ClusterProcess(Machine& machine, bool with_state_file = true)
      : machine_(machine),
        engine_(machine.world.MakeEngine("control")),
        loop_(*engine_),
        store_(machine.disk, with_state_file ? "/state.json" : ""),
        events_(*engine_),
        cluster_(loop_, Load(machine.path), Options(machine), links, publisher_, store_, events_) {
    actor_ = machine.world.AddActor(
        *engine_,
        [this] {
          loop_.Tick();
          cluster_.Poll();
        },
        [this] { return std::min(loop_.wheel().NextDeadline(), cluster_.NextPoll()); });
    links.certificates.emplace(
        [&machine](const std::string& path) -> absl::StatusOr<std::string> {
          const auto found = machine.tls_files.find(path);
          if (found == machine.tls_files.end()) return absl::UnavailableError("no such file");
          return found->second;
        },
        1);
    RONDO_CHECK(cluster_.Start().ok());
    first_event_ = events_.last();
  }
  ~ClusterProcess() { machine_.world.RemoveActor(actor_); }

  static config::Backend At(std::string_view address, uint32_t weight = 1, std::string id = "") {
    config::Backend backend;
    backend.address = *SocketAddress::Parse(address);
    backend.explicit_id = !id.empty();
    backend.id = id.empty() ? backend.address.ToString() : std::move(id);
    backend.weight = weight;
    return backend;
  }
  const BackendView* Find(std::string_view id, std::string_view upstream = "api") const {
    return cluster_.FindBackend(upstream, id);
  }
  void Check(std::string_view id, bool passed, std::string_view upstream = "api") {
    cluster_.OnCheck(Find(id, upstream)->serial(), passed, passed ? "" : "status 503");
  }
  // At the end the control thread has looked at the clock, as it has whenever somebody calls.
  void Pass(Duration duration) {
    machine_.world.RunFor(duration);
    engine_->Wake();
    machine_.world.RunFor(Duration(1));
  }
  // "id=weight,state" of each backend, in order.
  std::vector<std::string> List(std::string_view upstream = "api") const {
    std::vector<std::string> result;
    const UpstreamView* view = cluster_.FindUpstream(upstream);
    if (view == nullptr) return result;
    for (const auto& backend : view->backends) {
      result.push_back(backend->id + "=" + std::to_string(backend->settings.weight) + "," +
                       std::string(health::StateName(backend->machine.state())));
    }
    return result;
  }
  // Ids that the workers are given, in order.
  std::vector<std::string> Published(std::string_view upstream = "api") const {
    std::vector<std::string> result;
    const upstream::Snapshot& snapshot = *publisher_.current();
    const size_t index = snapshot.FindUpstream(upstream);
    if (index == SIZE_MAX) return result;
    for (const auto& backend : snapshot.upstreams[index]->settings.backends)
      result.push_back(backend.id);
    return result;
  }
  // Names of the events since the last call.
  std::vector<std::string> NewEvents() {
    std::vector<std::string> names;
    while (const Event* event = events_.Next(first_event_)) {
      names.emplace_back(EventTypeName(event->type));
      first_event_ = event->id;
    }
    return names;
  }
  const std::string& LastEvent() const { return events_.Next(events_.last() - 1)->data; }

  Cluster& operator*() { return cluster_; }
  Cluster* operator->() { return &cluster_; }
  Publisher& publisher() { return publisher_; }

  NotingLinks links;

 private:
  static config::Config Load(const std::string& path) {
    config::LoadResult loaded = config::LoadFile(path);
    for (const auto& error : loaded.errors)
      std::fprintf(stderr, "%s\n", config::FormatError(path, error).c_str());
    RONDO_CHECK(loaded.config.has_value());
    return std::move(*loaded.config);
  }
  static ClusterOptions Options(const Machine& machine) {
    ClusterOptions options;
    options.config_path = machine.path;
    options.environment = [](std::string_view name) -> std::optional<std::string> {
      if (!name.starts_with("RONDO_SET_")) return std::nullopt;
      return "value_of_" + std::string(name);
    };
    return options;
  }

  Machine& machine_;
  std::unique_ptr<sim::SimEngine> engine_;
  rt::Loop loop_;
  StateStore store_;
  Events events_;
  Publisher publisher_;
  Cluster cluster_;
  uint64_t first_event_ = 0;
  int actor_ = 0;
};

}  // namespace rondo::control
