#include "rondo/tls/client_setup.h"

#include <atomic>
#include <utility>

#include "rondo/base/check.h"
#include "tls/alpn.h"
#include "tls/authorities.h"
#include "tls/client_context.h"
#include "tls/system_authorities.h"

namespace rondo::tls {
namespace {

// Numbers setups over the life of the process: a session of one is not taken by another, which may
// verify more.
uint64_t NextSetup() {
  static std::atomic<uint64_t> last{0};
  return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

class BuiltClientSetup final : public ClientSetup {
 public:
  absl::Status Prepare(const ClientSettings& settings, size_t contexts) {
    ClientPlan plan;
    plan.settings = &settings;
    plan.number = NextSetup();
    absl::StatusOr<std::string> alpn = AlpnOnWire(settings.alpn);
    if (!alpn.ok()) return alpn.status();
    plan.alpn = *std::move(alpn);
    absl::Status status = PrepareAuthorities(settings, contexts);
    if (!status.ok()) return status;
    for (size_t worker = 0; worker < contexts; ++worker) {
      X509_STORE* store = nullptr;
      if (settings.verify) store = system_ ? system_->ForWorker(worker) : stores_[worker].get();
      absl::StatusOr<std::unique_ptr<WorkerClientContext>> context =
          WorkerClientContext::Make(plan, store, worker);
      if (!context.ok()) return context.status();
      contexts_.push_back(*std::move(context));
    }
    stores_.clear();  // the contexts have them
    return absl::OkStatus();
  }

  ClientContext& ForWorker(size_t worker) const override {
    RONDO_CHECK(worker < contexts_.size());
    return *contexts_[worker];
  }

 private:
  absl::Status PrepareAuthorities(const ClientSettings& settings, size_t contexts) {
    if (!settings.verify) return absl::OkStatus();
    if (settings.ca.empty()) {
      absl::StatusOr<std::shared_ptr<const SystemAuthorities>> system =
          SystemAuthorities::Get(contexts);
      if (!system.ok()) return system.status();
      system_ = *std::move(system);
      return absl::OkStatus();
    }
    absl::StatusOr<Authorities> authorities = ReadAuthorities(settings.ca, "");
    if (!authorities.ok()) return authorities.status();
    for (size_t worker = 0; worker < contexts; ++worker) {
      UniqueStore store = MakeStore(*authorities, LibraryOfWorker(worker));
      if (store == nullptr) return absl::ResourceExhaustedError("out of memory");
      stores_.push_back(std::move(store));
    }
    return absl::OkStatus();
  }

  std::shared_ptr<const SystemAuthorities> system_;
  std::vector<UniqueStore> stores_;
  std::vector<std::unique_ptr<WorkerClientContext>> contexts_;
};

}  // namespace

absl::StatusOr<std::shared_ptr<const ClientSetup>> ClientSetup::Make(const ClientSettings& settings,
                                                                     size_t workers) {
  auto setup = std::make_shared<BuiltClientSetup>();
  absl::Status status = setup->Prepare(settings, workers + 1);
  if (!status.ok()) return status;
  return setup;
}

}  // namespace rondo::tls
