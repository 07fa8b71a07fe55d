#include "rondo/io/secure_engine.h"

#include <algorithm>
#include <utility>

#include "io/secured.h"
#include "rondo/base/check.h"
#include "rondo/base/poison.h"

namespace rondo::io {
namespace {

// Receives that found no buffer look again at least this often: buffers also come back where no
// completion says so.
constexpr Duration kParkedPause = std::chrono::milliseconds(10);
constexpr size_t kLongKept = 8;
constexpr size_t kShrinkPart = 32 * 1024;  // descriptors looked at in one call: a millisecond

}  // namespace

SecureEngine::SecureEngine(Engine& below, Freelist& frames)
    : Engine(below), below_(below), frames_(frames), nudge_([](Op&) {}) {}

SecureEngine::~SecureEngine() {
  RONDO_CHECK(!busy() && secured_count() == 0);
  for (char* block : long_free_) {
    UnpoisonMemory(block, Secured::kLongBytes);
    delete[] block;
  }
}

int SecureEngine::Secure(int fd, std::unique_ptr<tls::Channel> channel, std::span<const char> early,
                         bool truncation_ends) {
  RONDO_CHECK(!secured(fd) && channel != nullptr);
  Secured* made = Secured::Make(*this, fd, std::move(channel), early, truncation_ends);
  if (free_.empty()) {
    secured_.push_back(made);
    free_.reserve(secured_.capacity());  // so that Close never allocates
    return kSecuredBase + static_cast<int>(secured_.size() - 1);
  }
  const uint32_t number = free_.back();
  free_.pop_back();
  secured_[number] = made;
  return kSecuredBase + static_cast<int>(number);
}

// -- ops --

void SecureEngine::Submit(Op& op) {
  if (!secured(op.fd)) [[likely]] {
    return below_.Submit(op);
  }
  Of(op.fd).Submit(op);
}

void SecureEngine::Cancel(Op& op) {
  if (!secured(op.fd)) [[likely]] {
    return below_.Cancel(op);
  }
  // One that is posted cannot be cancelled; its descriptor may even be closed.
  if (op.state == Op::State::kInFlight) Of(op.fd).Cancel(op);
}

void SecureEngine::Run(Instant deadline) {
  if (closing_.empty() && parked_.empty()) [[likely]] {
    return below_.Run(deadline);
  }
  RunWithWork(deadline);
}

void SecureEngine::RunWithWork(Instant deadline) {
  while (!parked_.empty() && parked_.front().Unpark()) {
  }
  if (!parked_.empty()) deadline = std::min(deadline, Now() + kParkedPause);
  if (!closing_.empty()) deadline = std::min(deadline, closing_.front().close_by());
  below_.Run(deadline);
  while (!closing_.empty() && closing_.front().close_by() <= Now()) {
    Secured& late = closing_.PopFront();
    cutting_.PushBack(late);
    late.Cut();
  }
}

void SecureEngine::AddTo(SecuredList& list, Secured& secured) {
  list.PushBack(secured);
  if (!nudge_.in_flight()) below_.Post(nudge_, 0);
}

void SecureEngine::Wake() { below_.Wake(); }

void SecureEngine::Post(Op& op, int32_t result) { below_.Post(op, result); }

// -- descriptors --

int SecureEngine::OpenStream(const SocketAddress& address) { return below_.OpenStream(address); }

int SecureEngine::Shutdown(int fd, ShutdownHow how) {
  return secured(fd) ? Of(fd).Shutdown(how) : below_.Shutdown(fd, how);
}

void SecureEngine::Close(int fd) {
  if (!secured(fd)) return below_.Close(fd);
  const auto number = static_cast<uint32_t>(fd - kSecuredBase);
  Secured* closed = std::exchange(secured_[number], nullptr);
  RONDO_CHECK(closed != nullptr);
  free_.push_back(number);
  closed->Close();
}

void SecureEngine::ResetOnClose(int fd) {
  if (secured(fd)) {
    Of(fd).ResetOnClose();
  } else {
    below_.ResetOnClose(fd);
  }
}

SocketAddress SecureEngine::PeerAddress(int fd) {
  return below_.PeerAddress(secured(fd) ? Of(fd).descriptor() : fd);
}

SocketAddress SecureEngine::LocalAddress(int fd) {
  return below_.LocalAddress(secured(fd) ? Of(fd).descriptor() : fd);
}

uint64_t SecureEngine::Unacknowledged(int fd) {
  return secured(fd) ? Of(fd).Unacknowledged() : below_.Unacknowledged(fd);
}

WallTime SecureEngine::WallNow() const { return below_.WallNow(); }

// -- memory --

BufferRef SecureEngine::TakeBuffer() {
  if (char* buffer = buffers_.Take()) return BufferRef(&buffers_, buffer, 0);
  if (char* buffer = reserve_.Take()) return BufferRef(&reserve_, buffer, 0);
  return BufferRef();
}

char* SecureEngine::TakeLong() {
  if (long_free_.empty()) return new char[Secured::kLongBytes];
  char* block = long_free_.back();
  long_free_.pop_back();
  UnpoisonMemory(block, Secured::kLongBytes);
  return block;
}

void SecureEngine::ReturnLong(char* block) {
  if (long_free_.size() == kLongKept) {
    delete[] block;
    return;
  }
  PoisonMemory(block, Secured::kLongBytes);
  long_free_.push_back(block);
}

void SecureEngine::ShrinkIdle() {
  const size_t count = std::min(kShrinkPart, secured_.size());
  for (size_t i = 0; i < count; ++i) {
    if (shrink_next_ >= secured_.size()) shrink_next_ = 0;
    Secured* secured = secured_[shrink_next_++];
    if (secured != nullptr) secured->ShrinkIdle();
  }
}

}  // namespace rondo::io
