// Two members drawn by weight, and of these the one with fewer requests in flight for its weight.
#include <utility>

#include "balance/policies.h"
#include "balance/pool_policy.h"
#include "balance/weighted_sampler.h"
#include "rondo/base/rng.h"

namespace rondo::balance {
namespace {

class RandomTwo final : public PoolPolicy {
 public:
  RandomTwo(std::vector<Member> members, uint64_t seed)
      : PoolPolicy(members), members_(std::move(members)), sampler_(members_), rng_(seed) {}

  size_t Pick(PickContext, const Tried& tried) override {
    const bool may_exclude = MayExclude(tried);
    const size_t first = may_exclude ? DrawWhere(members_, sampler_, rng_,
                                                 [&](size_t i) { return !Excluded(i, tried); })
                                     : sampler_.Draw(rng_);
    if (first == kNone || members_.size() == 1) return first;
    // Where one member has nearly all the weight it may be drawn again and again: then it goes
    // alone.
    for (int i = 0; i < kDrawsMax; ++i) {
      const size_t second = sampler_.Draw(rng_);
      if (second == first || (may_exclude && Excluded(second, tried))) continue;
      // load / weight, compared without dividing; the products stay below 2^64.
      const bool better =
          Load(second) * members_[first].weight < Load(first) * members_[second].weight;
      return better ? second : first;
    }
    return first;
  }

 private:
  uint64_t Load(size_t index) const {
    return uint64_t{members_[index].in_flight->load(std::memory_order_relaxed)} + 1;
  }

  const std::vector<Member> members_;
  const WeightedSampler sampler_;
  Rng rng_;
};

}  // namespace

std::unique_ptr<Policy> MakeRandomTwo(std::vector<Member> members, uint64_t seed) {
  return std::make_unique<RandomTwo>(std::move(members), seed);
}

}  // namespace rondo::balance
