#include "app/echo.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "app/echo_connection.h"

namespace rondo::app {
namespace {

constexpr size_t kReadBytes = 256 * 1024;
// A connection that answers keeps at most this much of what follows; then it stops reading.
constexpr size_t kPendingMax = 64 * 1024;
// Once told to stop: how long idle connections may still bring a request, and how long anything
// may last.
constexpr int64_t kIdleGrace = 1'500'000'000;
constexpr int64_t kLeaveMax = 10'000'000'000;

int64_t NowNanoseconds() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

struct Client {
  explicit Client(const EchoOptions& options) : connection(options) {}
  EchoConnection connection;
  std::string pending;  // received, not yet taken
  uint32_t events = EPOLLIN;
  bool ended = false;  // the client has sent its last byte
  int64_t due = 0;     // when a delayed answer is due; 0: none
};

class EchoServer {
 public:
  explicit EchoServer(const EchoOptions& options) : options_(options), read_buffer_(kReadBytes) {}
  EchoServer(const EchoServer&) = delete;
  EchoServer& operator=(const EchoServer&) = delete;
  ~EchoServer();

  // False with the reason on stderr.
  bool Start();
  int Run();

 private:
  bool Watch(int fd, uint32_t events);
  void Accept();
  void Readable(int fd, uint32_t events);
  // Takes bytes, sends answers, until one of both ends; then closes or waits for what is missing.
  void Pump(int fd, std::string_view data);
  // False where the connection is broken.
  bool Flush(int fd, Client* client);
  void Settle(int fd, Client* client);
  void Close(int fd);
  void AnswerDelayed();
  // Stops accepting, and tells WebSockets.
  void Leave();
  // Whether all is over.
  bool Left();
  int WaitMilliseconds() const;

  EchoOptions options_;
  std::vector<char> read_buffer_;
  int epoll_ = -1;
  int listener_ = -1;
  int signals_ = -1;
  bool accepting_ = true;
  int64_t left_at_ = 0;  // when it was told to stop; 0: it was not
  size_t client_count_ = 0;
  std::vector<std::unique_ptr<Client>> clients_;  // by descriptor
  std::set<std::pair<int64_t, int>> delayed_;     // when due, descriptor
};

EchoServer::~EchoServer() {
  for (size_t fd = 0; fd < clients_.size(); ++fd) {
    if (clients_[fd]) close(static_cast<int>(fd));
  }
  for (const int fd : {epoll_, listener_, signals_}) {
    if (fd >= 0) close(fd);
  }
  if (options_.listen.kind == SocketAddress::Kind::kUnix && listener_ >= 0) {
    unlink(options_.listen.path.c_str());
  }
}

bool Fail(const char* what) {
  std::fprintf(stderr, "rondo echo: %s: %s\n", what, std::strerror(errno));
  return false;
}

socklen_t ToSockaddr(const SocketAddress& address, sockaddr_storage* storage) {
  *storage = {};
  if (address.kind == SocketAddress::Kind::kUnix) {
    auto* unix_address = reinterpret_cast<sockaddr_un*>(storage);
    unix_address->sun_family = AF_UNIX;
    std::memcpy(unix_address->sun_path, address.path.data(), address.path.size());
    const bool abstract = address.path.starts_with('@');
    if (abstract) unix_address->sun_path[0] = '\0';
    return static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.path.size() +
                                  (abstract ? 0 : 1));
  }
  if (!address.both_families && address.ip.is_v4()) {
    auto* v4 = reinterpret_cast<sockaddr_in*>(storage);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(address.port);
    std::memcpy(&v4->sin_addr, address.ip.bytes.data() + 12, 4);
    return sizeof(sockaddr_in);
  }
  auto* v6 = reinterpret_cast<sockaddr_in6*>(storage);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(address.port);
  if (!address.both_families) std::memcpy(&v6->sin6_addr, address.ip.bytes.data(), 16);
  return sizeof(sockaddr_in6);
}

// `address` with the port that the kernel gave.
SocketAddress Bound(SocketAddress address, int fd) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (address.port != 0 || getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &size) != 0) {
    return address;
  }
  // The port stands at the same place in both families.
  address.port = ntohs(reinterpret_cast<sockaddr_in*>(&storage)->sin_port);
  return address;
}

