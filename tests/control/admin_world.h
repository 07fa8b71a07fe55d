// A cluster without workers, and the admin API before it, in virtual time: what checks, names and
// traffic would say is said by the test.
#pragma once

#include <algorithm>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "control/admin_api.h"
#include "control/cluster.h"
#include "control/cluster_links.h"
#include "control/events.h"
#include "control/publisher.h"
#include "control/state_file.h"
#include "rondo/base/check.h"
#include "rondo/config/load.h"
#include "rondo/rt/loop.h"
#include "sim/sim_world.h"

namespace rondo::control {

inline constexpr std::string_view kAdminWorldConfig = R"(
listeners:
  web:
    listen: [127.0.0.1:8080]
    routes:
      - match: {path_prefix: /static}
        upstream: files
      - upstream: api
upstreams:
  api:
    drain_timeout: 20s
    health_check: {path: /health}
    backends: [127.0.0.1:3001, {address: 127.0.0.1:3002, weight: 3}]
  files:
    backends: ["unix:/run/files.sock"]
)";

// What the cluster asks for is noted and not done.
class FakeLinks : public ClusterLinks {
 public:
  void Watch(const UpstreamView&, const BackendView& backend) override {
    watched.push_back(backend.serial());
  }
  void Unwatch(uint64_t serial) override { std::erase(watched, serial); }
  void CheckNow(uint64_t) override {}
  void WarmUp(const UpstreamView&, const BackendView&) override {}
  void SetSources(const std::vector<const config::Upstream*>&) override {}
  void ResolveNow(const std::string&) override {}
  const std::vector<config::Backend>* Known(std::string_view, size_t) const override {
    return nullptr;
  }
  void Pause(uint64_t) override {}
  void Resume(uint64_t) override {}
  bool CanApply(std::string_view) const override { return true; }
  absl::Status PrepareConfig(const config::Config&, const config::Config&) override {
    return absl::OkStatus();
  }
  void DropPrepared() override {}
  void CommitConfig(const config::Config&, const config::Config&) override {}

  std::vector<uint64_t> watched;
};

class FakeProcess : public AdminProcess {
 public:
  bool Stopping() const override { return stopping; }
  AdminStatus Status() override { return status; }
  AdminTraffic Traffic(const BackendView&) override { return traffic; }
  void WriteMetrics(std::string& out) override { out += metrics; }

  bool stopping = false;
  AdminStatus status;
  AdminTraffic traffic;
  std::string metrics = "# HELP up Whether it is.\n";
};

class AdminWorld {
 public:
  explicit AdminWorld(std::string_view config = kAdminWorldConfig)
      : engine_(world_.MakeEngine("control")),
        loop_(*engine_),
        files_(MakeFileSystem()),
        store_(*files_, ""),
        events_(*engine_),
        cluster_(loop_, Read(config), Options(), links, publisher_, store_, events_),
        api_(AdminContext{cluster_, events_, process, "conf/t.yaml"}) {
    actor_ = world_.AddActor(
        *engine_,
        [this] {
          loop_.Tick();
          cluster_.Poll();
        },
        [this] { return std::min(loop_.wheel().NextDeadline(), cluster_.NextPoll()); });
    RONDO_CHECK(cluster_.Start().ok());
  }
  ~AdminWorld() { world_.RemoveActor(actor_); }

  AdminReply Call(std::string_view method, std::string_view target, std::string_view body = {},
                  std::string_view if_match = {}) {
    AdminRequest request;
    request.method = method;
    request.target = target;
    request.body = body;
    request.if_match = if_match;
    if (!body.empty()) request.content_type = "application/json";
    return Send(request);
  }
  AdminReply Send(AdminRequest request) {
    request.moment = Moment();
    return api_.Handle(request);
  }
  AdminMoment Moment() const { return {.now = engine_->Now(), .wall = engine_->WallNow()}; }

  // A check of the backend came to this result.
  void Check(std::string_view upstream, std::string_view id, bool passed) {
    const BackendView* backend = cluster_.FindBackend(upstream, id);
    RONDO_CHECK(backend != nullptr);
    cluster_.OnCheck(backend->serial(), passed, passed ? "" : "status 503");
  }
  void AllUp() {
    Check("api", "127.0.0.1:3001", true);
    Check("api", "127.0.0.1:3002", true);
  }
  // Lets the drains and acknowledgements go on.
  void Pass(Duration duration) { world_.RunFor(duration); }

  sim::SimWorld& world() { return world_; }
  sim::SimEngine& engine() { return *engine_; }
  rt::Loop& loop() { return loop_; }
  Cluster& cluster() { return cluster_; }
  Events& events() { return events_; }
  AdminApi& api() { return api_; }

  FakeLinks links;
  FakeProcess process;

 private:
  static config::Config Read(std::string_view text) {
    config::LoadResult loaded = config::Parse(
        text, "conf/t.yaml", [](std::string_view) { return std::optional<std::string>(); });
    for (const config::Error& error : loaded.errors) {
      std::fprintf(stderr, "%s\n", config::FormatError("conf/t.yaml", error).c_str());
    }
    RONDO_CHECK(loaded.config.has_value());
    return std::move(*loaded.config);
  }
  static ClusterOptions Options() {
    ClusterOptions options;
    options.environment = [](std::string_view) { return std::optional<std::string>(); };
    return options;
  }

  sim::SimWorld world_{1};
  std::unique_ptr<sim::SimEngine> engine_;
  rt::Loop loop_;
  std::unique_ptr<FileSystem> files_;
  StateStore store_;
  Events events_;
  Publisher publisher_;
  Cluster cluster_;
  AdminApi api_;
  int actor_ = 0;
};

inline nlohmann::json JsonOf(const AdminReply& reply) {
  return nlohmann::json::parse(reply.body, nullptr, false);
}

}  // namespace rondo::control
