// Which backend a request goes to. A Policy is built from the members that may be chosen now and is
// then asked for one index a request; it holds no connection and knows no health rule. Each worker
// has its own, so nothing here is locked: only the counts behind Member::in_flight are shared. When
// the members change, build a new one.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "rondo/balance/policy_kind.h"

namespace rondo::balance {

struct Member {
  uint32_t weight =
      1;  // 1 or more; a 0 is read as 1, since "takes nothing" is said by leaving it out
  uint64_t id_hash = 0;  // StableHash of the backend's id: what the hashing policies know it by
  // Requests in flight over all workers, at most 2^31. Outlives the policy. Only least_connections
  // reads it.
  const std::atomic<uint32_t>* in_flight = nullptr;
};

// The members a request has tried already. A small value; allocates only beyond kInline of them.
class Tried {
 public:
  static constexpr size_t kInline = 16;

  // O(count).
  bool Contains(size_t index) const;
  // Adding one twice changes nothing.
  void Add(size_t index);
  size_t count() const { return more_.empty() ? count_ : more_.size(); }
  bool empty() const { return count_ == 0; }
  // In the order they were added.
  std::span<const uint32_t> indices() const;

 private:
  uint32_t count_ = 0;
  std::array<uint32_t, kInline> inline_{};
  std::vector<uint32_t> more_;  // all of them, once there are more than kInline
};

class Policy {
 public:
  static constexpr size_t kNone = SIZE_MAX;

  virtual ~Policy() = default;
  // An index into the members that is not in `tried`, or kNone where all are. `key` is AddressKey
  // of the client; only the hashing policies look at it. A pick with something in `tried` (a retry)
  // chooses among the rest in their proportions and leaves the order of first picks as fair as it
  // was. No allocation.
  virtual size_t Pick(uint64_t key, const Tried& tried) = 0;
};

// Members may be none: then every pick is kNone. `seed` should differ from worker to worker, and
// may be as plain as the worker's number: it spreads starting points, so that all workers do not
// begin with the same member. O(n) (n log n for none of them); 5,000 members take well under a
// millisecond.
std::unique_ptr<Policy> MakePolicy(PolicyKind kind, std::vector<Member> members, uint64_t seed);

}  // namespace rondo::balance