bool EchoServer::Watch(int fd, uint32_t events) {
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool EchoServer::Start() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGTERM);
  sigaddset(&mask, SIGINT);
  pthread_sigmask(SIG_BLOCK, &mask, nullptr);
  signals_ = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (signals_ < 0 || epoll_ < 0 || !Watch(signals_, EPOLLIN)) return Fail("cannot start");

  sockaddr_storage storage{};
  const socklen_t size = ToSockaddr(options_.listen, &storage);
  const int listener = socket(storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (listener < 0) return Fail("socket");
  const int on = 1;
  const int off = 0;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (storage.ss_family == AF_INET6) {
    setsockopt(listener, IPPROTO_IPV6, IPV6_V6ONLY, options_.listen.both_families ? &off : &on,
               sizeof on);
  }
  // A socket file that an earlier run left behind would refuse the address.
  struct stat file{};
  if (storage.ss_family == AF_UNIX && !options_.listen.path.starts_with('@') &&
      stat(options_.listen.path.c_str(), &file) == 0 && S_ISSOCK(file.st_mode)) {
    unlink(options_.listen.path.c_str());
  }
  if (bind(listener, reinterpret_cast<sockaddr*>(&storage), size) != 0 ||
      listen(listener, SOMAXCONN) != 0) {
    const int error = errno;
    close(listener);
    errno = error;
    return Fail(("listen on " + options_.listen.ToString()).c_str());
  }
  listener_ = listener;
  if (!Watch(listener_, EPOLLIN)) return Fail("epoll");
  options_.listen = Bound(options_.listen, listener_);
  if (options_.name.empty()) options_.name = options_.listen.ToString();
  std::fprintf(stderr, "listening on %s\n", options_.listen.ToString().c_str());
  return true;
}

int EchoServer::Run() {
  epoll_event events[256];
  for (;;) {
    const int count = epoll_wait(epoll_, events, 256, WaitMilliseconds());
    if (count < 0 && errno != EINTR) {
      Fail("epoll_wait");
      return 1;
    }
    bool incoming = false;
    bool leaving = false;
    for (int i = 0; i < count; ++i) {
      const int fd = events[i].data.fd;
      if (fd == signals_) {
        signalfd_siginfo info{};
        if (left_at_ != 0 || read(signals_, &info, sizeof info) < 0) return 0;
        leaving = true;
      } else if (fd == listener_) {
        incoming = true;
      } else if ((events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        Readable(fd, events[i].events);
      } else {
        Pump(fd, {});
      }
    }
    // Last: a descriptor that was closed above and is given out again must not meet its old events.
    if (incoming && left_at_ == 0) Accept();
    if (leaving) Leave();
    if (!delayed_.empty()) AnswerDelayed();
    if (left_at_ != 0 && Left()) return 0;
  }
}

void EchoServer::Accept() {
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
      if (errno == EMFILE || errno == ENFILE) {
        // Until a client leaves, the listener would only wake the loop in vain.
        accepting_ = false;
        epoll_ctl(epoll_, EPOLL_CTL_DEL, listener_, nullptr);
      }
      if (errno == ECONNABORTED || errno == EINTR) continue;
      return;
    }
    if (options_.listen.kind == SocketAddress::Kind::kIp) {
      const int on = 1;
      setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    }
    if (clients_.size() <= static_cast<size_t>(fd)) clients_.resize(static_cast<size_t>(fd) + 64);
    clients_[static_cast<size_t>(fd)] = std::make_unique<Client>(options_);
    ++client_count_;
    if (!Watch(fd, EPOLLIN)) Close(fd);
  }
}

void EchoServer::Readable(int fd, uint32_t events) {
  Client* client = clients_[static_cast<size_t>(fd)].get();
  const ssize_t size = recv(fd, read_buffer_.data(), read_buffer_.size(), 0);
  if (size < 0) {
    if (errno != EAGAIN && errno != EINTR) Close(fd);
    return;
  }
  if (size == 0 && (events & EPOLLHUP) != 0) {
    Close(fd);  // gone both ways: nobody is left to read an answer
    return;
  }
  if (size == 0) client->ended = true;
  const std::string_view data(read_buffer_.data(), static_cast<size_t>(size));
  if (client->pending.empty()) {
    Pump(fd, data);
  } else {
    client->pending.append(data);
    Pump(fd, {});
  }
}

void EchoServer::Pump(int fd, std::string_view data) {
  Client* client = clients_[static_cast<size_t>(fd)].get();
  EchoConnection& connection = client->connection;
  const bool from_pending = !client->pending.empty();
  if (from_pending) data = client->pending;
  size_t taken = 0;
  for (;;) {
    const size_t step = connection.Consume(data.substr(taken));
    taken += step;
    const bool had_output = connection.has_output();
    if (had_output && !Flush(fd, client)) {
      Close(fd);
      return;
    }
    if (connection.has_output() || (step == 0 && !had_output)) break;
  }
  if (from_pending) {
    client->pending.erase(0, taken);
    if (client->pending.empty()) std::string().swap(client->pending);
  } else {
    client->pending.assign(data.substr(taken));
  }
  Settle(fd, client);
}

