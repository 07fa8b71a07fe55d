// Token buckets by key, shared by all workers: how many requests each key may make (spec:
// `rate_limit`). One word a bucket: the theoretical arrival time of GCRA (ITU-T I.371), moved by
// compare-and-swap, so that the rate is exact over workers for a key that keeps its place. Any
// thread; no lock, no allocation after making.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "rondo/base/time.h"

namespace rondo::protect {

struct Rate {
  uint32_t requests = 1;  // in `per`; 1 to 1,000,000
  Duration per{};         // a second, a minute or an hour
  uint32_t burst = 1;     // requests at once, 1 or more
};

class RateTable {
 public:
  // Room for `slots` keys (a power of two). A key looks at kProbes places; where all are taken by
  // others the one that will be full again first is given to it (that one's key starts afresh):
  // what an attacker with very many keys can gain is written in docs/threat-model.md.
  explicit RateTable(size_t slots);
  static constexpr size_t kProbes = 8;

  // Takes one token of `key`'s bucket: zero, or how long until there is one.
  Duration Take(uint64_t key, const Rate& rate, Instant now);

 private:
  struct Slot {
    std::atomic<uint64_t> key{0};
    std::atomic<int64_t> arrival{0};
  };
  size_t mask_;
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace rondo::protect
