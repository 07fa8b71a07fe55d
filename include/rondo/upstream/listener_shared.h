// What all workers share about a listener: how many connections it has, where it limits them. One
// for each listener there ever was, in all snapshots of a process: a connection may outlive the
// snapshot that let it in, and its listener. Any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "rondo/base/address.h"
#include "rondo/protect/address_counts.h"

namespace rondo::upstream {

struct ListenerShared {
  // Those that came in under a limit of all.
  std::atomic<uint32_t> connections{0};
  // Made by the control thread before it publishes the first snapshot that limits connections by
  // address; who has no handle from there does not look at it.
  std::unique_ptr<protect::AddressCounts> addresses;
};

// What one connection counts for there; given back at its end.
class Place {
 public:
  Place() = default;
  Place(Place&& other) noexcept
      : shared_(std::move(other.shared_)),
        address_(std::exchange(other.address_, protect::AddressCounts::kNone)),
        counted_(std::exchange(other.counted_, false)) {}
  Place& operator=(Place&&) = delete;
  ~Place() { GiveBack(); }

  struct Limits {
    uint32_t total = 0;  // 0: no limit
    uint32_t per_address = 0;
  };
  // Null, or why there is no place: "connection_limit" or "address_connection_limit". `address`
  // null: of nobody's own. REQUIRES: it has none yet; shared->addresses where per_address.
  const char* Take(const std::shared_ptr<ListenerShared>& shared, const Limits& limits,
                   const IpAddress* address);

 private:
  void GiveBack();

  std::shared_ptr<ListenerShared> shared_;
  uint32_t address_ = protect::AddressCounts::kNone;
  bool counted_ = false;  // among all
};

}  // namespace rondo::upstream
