#include "control/links.h"

#include <utility>

#include "control/cluster.h"

namespace rondo::control {

void Links::Attach(Cluster& cluster, Prober& prober, Discovery* discovery) {
  cluster_ = &cluster;
  prober_ = &prober;
  discovery_ = discovery;
}

void Links::Watch(const UpstreamView& upstream, const BackendView& backend) {
  ProbeTarget target;
  target.serial = backend.serial();
  target.address = backend.settings.address;
  if (const auto& check = upstream.settings.health_check) {
    if (check_ == nullptr || *check_ != *check)
      check_ = std::make_shared<const config::HealthCheck>(*check);
    target.check = check_;
  }
  if (prober_->Has(target.serial)) {
    prober_->Update(target);
  } else {
    prober_->Add(target);
  }
}

void Links::WarmUp(const UpstreamView& upstream, const BackendView& backend) {
  prober_->StartWarmUp(backend.serial(), *upstream.settings.warm_up);
}

void Links::SetSources(const std::vector<const config::Upstream*>& upstreams) {
  if (discovery_ != nullptr) discovery_->SetSources(upstreams);
}

void Links::ResolveNow(const std::string& upstream) {
  if (discovery_ != nullptr) discovery_->ResolveNow(upstream);
}

const std::vector<config::Backend>* Links::Known(std::string_view upstream, size_t source) const {
  return discovery_ == nullptr ? nullptr : discovery_->Known(upstream, source);
}

bool Links::CanApply(std::string_view) const { return false; }

absl::Status Links::PrepareConfig(const config::Config&, const config::Config&) {
  return absl::OkStatus();
}

void Links::CommitConfig(const config::Config&, const config::Config&) {}

void Links::OnCheck(uint64_t serial, const health::CheckResult& result) {
  cluster_->OnCheck(serial, result.passed(), result.detail);
}

void Links::OnWarmedUp(uint64_t serial, uint32_t) { cluster_->OnWarmedUp(serial); }

void Links::OnAddresses(const std::string& upstream, size_t source,
                        std::vector<config::Backend> backends) {
  cluster_->OnAddresses(upstream, source, std::move(backends));
}

void Links::OnDiscoveryProblem(const std::string& upstream, size_t source,
                               const std::string& text) {
  cluster_->OnDiscoveryProblem(upstream, source, text);
}

}  // namespace rondo::control
