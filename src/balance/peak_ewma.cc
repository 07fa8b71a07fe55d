// Two members drawn by weight, and of these the one where the request should take less time: what
// answers have been taking, times the requests that share the member with this one, for its weight.
//
// Two and never all, also in small pools: with all compared, a pool under little load would send
// every request to whichever member is a microsecond ahead, and a member whose latency has faded
// would get them all until it answers.
#include <utility>

#include "balance/policies.h"
#include "balance/two_choices.h"
#include "rondo/balance/latency.h"

namespace rondo::balance {
namespace {

class PeakEwma final : public TwoChoices {
 public:
  PeakEwma(std::vector<Member> members, uint64_t seed) : TwoChoices(std::move(members), seed) {}

  size_t Pick(PickContext context, const Tried& tried) override {
    const Pair pair = Draw(tried);
    if (pair.second == kNone) return pair.first;
    const State first(member(pair.first), context.now);
    const State second(member(pair.second), context.now);
    return second.Beats(first) ? pair.second : pair.first;
  }

 private:
  struct State {
    State(const Member& member, Instant now)
        : in_flight(member.in_flight->load(std::memory_order_relaxed)),
          load((in_flight + 1.0) / member.weight),
          latency(member.latency == nullptr ? 0 : member.latency->Cost(now)) {}

    bool known() const { return latency > 0; }

    bool Beats(const State& other) const {
      if (known() == other.known()) {
        return known() ? latency * load < other.latency * other.load : load < other.load;
      }
      // Whoever has not answered yet is asked, but by one request at a time: it may be slow.
      return known() ? other.in_flight > 0 : in_flight == 0;
    }

    uint32_t in_flight;
    double load;     // with this request, for its weight
    double latency;  // 0: not known
  };
};

}  // namespace

std::unique_ptr<Policy> MakePeakEwma(std::vector<Member> members, uint64_t seed) {
  return std::make_unique<PeakEwma>(std::move(members), seed);
}

}  // namespace rondo::balance
