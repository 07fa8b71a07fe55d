// For the policies that compare members by what they have to do: all of them in small pools, some
// drawn by weight in big ones.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "balance/pool_policy.h"
#include "balance/weighted_sampler.h"
#include "rondo/base/rng.h"

namespace rondo::balance {

// `Best` is made from the PickContext, offered members that were not tried, and has the index() of
// the one it prefers, never a full one; kNone where all were.
template <typename Best>
class BestOfSeveral final : public PoolPolicy {
 public:
  BestOfSeveral(std::vector<Member> members, uint64_t seed)
      : PoolPolicy(members),
        members_(std::move(members)),
        sampler_(members_),
        rng_(seed),
        cursor_(seed % members_.size()) {}

  size_t Pick(PickContext context, const Tried& tried) override {
    if (members_.size() <= kScanMax) return Scan(context, tried);
    for (int i = 0; i < kRounds; ++i) {
      const size_t drawn = BestOfSome(context, tried);
      if (drawn != kNone) return drawn;
    }
    return Scan(context, tried);
  }

 private:
  // Up to here every member is compared; beyond, kChoices drawn by weight are. docs/balancing.md
  // has the error that this makes.
  static constexpr size_t kScanMax = 64;
  static constexpr int kChoices = 8;
  // So often are they drawn where all were full or tried, before every member is looked at.
  static constexpr int kRounds = 4;

  // Begins behind the last pick, so that among equals each gets its turn and not always the first.
  size_t Scan(PickContext context, const Tried& tried) {
    const bool skip = !tried.empty();
    const size_t size = members_.size();
    Best best(context);
    size_t i = cursor_;
    for (size_t n = 0; n < size; ++n) {
      if (!skip || !tried.Contains(i)) best.Offer(i, members_[i]);
      if (++i == size) i = 0;
    }
    if (best.index() != kNone) cursor_ = best.index() + 1 == size ? 0 : best.index() + 1;
    return best.index();
  }

  size_t BestOfSome(PickContext context, const Tried& tried) {
    const bool skip = !tried.empty();
    // Drawn first and compared after: the counts lie on lines that other workers write, and so they
    // are all asked for at once.
    size_t drawn[kChoices];
    for (size_t& each : drawn) {
      each = sampler_.Draw(rng_);
      Best::Prefetch(members_[each]);
    }
    Best best(context);
    for (const size_t each : drawn) {
      if (!skip || !tried.Contains(each)) best.Offer(each, members_[each]);
    }
    return best.index();
  }

  const std::vector<Member> members_;
  const WeightedSampler sampler_;
  Rng rng_;
  size_t cursor_;
};

}  // namespace rondo::balance
