// The modes that hold many connections: idle (each has made one request) and ws (each is a
// WebSocket, over which echoes then travel at a fixed rate).
#include <arpa/inet.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <vector>

#include "load.h"

namespace rondo::load {
namespace {

// Connections being set up at a time: few, so that no proxy grows for a burst that is only ours.
constexpr int kOpeningMax = 32;

class HeldLoad {
 public:
  HeldLoad(const Options& options, bool websocket);
  // Opens all connections and makes their first exchange; returns how many stand.
  int OpenAll();
  // Echoes for options.seconds, then waits two seconds at most for those still on their way.
  void Echo();
  // Counts the connections that are gone or that say something unasked.
  void CheckIdle();
  Result& result() { return result_; }
  int standing() const { return standing_; }

 private:
  struct Client {
    int fd = -1;
    bool ready = false;
    int64_t asked = 0;  // when the echo that is on its way was due; 0: none
    std::string in;
  };

  void Open(uint32_t index);
  void HandleOpening(uint32_t index, uint32_t events);
  void HandleEcho(uint32_t index);
  void SendEcho(uint32_t index, int64_t due);
  void Drop(uint32_t index, uint64_t* count);
  bool FirstAnswerComplete(Client* client, bool* bad) const;

  const Options& options_;
  const bool websocket_;
  std::string request_;
  std::string frame_;
  std::vector<Client> clients_;
  int epoll_ = -1;
  int opening_ = 0;
  int standing_ = 0;
  uint64_t under_way_ = 0;
  Result result_;
};

HeldLoad::HeldLoad(const Options& options, bool websocket)
    : options_(options), websocket_(websocket), clients_(static_cast<size_t>(options.connections)) {
  request_ = "GET " + options.path + " HTTP/1.1\r\nHost: " + options.target_text + "\r\n";
  if (websocket) {
    request_ +=
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  }
  request_ += "\r\n";
  // A masked binary frame; a mask of zeros leaves the payload as it is.
  const auto size = static_cast<size_t>(std::clamp(options.payload_bytes, 1, 125));
  frame_ = {static_cast<char>(0x82), static_cast<char>(0x80 | size), 0, 0, 0, 0};
  frame_.append(size, 'e');
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
}

void HeldLoad::Open(uint32_t index) {
  const int fd = Connect(options_, index);
  if (fd < 0) {
    ++result_.connect_errors;
    return;
  }
  clients_[index].fd = fd;
  ++opening_;
  AddToEpoll(epoll_, fd, EPOLLOUT, index);
}

int HeldLoad::OpenAll() {
  epoll_event events[256];
  uint32_t next = 0;
  int64_t last_progress = Now();
  while (next < clients_.size() || opening_ > 0) {
    while (next < clients_.size() && opening_ < kOpeningMax) Open(next++);
    const int count = epoll_wait(epoll_, events, 256, 100);
    if (count > 0) last_progress = Now();
    for (int i = 0; i < count; ++i) HandleOpening(events[i].data.u32, events[i].events);
    if (Now() - last_progress > 10'000'000'000) break;
  }
  return standing_;
}

// True once the answer to the first request is whole.
bool HeldLoad::FirstAnswerComplete(Client* client, bool* bad) const {
  if (websocket_) {
    const size_t end = client->in.find("\r\n\r\n");
    if (end == std::string::npos) return false;
    *bad = !client->in.starts_with("HTTP/1.1 101");
    client->in.erase(0, end + 4);
    return true;
  }
  ResponseReader reader;
  const ResponseReader::Step step = reader.Feed(client->in);
  *bad = step == ResponseReader::Step::kBad ||
         (step == ResponseReader::Step::kDone && reader.status() != 200);
  return step != ResponseReader::Step::kMore;
}

void HeldLoad::HandleOpening(uint32_t index, uint32_t events) {
  Client& client = clients_[index];
  if (client.fd < 0) return;
  if (client.ready) {
    Drop(index, &result_.closed);
    return;
  }
  if ((events & EPOLLOUT) != 0) {
    if (send(client.fd, request_.data(), request_.size(), MSG_NOSIGNAL) < 0) {
      --opening_;
      Drop(index, &result_.connect_errors);
      return;
    }
    ChangeInEpoll(epoll_, client.fd, EPOLLIN, index);
    return;
  }
  char buffer[16384];
  const ssize_t size = recv(client.fd, buffer, sizeof buffer, 0);
  if (size <= 0) {
    --opening_;
    Drop(index, &result_.connect_errors);
    return;
  }
  client.in.append(buffer, static_cast<size_t>(size));
  bool bad = false;
  if (!FirstAnswerComplete(&client, &bad)) return;
  --opening_;
  if (bad) {
    Drop(index, &result_.bad_answers);
    return;
  }
  if (!websocket_) std::string().swap(client.in);
  client.ready = true;
  ++standing_;
}

void HeldLoad::Drop(uint32_t index, uint64_t* count) {
  Client& client = clients_[index];
  ++*count;
  if (client.ready) --standing_;
  if (client.asked != 0) {
    --under_way_;
    ++result_.lost;
  }
  CloseHard(client.fd);
  client = {};
}

void HeldLoad::SendEcho(uint32_t index, int64_t due) {
  Client& client = clients_[index];
  if (!client.ready) return;
  if (client.asked != 0) {
    ++result_.skipped;
    return;
  }
  const ssize_t sent = send(client.fd, frame_.data(), frame_.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(frame_.size())) {
    Drop(index, &result_.closed);
    return;
  }
  client.asked = due;
  ++under_way_;
}

void HeldLoad::HandleEcho(uint32_t index) {
  Client& client = clients_[index];
  if (client.fd < 0) return;
  char buffer[4096];
  const ssize_t size = recv(client.fd, buffer, sizeof buffer, 0);
  if (size < 0 && errno == EAGAIN) return;
  if (size <= 0) {
    Drop(index, &result_.closed);
    return;
  }
  result_.bytes += static_cast<uint64_t>(size);
  client.in.append(buffer, static_cast<size_t>(size));
  const size_t payload = frame_.size() - 6;
  if (client.in.size() < 2 + payload) return;
  const bool good = client.asked != 0 && client.in.size() == 2 + payload &&
                    client.in.compare(2, payload, frame_, 6, payload) == 0;
  client.in.clear();
  if (!good) {
    Drop(index, &result_.bad_answers);
    return;
  }
  result_.latency.Add(Now() - client.asked);
  client.asked = 0;
  --under_way_;
  ++result_.done;
}

void HeldLoad::Echo() {
  epoll_event events[256];
  const int64_t start = Now();
  const int64_t end = start + static_cast<int64_t>(options_.seconds * 1e9);
  const double step = 1e9 / options_.rate;
  uint64_t turn = 0;
  int64_t now = start;
  while (now < end || (under_way_ > 0 && now < end + 2'000'000'000)) {
    // Latency counts from when an echo was due, not from when this loop came to it.
    for (;; ++turn) {
      const int64_t due = start + static_cast<int64_t>(static_cast<double>(turn) * step);
      if (due > now || due >= end) break;
      SendEcho(static_cast<uint32_t>(turn % clients_.size()), due);
    }
    const int count = epoll_wait(epoll_, events, 256, 1);
    for (int i = 0; i < count; ++i) HandleEcho(events[i].data.u32);
    now = Now();
  }
  result_.lost += under_way_;
  result_.seconds = options_.seconds;
}

void HeldLoad::CheckIdle() {
  for (Client& client : clients_) {
    if (!client.ready) continue;
    char byte;
    const ssize_t size = recv(client.fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    if (size >= 0 || errno != EAGAIN) ++result_.lost;
  }
  result_.done = static_cast<uint64_t>(standing_);
}

int Hold(const Options& options, bool websocket) {
  HeldLoad load(options, websocket);
  const int standing = load.OpenAll();
  const bool go = AnnounceReady(options, standing);
  if (websocket && go && options.seconds > 0) load.Echo();
  if (!websocket) load.CheckIdle();
  PrintResult(options, load.result());
  return standing == options.connections ? 0 : 1;
}

}  // namespace

int RunIdle(const Options& options) { return Hold(options, false); }
int RunWebSocket(const Options& options) { return Hold(options, true); }

}  // namespace rondo::load
