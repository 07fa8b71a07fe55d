#include "rondo/rt/receiver.h"

#include <cerrno>

namespace rondo::rt {

void Receiver::ArmInto(char* bytes, size_t room) {
  if (held_ || in_flight()) return;
  kind = bytes == nullptr ? Kind::kReceiveProvided : Kind::kReceive;
  data = bytes;
  size = room;
  engine_.Submit(*this);
}

void Receiver::Stop(Unawaited stopped) {
  unawaited_ = stopped;
  stopping_ = true;
  if (in_flight()) {
    engine_.Cancel(*this);
    return;
  }
  buffer.Reset();
  held_ = false;
  stopped(*this);
}

void Receiver::OnDeliver(io::Op& op) {
  auto& self = static_cast<Receiver&>(op);
  self.LeaveToken();
  if (self.stopping_) {
    op.buffer.Reset();
    self.held_ = false;
    self.unawaited_(self);
    return;
  }
  // A cancelled receive brought nothing; it can be armed again.
  self.held_ = op.result != -ECANCELED;
  if (self.waiter_) {
    std::exchange(self.waiter_, {}).resume();
    return;
  }
  self.unawaited_(self);
}

}  // namespace rondo::rt
