// How many connections each client address has, over all workers (spec: `connections:
// {per_address}`). Any thread; no lock, no allocation after making.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "rondo/base/address.h"

namespace rondo::protect {

class AddressCounts {
 public:
  // `slots`: a power of two, at least twice the connections there may be. IPv6 addresses count by
  // their /64.
  explicit AddressCounts(size_t slots);

  // One more for `address`, unless it has `max` already. A handle for Leave(); kNone: refused.
  // Where the table has no place left, it is not counted (kUncounted), and let in.
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kUncounted = UINT32_MAX - 1;
  uint32_t Enter(const IpAddress& address, uint32_t max);
  void Leave(uint32_t handle);

 private:
  struct Slot {
    std::atomic<uint64_t> key{0};
    std::atomic<uint32_t> count{0};
  };
  size_t mask_;
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace rondo::protect
