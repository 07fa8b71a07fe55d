// The member with the fewest requests in flight for its weight. The counts are those of all
// workers, read without order: a pick may act on counts some nanoseconds old, as any pick does that
// is not under a lock.
#include <utility>

#include "balance/policies.h"
#include "balance/pool_policy.h"
#include "balance/weighted_sampler.h"
#include "rondo/base/rng.h"

namespace rondo::balance {
namespace {

// Up to here every member is compared; beyond, kChoices drawn by weight are. A thousand equal
// members kept under eight requests each then have at most ten in flight at once, against at most
// eight for the full scan and about twenty for a random choice;
// tests/balance/least_connections_test.cc holds it to that.
constexpr size_t kScanMax = 64;
constexpr int kChoices = 8;
// So often are they drawn where all were full or tried, before every member is looked at.
constexpr int kRounds = 4;

class LeastConnections final : public PoolPolicy {
 public:
  LeastConnections(std::vector<Member> members, uint64_t seed)
      : PoolPolicy(members),
        members_(std::move(members)),
        sampler_(members_),
        rng_(seed),
        cursor_(seed % members_.size()) {}

  size_t Pick(PickContext, const Tried& tried) override {
    if (members_.size() <= kScanMax) return Scan(tried);
    for (int i = 0; i < kRounds; ++i) {
      const size_t drawn = BestOfSome(tried);
      if (drawn != kNone) return drawn;
    }
    return Scan(tried);
  }

 private:
  struct Best {
    size_t index = kNone;
    uint64_t load = 0;
    uint64_t weight = 1;

    // load / weight, compared without dividing. 2^31 requests times a weight of 2^32 stay below
    // 2^64.
    void Offer(size_t candidate, const Member& member) {
      const uint64_t after = uint64_t{member.in_flight->load(std::memory_order_relaxed)} + 1;
      if (index != kNone && after * weight >= load * member.weight) return;
      if (member.max_in_flight != 0 && after > member.max_in_flight) return;
      index = candidate;
      load = after;
      weight = member.weight;
    }
  };

  // Begins behind the last pick, so that among equals each gets its turn and not always the first.
  size_t Scan(const Tried& tried) {
    const bool skip = !tried.empty();
    const size_t size = members_.size();
    Best best;
    size_t i = cursor_;
    for (size_t n = 0; n < size; ++n) {
      if (!skip || !tried.Contains(i)) best.Offer(i, members_[i]);
      if (++i == size) i = 0;
    }
    if (best.index != kNone) cursor_ = best.index + 1 == size ? 0 : best.index + 1;
    return best.index;
  }

  size_t BestOfSome(const Tried& tried) {
    const bool skip = !tried.empty();
    // Drawn first and compared after: the counts lie on lines that other workers write, and so they
    // are all asked for at once.
    size_t drawn[kChoices];
    for (size_t& each : drawn) {
      each = sampler_.Draw(rng_);
      __builtin_prefetch(members_[each].in_flight);
    }
    Best best;
    for (const size_t each : drawn) {
      if (!skip || !tried.Contains(each)) best.Offer(each, members_[each]);
    }
    return best.index;
  }

  const std::vector<Member> members_;
  const WeightedSampler sampler_;
  Rng rng_;
  size_t cursor_;
};

}  // namespace

std::unique_ptr<Policy> MakeLeastConnections(std::vector<Member> members, uint64_t seed) {
  return std::make_unique<LeastConnections>(std::move(members), seed);
}

}  // namespace rondo::balance
