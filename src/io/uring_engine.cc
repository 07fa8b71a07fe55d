#include "io/uring_engine.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace rondo::io {
namespace {

constexpr unsigned kSubmissions = 256;
constexpr unsigned kCompletions = 4096;
// Our own names: what liburing's headers call them depends on their version.
constexpr unsigned kSetupFlags = (1u << 3) |   // CQSIZE
                                 (1u << 4) |   // CLAMP
                                 (1u << 7) |   // SUBMIT_ALL, Linux 5.18
                                 (1u << 12) |  // SINGLE_ISSUER, Linux 6.0
                                 (1u << 13);   // DEFER_TASKRUN, Linux 6.1
constexpr unsigned kFeatures = IORING_FEAT_SINGLE_MMAP | IORING_FEAT_NODROP |
                               IORING_FEAT_SUBMIT_STABLE | IORING_FEAT_FAST_POLL |
                               IORING_FEAT_EXT_ARG;
constexpr uint16_t kPollFirst = 1u << 0;        // RECVSEND_POLL_FIRST, Linux 5.19
constexpr uint16_t kAcceptMultishot = 1u << 0;  // Linux 5.19
constexpr unsigned kSqOverflow = 1u << 1;       // SQ ring flag CQ_OVERFLOW

// user_data: an Op's address, or one of these.
constexpr uint64_t kIgnored = 1;
constexpr uint64_t kWake = 2;

struct WaitArgument {  // io_uring_getevents_arg; our own, since later headers rename a field
  uint64_t signal_mask;
  uint32_t signal_mask_bytes;
  uint32_t min_wait_us;
  uint64_t timeout;
};
static_assert(sizeof(WaitArgument) == 24);

uint64_t UserData(const Op& op) { return reinterpret_cast<uint64_t>(&op); }

__kernel_timespec TimeLeft(Instant deadline) {
  const Duration left = std::max(Duration::zero(), deadline - MonotonicNow());
  return __kernel_timespec{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
}

}  // namespace

absl::StatusOr<std::unique_ptr<UringEngine>> UringEngine::Make(const EngineOptions& options,
                                                               int* error) {
  const auto fail = [error](const char* what, int code) {
    *error = code;
    return absl::ErrnoToStatus(code, what);
  };
  io_uring ring;
  io_uring_params parameters{};
  parameters.flags = kSetupFlags;
  parameters.cq_entries = kCompletions;
  const int result = io_uring_queue_init_params(kSubmissions, &ring, &parameters);
  if (result < 0) return fail("io_uring_setup", -result);
  if ((parameters.features & kFeatures) != kFeatures) {
    io_uring_queue_exit(&ring);
    return fail("io_uring lacks a feature", EINVAL);
  }
  const int wake_fd = eventfd(0, EFD_CLOEXEC);  // blocking: the ring then waits for it by itself
  if (wake_fd < 0) {
    const int code = errno;
    io_uring_queue_exit(&ring);
    return fail("eventfd", code);
  }
  std::unique_ptr<UringEngine> engine(new UringEngine(options, ring, wake_fd));
  const int registered = engine->provided_.Register(ring.ring_fd);
  if (registered < 0) return fail("registering io_uring buffers", -registered);
  engine->ArmWake();
  *error = 0;
  return engine;
}

UringEngine::UringEngine(const EngineOptions& options, const io_uring& ring, int wake_fd)
    : SocketEngine(options.buffers_max, wake_fd),
      ring_(ring),
      sq_tail_(*ring.sq.ktail),
      messages_(ring.sq.ring_entries),
      provided_(&buffers_) {
  // Entry i always stands at place i, so that only the tail has to be published.
  for (unsigned i = 0; i < ring_.sq.ring_entries; ++i) ring_.sq.array[i] = i;
}

UringEngine::~UringEngine() {
  RONDO_CHECK(in_flight_ == 0 && ready_.empty());
  // The kernel may write to wake_count_ until its read has completed.
  while (wake_armed_) {
    Wake();
    Enter(1, nullptr);
    Collect();
  }
  io_uring_queue_exit(&ring_);
}

void UringEngine::Submit(Op& op) {
  Begin(op);
  if (!Queue(op)) unqueued_.PushBack(op);
}

void UringEngine::Cancel(Op& op) {
  if (op.state != Op::State::kInFlight) return;
  if (op.linked()) {  // parked or unqueued: the kernel does not know of it
    op.Unlink();
    Finish(op, -ECANCELED);
    return;
  }
  op.state = Op::State::kCancelling;
  if (!QueueCancel(UserData(op))) uncancelled_.PushBack(op);
}

void UringEngine::Run(Instant deadline) {
  RetryParked();
  RetryQueues();
  provided_.Refill();
  if (wake_needed_) ArmWake();
  const Instant limit = WaitLimit(deadline);
  if (!ready_.empty() || !unqueued_.empty() || !uncancelled_.empty() || limit <= now_) {
    Enter(0, nullptr);
  } else if (limit == kNever) {
    Enter(1, nullptr);
  } else {
    __kernel_timespec left = TimeLeft(limit);
    Enter(1, &left);
  }
  Collect();
  now_ = MonotonicNow();
  if (!parked_.empty()) RetryParked();  // the ring ran dry, the pool mostly has not
  Deliver(kDeliveriesMax);
}

// -- submitting --

io_uring_sqe* UringEngine::NextEntry() {
  if (unsubmitted() == ring_.sq.ring_entries) {
    Enter(0, nullptr);
    if (unsubmitted() == ring_.sq.ring_entries) {
      // The kernel refuses while completions wait for room in their ring.
      Collect();
      Enter(0, nullptr);
      if (unsubmitted() == ring_.sq.ring_entries) return nullptr;
    }
  }
  io_uring_sqe* entry = &ring_.sq.sqes[sq_tail_++ & ring_.sq.ring_mask];
  std::memset(entry, 0, sizeof(*entry));
  return entry;
}

bool UringEngine::Queue(Op& op) {
  io_uring_sqe* entry = NextEntry();
  if (entry == nullptr) return false;
  Fill(op, *entry);
  return true;
}

void UringEngine::Fill(const Op& op, io_uring_sqe& entry) {
  entry.fd = op.fd;
  entry.user_data = UserData(op);
  switch (op.kind) {
    case Op::Kind::kAccept:
      entry.opcode = IORING_OP_ACCEPT;
      entry.ioprio = kAcceptMultishot;
      entry.accept_flags = SOCK_NONBLOCK | SOCK_CLOEXEC;
      return;
    case Op::Kind::kConnect:
      entry.opcode = IORING_OP_CONNECT;
      entry.addr = reinterpret_cast<uint64_t>(op.address);
      entry.off = op.size;
      return;
    case Op::Kind::kReceive:
      entry.opcode = IORING_OP_RECV;
      entry.addr = reinterpret_cast<uint64_t>(op.data);
      entry.len = static_cast<uint32_t>(op.size);
      return;
    case Op::Kind::kReceiveProvided:
      entry.opcode = IORING_OP_RECV;
      entry.len = BufferPool::kBufferBytes;
      entry.flags = IOSQE_BUFFER_SELECT;
      entry.buf_group = UringBuffers::kGroup;
      entry.ioprio = op.wait_first ? kPollFirst : 0;
      return;
    case Op::Kind::kSend:
      entry.opcode = IORING_OP_SEND;
      entry.addr = reinterpret_cast<uint64_t>(op.data);
      entry.len = static_cast<uint32_t>(op.size);
      entry.msg_flags = MSG_NOSIGNAL;
      return;
    case Op::Kind::kSendVector: {
      msghdr& message = messages_[static_cast<size_t>(&entry - ring_.sq.sqes)];
      message = msghdr{};
      message.msg_iov = const_cast<iovec*>(op.vector);
      message.msg_iovlen = op.size;
      entry.opcode = IORING_OP_SENDMSG;
      entry.addr = reinterpret_cast<uint64_t>(&message);
      entry.len = 1;
      entry.msg_flags = MSG_NOSIGNAL;
      return;
    }
    case Op::Kind::kWaitReadable:
      entry.opcode = IORING_OP_POLL_ADD;
      entry.poll32_events = POLLIN;
      return;
    case Op::Kind::kWaitWritable:
      entry.opcode = IORING_OP_POLL_ADD;
      entry.poll32_events = POLLOUT;
      return;
    case Op::Kind::kNone:
      break;
  }
  RONDO_CHECK(false && "an op without a kind");
}

bool UringEngine::QueueCancel(uint64_t user_data) {
  io_uring_sqe* entry = NextEntry();
  if (entry == nullptr) return false;
  entry->opcode = IORING_OP_ASYNC_CANCEL;
  entry->fd = -1;
  entry->addr = user_data;
  entry->user_data = kIgnored;
  return true;
}

void UringEngine::ArmWake() {
  io_uring_sqe* entry = NextEntry();
  wake_needed_ = entry == nullptr;
  if (wake_needed_) return;
  entry->opcode = IORING_OP_READ;
  entry->fd = wake_fd();
  entry->addr = reinterpret_cast<uint64_t>(&wake_count_);
  entry->len = sizeof(wake_count_);
  entry->user_data = kWake;
  wake_armed_ = true;
}

void UringEngine::RetryQueues() {
  while (!unqueued_.empty()) {
    Op& op = unqueued_.front();
    if (!Queue(op)) return;
    op.Unlink();
  }
  while (!uncancelled_.empty()) {
    Op& op = uncancelled_.front();
    if (!QueueCancel(UserData(op))) return;
    op.Unlink();
  }
}

void UringEngine::Enter(unsigned completions, __kernel_timespec* timeout) {
  io_uring_smp_store_release(ring_.sq.ktail, sq_tail_);
  WaitArgument argument{};
  argument.timeout = reinterpret_cast<uint64_t>(timeout);
  // Completions come into being in here and nowhere else (DEFER_TASKRUN), so events are always
  // asked for.
  const unsigned flags = IORING_ENTER_GETEVENTS | IORING_ENTER_EXT_ARG;
  const int result =
      io_uring_enter2(static_cast<unsigned>(ring_.ring_fd), unsubmitted(), completions, flags,
                      reinterpret_cast<sigset_t*>(&argument), sizeof(argument));
  if (result >= 0) return;
  // ETIME, EINTR: nothing to do but to look. EBUSY, EAGAIN: completions first, or memory; entries
  // stay in the ring for the next call. Anything else (EBADR: completions were lost) leaves ops
  // that would never end.
  RONDO_CHECK(result == -ETIME || result == -EINTR || result == -EBUSY || result == -EAGAIN ||
              result == -ENOMEM);
}

// -- collecting --

void UringEngine::Collect() {
  for (;;) {
    unsigned head = *ring_.cq.khead;
    const unsigned tail = io_uring_smp_load_acquire(ring_.cq.ktail);
    for (; head != tail; ++head) OnCompletion(ring_.cq.cqes[head & ring_.cq.ring_mask]);
    io_uring_smp_store_release(ring_.cq.khead, head);
    // What found no room is kept by the kernel, and put into the ring by the next call.
    if ((IO_URING_READ_ONCE(*ring_.sq.kflags) & kSqOverflow) == 0) return;
    Enter(0, nullptr);
    if (io_uring_smp_load_acquire(ring_.cq.ktail) == head) return;
  }
}

void UringEngine::OnCompletion(const io_uring_cqe& completion) {
  if (completion.user_data == kIgnored) return;
  if (completion.user_data == kWake) {
    wake_armed_ = false;
    wake_needed_ = true;
    WakeSeen();
    return;
  }
  OnOpCompletion(*reinterpret_cast<Op*>(completion.user_data), completion.res, completion.flags);
}

void UringEngine::OnOpCompletion(Op& op, int32_t result, uint32_t flags) {
  const bool cancelling = op.state == Op::State::kCancelling;
  if (op.kind == Op::Kind::kAccept) return OnAccept(op, result, (flags & IORING_CQE_F_MORE) != 0);
  op.Unlink();  // from uncancelled_
  char* buffer = nullptr;
  if ((flags & IORING_CQE_F_BUFFER) != 0) {
    buffer = provided_.Take(flags);
    if (result <= 0) {
      buffers_.Return(buffer);
      buffer = nullptr;
    }
  }
  if (result >= 0) {
    const bool wait = op.kind == Op::Kind::kWaitReadable || op.kind == Op::Kind::kWaitWritable;
    return Finish(op, wait ? 0 : result, buffer);  // a wait's result is a mask of events
  }
  if (result == -EINTR && cancelling) return Finish(op, -ECANCELED);
  if (result == -EINTR && op.kind != Op::Kind::kConnect) return Resubmit(op);
  if (result == -ENOBUFS && op.kind == Op::Kind::kReceiveProvided) {
    if (cancelling) return Finish(op, -ECANCELED);
    provided_.RanDry();
    return Park(op);
  }
  Finish(op, result);
}

void UringEngine::OnAccept(Op& op, int32_t result, bool more) {
  if (result >= 0) Continue(op, result);
  if (more) return;
  op.Unlink();
  const bool cancelling = op.state == Op::State::kCancelling;
  if (cancelling) return Finish(op, -ECANCELED);
  // The kernel ends a multishot now and then, with a connection or with one that is gone.
  if (result >= 0 || AcceptGoesOn(-result)) return Resubmit(op);
  Finish(op, result);
}

}  // namespace rondo::io
