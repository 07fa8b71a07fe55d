#include "control/dns_asker.h"

#include <ares.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <span>

#include "absl/strings/str_cat.h"
#include "rondo/base/check.h"
#include "rondo/base/log.h"

namespace rondo::control {

struct DnsAsker::Channel {
  DnsAsker& asker;
  ares_channel handle = nullptr;
  size_t questions = 0;
};

struct DnsAsker::Socket {
  Socket(DnsAsker& of, Channel& for_channel, int descriptor)
      : asker(of), channel(&for_channel), fd(descriptor), readable(*this), writable(*this) {}

  struct Ready : io::Op {
    explicit Ready(Socket& of)
        : io::Op([](io::Op& op) {
            Ready& self = static_cast<Ready&>(op);
            self.arrived = true;
            self.socket.asker.OnReady(self.socket);
          }),
          socket(of) {}
    Socket& socket;
    bool wanted = false;   // by c-ares
    bool arrived = false;  // and not yet told to c-ares
  };

  DnsAsker& asker;
  Channel* channel;  // null once c-ares has closed it: it is only waited for its ops then
  const int fd;
  Ready readable;
  Ready writable;
};

struct DnsAsker::Flight {
  DnsAsker& asker;
  DnsQuestion* question;  // null: nobody is interested any more
  Channel* channel = nullptr;
  std::list<std::unique_ptr<Flight>>::iterator self = {};
};

struct DnsAsker::Delivery : io::Op {
  explicit Delivery(DnsAsker& of)
      : io::Op([](io::Op& op) { static_cast<Delivery&>(op).asker.Deliver(); }), asker(of) {}
  DnsAsker& asker;
};

struct DnsAsker::Timeout : io::Timer {
  explicit Timeout(DnsAsker& of) : io::Timer(&Timeout::OnFire), asker(of) {}
  static void OnFire(io::Timer& timer) {
    DnsAsker& asker = static_cast<Timeout&>(timer).asker;
    for (const auto& channel : asker.channels_) {
      ares_process_fd(channel->handle, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    }
    asker.Settle();
  }
  DnsAsker& asker;
};

// -- what c-ares calls --

struct DnsAsker::Callbacks {
  static void OnAnswer(void* flight, int status, int, unsigned char* bytes, int size) {
    Flight& self = *static_cast<Flight*>(flight);
    self.asker.Read(self, status, bytes, size);
  }
  static Socket* Find(void* channel, int fd) {
    for (const auto& socket : static_cast<Channel*>(channel)->asker.sockets_) {
      if (socket->fd == fd) return socket.get();
    }
    return nullptr;
  }
  static void OnState(void* channel, int fd, int readable, int writable) {
    Socket* socket = Find(channel, fd);
    if (socket == nullptr) return;
    socket->readable.wanted = readable != 0;
    socket->writable.wanted = writable != 0;
  }
  static int Open(int family, int type, int protocol, void* channel) {
    auto& self = *static_cast<Channel*>(channel);
    const int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    if (fd >= 0) {
      self.asker.sockets_.push_back(std::make_unique<Socket>(self.asker, self, fd));
    }
    return fd;
  }
  // The descriptor stays open until its ops have ended, so that its number cannot be another's in
  // between.
  static int Close(int fd, void* channel) {
    Socket* socket = Find(channel, fd);
    if (socket == nullptr) return -1;
    socket->channel = nullptr;
    socket->readable.wanted = socket->writable.wanted = false;
    return 0;
  }
  static int Connect(int fd, const sockaddr* address, ares_socklen_t length, void*) {
    return connect(fd, address, length);
  }
  static ares_ssize_t Receive(int fd, void* data, size_t size, int flags, sockaddr* from,
                              ares_socklen_t* length, void*) {
    return recvfrom(fd, data, size, flags, from, length);
  }
  static ares_ssize_t Send(int fd, const iovec* parts, int count, void*) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(parts);
    message.msg_iovlen = static_cast<size_t>(count);
    return sendmsg(fd, &message, MSG_NOSIGNAL);
  }

  static constexpr ares_socket_functions kFunctions = {&Open, &Close, &Connect, &Receive, &Send};

