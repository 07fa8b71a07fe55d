// Smooth weighted round robin, three ways to the same fairness:
//  - equal weights: a queue of turns, O(1);
//  - a few members of differing weights: the scan that nginx made known, whose short sequences are
//  the smoothest
//    (5:1:1 is a a b a c a a), O(n);
//  - many members of differing weights: each has a virtual time of its next turn, the earliest goes
//  first,
//    O(log n).
#include <algorithm>
#include <numeric>
#include <utility>

#include "balance/policies.h"
#include "balance/pool_policy.h"
#include "balance/weighted_sampler.h"
#include "rondo/base/rng.h"

namespace rondo::balance {
namespace {

constexpr size_t kScanMax = 64;

// Turns in a doubly linked queue of indices. The one at the front goes next, and then to the back.
//  - A full member that is passed over goes to the back too: it has its hands full, so it loses a
//    turn and not its share, and the next pick need not pass over it again.
//  - A retry takes the first that can be had and puts it behind the last that was not tried: those
//    that were tried keep their places, and the others keep their order among themselves.
class TurnQueue final : public PoolPolicy {
 public:
  TurnQueue(const std::vector<Member>& members, uint64_t seed)
      : PoolPolicy(members),
        links_(members.size() + 1),
        head_(static_cast<uint32_t>(members.size())) {
    // A ring through all indices and the head; the seed rotates it.
    uint32_t last = head_;
    for (size_t i = 0; i < members.size(); ++i) {
      const auto index = static_cast<uint32_t>((seed % members.size() + i) % members.size());
      links_[last].next = index;
      links_[index].previous = last;
      last = index;
    }
    links_[last].next = head_;
    links_[head_].previous = last;
  }

  size_t Pick(PickContext, const Tried& tried) override {
    uint32_t index = links_[head_].next;
    while (index != head_ && Excluded(index, tried)) index = links_[index].next;
    if (index == head_) return kNone;
    if (tried.empty()) {
      // All up to and with this one go to the back: in a ring, the head comes to stand behind it.
      if (links_[head_].previous != index) MoveBehind(head_, index);
      return index;
    }
    uint32_t last = links_[head_].previous;
    while (tried.Contains(last)) last = links_[last].previous;
    if (last != index) MoveBehind(index, last);
    return index;
  }

 private:
  struct Link {
    uint32_t next;
    uint32_t previous;
  };

  void MoveBehind(uint32_t index, uint32_t place) {
    const Link link = links_[index];
    links_[link.previous].next = link.next;
    links_[link.next].previous = link.previous;
    const uint32_t after = links_[place].next;
    links_[index] = Link{after, place};
    links_[place].next = index;
    links_[after].previous = index;
  }

  std::vector<Link> links_;
  const uint32_t
      head_;  // one past the last index: stands before the first and behind the last turn
};

// Each pick gives every member its weight in credit and takes the sum of the weights from the one
// with the most. A member that was tried or is full takes part in neither, so its credit can not
// grow meanwhile.
class CreditScan final : public PoolPolicy {
 public:
  CreditScan(const std::vector<Member>& members, uint64_t seed) : PoolPolicy(members) {
    int64_t divisor = 0;
    for (const Member& member : members) divisor = std::gcd(divisor, member.weight);
    int64_t period = 0;
    for (const Member& member : members) {
      turns_.push_back(Turn{static_cast<int64_t>(member.weight) / divisor, 0, 0});
      period += turns_.back().weight;
    }
    // The sequence repeats after `period` picks. Start somewhere in it, at a cost that stays small.
    const uint64_t skipped = seed % std::min<uint64_t>(static_cast<uint64_t>(period), kSkippedMax);
    for (uint64_t i = 0; i < skipped; ++i) PickBy(&Turn::credit, {}, false);
  }

  size_t Pick(PickContext, const Tried& tried) override {
    const bool may_exclude = MayExclude(tried);
    return PickBy(tried.empty() ? &Turn::credit : &Turn::retry_credit, tried, may_exclude);
  }

