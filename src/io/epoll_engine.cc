#include "io/epoll_engine.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "io/system_call.h"

namespace rondo::io {
namespace {

constexpr uint32_t kStreamEvents = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET;
// Several workers may wait on one unix listener: wake one of them.
constexpr uint32_t kListenerEvents = EPOLLIN | EPOLLEXCLUSIVE | EPOLLET;
constexpr int kAcceptsMax = 64;  // for each listener and tick
constexpr int kRoundsMax = 4;    // of starting and delivering within one tick
constexpr int kWakeKey = -1;

bool ReadyNow(int fd, short events) {
  pollfd query{fd, events, 0};
  return poll(&query, 1, 0) > 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<EpollEngine>> EpollEngine::Make(const EngineOptions& options) {
  const int epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_fd < 0) return absl::ErrnoToStatus(errno, "epoll_create1");
  const int wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake_fd < 0) {
    const int error = errno;
    close(epoll_fd);
    return absl::ErrnoToStatus(error, "eventfd");
  }
  epoll_event event{};
  event.events = EPOLLIN | EPOLLET;
  event.data.fd = kWakeKey;
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &event) != 0) {
    const int error = errno;
    close(epoll_fd);
    close(wake_fd);
    return absl::ErrnoToStatus(error, "epoll_ctl");
  }
  return std::unique_ptr<EpollEngine>(new EpollEngine(options, epoll_fd, wake_fd));
}

EpollEngine::EpollEngine(const EngineOptions& options, int epoll_fd, int wake_fd)
    : SocketEngine(options.buffers_max, wake_fd), epoll_fd_(epoll_fd) {}

EpollEngine::~EpollEngine() {
  RONDO_CHECK(pending_.empty() && parked_.empty() && ready_.empty());
  close(epoll_fd_);
}

void EpollEngine::GrowTable(int fd) {
  descriptors_.resize(std::max({size_t{64}, static_cast<size_t>(fd) + 1, descriptors_.size() * 2}));
}

void EpollEngine::Submit(Op& op) {
  Begin(op);
  pending_.PushBack(op);
}

void EpollEngine::Cancel(Op& op) {
  if (op.state != Op::State::kInFlight) return;
  op.Unlink();  // from pending_ or parked_
  Descriptor& descriptor = DescriptorOf(op.fd);
  if (descriptor.receiver == &op) {
    if (op.kind == Op::Kind::kAccept) {
      FinishAccept(op, -ECANCELED);
    } else {
      FinishReceiver(op, -ECANCELED);
    }
    return;
  }
  if (descriptor.sender == &op) descriptor.sender = nullptr;
  Finish(op, -ECANCELED);
}

void EpollEngine::Run(Instant deadline) {
  ++tick_;
  RetryParked();
  StartPending();
  size_t budget = Collect(deadline);
  StartPending();
  // What the deliveries submit can mostly be done at once: sends above all. Doing it here saves
  // looking for events in between; the bound keeps the tick short for timers and mailboxes.
  for (int round = 1; round < kRoundsMax && budget > 0 && !ready_.empty(); ++round) {
    RetryParked();
    budget = Deliver(budget);
    StartPending();
  }
}

int EpollEngine::OpenStream(const SocketAddress& address) {
  const int fd = SocketEngine::OpenStream(address);
  if (fd >= 0) DescriptorOf(fd) = Descriptor();
  return fd;
}

void EpollEngine::Close(int fd) {
  Descriptor& descriptor = DescriptorOf(fd);
  RONDO_CHECK(descriptor.receiver == nullptr && descriptor.sender == nullptr);
  descriptor = Descriptor();
  SocketEngine::Close(fd);
}

// -- starting --

void EpollEngine::StartPending() {
  // Only what is there now: an accept that has had its share goes to the end, for the next round.
  // Ops lie all over the heap, so the next one is fetched while the kernel is busy with this one.
  IntrusiveList<Op> starting;
  starting.Splice(pending_);
  while (!starting.empty()) {
    Op& op = starting.PopFront();
    if (!starting.empty()) __builtin_prefetch(&starting.front());
    Start(op);
  }
}

