#include "rondo/rt/sleep.h"

#include <utility>

namespace rondo::rt {

void Sleeper::await_suspend(std::coroutine_handle<> flow) noexcept {
  flow_ = flow;
  token_.Link(*this);
  if (until_ != kNever) loop_.wheel().Arm(timer_, until_);
}

void Sleeper::OnFire(io::Timer& timer) {
  Sleeper& self = static_cast<WakeTimer&>(timer).sleeper;
  // Where it was cancelled before, its end is posted already, and that stays the result.
  if (!self.in_flight()) self.loop_.engine().Post(self, 0);
}

void Sleeper::OnDeliver(io::Op& op) {
  auto& self = static_cast<Sleeper&>(op);
  self.LeaveToken();
  self.timer_.Cancel();
  std::exchange(self.flow_, {}).resume();
}

}  // namespace rondo::rt
