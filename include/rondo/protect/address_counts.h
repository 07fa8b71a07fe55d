// How many connections each client address has, over all workers (spec: `connections:
// {per_address}`). Any thread; no lock, no allocation after making.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "rondo/base/address.h"

namespace rondo::protect {

class AddressCounts {
 public:
  static constexpr size_t kProbes = 8;
  static constexpr size_t kSlotsDefault = 131072;  // 1 MiB
  // `slots`: a power of two, kProbes or more, at least twice the addresses there may be at once;
  // their places follow `seed`, which clients must not know. IPv6 addresses count by their /64.
  // Memory that no address has reached yet is not touched.
  explicit AddressCounts(size_t slots = kSlotsDefault, uint64_t seed = 0);

  // One more for `address`, unless it has `max` already. A handle for Leave(); kNone: refused.
  // Where all places of an address are taken by others, it is not counted (kUncounted), and let in:
  // somebody with that many addresses is not held up by counting them.
  //
  // At no time more than `max` of those that were counted are there, however many threads ask.
  static constexpr uint32_t kNone = UINT32_MAX;
  static constexpr uint32_t kUncounted = UINT32_MAX - 1;
  uint32_t Enter(const IpAddress& address, uint32_t max);
  // Once for each handle that Enter gave, the two above included.
  void Leave(uint32_t handle);
  // How many it has now; for tests and people.
  uint32_t CountOf(const IpAddress& address) const;

 private:
  // A word that all threads share, through std::atomic_ref: in its upper bits who is counted, in
  // the lower ones how many. 0: free.
  static constexpr unsigned kCountBits = 20;
  static constexpr uint64_t kCountMask = (uint64_t{1} << kCountBits) - 1;
  struct Release {
    void operator()(uint64_t* words) const { std::free(words); }
  };
  struct Found {
    uint64_t count = 0;       // of all its places
    uint64_t word = 0;        // as seen at `place`
    size_t place = SIZE_MAX;  // the first of its own, else the first free one
  };
  uint64_t HashOf(const IpAddress& address) const;
  Found Find(uint64_t hash) const;

  size_t groups_mask_;
  uint64_t seed_;
  std::unique_ptr<uint64_t[], Release> words_;
};

}  // namespace rondo::protect
