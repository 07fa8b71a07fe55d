#include "rondo/balance/policy.h"

#include <algorithm>
#include <utility>

#include "balance/policies.h"
#include "rondo/base/check.h"

namespace rondo::balance {
namespace {

class NoMembers final : public Policy {
 public:
  size_t Pick(PickContext, const Tried&) override { return kNone; }
  bool AnyFree() const override { return false; }
};

}  // namespace

std::unique_ptr<Policy> MakePolicy(PolicyKind kind, std::vector<Member> members, uint64_t seed) {
  RONDO_CHECK(members.size() < UINT32_MAX);
  if (members.empty()) return std::make_unique<NoMembers>();
  for (Member& member : members) member.weight = std::max(member.weight, 1u);
  switch (kind) {
    case PolicyKind::kRoundRobin:
      return MakeRoundRobin(members, seed);
    case PolicyKind::kLeastConnections:
      return MakeLeastConnections(std::move(members), seed);
    case PolicyKind::kIpHash:
      return MakeIpHash(members);
    case PolicyKind::kConsistentHash:
      return MakeConsistentHash(members);
    case PolicyKind::kRandomTwo:
      return MakeRandomTwo(std::move(members), seed);
    case PolicyKind::kPeakEwma:
      return MakePeakEwma(std::move(members), seed);
  }
  RONDO_CHECK(false && "not a PolicyKind");
  return nullptr;
}

std::span<const uint32_t> Tried::indices() const {
  if (!more_.empty()) return more_;
  return {inline_.data(), count_};
}

bool Tried::Contains(size_t index) const {
  for (const uint32_t each : indices()) {
    if (each == index) return true;
  }
  return false;
}

void Tried::Add(size_t index) {
  RONDO_DCHECK(index < UINT32_MAX);
  if (Contains(index)) return;
  const auto value = static_cast<uint32_t>(index);
  if (count_ < kInline) {
    inline_[count_++] = value;
    return;
  }
  if (more_.empty()) more_.assign(inline_.begin(), inline_.end());
  more_.push_back(value);
}

}  // namespace rondo::balance