void EpollEngine::Start(Op& op) {
  switch (op.kind) {
    case Op::Kind::kReceive:
    case Op::Kind::kReceiveProvided:
      return StartReceive(op);
    case Op::Kind::kWaitReadable:
      return StartWaitReadable(op);
    case Op::Kind::kAccept:
      DescriptorOf(op.fd).receiver = &op;
      return TryAccept(op);
    case Op::Kind::kSend:
    case Op::Kind::kSendVector:
    case Op::Kind::kWaitWritable:
      return StartSend(op);
    case Op::Kind::kConnect:
      return StartConnect(op);
    case Op::Kind::kNone:
      break;
  }
  RONDO_CHECK(false && "an op without a kind");
}

void EpollEngine::StartReceive(Op& op) {
  Descriptor& descriptor = DescriptorOf(op.fd);
  RONDO_DCHECK(descriptor.receiver == nullptr);
  descriptor.receiver = &op;
  const bool wait = descriptor.registered ? !descriptor.readable
                                          : op.kind == Op::Kind::kReceiveProvided && op.wait_first;
  if (wait) {
    WaitForBytes(op);
  } else {
    TryReceive(op);
  }
}

void EpollEngine::StartWaitReadable(Op& op) {
  Descriptor& descriptor = DescriptorOf(op.fd);
  RONDO_DCHECK(descriptor.receiver == nullptr);
  descriptor.receiver = &op;
  // "readable" means that a try may succeed; only the kernel knows whether it would.
  if (descriptor.registered && descriptor.readable && ReadyNow(op.fd, POLLIN)) {
    return FinishReceiver(op, 0);
  }
  WaitForBytes(op);
}

void EpollEngine::StartSend(Op& op) {
  Descriptor& descriptor = DescriptorOf(op.fd);
  RONDO_DCHECK(descriptor.sender == nullptr);
  descriptor.sender = &op;
  if (descriptor.registered && !descriptor.writable) return;
  TrySend(op);
}

void EpollEngine::StartConnect(Op& op) {
  DescriptorOf(op.fd).sender = &op;
  const auto* address = static_cast<const sockaddr*>(op.address);
  const int result = connect(op.fd, address, static_cast<socklen_t>(op.size));
  if (result == 0) return FinishSender(op, 0);
  // An interrupted connect goes on like one in progress (POSIX).
  if (errno != EINPROGRESS && errno != EINTR) return FinishSender(op, -errno);
  Register(op, kStreamEvents);
}

// -- trying --

void EpollEngine::TryReceive(Op& op) {
  const bool provided = op.kind == Op::Kind::kReceiveProvided;
  char* buffer = nullptr;
  if (provided) {
    // Those who wait for a buffer already come first.
    if (parked_.empty()) buffer = buffers_.Take();
    if (buffer == nullptr) return Park(op);
  }
  const size_t room = provided ? BufferPool::kBufferBytes : op.size;
  int64_t count;
  do {
    count = Receive(op.fd, provided ? buffer : op.data, room, MSG_DONTWAIT);
  } while (count == -EINTR);
  if (count > 0) {
    Descriptor& descriptor = DescriptorOf(op.fd);
    descriptor.received_tick = tick_;
    if (static_cast<size_t>(count) < room && !descriptor.ending) descriptor.readable = false;
    return FinishReceiver(op, static_cast<int32_t>(count), buffer);
  }
  if (buffer != nullptr) buffers_.Return(buffer);
  if (count == -EAGAIN) return WaitForBytes(op);
  FinishReceiver(op, static_cast<int32_t>(count));
}

