// What the two engines on real sockets share: the ready queue and its delivery, waking from other
// threads, the parking of receives that found no buffer, and the synchronous calls on descriptors.
#pragma once

#include <atomic>

#include "io/ready_queue.h"
#include "rondo/io/engine.h"

namespace rondo::io {

Instant MonotonicNow();

class SocketEngine : public Engine {
 public:
  void Wake() override;
  void Post(Op& op, int32_t result) override;

  int OpenStream(const SocketAddress& address) override;
  int Shutdown(int fd, ShutdownHow how) override;
  void Close(int fd) override;
  void ResetOnClose(int fd) override;
  SocketAddress PeerAddress(int fd) override;
  SocketAddress LocalAddress(int fd) override;
  uint64_t Unacknowledged(int fd) override;
  WallTime WallNow() const override;

 protected:
  // `wake_fd`: an eventfd, owned from here on.
  SocketEngine(size_t buffers_max, int wake_fd);
  ~SocketEngine() override;

  // Checks and marks an op that Submit was given.
  void Begin(Op& op) {
    RONDO_CHECK(op.state == Op::State::kIdle && op.fd >= 0);
    op.buffer.Reset();
    op.state = Op::State::kInFlight;
    op.more = false;
    ++in_flight_;
  }
  // Queues the final completion of an op that is in flight.
  void Finish(Op& op, int32_t result, char* buffer = nullptr) {
    op.state = Op::State::kReady;
    ready_.Push(Ready{&op, buffer, result, false});
  }
  // Queues one completion of a multishot op.
  void Continue(Op& op, int32_t result) { ready_.Push(Ready{&op, nullptr, result, true}); }

  // Delivers at most `budget` completions; returns what is left of the budget.
  size_t Deliver(size_t budget);

  // Puts a receive that found no buffer at the end of the line. Parked ops are linked in parked_.
  void Park(Op& op) { parked_.PushBack(op); }
  // Receives for those at the head of the line while there are buffers; an op whose bytes are not
  // there after all goes to WaitForBytes().
  void RetryParked();
  virtual void WaitForBytes(Op& op) = 0;
  // Ends a receive that was parked.
  virtual void FinishParked(Op& op, int32_t result, char* buffer) = 0;

  // When Run must come back at the latest: sooner than asked where receives are parked although
  // nobody holds a buffer (the kernel had no memory), since then no return of a buffer will wake
  // them.
  Instant WaitLimit(Instant deadline) const;

  int wake_fd() const { return wake_fd_; }
  // To be called when the wake descriptor's count has been read.
  void WakeSeen() { wake_pending_.exchange(false, std::memory_order_acq_rel); }

  ReadyQueue ready_;
  IntrusiveList<Op> parked_;
  size_t in_flight_ = 0;

 private:
  const int wake_fd_;
  // Whether a write to wake_fd_ is still to be read: spares the writers a system call each.
  std::atomic<bool> wake_pending_{false};
};

// Whether an accept that failed with `error` (positive errno) should just go on: the connection is
// gone or its network had a fault (accept(2) names them), the listener is well.
bool AcceptGoesOn(int error);

}  // namespace rondo::io
