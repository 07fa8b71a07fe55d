// Two members drawn by weight, for the policies that take the better of two. Comparing just two
// spreads load nearly as evenly as comparing all, and unlike comparing all it can not send every
// request to the one that looks best: at most two requests in n go to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "balance/pool_policy.h"
#include "balance/weighted_sampler.h"
#include "rondo/base/rng.h"

namespace rondo::balance {

class TwoChoices : public PoolPolicy {
 protected:
  TwoChoices(std::vector<Member> members, uint64_t seed)
      : PoolPolicy(members), members_(std::move(members)), sampler_(members_), rng_(seed) {}

  struct Pair {
    size_t first = kNone;
    size_t second = kNone;
  };

  // Two different ones that are not excluded. `second` is kNone where there is only one, and now
  // and then where one has nearly all the weight: it would be drawn again and again.
  Pair Draw(const Tried& tried) {
    const bool may_exclude = MayExclude(tried);
    Pair pair;
    pair.first = may_exclude ? DrawWhere(members_, sampler_, rng_,
                                         [&](size_t index) { return !Excluded(index, tried); })
                             : sampler_.Draw(rng_);
    if (pair.first == kNone || members_.size() == 1) return pair;
    for (int i = 0; i < kDrawsMax; ++i) {
      const size_t index = sampler_.Draw(rng_);
      if (index == pair.first || (may_exclude && Excluded(index, tried))) continue;
      pair.second = index;
      break;
    }
    return pair;
  }

  const Member& member(size_t index) const { return members_[index]; }

 private:
  const std::vector<Member> members_;
  const WeightedSampler sampler_;
  Rng rng_;
};

}  // namespace rondo::balance
