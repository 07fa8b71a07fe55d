// Token buckets by key, shared by all workers: how many requests each key may make (spec:
// `rate_limit`). One word a bucket: the theoretical arrival time of GCRA (ITU-T I.371), moved by
// compare-and-swap, so that the rate is exact over workers for a key that keeps its place. Any
// thread; no lock, no allocation after making.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "rondo/base/time.h"

namespace rondo::protect {

struct Rate {
  uint32_t requests = 1;  // in `per`; 1 to 1,000,000
  Duration per{};         // a second, a minute or an hour
  uint32_t burst = 1;     // requests at once, 1 to 1,000,000
};

class RateTable {
 public:
  static constexpr size_t kProbes = 8;
  static constexpr size_t kSlotsDefault = 65536;  // 1 MiB
  // Room for `slots` keys (a power of two, kProbes or more); their places follow `seed`, which
  // clients must not know. Memory that no key has reached yet is not touched.
  //
  // A key has kProbes places; where all are taken by others, the one that will be full again first
  // is given to it, with a full bucket: what an attacker with very many keys gains by that is
  // written in docs/threat-model.md.
  explicit RateTable(size_t slots = kSlotsDefault, uint64_t seed = 0);

  // Takes one token of `key`'s bucket: zero, or how long until there is one (then none was taken).
  //
  // In any span of time S all threads together are given at most burst + S * requests / per tokens
  // of a key that keeps its place; where a thread's `now` lags behind, S is longer by so much. A
  // key that lost its place begins with a full bucket when it comes back.
  Duration Take(uint64_t key, const Rate& rate, Instant now);
  uint64_t seed() const { return seed_; }

 private:
  // Words that all threads share, through std::atomic_ref: plain, so that the system's zeroed pages
  // will do. Key 0: free. Arrivals are those of Instant, in nanoseconds.
  struct Slot {
    uint64_t key;
    int64_t arrival;
  };
  struct Release {
    void operator()(Slot* slots) const { std::free(slots); }
  };
  Slot& Place(uint64_t key, Instant now);
  static Slot* FindOrClaim(Slot* places, uint64_t key);
  static bool TakeOver(Slot* places, uint64_t key, Instant now);

  size_t groups_mask_;
  uint64_t seed_;
  std::unique_ptr<Slot[], Release> slots_;
};

}  // namespace rondo::protect
