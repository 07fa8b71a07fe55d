#include "rondo/rt/cancel.h"

namespace rondo::rt {

void Deadline::OnFire(io::Timer& timer) {
  auto& self = static_cast<Deadline&>(timer);
  if (self.at_ == kNever) return;
  if (self.at_ > timer.deadline()) {
    self.wheel_.Arm(timer, self.at_);
    return;
  }
  self.at_ = kNever;
  self.token_.Cancel(CancelReason::kDeadline);
}

}  // namespace rondo::rt
