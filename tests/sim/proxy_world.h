// The real proxy in a simulated world: workers on simulated engines behind one address, backends
// and clients around them, and what must hold when all is over.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proxy_backend.h"
#include "proxy_client.h"
#include "proxy_control.h"
#include "proxy_websocket.h"
#include "rondo/proxy/worker.h"
#include "securing_engine.h"

namespace rondo::sim {

// Takes the workers' access logs; refuses now and then, as a log writer that is behind does.
class LogCollector final : public proxy::AccessLogSink {
 public:
  LogCollector(Rng& rng, double refusals) : rng_(rng), refusals_(refusals) {}
  bool Offer(size_t worker, std::string& lines) override;
  const std::string& lines() const { return lines_; }

 private:
  Rng& rng_;
  double refusals_;
  std::string lines_;
};

struct ProxyWorldOptions {
  size_t workers = 1;
  FaultPlan worker_faults;
  FaultPlan client_faults;
  size_t buffers_max = 64;
  double log_refusals = 0;
  Secures secures;  // clients' connections, backends' connections
};

class ProxyWorld {
 public:
  // What clients connect to.
  static constexpr const char* kAddress = "10.0.0.1:80";
  // One listener on kAddress: "/a" and "/b" go to the upstreams of these names (WebSocket allowed),
  // "/fixed" answers itself, all else has no route. Short timeouts: ShortTimeouts().
  static config::Config BaseConfig();
  // An upstream with backends at 10.0.1.1:80 and so on.
  static config::Upstream MakeUpstream(const std::string& name, size_t backends);

  ProxyWorld(uint64_t seed, const config::Config& config, const ProxyWorldOptions& options);
  ~ProxyWorld();

  SimWorld& world() { return world_; }
  Scene& scene() { return scene_; }
  SimEngine& client_engine() { return *client_engine_; }
  ProxyControl& control() { return control_; }
  const upstream::Snapshot& snapshot() const { return *control_.snapshot(); }
  LogCollector& log() { return log_; }

  // Serves the address of an upstream's backend.
  ProxyBackend& AddBackend(const SocketAddress& address, const BackendOptions& options = {});
  // The same for one that agrees to upgrades, and a client that asks for one; it must have ended, or the workers be
  // cut, before Finish returns.
  SocketBackend& AddSocketBackend(const SocketAddress& address);
  SocketEnd& AddSocketClient(const std::string& target, const std::string& fields = "");
  RequestPlan& AddRequest(const std::string& upstream = "a");
  ProxyClient& AddClient(ConnectionPlan plan);
  ProxyClient& AddClient(std::vector<RequestPlan*> requests);
  std::vector<std::unique_ptr<ProxyClient>>& clients() { return clients_; }
  std::vector<std::unique_ptr<ProxyBackend>>& backends() { return backends_; }

  bool clients_finished() const;
  void Drain(Instant until = kNever);  // all workers
  void Cancel();  // and cut
  bool draining() const { return drained_at_ != kNever; }
  Instant drained_at() const { return drained_at_; }
  bool cancelled() const { return cancelled_; }
  bool workers_finished() const;

  // Waits for the clients, drains, cuts where that does not suffice, ends the backends, and reports
  // whatever is left. At the end `findings` says all that was wrong.
  void Finish(Duration clients_max, Duration grace);
  std::string Findings() const;

 private:
  void CheckLeaks();
  void EndWorkers();

  SimWorld world_;
  Scene scene_;
  ProxyControl control_;
  proxy::ProcessCounters counters_;
  LogCollector log_;
  Secures secures_;
  std::vector<SimEngine*> engines_;
  std::vector<std::unique_ptr<SecuringEngine>> securing_;  // one for each, where any are wanted
  std::vector<int> actors_;
  std::vector<std::unique_ptr<proxy::Worker>> workers_;
  SimEngine* client_engine_;
  SimEngine* backend_engine_;
  std::vector<std::unique_ptr<ProxyBackend>> backends_;
  std::vector<std::unique_ptr<ProxyClient>> clients_;
  std::vector<std::unique_ptr<SocketBackend>> socket_backends_;
  std::vector<std::unique_ptr<SocketEnd>> socket_clients_;
  Instant drained_at_ = kNever;
  bool cancelled_ = false;
};

}  // namespace rondo::sim
