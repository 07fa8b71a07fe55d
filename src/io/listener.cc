#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "rondo/io/engine.h"
#include "rondo/io/socket_address.h"

namespace rondo::io {
namespace {

constexpr int kBacklog = 4096;

// A socket until somebody takes it.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

absl::Status Failure(const SocketAddress& address, const char* call, int error) {
  std::string text = absl::StrCat("cannot listen on ", address.ToString(), ": ");
  if (error == EADDRINUSE) {
    absl::StrAppend(&text, "the address is already in use by another socket");
    return absl::AlreadyExistsError(text);
  }
  absl::StrAppend(&text, call, ": ", std::strerror(error));
  if (error == EACCES && address.kind == SocketAddress::Kind::kIp && address.port < 1024) {
    absl::StrAppend(&text, " (a port below 1024 needs root or the capability NET_BIND_SERVICE)");
  }
  return absl::ErrnoToStatus(error, text);
}

void SetOption(int fd, int level, int name, int value) {
  // Each of these exists on every kernel that Rondo runs on; a refusal shows at bind or costs
  // latency only.
  (void)setsockopt(fd, level, name, &value, sizeof(value));
}

int NewSocket(int family) { return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }

enum class Sharing : uint8_t { kNo, kReusePort };

// 0 or the errno.
int BindIp(int fd, const RawAddress& raw, bool both_families, Sharing sharing) {
  SetOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  if (sharing == Sharing::kReusePort) SetOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
  if (raw.any.sa_family == AF_INET6) {
    SetOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, both_families ? 0 : 1);
  }
  return bind(fd, &raw.any, raw.length) == 0 ? 0 : errno;
}

absl::StatusOr<int> Listen(const SocketAddress& address, Socket& socket) {
  if (listen(socket.get(), kBacklog) != 0) return Failure(address, "listen", errno);
  return socket.Release();
}

absl::StatusOr<int> OpenIp(const SocketAddress& address, ListenMode mode) {
  const RawAddress raw = ToRawAddress(address);
  const bool both_families = address.both_families;
  Socket socket(NewSocket(raw.any.sa_family));
  if (!socket.open() && errno == EAFNOSUPPORT && both_families) {
    // A machine without IPv6: what is left of "both" is IPv4.
    SocketAddress any_v4;
    any_v4.ip = IpAddress::V4(0);
    any_v4.port = address.port;
    return OpenIp(any_v4, mode);
  }
  if (!socket.open()) return Failure(address, "socket", errno);
  if (mode == ListenMode::kFirst && address.port != 0) {
    // SO_REUSEPORT would let us in beside another process of the same user, and silently take half
    // of its connections. A socket without it is refused where anybody listens.
    const Socket probe(NewSocket(raw.any.sa_family));
    if (!probe.open()) return Failure(address, "socket", errno);
    const int error = BindIp(probe.get(), raw, both_families, Sharing::kNo);
    if (error != 0) return Failure(address, "bind", error);
  }
  const Sharing sharing = mode == ListenMode::kAlone ? Sharing::kNo : Sharing::kReusePort;
  const int error = BindIp(socket.get(), raw, both_families, sharing);
  if (error != 0) return Failure(address, "bind", error);
  SetOption(socket.get(), IPPROTO_TCP, TCP_NODELAY, 1);
  return Listen(address, socket);
}

// Whether the socket file at the address is left over from a process that is gone.
bool IsStale(const SocketAddress& address, const RawAddress& raw) {
  struct stat info;
  if (lstat(address.path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
  const Socket probe(NewSocket(AF_UNIX));
  if (!probe.open()) return false;
  return connect(probe.get(), &raw.any, raw.length) != 0 && errno == ECONNREFUSED;
}

absl::StatusOr<int> OpenUnix(const SocketAddress& address, ListenMode mode) {
  if (mode == ListenMode::kFurther) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot listen on ", address.ToString(),
                     " twice: a unix socket is shared, not opened again"));
  }
  const RawAddress raw = ToRawAddress(address);
  Socket socket(NewSocket(AF_UNIX));
  if (!socket.open()) return Failure(address, "socket", errno);
  int error = bind(socket.get(), &raw.any, raw.length) == 0 ? 0 : errno;
  if (error == EADDRINUSE && address.path.front() != '@' && IsStale(address, raw)) {
    if (unlink(address.path.c_str()) != 0) return Failure(address, "unlink", errno);
    error = bind(socket.get(), &raw.any, raw.length) == 0 ? 0 : errno;
  }
  if (error != 0) return Failure(address, "bind", error);
  return Listen(address, socket);
}

}  // namespace

absl::StatusOr<int> OpenListener(const SocketAddress& address, ListenMode mode) {
  switch (address.kind) {
    case SocketAddress::Kind::kIp:
      return OpenIp(address, mode);
    case SocketAddress::Kind::kUnix:
      return OpenUnix(address, mode);
  }
  return absl::InternalError("an address of no kind");
}

SocketAddress BoundAddress(int fd) {
  RawAddress raw;
  raw.length = sizeof(sockaddr_un);
  if (getsockname(fd, &raw.any, &raw.length) != 0) return SocketAddress();
  SocketAddress address = FromRawAddress(&raw.any, raw.length);
  if (raw.any.sa_family == AF_INET6 && address.ip == IpAddress()) {
    int v6_only = 1;
    socklen_t length = sizeof(v6_only);
    if (getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, &length) == 0) {
      address.both_families = v6_only == 0;
    }
  }
  return address;
}

}  // namespace rondo::io
