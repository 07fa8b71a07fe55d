#include "balance/weighted_sampler.h"

#include <algorithm>

#include "rondo/base/check.h"

namespace rondo::balance {

WeightedSampler::WeightedSampler(const std::vector<Member>& members) : size_(members.size()) {
  RONDO_CHECK(size_ > 0);
  if (AllWeightsEqual(members)) return;
  for (const Member& member : members) total_ += member.weight;

  // Everything is multiplied by n, so that the average column is exactly total_ high. n and the sum
  // of the weights are below 2^32 each in any pool that fits in memory.
  std::vector<uint64_t> height(size_);
  std::vector<uint32_t> low;
  std::vector<uint32_t> high;
  for (size_t i = 0; i < size_; ++i) {
    height[i] = static_cast<uint64_t>(members[i].weight) * size_;
    (height[i] < total_ ? low : high).push_back(static_cast<uint32_t>(i));
  }
  columns_.assign(size_, Column{total_, 0});
  while (!low.empty() && !high.empty()) {
    const uint32_t small = low.back();
    const uint32_t large = high.back();
    low.pop_back();
    columns_[small] = Column{height[small], large};
    height[large] -= total_ - height[small];
    if (height[large] < total_) {
      high.pop_back();
      low.push_back(large);
    }
  }
}

bool AllWeightsEqual(const std::vector<Member>& members) {
  return std::ranges::all_of(
      members, [&](const Member& member) { return member.weight == members.front().weight; });
}

}  // namespace rondo::balance
