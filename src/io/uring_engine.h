// The engine on io_uring, Linux 6.1 and later: each op is one entry of the submission ring, each
// tick one system call that submits, waits and collects.
#pragma once

#include <liburing.h>

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "io/socket_engine.h"
#include "io/uring_buffers.h"

namespace rondo::io {

class UringEngine final : public SocketEngine {
 public:
  // `error` gets the positive errno of what was refused, 0 where nothing was.
  static absl::StatusOr<std::unique_ptr<UringEngine>> Make(const EngineOptions& options,
                                                           int* error);
  ~UringEngine() override;

  void Submit(Op& op) override;
  void Cancel(Op& op) override;
  void Run(Instant deadline) override;

 private:
  UringEngine(const EngineOptions& options, const io_uring& ring, int wake_fd);

  // The next free submission entry, cleared; where the ring is full what is in it is submitted
  // first. nullptr where the kernel takes nothing more now.
  io_uring_sqe* NextEntry();
  // Fills an entry for `op`; false where there is none.
  bool Queue(Op& op);
  void Fill(const Op& op, io_uring_sqe& entry);
  bool QueueCancel(uint64_t user_data);
  void ArmWake();

  // Tells the kernel of new entries, and waits for `completions` of them or for `timeout` (nullptr:
  // no limit).
  void Enter(unsigned completions, __kernel_timespec* timeout);
  // Moves the completion ring into the ready queue.
  void Collect();
  void OnCompletion(const io_uring_cqe& completion);
  void OnOpCompletion(Op& op, int32_t result, uint32_t flags);
  void OnAccept(Op& op, int32_t result, bool more);
  // At the next tick: collecting must not submit.
  void Resubmit(Op& op) { unqueued_.PushBack(op); }
  // Submits what found no free entry.
  void RetryQueues();
  void WaitForBytes(Op& op) override { unqueued_.PushBack(op); }
  void FinishParked(Op& op, int32_t result, char* buffer) override { Finish(op, result, buffer); }

  unsigned unsubmitted() const { return sq_tail_ - io_uring_smp_load_acquire(ring_.sq.khead); }

  io_uring ring_;
  unsigned sq_tail_ = 0;          // entries filled; published to the kernel by Enter
  std::vector<msghdr> messages_;  // for the entry of the same index, until it has been submitted
  UringBuffers provided_;
  IntrusiveList<Op> unqueued_;     // ops that found no free entry
  IntrusiveList<Op> uncancelled_;  // in flight, to be cancelled, found no free entry
  uint64_t wake_count_ = 0;
  bool wake_armed_ = false;
  bool wake_needed_ = false;  // to be armed again
};

}  // namespace rondo::io
