// The modes that make requests for a while: get (keepalive), connect (a connection for each
// request) and upload (POST over keepalive connections).
#include <sys/epoll.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "load.h"

namespace rondo::load {
namespace {

class HttpLoad {
 public:
  explicit HttpLoad(const Options& options);
  int Run();

 private:
  struct Client {
    int fd = -1;
    bool connected = false;
    bool sending = false;
    size_t sent = 0;  // of head and body together
    int64_t began = 0;
    ResponseReader reader;
  };

  void Open(uint32_t index);
  void StartRequest(uint32_t index);
  void Send(uint32_t index);
  void Receive(uint32_t index);
  void Finish(uint32_t index, bool good);
  void Broken(uint32_t index, uint64_t* count);

  const Options& options_;
  const bool fresh_;  // a connection for each request
  const bool upload_;
  std::string head_;
  std::string body_;
  std::string expected_;
  std::vector<Client> clients_;
  std::vector<char> buffer_;
  int epoll_ = -1;
  uint64_t opened_ = 0;
  int64_t end_ = 0;
  Result result_;
};

HttpLoad::HttpLoad(const Options& options)
    : options_(options), fresh_(options.mode == "connect"), upload_(options.mode == "upload") {
  head_ = (upload_ ? "POST " : "GET ") + options.path + " HTTP/1.1\r\nHost: " + options.target_text;
  if (fresh_) head_ += "\r\nConnection: close";
  if (upload_) {
    head_ += "\r\nContent-Length: " + std::to_string(options.body_bytes);
    body_.assign(static_cast<size_t>(options.body_bytes), 'x');
    expected_ = "\"body_bytes\":" + std::to_string(options.body_bytes) + "}";
  }
  head_ += "\r\n\r\n";
  buffer_.resize(256 * 1024);
  clients_.resize(static_cast<size_t>(options.connections));
}

int HttpLoad::Run() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  const int64_t start = Now();
  end_ = start + static_cast<int64_t>(options_.seconds * 1e9);
  for (uint32_t i = 0; i < clients_.size(); ++i) Open(i);
  epoll_event events[256];
  int64_t now = start;
  while (now < end_) {
    const int wait = static_cast<int>((end_ - now) / 1'000'000) + 1;
    const int count = epoll_wait(epoll_, events, 256, wait);
    for (int i = 0; i < count; ++i) {
      const uint32_t index = events[i].data.u32;
      if (clients_[index].fd < 0) continue;
      if (clients_[index].sending && (events[i].events & EPOLLOUT) != 0) Send(index);
      if (clients_[index].fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        Receive(index);
      }
    }
    now = Now();
    // Connections that could not be made are tried again, once a turn of the loop.
    for (uint32_t i = 0; count == 0 && i < clients_.size(); ++i) {
      if (clients_[i].fd < 0) Open(i);
    }
  }
  result_.seconds = static_cast<double>(now - start) / 1e9;
  for (Client& client : clients_) {
    if (client.fd >= 0) CloseHard(client.fd);
  }
  close(epoll_);
  PrintResult(options_, result_);
  return result_.done > 0 ? 0 : 1;
}

void HttpLoad::Open(uint32_t index) {
  Client& client = clients_[index];
  const int fd = Connect(options_, opened_++);
  if (fd < 0) {
    ++result_.connect_errors;
    client.fd = -1;
    return;
  }
  client.fd = fd;
  client.connected = false;
  // A request's time begins before its connection, where it has one of its own.
  client.began = Now();
  client.sending = true;
  client.sent = 0;
  client.reader.Reset();
  AddToEpoll(epoll_, fd, EPOLLIN | EPOLLOUT, index);
}

void HttpLoad::StartRequest(uint32_t index) {
  Client& client = clients_[index];
  client.began = Now();
  client.sent = 0;
  client.reader.Reset();
  Send(index);
}

void HttpLoad::Send(uint32_t index) {
  Client& client = clients_[index];
  const size_t total = head_.size() + body_.size();
  while (client.sent < total) {
    iovec pieces[2];
    int count = 0;
    const size_t of_body = client.sent > head_.size() ? client.sent - head_.size() : 0;
    if (client.sent < head_.size()) {
      pieces[count++] = {head_.data() + client.sent, head_.size() - client.sent};
    }
    if (of_body < body_.size()) {
      // Pieces of a quarter megabyte: a real client does not hand over its whole file at once.
      const size_t size = std::min<size_t>(body_.size() - of_body, 256 * 1024);
      pieces[count++] = {body_.data() + of_body, size};
    }
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = static_cast<size_t>(count);
    const ssize_t sent = sendmsg(client.fd, &message, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN) {
        Broken(index, client.connected ? &result_.closed : &result_.connect_errors);
      } else if (!client.sending) {
        client.sending = true;
        ChangeInEpoll(epoll_, client.fd, EPOLLIN | EPOLLOUT, index);
      }
      return;
    }
    client.connected = true;
    client.sent += static_cast<size_t>(sent);
  }
  if (client.sending) {
    client.sending = false;
    ChangeInEpoll(epoll_, client.fd, EPOLLIN, index);
  }
}

void HttpLoad::Receive(uint32_t index) {
  Client& client = clients_[index];
  const ssize_t size = recv(client.fd, buffer_.data(), buffer_.size(), 0);
  if (size < 0 && errno == EAGAIN) return;
  if (size <= 0) {
    Broken(index, client.connected ? &result_.closed : &result_.connect_errors);
    return;
  }
  result_.bytes += static_cast<uint64_t>(size);
  switch (client.reader.Feed({buffer_.data(), static_cast<size_t>(size)})) {
    case ResponseReader::Step::kMore:
      return;
    case ResponseReader::Step::kDone:
      Finish(index, client.reader.status() == 200 &&
                        client.reader.body().find(expected_) != std::string::npos);
      return;
    case ResponseReader::Step::kBad:
      Broken(index, &result_.bad_answers);
      return;
  }
}

void HttpLoad::Finish(uint32_t index, bool good) {
  Client& client = clients_[index];
  const int64_t now = Now();
  if (good) {
    ++result_.done;
    result_.latency.Add(now - client.began);
  } else {
    ++result_.bad_answers;
  }
  if (now >= end_) return;
  if (fresh_ || client.sent < head_.size() + body_.size()) {
    // The proxy closes first, as it was asked to; waiting for its FIN would only measure the
    // client.
    close(client.fd);
    client.fd = -1;
    Open(index);
  } else {
    StartRequest(index);
  }
}

void HttpLoad::Broken(uint32_t index, uint64_t* count) {
  ++*count;
  CloseHard(clients_[index].fd);
  clients_[index].fd = -1;
  // A refused connection is tried again when the loop has nothing else to do, not in a storm.
  if (count != &result_.connect_errors && Now() < end_) Open(index);
}

}  // namespace

int RunHttp(const Options& options) { return HttpLoad(options).Run(); }

}  // namespace rondo::load
