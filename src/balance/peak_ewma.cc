// The member where the request should take the least time: what answers have been taking, times the
// requests that share the member with this one, for its weight. Members that are not picked fade
// towards being cheap, so that each is tried again, and a request at a time: one in flight doubles
// the cost.
//
// All are compared in small pools as least_connections does. Of two drawn at random the better is a
// worse answer here than it is elsewhere: wherever both are slow, the request waits.
#include <utility>

#include "balance/best_of_several.h"
#include "balance/policies.h"
#include "rondo/balance/latency.h"

namespace rondo::balance {
namespace {

class Cheapest {
 public:
  explicit Cheapest(PickContext context) : now_(context.now) {}

  static void Prefetch(const Member& member) {
    __builtin_prefetch(member.in_flight);
    __builtin_prefetch(member.latency);
  }

  void Offer(size_t candidate, const Member& member) {
    const uint32_t in_flight = member.in_flight->load(std::memory_order_relaxed);
    if (member.max_in_flight != 0 && in_flight >= member.max_in_flight) return;
    const double load = (in_flight + 1.0) / member.weight;
    const double latency = member.latency == nullptr ? 0 : member.latency->Cost(now_);
    if (latency == 0) {
      unknown_.Offer(candidate, load, load);
      if (in_flight == 0) unknown_idle_ = true;
    } else {
      known_.Offer(candidate, latency * load, load);
    }
  }

  // One that has not answered yet is asked, and once it is being asked its latency is taken to be
  // that of the best of the others: it gets no more requests at a time than that has.
  size_t index() const {
    if (unknown_.index == Policy::kNone) return known_.index;
    if (known_.index == Policy::kNone || unknown_idle_) return unknown_.index;
    return unknown_.load < known_.load ? unknown_.index : known_.index;
  }

 private:
  struct Best {
    size_t index = Policy::kNone;
    double cost = 0;
    double load = 0;

    void Offer(size_t candidate, double its_cost, double its_load) {
      if (index != Policy::kNone && its_cost >= cost) return;
      index = candidate;
      cost = its_cost;
      load = its_load;
    }
  };

  const Instant now_;
  Best known_;
  Best unknown_;
  bool unknown_idle_ = false;
};

}  // namespace

std::unique_ptr<Policy> MakePeakEwma(std::vector<Member> members, uint64_t seed) {
  return std::make_unique<BestOfSeveral<Cheapest>>(std::move(members), seed);
}

}  // namespace rondo::balance