void EpollEngine::TrySend(Op& op) {
  if (op.kind == Op::Kind::kWaitWritable) {
    if (ReadyNow(op.fd, POLLOUT)) return FinishSender(op, 0);
  } else {
    int64_t count;
    do {
      if (op.kind == Op::Kind::kSendVector) {
        msghdr message{};
        message.msg_iov = const_cast<iovec*>(op.vector);
        message.msg_iovlen = op.size;
        count = sendmsg(op.fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (count < 0) count = -errno;
      } else {
        count = Send(op.fd, op.data, op.size, MSG_NOSIGNAL | MSG_DONTWAIT);
      }
    } while (count == -EINTR);
    if (count != -EAGAIN) return FinishSender(op, static_cast<int32_t>(count));
  }
  DescriptorOf(op.fd).writable = false;
  Register(op, kStreamEvents);
}

void EpollEngine::TryAccept(Op& op) {
  for (int accepted = 0; accepted < kAcceptsMax; ++accepted) {
    const int fd = accept4(op.fd, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
      DescriptorOf(fd) = Descriptor();
      Continue(op, fd);
      continue;
    }
    if (errno == EAGAIN) return Register(op, kListenerEvents);
    if (!AcceptGoesOn(errno)) return FinishAccept(op, -errno);
  }
  pending_.PushBack(op);
}

void EpollEngine::FinishConnect(Op& op) {
  int error = 0;
  socklen_t length = sizeof(error);
  if (getsockopt(op.fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) error = errno;
  FinishSender(op, -error);
}

// -- waiting and finishing --

void EpollEngine::WaitForBytes(Op& op) {
  DescriptorOf(op.fd).readable = false;
  Register(op, kStreamEvents);
}

void EpollEngine::Register(Op& op, uint32_t events) {
  Descriptor& descriptor = DescriptorOf(op.fd);
  if (descriptor.registered) return;
  epoll_event event{};
  event.events = events;
  event.data.fd = op.fd;
  // Reports at once what is ready already.
  int result = epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, op.fd, &event);
  if (result != 0 && errno == EEXIST) {
    // Somebody closed the descriptor behind our back while it was open elsewhere too.
    (void)epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, op.fd, nullptr);
    result = epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, op.fd, &event);
  }
  if (result == 0) {
    descriptor.registered = true;
    return;
  }
  const int error = errno;
  if (op.kind == Op::Kind::kAccept) {
    FinishAccept(op, -error);
  } else if (descriptor.receiver == &op) {
    FinishReceiver(op, -error);
  } else {
    FinishSender(op, -error);
  }
}

void EpollEngine::FinishParked(Op& op, int32_t result, char* buffer) {
  DescriptorOf(op.fd).received_tick = tick_;
  FinishReceiver(op, result, buffer);
}

void EpollEngine::FinishReceiver(Op& op, int32_t result, char* buffer) {
  DescriptorOf(op.fd).receiver = nullptr;
  Finish(op, result, buffer);
}

void EpollEngine::FinishSender(Op& op, int32_t result) {
  DescriptorOf(op.fd).sender = nullptr;
  Finish(op, result);
}

// A listener is taken out of epoll each time, since it may be open elsewhere (in another worker, in
// a successor), where closing our descriptor would not do it; and since a new registration reports
// connections whose edge has been seen.
void EpollEngine::FinishAccept(Op& op, int32_t result) {
  Descriptor& descriptor = DescriptorOf(op.fd);
  if (descriptor.registered) (void)epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, op.fd, nullptr);
  descriptor = Descriptor();
  Finish(op, result);
}

// -- collecting --

size_t EpollEngine::Collect(Instant deadline) {
  const bool look_only = !ready_.empty() || !pending_.empty();
  const int count = Wait(look_only ? Instant::min() : WaitLimit(deadline));
  now_ = MonotonicNow();
  size_t budget = Deliver(kDeliveriesMax);
  // Each event's bytes are delivered while they are in the cache: who gets them mostly gives the
  // buffer back, so that the next event's bytes come into the very same one. What the deliveries
  // submit is not started before all events are through: sends in one go wake a peer once.
  for (int i = 0; i < count; ++i) {
    if (i + 1 < count) PrefetchReceiver(events_[i + 1].data.fd);
    OnEvent(events_[i].data.fd, events_[i].events);
    budget = Deliver(budget);
  }
  return budget;
}

