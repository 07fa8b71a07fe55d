#include "app/ctl_client.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <utility>

#include "app/ctl_link.h"
#include "rondo/http/body.h"
#include "rondo/http/h1_parser.h"

namespace rondo::app {
namespace {

constexpr Duration kConnectTimeout = std::chrono::seconds(5);
constexpr http::HeadLimits kLimits{64 * 1024, 200};

// 0 or an errno. The socket is non-blocking.
int ConnectTo(int fd, const sockaddr* to, socklen_t size, Duration timeout) {
  if (connect(fd, to, size) == 0) return 0;
  if (errno != EINPROGRESS) return errno;
  if (!CtlWaitFor(fd, POLLOUT, timeout)) return ETIMEDOUT;
  int error = 0;
  socklen_t length = sizeof(error);
  if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

bool IsPort(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port > 0 && port < 65536;
}

// Reads one answer.
class Reader {
 public:
  Reader(CtlLink& link, Duration timeout, const CtlClient::OnBody* on_body)
      : link_(link), timeout_(timeout), on_body_(on_body) {}

  // False where the answer was not whole; problem says why.
  bool Read(CtlResponse& response, std::string& problem) {
    if (!ReadHead(response, problem)) return false;
    http::BodyDecoder decoder;
    decoder.Begin(head_.framing, head_.content_length, kLimits, 502);
    std::string bytes = buffer_.substr(head_bytes_);
    for (;;) {
      const http::BodyDecoder::Step step = decoder.Decode(bytes.data(), bytes.size());
      if (step.refusal) {
        problem = "the answer is not HTTP";
        return false;
      }
      const std::string_view body(step.data, step.size);
      if (on_body_ != nullptr && response.status == 200) {
        if (!body.empty() && !(*on_body_)(body)) return true;
      } else {
        response.body += body;
      }
      if (decoder.done()) return true;
      bytes.resize(64 * 1024);
      const ssize_t received = link_.Receive(bytes.data(), bytes.size(), timeout_);
      if (received <= 0) {
        if (received == 0 && decoder.CloseEndsBody()) return true;
        problem = received == -ETIMEDOUT ? "no answer in time"
                                         : "the connection was closed within the answer";
        return false;
      }
      bytes.resize(static_cast<size_t>(received));
    }
  }

 private:
  bool ReadHead(CtlResponse& response, std::string& problem) {
    http::ResponseParser parser;
    for (;;) {
      const http::HeadResult result = parser.Parse(buffer_, 0, kLimits, false, false, head_);
      if (result.status == http::HeadStatus::kRefused) {
        problem = "what answers is not an HTTP server";
        return false;
      }
      if (result.status == http::HeadStatus::kComplete) {
        if (!head_.interim()) {
          response.status = head_.status;
          head_bytes_ = result.head_bytes;
          return true;
        }
        buffer_.erase(0, result.head_bytes);
        continue;
      }
      char bytes[16 * 1024];
      const ssize_t received = link_.Receive(bytes, sizeof(bytes), timeout_);
      if (received <= 0) {
        problem = received == -ETIMEDOUT ? "no answer in time"
                                         : "the connection was closed without an answer";
        return false;
      }
      buffer_.append(bytes, static_cast<size_t>(received));
    }
  }

  CtlLink& link_;
  Duration timeout_;
  const CtlClient::OnBody* on_body_;
  std::string buffer_;
  http::ResponseHead head_;
  size_t head_bytes_ = 0;
};

}  // namespace

std::string CtlAddress::ToString() const {
  if (!unix_path.empty()) return "unix:" + unix_path;
  return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + port;
}

std::optional<CtlAddress> ParseCtlAddress(std::string_view text, std::string& problem) {
  CtlAddress address;
  if (text.starts_with("unix:")) {
    address.unix_path = text.substr(5);
    if (address.unix_path.starts_with("//")) address.unix_path.erase(0, 2);
    if (!address.unix_path.empty() && address.unix_path.size() < sizeof(sockaddr_un::sun_path))
      return address;
    problem =
        "the path of the unix socket is missing or too long; right would be "
        "unix:/run/rondo/admin.sock";
    return std::nullopt;
  }
  std::string_view rest = text;
  address.tls = rest.starts_with("https://");
  if (address.tls) rest.remove_prefix(8);
  if (rest.starts_with("http://")) rest.remove_prefix(7);
  while (rest.ends_with('/')) rest.remove_suffix(1);
  const size_t bracket = rest.starts_with('[') ? rest.find(']') : std::string_view::npos;
  const size_t colon = rest.find(':', bracket == std::string_view::npos ? 0 : bracket);
  std::string_view host = rest.substr(0, colon);
  if (bracket != std::string_view::npos) host = rest.substr(1, bracket - 1);
  if (colon != std::string_view::npos) address.port = rest.substr(colon + 1);
  address.host = host;
  const bool wrong = host.empty() || host.find_first_of("/?#@ []") != std::string_view::npos ||
                     !IsPort(address.port);
  if (!wrong) return address;
  problem = "`" + std::string(text) +
            "` is not an admin address; right would be http://127.0.0.1:9900, https://host:9900 or "
            "unix:/path";
  return std::nullopt;
}

std::optional<CtlResponse> CtlClient::Send(const CtlRequest& request) {
  const std::unique_ptr<CtlLink> link = Open(request.timeout);
  if (link == nullptr) return std::nullopt;
  // Where the server refuses without reading all of it, its answer is here nevertheless.
  link->SendAll(Head(request) + request.body, request.timeout);
  CtlResponse response;
  Reader reader(*link, request.timeout, nullptr);
  if (!reader.Read(response, problem_)) return std::nullopt;
  return response;
}

std::optional<CtlResponse> CtlClient::Stream(const CtlRequest& request, const OnBody& on_body) {
  const std::unique_ptr<CtlLink> link = Open(request.timeout);
  if (link == nullptr) return std::nullopt;
  link->SendAll(Head(request), request.timeout);
  CtlResponse response;
  Reader reader(*link, request.timeout, &on_body);
  // A stream that breaks off was one: whether to ask again is the caller's.
  if (!reader.Read(response, problem_) && response.status == 0) return std::nullopt;
  return response;
}

std::string CtlClient::Head(const CtlRequest& request) const {
  std::string head = request.method + " " + request.target + " HTTP/1.1\r\n";
  head += "Host: " + (address_.unix_path.empty() ? address_.ToString() : std::string("localhost")) +
          "\r\n";
  head += "Accept: " + request.accept + "\r\nUser-Agent: rondo-ctl\r\nConnection: close\r\n";
  if (!token_.empty()) head += "Authorization: Bearer " + token_ + "\r\n";
  for (const auto& [name, value] : request.fields) head += name + ": " + value + "\r\n";
  if (!request.body.empty()) {
    head +=
        "Content-Type: application/json\r\nContent-Length: " + std::to_string(request.body.size()) +
        "\r\n";
  } else if (request.method != "GET") {
    head += "Content-Length: 0\r\n";
  }
  return head + "\r\n";
}

std::unique_ptr<CtlLink> CtlClient::Open(Duration timeout) {
  const int connected = Connect(kConnectTimeout);
  if (connected < 0) return nullptr;
  auto link = std::make_unique<CtlLink>(connected);
  if (!address_.tls) return link;
  if (tls_ == nullptr) {
    problem_ = "https needs to know whom to believe";
    return nullptr;
  }
  if (!link->Secure(*tls_, address_.host, timeout, problem_)) return nullptr;
  return link;
}

int CtlClient::Connect(Duration timeout) {
  problem_.clear();
  return address_.unix_path.empty() ? ConnectTcp(timeout) : ConnectUnix(timeout);
}

int CtlClient::ConnectUnix(Duration timeout) {
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path, address_.unix_path.data(), address_.unix_path.size());
  socklen_t size = sizeof(to);
  if (to.sun_path[0] == '@') {
    to.sun_path[0] = '\0';
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.unix_path.size());
  }
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    problem_ = std::strerror(errno);
    return -1;
  }
  const int error = ConnectTo(fd, reinterpret_cast<const sockaddr*>(&to), size, timeout);
  if (error == 0) return fd;
  problem_ = std::strerror(error);
  close(fd);
  return -1;
}

int CtlClient::ConnectTcp(Duration timeout) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int failed = getaddrinfo(address_.host.c_str(), address_.port.c_str(), &hints, &found);
  if (failed != 0) {
    problem_ = gai_strerror(failed);
    return -1;
  }
  int connected = -1;
  // The first problem is kept: it is that of the address which the resolver thinks best.
  for (const addrinfo* each = found; each != nullptr && connected < 0; each = each->ai_next) {
    const int fd = socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const int error = fd < 0 ? errno : ConnectTo(fd, each->ai_addr, each->ai_addrlen, timeout);
    if (error == 0) {
      connected = fd;
      continue;
    }
    if (fd >= 0) close(fd);
    if (problem_.empty()) problem_ = std::strerror(error);
  }
  freeaddrinfo(found);
  return connected;
}

}  // namespace rondo::app
