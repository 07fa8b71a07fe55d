// Joins the cluster with the prober and with discovery, both ways. The part about the process
// around is for who knows it (server.cc): here it refuses nothing and does nothing, as simulations
// want it. Control thread.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "control/certificates.h"
#include "control/cluster_links.h"
#include "control/discovery.h"
#include "control/prober.h"
#include "rondo/rt/loop.h"

namespace rondo::control {

class Cluster;

class Links : public ClusterLinks, public ProbeListener, public DiscoveryListener {
 public:
  Links() = default;
  // Before the cluster's Start. All outlive the links' use; `discovery` null: sources never answer.
  void Attach(Cluster& cluster, Prober& prober, Discovery* discovery);
  // Also before the start; without it nobody speaks TLS. `workers` as the certificates have it.
  void AttachTls(rt::Loop& loop, Certificates& certificates, size_t workers);

  void Watch(const UpstreamView& upstream, const BackendView& backend) override;
  void Pause(uint64_t serial) override { prober_->Pause(serial); }
  void Resume(uint64_t serial) override { prober_->Resume(serial); }
  void Unwatch(uint64_t serial) override { prober_->Remove(serial); }
  void CheckNow(uint64_t serial) override { prober_->CheckNow(serial); }
  void WarmUp(const UpstreamView& upstream, const BackendView& backend) override;
  TlsProblems PrepareTls(const TlsWanted& wanted) override;
  bool CommitTls() override;
  void DropTls() override;
  std::shared_ptr<const tls::ServerSetup> ServerTls(std::string_view listener) const override;
  std::shared_ptr<const tls::ClientSetup> ClientTls(
      const config::Upstream& upstream) const override;
  void SetSources(const std::vector<const config::Upstream*>& upstreams) override;
  void ResolveNow(const std::string& upstream) override;
  const std::vector<config::Backend>* Known(std::string_view upstream,
                                            size_t source) const override;
  bool CanApply(std::string_view key) const override;
  absl::Status PrepareConfig(const config::Config& now, const config::Config& next) override;
  void DropPrepared() override {}
  void CommitConfig(const config::Config& now, const config::Config& next) override;

  void OnCheck(uint64_t serial, const health::CheckResult& result) override;
  void OnWarmedUp(uint64_t serial, uint32_t succeeded) override;
  void OnAddresses(const std::string& upstream, size_t source,
                   std::vector<config::Backend> backends) override;
  void OnDiscoveryProblem(const std::string& upstream, size_t source,
                          const std::string& text) override;

 private:
  ProbeWire WireOf(const UpstreamView& upstream, const BackendView& backend) const;

  rt::Loop* loop_ = nullptr;
  Certificates* certificates_ = nullptr;  // null: all is plain
  size_t workers_ = 0;
  Cluster* cluster_ = nullptr;
  Prober* prober_ = nullptr;
  Discovery* discovery_ = nullptr;
  // The one given out last: backends of one upstream share it.
  std::shared_ptr<const config::HealthCheck> check_;
};

}  // namespace rondo::control