int EpollEngine::Wait(Instant deadline) {
  timespec left{0, 0};
  const timespec* limit = &left;
  if (deadline == kNever) {
    limit = nullptr;
  } else if (deadline != Instant::min()) {
    const Duration wait = std::max(Duration::zero(), deadline - MonotonicNow());
    left.tv_sec = static_cast<time_t>(wait.count() / 1'000'000'000);
    left.tv_nsec = static_cast<long>(wait.count() % 1'000'000'000);
  }
  if (has_pwait2_ && limit != nullptr && (left.tv_sec != 0 || left.tv_nsec != 0)) {
    const int64_t count = EpollWait(epoll_fd_, events_.data(), kEventsMax, limit);
    if (count >= 0 || count == -EINTR) return static_cast<int>(std::max<int64_t>(count, 0));
    RONDO_CHECK(count == -ENOSYS || count == -EPERM);  // an old kernel, or an old seccomp profile
    has_pwait2_ = false;
  }
  // Rounded up: one call more is cheaper than many short ones in a row.
  constexpr int64_t kHourMs = 3'600'000;
  const int64_t ms = std::min<int64_t>(
      kHourMs, int64_t{left.tv_sec} * 1000 + (left.tv_nsec + 999'999) / 1'000'000);
  const int count = epoll_wait(epoll_fd_, events_.data(), kEventsMax,
                               limit == nullptr ? -1 : static_cast<int>(ms));
  RONDO_CHECK(count >= 0 || errno == EINTR);
  return std::max(count, 0);
}

// Has the op of the next event in the cache by the time the kernel is done with this one's.
void EpollEngine::PrefetchReceiver(int fd) {
  if (fd != kWakeKey) __builtin_prefetch(DescriptorOf(fd).receiver);
}

void EpollEngine::OnEvent(int fd, uint32_t events) {
  if (fd == kWakeKey) {
    uint64_t wakes;
    (void)!read(wake_fd(), &wakes, sizeof(wakes));
    WakeSeen();
    return;
  }
  Descriptor& descriptor = DescriptorOf(fd);
  // An earlier event's delivery may have closed it, and the number may be another one's by now.
  if (!descriptor.registered) return;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) != 0) descriptor.ending = true;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) {
    descriptor.readable = true;
    // A linked one waits for a buffer, or for its next turn to accept.
    if (descriptor.receiver != nullptr && !descriptor.receiver->linked()) {
      OnReadable(*descriptor.receiver);
    }
  }
  if ((events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) != 0) {
    Descriptor& again = DescriptorOf(fd);  // an accept may have moved the table
    again.writable = true;
    if (again.sender == nullptr) return;
    if (again.sender->kind == Op::Kind::kConnect) {
      FinishConnect(*again.sender);
    } else {
      TrySend(*again.sender);
    }
  }
}

void EpollEngine::OnReadable(Op& op) {
  switch (op.kind) {
    case Op::Kind::kAccept:
      return TryAccept(op);
    case Op::Kind::kWaitReadable: {
      // An event may be of bytes that were received after it had been queued.
      const bool stale_possible = tick_ - DescriptorOf(op.fd).received_tick <= 1;
      if (stale_possible && !ReadyNow(op.fd, POLLIN)) return WaitForBytes(op);
      return FinishReceiver(op, 0);
    }
    case Op::Kind::kReceive:
    case Op::Kind::kReceiveProvided:
      return TryReceive(op);
    case Op::Kind::kNone:
    case Op::Kind::kConnect:
    case Op::Kind::kSend:
    case Op::Kind::kSendVector:
    case Op::Kind::kWaitWritable:
      break;
  }
  RONDO_CHECK(false && "not a receive-like op");
}

}  // namespace rondo::io