  static int Configure(Channel& channel, const Settings& settings) {
    // RFC 9715: what passes everywhere without being cut into fragments.
    constexpr int kDatagramBytes = 1232;
    char nowhere[] = "/dev/null";
    char lookups[] = "b";
    ares_options options{};
    options.flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | ARES_FLAG_EDNS;
    options.ednspsz = kDatagramBytes;
    options.timeout = static_cast<int>(
        std::chrono::duration_cast<std::chrono::milliseconds>(settings.timeout).count());
    options.tries = static_cast<int>(settings.attempts);
    options.ndots = 1;
    options.lookups = lookups;
    options.resolvconf_path = nowhere;
    options.sock_state_cb = &OnState;
    options.sock_state_cb_data = &channel;
    const int status =
        ares_init_options(&channel.handle, &options,
                          ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                              ARES_OPT_NDOTS | ARES_OPT_DOMAINS | ARES_OPT_LOOKUPS |
                              ARES_OPT_RESOLVCONF | ARES_OPT_NOROTATE | ARES_OPT_SOCK_STATE_CB);
    if (status != ARES_SUCCESS) return status;
    ares_set_socket_functions(channel.handle, &kFunctions, &channel);
    return SetServers(channel.handle, settings.servers);
  }

  static int SetServers(ares_channel handle, const std::vector<SocketAddress>& servers) {
    std::vector<ares_addr_port_node> nodes(servers.size());
    for (size_t i = 0; i < servers.size(); ++i) {
      ares_addr_port_node& node = nodes[i];
      const auto& bytes = servers[i].ip.bytes;
      node.next = i + 1 < nodes.size() ? &nodes[i + 1] : nullptr;
      node.udp_port = node.tcp_port = servers[i].port;
      if (servers[i].ip.is_v4()) {
        node.family = AF_INET;
        std::memcpy(&node.addr.addr4, bytes.data() + 12, 4);
      } else {
        node.family = AF_INET6;
        std::memcpy(&node.addr.addr6, bytes.data(), 16);
      }
    }
    return ares_set_servers_ports(handle, nodes.data());
  }
};

// -- the asker --

DnsQuestion::~DnsQuestion() { RONDO_CHECK(flight == nullptr); }

DnsAsker::DnsAsker(rt::Loop& loop, const Limits& limits)
    : loop_(loop),
      limits_(limits),
      delivery_(std::make_unique<Delivery>(*this)),
      timeout_(std::make_unique<Timeout>(*this)) {
  RONDO_CHECK(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
}

DnsAsker::~DnsAsker() {
  RONDO_CHECK(stopped());
  ares_library_cleanup();
}

void DnsAsker::Use(const Settings& settings) {
  if (stopping_ || (settings == settings_ && !channels_.empty())) return;
  settings_ = settings;
  auto channel = std::make_unique<Channel>(Channel{*this});
  const int status = Callbacks::Configure(*channel, settings);
  if (status == ARES_SUCCESS) {
    channels_.push_back(std::move(channel));
  } else {
    LogError(absl::StrCat("discovery: cannot set up the resolver: ", ares_strerror(status)));
    if (channel->handle != nullptr) ares_destroy(channel->handle);
  }
  Settle();
}

void DnsAsker::Ask(DnsQuestion& question) {
  RONDO_CHECK(!question.asked());
  flights_.push_back(std::make_unique<Flight>(Flight{*this, &question}));
  Flight& flight = *flights_.back();
  flight.self = std::prev(flights_.end());
  question.flight = &flight;
  waiting_.push_back(&flight);
  Settle();
}

void DnsAsker::GiveUp(DnsQuestion& question) {
  if (!question.asked()) return;
  static_cast<Flight*>(question.flight)->question = nullptr;
  question.flight = nullptr;
}

void DnsAsker::Stop() {
  stopping_ = true;
  Settle();
}

bool DnsAsker::stopped() const {
  return channels_.empty() && sockets_.empty() && flights_.empty() && !delivery_->in_flight();
}

void DnsAsker::Settle() {
  StartWaiting();
  SweepChannels();
  SweepSockets();
  ArmTimeout();
}

void DnsAsker::StartWaiting() {
  while (!waiting_.empty() && (stopping_ || asking_ < limits_.questions_max)) {
    Flight& flight = *waiting_.front();
    waiting_.pop_front();
    if (stopping_ || flight.question == nullptr) {
      Finish(flight, DnsQuestion::Result::kUnreachable, "stopped");
    } else {
      Start(flight);
    }
  }
}

void DnsAsker::Start(Flight& flight) {
  if (channels_.empty()) {
    return Finish(flight, DnsQuestion::Result::kUnreachable, "the resolver could not be set up");
  }
  flight.channel = channels_.back().get();
  ++flight.channel->questions;
  ++asking_;
  constexpr int kClassInternet = 1;
  ares_query(flight.channel->handle, flight.question->name.c_str(), kClassInternet,
             static_cast<int>(flight.question->type), &Callbacks::OnAnswer, &flight);
}

// From within c-ares: notes the result, and that is all.
void DnsAsker::Read(Flight& flight, int status, const unsigned char* bytes, int size) {
  using Result = DnsQuestion::Result;
  if (flight.question == nullptr) return Finish(flight, Result::kUnreachable, "");
  switch (status) {
    case ARES_SUCCESS:
    case ARES_ENODATA: {
      std::optional<DnsAnswer> answer =
          ParseDnsAnswer(std::span(bytes, static_cast<size_t>(size)), flight.question->name,
                         flight.question->type, limits_.records_max);
      if (!answer) return Finish(flight, Result::kRefused, "an answer that cannot be read");
      flight.question->answer = *std::move(answer);
      return Finish(flight, Result::kAnswered, "");
    }
    case ARES_ENOTFOUND:
      return Finish(flight, Result::kNoName, "no such name");
    case ARES_ETIMEOUT:
      return Finish(flight, Result::kUnreachable, "no DNS server answered in time");
    // So c-ares calls it too when the last server has answered by SERVFAIL or REFUSED.
    case ARES_ECONNREFUSED:
      return Finish(flight, Result::kRefused,
                    "no DNS server can be reached, or they fail or refuse (SERVFAIL, REFUSED)");
    default:  // of some thirty, whatever the library has
      return Finish(flight, Result::kRefused, absl::StrCat("DNS: ", ares_strerror(status)));
  }
}

void DnsAsker::Finish(Flight& flight, DnsQuestion::Result result, std::string problem) {
  if (flight.channel != nullptr) {
    --flight.channel->questions;
    --asking_;
    flight.channel = nullptr;
  }
  if (flight.question != nullptr) {
    flight.question->result = result;
    flight.question->problem = std::move(problem);
  }
  finished_.push_back(&flight);
  if (!delivery_->in_flight()) loop_.engine().Post(*delivery_, 0);
}

void DnsAsker::Deliver() {
  std::deque<Flight*> finished;
  finished.swap(finished_);
  for (Flight* flight : finished) {
    DnsQuestion* question = flight->question;
    flights_.erase(flight->self);
    if (question == nullptr) continue;
    question->flight = nullptr;
    question->done(*question);
  }
  Settle();
}

void DnsAsker::SweepChannels() {
  for (auto each = channels_.begin(); each != channels_.end();) {
    Channel& channel = **each;
    const bool ended = stopping_ || (std::next(each) != channels_.end() && channel.questions == 0);
    if (ended) ares_destroy(channel.handle);
    each = ended ? channels_.erase(each) : std::next(each);
  }
}

void DnsAsker::SweepSockets() {
  io::Engine& engine = loop_.engine();
  for (auto each = sockets_.begin(); each != sockets_.end();) {
    Socket& socket = **each;
    const std::pair<Socket::Ready*, io::Op::Kind> ops[] = {
        {&socket.readable, io::Op::Kind::kWaitReadable},
        {&socket.writable, io::Op::Kind::kWaitWritable}};
    for (const auto& [op, kind] : ops) {
      if (socket.channel == nullptr && op->in_flight()) engine.Cancel(*op);
      if (!op->wanted || op->in_flight()) continue;
      op->kind = kind;
      op->fd = socket.fd;
      engine.Submit(*op);
    }
    if (socket.channel == nullptr && !socket.readable.in_flight() && !socket.writable.in_flight()) {
      engine.Close(socket.fd);
      each = sockets_.erase(each);
    } else {
      ++each;
    }
  }
}

void DnsAsker::OnReady(Socket& socket) {
  const bool readable = std::exchange(socket.readable.arrived, false);
  const bool writable = std::exchange(socket.writable.arrived, false);
  if (socket.channel != nullptr) {
    const io::Op& op = readable ? socket.readable : socket.writable;
    ares_process_fd(socket.channel->handle, readable ? socket.fd : ARES_SOCKET_BAD,
                    writable ? socket.fd : ARES_SOCKET_BAD);
    // It could not be waited for: the question ends by its timeout, instead of asking again and
    // again.
    if (op.result < 0) socket.readable.wanted = socket.writable.wanted = false;
  }
  Settle();
}

void DnsAsker::ArmTimeout() {
  std::optional<Duration> soonest;
  for (const auto& channel : channels_) {
    timeval left{};
    if (ares_timeout(channel->handle, nullptr, &left) == nullptr) continue;
    const Duration wait =
        std::chrono::seconds(left.tv_sec) + std::chrono::microseconds(left.tv_usec);
    soonest = soonest ? std::min(*soonest, wait) : wait;
  }
  if (soonest) {
    loop_.wheel().Arm(*timeout_, loop_.Now() + *soonest + std::chrono::milliseconds(1));
  } else {
    timeout_->Cancel();
  }
}

}  // namespace rondo::control
