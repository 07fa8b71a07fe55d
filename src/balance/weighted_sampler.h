// Draws an index in proportion to its weight in constant time (the alias method of Walker, built as
// Vose does). Integers only, so that the proportions are exact but for the 2^-32 of the generator's
// own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "rondo/balance/policy.h"
#include "rondo/base/rng.h"

namespace rondo::balance {

class WeightedSampler {
 public:
  // O(n). REQUIRES: at least one member, each weight at least 1.
  explicit WeightedSampler(const std::vector<Member>& members);

  size_t Draw(Rng& rng) const {
    const size_t column = rng.Below(size_);
    if (columns_.empty() || rng.Below(total_) < columns_[column].own) return column;
    return columns_[column].alias;
  }

 private:
  // A column has room for total_ and is shared by two members.
  struct Column {
    uint64_t own;
    uint32_t alias;
  };
  size_t size_;
  uint64_t total_ = 0;
  std::vector<Column> columns_;  // none where all weights are equal
};

// Whether a plain cursor or a plain draw gives the right proportions. True for none and for one.
bool AllWeightsEqual(const std::vector<Member>& members);

}  // namespace rondo::balance
