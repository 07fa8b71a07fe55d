#include "rondo/upstream/listener_shared.h"

#include "rondo/base/check.h"

namespace rondo::upstream {

const char* Place::Take(const std::shared_ptr<ListenerShared>& shared, const Limits& limits,
                        const IpAddress* address) {
  RONDO_DCHECK(shared_ == nullptr);
  shared_ = shared;
  if (limits.total > 0) {
    counted_ = true;
    if (shared_->connections.fetch_add(1, std::memory_order_relaxed) >= limits.total) {
      GiveBack();
      return "connection_limit";
    }
  }
  if (limits.per_address == 0 || address == nullptr) return nullptr;
  address_ = shared_->addresses->Enter(*address, limits.per_address);
  if (address_ != protect::AddressCounts::kNone) return nullptr;
  GiveBack();
  return "address_connection_limit";
}

void Place::GiveBack() {
  if (shared_ == nullptr) return;
  if (std::exchange(counted_, false)) {
    shared_->connections.fetch_sub(1, std::memory_order_relaxed);
  }
  if (const uint32_t handle = std::exchange(address_, protect::AddressCounts::kNone);
      handle != protect::AddressCounts::kNone) {
    shared_->addresses->Leave(handle);
  }
  shared_.reset();
}

}  // namespace rondo::upstream