 private:
  static constexpr uint64_t kSkippedMax = 256;
  struct Turn {
    int64_t weight;
    int64_t credit;
    int64_t retry_credit;
  };

  size_t PickBy(int64_t Turn::* credit, const Tried& tried, bool may_exclude) {
    size_t best = kNone;
    int64_t best_credit = 0;
    int64_t total = 0;
    for (size_t i = 0; i < turns_.size(); ++i) {
      if (may_exclude && Excluded(i, tried)) continue;
      Turn& turn = turns_[i];
      turn.*credit += turn.weight;
      total += turn.weight;
      if (best == kNone || turn.*credit > best_credit) {
        best = i;
        best_credit = turn.*credit;
      }
    }
    if (best != kNone) turns_[best].*credit -= total;
    return best;
  }

  std::vector<Turn> turns_;
};

// Earliest deadline first in a binary heap. A member's turns are kStride / weight of virtual time
// apart. Retries are drawn at random by weight and leave the schedule alone: were they turns, the
// members that do not fail would pay for those that do, without bound. A full member loses its
// turn; where many in a row are full the same draw finds one that is not, since a light member's
// turn may lie behind any number of a heavy one's.
class DeadlineHeap final : public PoolPolicy {
 public:
  DeadlineHeap(const std::vector<Member>& members, uint64_t seed)
      : PoolPolicy(members), members_(members), sampler_(members), rng_(seed) {
    for (size_t i = 0; i < members.size(); ++i) {
      const uint64_t stride = kStride / members[i].weight;
      heap_.push_back(Turn{rng_.Below(stride), stride, static_cast<uint32_t>(i)});
    }
    std::ranges::make_heap(heap_, Later);
  }

  size_t Pick(PickContext, const Tried& tried) override {
    for (int i = 0; tried.empty() && i < kPassedOverMax; ++i) {
      const size_t picked = heap_.front().index;
      Turn turn = heap_.front();
      turn.deadline += turn.stride;
      PlaceFromRoot(turn);
      if (!Full(picked)) return picked;
    }
    return DrawWhere(members_, sampler_, rng_,
                     [&](size_t index) { return !Excluded(index, tried); });
  }

 private:
  struct Turn {
    uint64_t deadline;
    uint64_t stride;
    uint32_t index;
  };
  // Large enough that rounding a stride costs the heaviest weight less than 2^-15 of its share; all
  // deadlines lie within one kStride of each other, so that the comparison below survives their
  // wrapping around.
  static constexpr uint64_t kStride = uint64_t{1} << 48;
  static constexpr int kPassedOverMax = 16;

  static bool Later(const Turn& a, const Turn& b) {
    if (a.deadline != b.deadline) return static_cast<int64_t>(a.deadline - b.deadline) > 0;
    return a.index > b.index;
  }

  void PlaceFromRoot(const Turn& turn) {
    size_t hole = 0;
    while (true) {
      size_t child = 2 * hole + 1;
      if (child >= heap_.size()) break;
      if (child + 1 < heap_.size() && Later(heap_[child], heap_[child + 1])) ++child;
      if (!Later(turn, heap_[child])) break;
      heap_[hole] = heap_[child];
      hole = child;
    }
    heap_[hole] = turn;
  }

  const std::vector<Member> members_;
  const WeightedSampler sampler_;
  Rng rng_;
  std::vector<Turn> heap_;
};

}  // namespace

std::unique_ptr<Policy> MakeRoundRobin(const std::vector<Member>& members, uint64_t seed) {
  if (AllWeightsEqual(members)) return std::make_unique<TurnQueue>(members, seed);
  if (members.size() <= kScanMax) return std::make_unique<CreditScan>(members, seed);
  return std::make_unique<DeadlineHeap>(members, seed);
}

}  // namespace rondo::balance
