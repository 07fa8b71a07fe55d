#include "io/socket_engine.h"

#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "rondo/io/socket_address.h"

namespace rondo::io {
namespace {

constexpr Duration kNoMemoryPause = std::chrono::milliseconds(10);

Duration ReadClock(clockid_t clock) {
  timespec at;
  clock_gettime(clock, &at);
  return std::chrono::seconds(at.tv_sec) + Duration(at.tv_nsec);
}

}  // namespace

Instant MonotonicNow() { return Instant(ReadClock(CLOCK_MONOTONIC)); }

SocketEngine::SocketEngine(size_t buffers_max, int wake_fd)
    : Engine(buffers_max), wake_fd_(wake_fd) {
  now_ = MonotonicNow();
}

SocketEngine::~SocketEngine() {
  RONDO_CHECK(in_flight_ == 0);
  close(wake_fd_);
}

void SocketEngine::Wake() {
  if (wake_pending_.exchange(true, std::memory_order_acq_rel)) return;
  const int saved = errno;  // may be a signal handler
  const uint64_t one = 1;
  // Cannot fail: the count is 0 or 1.
  while (write(wake_fd_, &one, sizeof(one)) < 0 && errno == EINTR) {
  }
  errno = saved;
}

void SocketEngine::Post(Op& op, int32_t result) {
  RONDO_CHECK(op.state == Op::State::kIdle);
  ++in_flight_;
  Finish(op, result);
}

size_t SocketEngine::Deliver(size_t budget) {
  for (; budget > 0 && !ready_.empty(); --budget) {
    const Ready ready = ready_.Pop();
    __builtin_prefetch(ready_.Peek());  // ops lie all over the heap
    Op& op = *ready.op;
    op.result = ready.result;
    op.more = ready.more;
    if (ready.buffer != nullptr) {
      op.buffer = BufferRef(&buffers_, ready.buffer, static_cast<uint32_t>(ready.result));
    }
    if (!ready.more) {
      op.state = Op::State::kIdle;
      --in_flight_;
    }
    op.deliver(op);
  }
  return budget;
}

void SocketEngine::RetryParked() {
  while (!parked_.empty()) {
    char* buffer = buffers_.Take();
    if (buffer == nullptr) return;
    Op& op = parked_.PopFront();
    ssize_t count;
    do {
      count = recv(op.fd, buffer, BufferPool::kBufferBytes, MSG_DONTWAIT);
    } while (count < 0 && errno == EINTR);
    if (count > 0) {
      FinishParked(op, static_cast<int32_t>(count), buffer);
      continue;
    }
    const int error = errno;
    buffers_.Return(buffer);
    if (count == 0) {
      FinishParked(op, 0, nullptr);
    } else if (error == EAGAIN) {
      WaitForBytes(op);
    } else {
      FinishParked(op, -error, nullptr);
    }
  }
}

Instant SocketEngine::WaitLimit(Instant deadline) const {
  if (parked_.empty() || buffers_.buffers_out() > 0) return deadline;
  return std::min(deadline, now_ + kNoMemoryPause);
}

int SocketEngine::OpenStream(const SocketAddress& address) {
  const RawAddress raw = ToRawAddress(address);
  const int fd = socket(raw.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  if (raw.any.sa_family != AF_UNIX) {
    const int on = 1;
    // Only costs latency where it fails.
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  }
  return fd;
}

int SocketEngine::Shutdown(int fd, ShutdownHow how) {
  int value = SHUT_RDWR;
  switch (how) {
    case ShutdownHow::kWrite:
      value = SHUT_WR;
      break;
    case ShutdownHow::kBoth:
      break;
  }
  return shutdown(fd, value) == 0 ? 0 : -errno;
}

void SocketEngine::Close(int fd) {
  // On Linux the descriptor is released whatever close returns; a second call could hit somebody
  // else's.
  const int result = close(fd);
  RONDO_CHECK(result == 0 || errno != EBADF);
}

void SocketEngine::ResetOnClose(int fd) {
  const linger abort{1, 0};
  // A socket that cannot (unix) just closes.
  (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
}

SocketAddress SocketEngine::PeerAddress(int fd) {
  RawAddress raw;
  raw.length = sizeof(sockaddr_un);
  if (getpeername(fd, &raw.any, &raw.length) != 0) return SocketAddress();  // kIp, port 0
  return FromRawAddress(&raw.any, raw.length);
}

SocketAddress SocketEngine::LocalAddress(int fd) { return BoundAddress(fd); }

uint64_t SocketEngine::Unacknowledged(int fd) {
  int bytes = 0;
  return ioctl(fd, SIOCOUTQ, &bytes) == 0 && bytes > 0 ? static_cast<uint64_t>(bytes) : 0;
}

WallTime SocketEngine::WallNow() const { return WallTime(ReadClock(CLOCK_REALTIME)); }

bool AcceptGoesOn(int error) {
  switch (error) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ETIMEDOUT:
    case ECONNRESET:
      return true;
    default:
      return false;
  }
}

}  // namespace rondo::io
