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
#include "rondo/base/time.h"

namespace rondo::balance {

class LatencyCell;

struct Member {
  uint32_t weight =
      1;  // 1 or more; a 0 is read as 1, since "takes nothing" is said by leaving it out
  uint64_t id_hash = 0;  // StableHash of the backend's id: what the hashing policies know it by
  // Requests in flight over all workers, at most 2^31. Outlives the policy. May be left out only
  // where there is no limit and the policy counts nothing (round_robin and the hashing ones).
  const std::atomic<uint32_t>* in_flight = nullptr;
  // A member with this many in flight or more is full and is not picked. 0: no limit.
  uint32_t max_in_flight = 0;
  // How long it takes to answer. Outlives the policy. Only peak_ewma reads it; without one the
  // member's latency counts as not known.
  const LatencyCell* latency = nullptr;
};

// What a policy may want to know about the request. Passed by value: it fits in two registers.
struct PickContext {
  uint64_t key = 0;  // AddressKey or StableHash of what is hashed; only the hashing policies look
  Instant now{};     // only peak_ewma looks
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
  // An index into the members that is not in `tried` and not full, or kNone where there is none. A
  // pick with something in `tried` (a retry) chooses among the rest in their proportions and leaves
  // the order of first picks as fair as it was. No allocation.
  //
  // Picking reserves nothing. Where there are limits the caller raises in_flight by compare and
  // swap, and picks again when another worker took the last place meanwhile.
  virtual size_t Pick(PickContext context, const Tried& tried) = 0;
  // Whether any member, tried or not, is not full. At once where one has no limit, else O(n) at
  // worst.
  virtual bool AnyFree() const = 0;
};

// Members may be none: then every pick is kNone. `seed` should differ from worker to worker, and
// may be as plain as the worker's number: it spreads starting points, so that all workers do not
// begin with the same member. O(n) (n log n for none of them); 5,000 members take under a
// millisecond, under consistent_hash a few.
std::unique_ptr<Policy> MakePolicy(PolicyKind kind, std::vector<Member> members, uint64_t seed);

}  // namespace rondo::balance