bool EchoServer::Flush(int fd, Client* client) {
  EchoConnection& connection = client->connection;
  while (connection.has_output()) {
    iovec pieces[2];
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = static_cast<size_t>(connection.Gather(pieces));
    const ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    connection.Sent(static_cast<size_t>(sent));
  }
  return true;
}

void EchoServer::Settle(int fd, Client* client) {
  EchoConnection& connection = client->connection;
  const bool sending = connection.has_output();
  const bool waiting = connection.delay() > Duration{};
  if (waiting && client->due == 0) {
    client->due = NowNanoseconds() + connection.delay().count();
    delayed_.emplace(client->due, fd);
  }
  // After the client's last byte only an answer that is under way keeps the connection.
  if (!sending && !waiting && (connection.closing() || client->ended)) {
    Close(fd);
    return;
  }
  uint32_t events = sending ? uint32_t{EPOLLOUT} : 0;
  if (!client->ended && client->pending.size() < kPendingMax) events |= EPOLLIN;
  // A head that is longer than that is refused by its own limit.
  if (!sending && !waiting && !client->ended) events |= EPOLLIN;
  if (events == client->events) return;
  client->events = events;
  epoll_event event{};
  event.events = events;
  event.data.fd = fd;
  epoll_ctl(epoll_, EPOLL_CTL_MOD, fd, &event);
}

void EchoServer::Close(int fd) {
  std::unique_ptr<Client>& client = clients_[static_cast<size_t>(fd)];
  if (client->due != 0) delayed_.erase({client->due, fd});
  if (client->connection.closing() && !client->ended) {
    // Bytes that were never read would turn the close into a reset, which can take the answer with
    // it.
    shutdown(fd, SHUT_WR);
    while (recv(fd, read_buffer_.data(), read_buffer_.size(), 0) > 0) {
    }
  }
  client.reset();
  --client_count_;
  close(fd);
  if (!accepting_ && left_at_ == 0) accepting_ = Watch(listener_, EPOLLIN);
}

void EchoServer::Leave() {
  left_at_ = NowNanoseconds();
  options_.leaving = true;
  // What waits in the backlog was not promised anything yet, but may be served as well.
  Accept();
  epoll_ctl(epoll_, EPOLL_CTL_DEL, listener_, nullptr);
  close(listener_);
  listener_ = -1;
  if (options_.listen.kind == SocketAddress::Kind::kUnix) unlink(options_.listen.path.c_str());
  for (size_t fd = 0; fd < clients_.size(); ++fd) {
    if (!clients_[fd]) continue;
    clients_[fd]->connection.Leave();
    if (clients_[fd]->connection.has_output()) Pump(static_cast<int>(fd), {});
  }
}

bool EchoServer::Left() {
  const int64_t since = NowNanoseconds() - left_at_;
  if (since >= kIdleGrace) {
    for (size_t fd = 0; fd < clients_.size(); ++fd) {
      if (clients_[fd] && clients_[fd]->connection.idle() && clients_[fd]->pending.empty() &&
          !clients_[fd]->connection.has_output()) {
        Close(static_cast<int>(fd));
      }
    }
  }
  return client_count_ == 0 || since >= kLeaveMax;
}

void EchoServer::AnswerDelayed() {
  const int64_t now = NowNanoseconds();
  while (!delayed_.empty() && delayed_.begin()->first <= now) {
    const int fd = delayed_.begin()->second;
    delayed_.erase(delayed_.begin());
    Client* client = clients_[static_cast<size_t>(fd)].get();
    client->due = 0;
    client->connection.DelayOver();
    Pump(fd, {});
  }
}

int EchoServer::WaitMilliseconds() const {
  int64_t due = INT64_MAX;
  if (!delayed_.empty()) due = delayed_.begin()->first;
  if (left_at_ != 0) {
    const int64_t idle_over = left_at_ + kIdleGrace;
    due = std::min(due, idle_over > NowNanoseconds() ? idle_over : left_at_ + kLeaveMax);
  }
  if (due == INT64_MAX) return -1;
  const int64_t left = due - NowNanoseconds();
  if (left <= 0) return 0;
  return static_cast<int>((left + 999'999) / 1'000'000);
}

}  // namespace

int RunEcho(const EchoOptions& options) {
  EchoServer server(options);
  return server.Start() ? server.Run() : 1;
}

}  // namespace rondo::app
