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

inline constexpr int kDrawsMax = 16;

// Draws one for which eligible(index) holds, in proportion to its weight, or kNone where none is. A
// few draws first; where these fail, those not eligible have most of the weight, and each member is
// looked at once. Once only, since what is eligible may change meanwhile.
template <typename Eligible>
size_t DrawWhere(const std::vector<Member>& members, const WeightedSampler& sampler, Rng& rng,
                 Eligible eligible) {
  for (int i = 0; i < kDrawsMax; ++i) {
    const size_t index = sampler.Draw(rng);
    if (eligible(index)) return index;
  }
  size_t drawn = Policy::kNone;
  uint64_t total = 0;
  for (size_t i = 0; i < members.size(); ++i) {
    if (!eligible(i)) continue;
    total += members[i].weight;
    if (rng.Below(total) < members[i].weight) drawn = i;
  }
  return drawn;
}

// Whether a plain cursor or a plain draw gives the right proportions. True for none and for one.
bool AllWeightsEqual(const std::vector<Member>& members);

}  // namespace rondo::balance
