#include "balance/pool_policy.h"

#include <algorithm>

#include "rondo/base/check.h"

namespace rondo::balance {

PoolPolicy::PoolPolicy(const std::vector<Member>& members)
    : unlimited_member_(std::ranges::any_of(
          members, [](const Member& member) { return member.max_in_flight == 0; })) {
  const bool limited =
      std::ranges::any_of(members, [](const Member& member) { return member.max_in_flight != 0; });
  if (!limited) return;
  limits_.reserve(members.size());
  for (const Member& member : members) {
    RONDO_CHECK(member.max_in_flight == 0 || member.in_flight != nullptr);
    limits_.push_back(Limit{member.in_flight, member.max_in_flight});
  }
}

bool PoolPolicy::AnyFree() const {
  if (unlimited_member_) return true;
  return std::ranges::any_of(
      limits_, [](const Limit& limit) { return !IsFull(limit.in_flight, limit.max); });
}

}  // namespace rondo::balance
