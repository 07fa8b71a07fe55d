#include "rondo/tls/server_setup.h"

#include <openssl/evp.h>

#include <utility>

#include "rondo/base/check.h"
#include "tls/alpn.h"
#include "tls/key_pair.h"
#include "tls/server_context.h"

namespace rondo::tls {
namespace {

// Tickets of one scope are taken by the listener of that name alone, and only as long as it asks
// the same of clients: a ticket stands for a certificate that was verified then.
std::string SessionScope(const ServerSettings& settings) {
  std::string text = settings.ticket_scope;
  text += '\0';
  text += static_cast<char>(settings.client_auth);
  for (const std::string* part : {&settings.client_ca, &settings.crl}) {
    text += std::to_string(part->size()) + ":" + *part;
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  const int made = EVP_Digest(text.data(), text.size(), digest, &size, EVP_sha256(), nullptr);
  RONDO_CHECK(made == 1 && size == SSL_MAX_SID_CTX_LENGTH);
  return std::string(reinterpret_cast<char*>(digest), size);
}

absl::Status CheckSettings(const ServerSettings& settings) {
  if (settings.certificates.empty()) return Wrong("a listener with TLS needs a certificate");
  for (const ServedPair& served : settings.certificates) RONDO_CHECK(served.pair != nullptr);
  if (settings.client_auth != ClientAuth::kOff && settings.client_ca.empty()) {
    return Wrong("client certificates need authorities (client_ca) that issue them");
  }
  return absl::OkStatus();
}

SniTable TableOf(const ServerSettings& settings) {
  std::vector<const KeyPair*> pairs;
  pairs.reserve(settings.certificates.size());
  for (const ServedPair& served : settings.certificates) pairs.push_back(served.pair.get());
  return SniTable(pairs);
}

absl::StatusOr<std::unique_ptr<const ServerPlan>> PlanOf(const ServerSettings& settings) {
  absl::Status status = CheckSettings(settings);
  if (!status.ok()) return status;
  auto plan = std::make_unique<ServerPlan>(
      ServerPlan{settings, TableOf(settings), {}, {}, {}, SessionScope(settings)});
  for (const ServedPair& served : settings.certificates) {
    int64_t next_update = 0;
    if (!served.ocsp.empty()) {
      absl::StatusOr<int64_t> checked = served.pair->CheckOcsp(served.ocsp);
      if (!checked.ok()) return checked.status();
      next_update = *checked;
    }
    plan->ocsp_next_update.push_back(next_update);
  }
  absl::StatusOr<std::string> alpn = AlpnOnWire(settings.alpn);
  if (!alpn.ok()) return alpn.status();
  plan->alpn = *std::move(alpn);
  if (settings.client_auth != ClientAuth::kOff) {
    absl::StatusOr<Authorities> authorities = ReadAuthorities(settings.client_ca, settings.crl);
    if (!authorities.ok()) return authorities.status();
    plan->client_authorities = *std::move(authorities);
  }
  return plan;
}

class BuiltServerSetup final : public ServerSetup {
 public:
  BuiltServerSetup(std::unique_ptr<const ServerPlan> plan,
                   std::shared_ptr<const TicketKeys> tickets)
      : plan_(std::move(plan)), tickets_(std::move(tickets)) {}

  absl::Status Prepare(size_t workers) {
    for (size_t worker = 0; worker < workers; ++worker) {
      absl::StatusOr<std::unique_ptr<WorkerServerContext>> context =
          WorkerServerContext::Make(*plan_, tickets_.get(), worker);
      if (!context.ok()) return context.status();
      contexts_.push_back(*std::move(context));
    }
    return absl::OkStatus();
  }

  ServerContext& ForWorker(size_t worker) const override {
    RONDO_CHECK(worker < contexts_.size());
    return *contexts_[worker];
  }
  const ServerSettings& settings() const override { return plan_->settings; }

 private:
  std::unique_ptr<const ServerPlan> plan_;
  std::shared_ptr<const TicketKeys> tickets_;
  std::vector<std::unique_ptr<WorkerServerContext>> contexts_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const ServerSetup>> ServerSetup::Make(
    const ServerSettings& settings, size_t workers, std::shared_ptr<const TicketKeys> tickets) {
  absl::StatusOr<std::unique_ptr<const ServerPlan>> plan = PlanOf(settings);
  if (!plan.ok()) return plan.status();
  auto setup = std::make_shared<BuiltServerSetup>(*std::move(plan), std::move(tickets));
  absl::Status status = setup->Prepare(workers);
  if (!status.ok()) return status;
  return setup;
}

}  // namespace rondo::tls
