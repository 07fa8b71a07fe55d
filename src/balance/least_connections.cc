// The member with the fewest requests in flight for its weight. The counts are those of all
// workers, read without order: a pick may act on counts some nanoseconds old, as any pick does that
// is not under a lock.
#include <utility>

#include "balance/best_of_several.h"
#include "balance/policies.h"

namespace rondo::balance {
namespace {

class Least {
 public:
  explicit Least(PickContext) {}

  static void Prefetch(const Member& member) { __builtin_prefetch(member.in_flight); }

  // load / weight, compared without dividing. 2^31 requests times a weight of 2^32 stay below 2^64.
  void Offer(size_t candidate, const Member& member) {
    const uint64_t after = uint64_t{member.in_flight->load(std::memory_order_relaxed)} + 1;
    if (index_ != Policy::kNone && after * weight_ >= load_ * member.weight) return;
    if (member.max_in_flight != 0 && after > member.max_in_flight) return;
    index_ = candidate;
    load_ = after;
    weight_ = member.weight;
  }
  size_t index() const { return index_; }

 private:
  size_t index_ = Policy::kNone;
  uint64_t load_ = 0;
  uint64_t weight_ = 1;
};

}  // namespace

std::unique_ptr<Policy> MakeLeastConnections(std::vector<Member> members, uint64_t seed) {
  return std::make_unique<BestOfSeveral<Least>>(std::move(members), seed);
}

}  // namespace rondo::balance
