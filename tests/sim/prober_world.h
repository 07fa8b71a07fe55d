// The real prober on a simulated control thread, and backends for it to check. What it reports is
// written down.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/prober.h"
#include "http_backend.h"
#include "sim_world.h"

namespace rondo::sim {

struct SeenCheck {
  uint64_t serial = 0;
  Instant at{};
  health::CheckResult result;
};

struct SeenWarmUp {
  uint64_t serial = 0;
  Instant at{};
  uint32_t succeeded = 0;
};

class ProberWorld : public control::ProbeListener {
 public:
  explicit ProberWorld(uint64_t seed, const FaultPlan& faults = {}, size_t descriptors = 10'000)
      : world_(seed),
        engine_(world_.AddEngine("control", Options(faults, descriptors))),
        backend_engine_(world_.AddThread("backends", Options({}, 100'000))),
        loop_(engine_),
        prober_(loop_, *this, seed, "rondo-health/1") {
    const auto tick = [this] {
      loop_.Tick();
      if (after_tick) after_tick();
    };
    actor_ = world_.AddActor(engine_, tick, [this] { return loop_.wheel().NextDeadline(); });
  }
  ~ProberWorld() { world_.RemoveActor(actor_); }

  SimWorld& world() { return world_; }
  SimEngine& engine() { return engine_; }
  rt::Loop& loop() { return loop_; }
  control::Prober& prober() { return prober_; }

  static SocketAddress Address(uint64_t serial) {
    SocketAddress address;
    address.ip = IpAddress::V4(0x0a000000u + static_cast<uint32_t>(serial));
    address.port = 80;
    return address;
  }
  // A backend that answers at Address(serial), or elsewhere.
  SimHttpBackend& AddBackend(uint64_t serial, SimHttpBackend::Handler handler) {
    return AddBackendAt(Address(serial), std::move(handler));
  }
  SimHttpBackend& AddBackendAt(const SocketAddress& address, SimHttpBackend::Handler handler) {
    backends_.push_back(
        std::make_unique<SimHttpBackend>(world_, backend_engine_, address, std::move(handler)));
    return *backends_.back();
  }
  // Always 200, at once.
  SimHttpBackend& AddGood(uint64_t serial) {
    return AddBackend(serial, [](const BackendRequest&) { return BackendAnswer{}; });
  }

  static std::shared_ptr<config::HealthCheck> Check(Duration interval = std::chrono::seconds(5)) {
    auto check = std::make_shared<config::HealthCheck>();
    check->path = "/health";
    check->interval = interval;
    return check;
  }
  void Watch(uint64_t serial, std::shared_ptr<const config::HealthCheck> check) {
    prober_.Add({.serial = serial, .address = Address(serial), .check = std::move(check)});
    engine_.Wake();
  }

  // To the end of everything in flight; what is left over then, a line each.
  std::vector<std::string> StopAndListLeaks() {
    prober_.Stop();
    engine_.Wake();
    world_.RunUntil([this] { return prober_.stopped(); }, std::chrono::minutes(5));
    for (const auto& backend : backends_) backend->CloseAll();
    for (const auto& backend : backends_) backend->StopListening();
    world_.RunUntilQuiet(std::chrono::minutes(5));
    std::vector<std::string> leaks = world_.Leaks();
    if (!prober_.stopped()) leaks.push_back("the prober has not stopped");
    if (loop_.frames().blocks_out() != 0) leaks.push_back("frames are left");
    if (loop_.wheel().NextDeadline() != kNever) leaks.push_back("timers are left");
    return leaks;
  }

  void OnCheck(uint64_t serial, const health::CheckResult& result) override {
    checks.push_back({.serial = serial, .at = world_.now(), .result = result});
    if (on_check) on_check(serial, result);
  }
  void OnWarmedUp(uint64_t serial, uint32_t succeeded) override {
    warmed.push_back({.serial = serial, .at = world_.now(), .succeeded = succeeded});
    if (on_warmed) on_warmed(serial, succeeded);
  }
  std::vector<SeenCheck> ChecksOf(uint64_t serial) const {
    std::vector<SeenCheck> found;
    for (const SeenCheck& check : checks) {
      if (check.serial == serial) found.push_back(check);
    }
    return found;
  }

  std::vector<SeenCheck> checks;
  std::vector<SeenWarmUp> warmed;
  std::function<void(uint64_t, const health::CheckResult&)> on_check;
  std::function<void(uint64_t, uint32_t)> on_warmed;
  std::function<void()> after_tick;

 private:
  static SimEngineOptions Options(const FaultPlan& faults, size_t descriptors) {
    SimEngineOptions options;
    options.buffers_max = 1024;
    options.descriptors_max = descriptors;
    options.faults = faults;
    return options;
  }

  SimWorld world_;
  SimEngine& engine_;
  SimEngine& backend_engine_;
  rt::Loop loop_;
  control::Prober prober_;
  std::vector<std::unique_ptr<SimHttpBackend>> backends_;
  int actor_ = -1;
};

}  // namespace rondo::sim
