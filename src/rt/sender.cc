#include "rondo/rt/sender.h"

#include <cerrno>
#include <utility>

namespace rondo::rt {

void Sender::Submit() {
  if (part_count_ - part_first_ == 1) {
    kind = Kind::kSend;
    data = static_cast<char*>(parts_[part_first_].iov_base);
    size = parts_[part_first_].iov_len;
  } else {
    kind = Kind::kSendVector;
    vector = &parts_[part_first_];
    size = static_cast<size_t>(part_count_ - part_first_);
  }
  engine_.Submit(*this);
}

// Takes `bytes` off the front of what is to be sent; whether anything is left.
bool Sender::Advance(size_t bytes) {
  sent_ += bytes;
  while (part_first_ < part_count_) {
    iovec& part = parts_[part_first_];
    if (bytes < part.iov_len) {
      part.iov_base = static_cast<char*>(part.iov_base) + bytes;
      part.iov_len -= bytes;
      return true;
    }
    bytes -= part.iov_len;
    ++part_first_;
  }
  return false;
}

void Sender::OnDeliver(io::Op& op) {
  auto& self = static_cast<Sender&>(op);
  if (op.kind == Kind::kConnect || op.result < 0) {
    self.Finish(op.result);
    return;
  }
  if (self.deadline_ != nullptr) self.deadline_->Set(self.engine_.Now() + self.patience_);
  if (!self.Advance(static_cast<size_t>(op.result))) {
    self.Finish(0);
    return;
  }
  if (self.token_ != nullptr && self.token_->cancelled()) {
    self.Finish(-ECANCELED);
    return;
  }
  self.Submit();
}

void Sender::Finish(int32_t outcome) {
  LeaveToken();
  token_ = nullptr;
  result_ = outcome;
  part_count_ = part_first_ = 0;
  std::exchange(waiter_, {}).resume();
}

}  // namespace rondo::rt
