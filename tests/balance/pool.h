// Members with counters behind them, and short ways to drive a policy.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "rondo/balance/latency.h"
#include "rondo/balance/policy.h"
#include "rondo/balance/stable_hash.h"

namespace rondo::balance {

class Pool {
 public:
  // `max_in_flight` is that of every member.
  explicit Pool(const std::vector<uint32_t>& weights, uint32_t max_in_flight = 0) {
    for (const uint32_t weight : weights) {
      const std::string id = "10.0." + std::to_string(members_.size() / 250) + "." +
                             std::to_string(members_.size() % 250 + 1) + ":3000";
      members_.push_back(Member{weight, StableHash(id), &in_flight_.emplace_back(0), max_in_flight,
                                &latency_.emplace_back()});
    }
  }
  const std::vector<Member>& members() const { return members_; }
  std::vector<Member>& members() { return members_; }
  LatencyCell& latency(size_t index) { return latency_[index]; }
  std::atomic<uint32_t>& in_flight(size_t index) { return in_flight_[index]; }
  std::unique_ptr<Policy> Make(PolicyKind kind, uint64_t seed = 0) const {
    return MakePolicy(kind, members_, seed);
  }

 private:
  std::deque<std::atomic<uint32_t>> in_flight_;
  std::deque<LatencyCell> latency_;
  std::vector<Member> members_;
};

inline Tried TriedOf(std::initializer_list<size_t> indices) {
  Tried tried;
  for (const size_t index : indices) tried.Add(index);
  return tried;
}

// The first picks as letters: "aabacaa".
inline std::string Letters(Policy& policy, int picks, const Tried& tried = {}) {
  std::string letters;
  for (int i = 0; i < picks; ++i) {
    const size_t index = policy.Pick({0, {}}, tried);
    letters.push_back(index == Policy::kNone ? '-' : static_cast<char>('a' + index));
  }
  return letters;
}

inline std::vector<int> Counts(Policy& policy, size_t members, int picks) {
  std::vector<int> counts(members);
  for (int i = 0; i < picks; ++i) ++counts[policy.Pick({0, {}}, {})];
  return counts;
}

}  // namespace rondo::balance
