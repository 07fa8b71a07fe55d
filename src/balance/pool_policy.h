// What all policies share: the limits of their members, and so which ones are out of the question
// for a pick.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "rondo/balance/policy.h"

namespace rondo::balance {

inline bool IsFull(const std::atomic<uint32_t>* in_flight, uint32_t max) {
  return max != 0 && in_flight->load(std::memory_order_relaxed) >= max;
}

class PoolPolicy : public Policy {
 public:
  bool AnyFree() const final;

 protected:
  explicit PoolPolicy(const std::vector<Member>& members);

  bool Full(size_t index) const {
    return !limits_.empty() && IsFull(limits_[index].in_flight, limits_[index].max);
  }
  // False: nobody is out of the question, and none need be asked about.
  bool MayExclude(const Tried& tried) const { return !limits_.empty() || !tried.empty(); }
  bool Excluded(size_t index, const Tried& tried) const {
    return (!tried.empty() && tried.Contains(index)) || Full(index);
  }

 private:
  struct Limit {
    const std::atomic<uint32_t>* in_flight;
    uint32_t max;
  };
  std::vector<Limit> limits_;  // by member; none where no member has one
  bool unlimited_member_;
};

}  // namespace rondo::balance
