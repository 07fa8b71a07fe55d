#include "proxy/turns.h"

#include <cerrno>
#include <utility>

namespace rondo::proxy {

Turn::Turn(Turns& turns, rt::CancelToken& token)
    : Cancelable(&OnDeliver), turns_(turns), token_(token) {}

bool Turn::await_ready() noexcept {
  result = token_.cancelled() ? -ECANCELED : 0;
  if (token_.cancelled()) return true;
  if (!turns_.waiting_.empty() || turns_.taken_ >= turns_.per_round_) return false;
  ++turns_.taken_;
  return true;
}

void Turn::await_suspend(std::coroutine_handle<> flow) noexcept {
  flow_ = flow;
  turns_.waiting_.PushBack(*this);
  token_.Link(*this);
}

void Turn::OnDeliver(io::Op& op) {
  auto& self = static_cast<Turn&>(op);
  self.LeaveToken();
  self.ListHook<Turns>::Unlink();  // where the token ended it
  std::exchange(self.flow_, {}).resume();
}

void Turns::Serve() {
  while (taken_ < per_round_ && !waiting_.empty()) {
    Turn& turn = waiting_.PopFront();
    // One that was cancelled is on its way already.
    if (turn.in_flight()) continue;
    ++taken_;
    engine_.Post(turn, 0);
  }
}

}  // namespace rondo::proxy
