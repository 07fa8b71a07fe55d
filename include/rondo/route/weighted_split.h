// Sharing requests out between upstreams by weight, by a key of each request: the same key always
// takes the same way. Immutable after construction; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace rondo::route {

class WeightedSplit {
 public:
  // No choice at all; Pick must not be called.
  WeightedSplit() = default;
  // REQUIRES: at least one weight that is not 0.
  explicit WeightedSplit(std::span<const uint32_t> weights);

  // The index of one of the weights. Over all 2^64 keys each gets exactly its share (to one key in
  // 2^32), one of weight 0 nothing; keys may be anything, they are mixed here. The same in every
  // process and version, and independent of how the key's hash is used by the balancing policies.
  // Shares are laid out in order: of two, moving weight from the first to the second takes keys
  // from the first alone, so that a canary that grows keeps whom it has. O(log n), no allocation.
  size_t Pick(uint64_t key) const;

  size_t size() const { return ends_.size(); }
  bool empty() const { return ends_.empty(); }

 private:
  std::vector<uint64_t> ends_;  // the sum of all weights up to and with this one
};

}  // namespace rondo::route
