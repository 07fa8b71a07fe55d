#include "control/links.h"

#include <utility>

#include "control/cluster.h"

namespace rondo::control {
namespace {

// Whom the certificate of a backend is to be for: the same as for requests.
std::string ServerName(const config::UpstreamTls& tls, const config::Backend& backend) {
  if (!tls.sni.empty()) return tls.sni;
  if (!backend.host.empty()) return backend.host;
  const bool has_ip = backend.address.kind == SocketAddress::Kind::kIp;
  return has_ip ? backend.address.ip.ToString() : std::string();
}

}  // namespace

void Links::Attach(Cluster& cluster, Prober& prober, Discovery* discovery) {
  cluster_ = &cluster;
  prober_ = &prober;
  discovery_ = discovery;
}

void Links::AttachTls(rt::Loop& loop, Certificates& certificates, size_t workers) {
  loop_ = &loop;
  certificates_ = &certificates;
  workers_ = workers;
}

TlsProblems Links::PrepareTls(const TlsWanted& wanted) {
  if (certificates_ == nullptr) return {};
  return certificates_->Prepare(wanted, loop_->engine().WallNow());
}

bool Links::CommitTls() { return certificates_ != nullptr && certificates_->Commit(); }

void Links::DropTls() {
  if (certificates_ != nullptr) certificates_->Drop();
}

std::shared_ptr<const tls::ServerSetup> Links::ServerTls(std::string_view listener) const {
  return certificates_ == nullptr ? nullptr : certificates_->Listener(listener);
}

std::shared_ptr<const tls::ClientSetup> Links::ClientTls(const config::Upstream& upstream) const {
  return certificates_ == nullptr ? nullptr : certificates_->Upstream(upstream);
}

ProbeWire Links::WireOf(const UpstreamView& upstream, const BackendView& backend) const {
  ProbeWire wire;
  switch (upstream.settings.send_proxy) {
    case config::SendProxy::kOff:
      break;
    case config::SendProxy::kV1:
      wire.proxy = proxyproto::Version::kV1;
      break;
    case config::SendProxy::kV2:
      wire.proxy = proxyproto::Version::kV2;
      break;
  }
  wire.http2 = upstream.settings.protocol != config::Protocol::kHttp1;
  if (!upstream.settings.tls) return wire;
  wire.tls = ClientTls(upstream.settings);
  if (wire.tls == nullptr) return wire;
  // Behind the workers' contexts is this thread's.
  wire.context = &wire.tls->ForWorker(workers_);
  wire.server_name = ServerName(*upstream.settings.tls, backend.settings);
  return wire;
}

void Links::Watch(const UpstreamView& upstream, const BackendView& backend) {
  ProbeTarget target;
  target.serial = backend.serial();
  target.address = backend.settings.address;
  target.wire = WireOf(upstream, backend);
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
