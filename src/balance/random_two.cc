// Two members drawn by weight, and of these the one with fewer requests in flight for its weight.
#include <utility>

#include "balance/policies.h"
#include "balance/two_choices.h"

namespace rondo::balance {
namespace {

class RandomTwo final : public TwoChoices {
 public:
  RandomTwo(std::vector<Member> members, uint64_t seed) : TwoChoices(std::move(members), seed) {}

  size_t Pick(PickContext, const Tried& tried) override {
    const Pair pair = Draw(tried);
    if (pair.second == kNone) return pair.first;
    const Member& first = member(pair.first);
    const Member& second = member(pair.second);
    // load / weight, compared without dividing; the products stay below 2^64.
    const bool second_is_better = Load(second) * first.weight < Load(first) * second.weight;
    return second_is_better ? pair.second : pair.first;
  }

 private:
  static uint64_t Load(const Member& member) {
    return uint64_t{member.in_flight->load(std::memory_order_relaxed)} + 1;
  }
};

}  // namespace

std::unique_ptr<Policy> MakeRandomTwo(std::vector<Member> members, uint64_t seed) {
  return std::make_unique<RandomTwo>(std::move(members), seed);
}

}  // namespace rondo::balance
