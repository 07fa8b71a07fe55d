#include "load.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <strings.h>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <ctime>

namespace rondo::load {

int64_t Now() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

int Connect(const Options& options, uint64_t index) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return -errno;
  NoDelay(fd);
  const int on = 1;
  if (options.sources > 1) {
    // The port is chosen at connect, by the whole four-tuple: each address brings its own range of
    // ports.
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    sockaddr_in source{};
    source.sin_family = AF_INET;
    source.sin_addr.s_addr =
        htonl(0x7f000002u + static_cast<uint32_t>(index % static_cast<uint64_t>(options.sources)));
    if (bind(fd, reinterpret_cast<sockaddr*>(&source), sizeof source) != 0) {
      const int error = errno;
      close(fd);
      return -error;
    }
  }
  if (connect(fd, reinterpret_cast<const sockaddr*>(&options.target), sizeof options.target) != 0 &&
      errno != EINPROGRESS) {
    const int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

void NoDelay(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

void CloseHard(int fd) {
  const linger reset{1, 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(fd);
}

bool AddToEpoll(int epoll, int fd, uint32_t events, uint32_t tag) {
  epoll_event event{};
  event.events = events;
  event.data.u32 = tag;
  return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool ChangeInEpoll(int epoll, int fd, uint32_t events, uint32_t tag) {
  epoll_event event{};
  event.events = events;
  event.data.u32 = tag;
  return epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event) == 0;
}

ResponseReader::Step ResponseReader::Feed(std::string_view data) {
  if (left_ < 0) {
    head_.append(data);
    const Step step = ParseHead();
    if (left_ < 0) return step;
    const size_t end = head_.find("\r\n\r\n") + 4;
    body_.assign(head_, end, 256);
    left_ -= static_cast<int64_t>(head_.size() - end);
    head_.clear();
  } else {
    if (body_.size() < 256) body_.append(data.substr(0, 256 - body_.size()));
    left_ -= static_cast<int64_t>(data.size());
  }
  if (left_ < 0) return Step::kBad;
  return left_ == 0 ? Step::kDone : Step::kMore;
}

ResponseReader::Step ResponseReader::ParseHead() {
  const size_t end = head_.find("\r\n\r\n");
  if (end == std::string::npos) return head_.size() > 65536 ? Step::kBad : Step::kMore;
  if (head_.size() < 12 || !head_.starts_with("HTTP/1.1 ")) return Step::kBad;
  std::from_chars(head_.data() + 9, head_.data() + 12, status_);
  for (size_t at = head_.find("\r\n"); at < end; at = head_.find("\r\n", at + 2)) {
    constexpr std::string_view kName = "content-length:";
    if (strncasecmp(head_.data() + at + 2, kName.data(), kName.size()) != 0) continue;
    size_t digit = at + 2 + kName.size();
    while (head_[digit] == ' ') ++digit;
    std::from_chars(head_.data() + digit, head_.data() + end, left_);
  }
  return left_ < 0 ? Step::kBad : Step::kMore;
}

bool AnnounceReady(const Options& options, int connections) {
  std::printf("{\"ready\": %d}\n", connections);
  std::fflush(stdout);
  if (!options.hold) return true;
  char line[64];
  return std::fgets(line, sizeof line, stdin) != nullptr;
}

void PrintResult(const Options& options, const Result& result) {
  const double rate = result.seconds > 0 ? static_cast<double>(result.done) / result.seconds : 0;
  std::printf(
      "{\"mode\": \"%s\", \"requests\": %llu, \"seconds\": %.3f, \"rps\": %.1f, \"bytes\": %llu, "
      "\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, \"errors\": %llu, "
      "\"connect_errors\": %llu, \"closed\": %llu, \"bad_answers\": %llu, \"lost\": %llu, "
      "\"skipped\": %llu, \"resumed\": %llu, \"load_cpu_seconds\": %.3f}\n",
      options.mode.c_str(), static_cast<unsigned long long>(result.done), result.seconds, rate,
      static_cast<unsigned long long>(result.bytes), result.latency.QuantileUs(0.5),
      result.latency.QuantileUs(0.99), result.latency.max_us(),
      static_cast<unsigned long long>(result.errors()),
      static_cast<unsigned long long>(result.connect_errors),
      static_cast<unsigned long long>(result.closed),
      static_cast<unsigned long long>(result.bad_answers),
      static_cast<unsigned long long>(result.lost), static_cast<unsigned long long>(result.skipped),
      static_cast<unsigned long long>(result.resumed), result.cpu_seconds);
  std::fflush(stdout);
}

}  // namespace rondo::load
