#include "rondo/rt/notice.h"

#include <utility>

namespace rondo::rt {

void Notice::NotifyAll() {
  waiters_.ForEach([this](Waiter& waiter) {
    // One that was cancelled already keeps its place until that is delivered.
    if (waiter.in_flight()) return;
    waiter.ListHook<Notice>::Unlink();
    engine_.Post(waiter, 0);
  });
}

void Notice::Waiter::OnDeliver(io::Op& op) {
  auto& self = static_cast<Waiter&>(op);
  self.LeaveToken();
  self.ListHook<Notice>::Unlink();
  std::exchange(self.flow_, {}).resume();
}

}  // namespace rondo::rt
