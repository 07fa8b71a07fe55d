#include "rondo/health/eligible.h"

#include "rondo/base/check.h"

namespace rondo::health {
namespace {

struct Tier {
  uint32_t size = 0;  // not held
  uint32_t up = 0;
  bool TooFewUp(uint32_t panic_percent) const {
    return uint64_t{up} * 100 < uint64_t{size} * panic_percent;
  }
};

Eligibility Judge(State state, bool panic) {
  switch (state) {
    case State::kUp:
      return Eligibility::kYes;
    case State::kChecking:
    case State::kWarming:
    case State::kDown:
    case State::kEjected:
      return panic ? Eligibility::kYes : Eligibility::kNo;
    case State::kDraining:
      return Eligibility::kStickyOnly;
    case State::kDrained:
    case State::kMaintenance:
      return Eligibility::kNo;
  }
  return Eligibility::kNo;
}

}  // namespace

EligibleCounts Evaluate(std::span<const Member> members, uint32_t panic_percent,
                        std::span<Eligibility> out) {
  RONDO_CHECK(out.size() == members.size());
  Tier primary;
  Tier backup;
  bool preparing = false;
  for (const Member& member : members) {
    if (IsHeld(member.state)) continue;
    Tier& tier = member.backup ? backup : primary;
    ++tier.size;
    if (member.state == State::kUp) ++tier.up;
    if (member.state == State::kChecking || member.state == State::kWarming) preparing = true;
  }
  EligibleCounts counts;
  const bool backup_serves = primary.up == 0 && backup.up > 0;
  counts.primary_panic = !backup_serves && primary.TooFewUp(panic_percent);
  counts.backup_panic = backup.TooFewUp(panic_percent);
  for (size_t i = 0; i < members.size(); ++i) {
    const bool is_backup = members[i].backup;
    out[i] = Judge(members[i].state, is_backup ? counts.backup_panic : counts.primary_panic);
    if (out[i] == Eligibility::kYes) ++(is_backup ? counts.backups : counts.primaries);
  }
  counts.worth_waiting = preparing && counts.primaries + counts.backups == 0;
  return counts;
}

}  // namespace rondo::health
