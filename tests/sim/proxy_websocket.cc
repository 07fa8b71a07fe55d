#include "proxy_websocket.h"

#include "absl/strings/str_cat.h"

namespace rondo::sim {

std::string WriteFrame(bool masked, uint8_t first, const std::string& payload) {
  std::string frame(1, static_cast<char>(first));
  const auto mask_bit = static_cast<uint8_t>(masked ? 0x80 : 0);
  const size_t size = payload.size();
  if (size < 126) {
    frame += static_cast<char>(mask_bit | size);
  } else {
    const int bytes = size < 65536 ? 2 : 8;
    frame += static_cast<char>(mask_bit | (bytes == 2 ? 126 : 127));
    for (int i = bytes - 1; i >= 0; --i) frame += static_cast<char>(size >> (8 * i));
  }
  constexpr char kMask[] = "\x11\x22\x33\x44";
  if (masked) frame.append(kMask, 4);
  for (size_t i = 0; i < size; ++i) {
    frame += static_cast<char>(masked ? payload[i] ^ kMask[i % 4] : payload[i]);
  }
  return frame;
}

SocketEnd::SocketEnd(Scene& scene, SimEngine& engine, Role role)
    : scene_(scene), role_(role), peer_(scene.world, engine) {
  peer_.on_connected = [this] { peer_.Send(asked_); };
  peer_.on_receive = [this](std::string_view bytes) { Take(bytes); };
  peer_.on_end = [this] { End(true); };
  peer_.on_error = [this](int) { End(false); };
  peer_.on_send_error = [](int) {};
}

void SocketEnd::Connect(const SocketAddress& address, const std::string& target,
                        const std::string& fields) {
  asked_ =
      absl::StrCat("GET ", target,
                   " HTTP/1.1\r\nHost: site.example\r\nConnection: Upgrade\r\nUpgrade: ", protocol,
                   "\r\n", fields, "\r\n");
  peer_.Connect(address);
}

void SocketEnd::SendRaw(const std::string& bytes) {
  if (opened_) {
    peer_.Send(bytes);
  } else {
    held_ += bytes;
  }
}

const SocketFrame* SocketEnd::close() const {
  for (const SocketFrame& frame : frames_) {
    if (frame.is_close()) return &frame;
  }
  return nullptr;
}

void SocketEnd::Take(std::string_view bytes) {
  raw_ += bytes;
  if (!opened_) TakeHead();
  if (!opened_ || !speaks_frames) return;
  while (TakeFrame()) {
  }
}

void SocketEnd::TakeHead() {
  const size_t end = raw_.find("\r\n\r\n");
  if (end == std::string::npos) return;
  head_ = raw_.substr(0, end + 4);
  raw_.erase(0, end + 4);
  if (role_ == Role::kServer) {
    peer_.Send(absl::StrCat("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ",
                            protocol, "\r\n\r\n"));
  } else if (!head_.starts_with("HTTP/1.1 101")) {
    return;  // the test looks at the head
  }
  opened_ = true;
  if (!held_.empty()) peer_.Send(std::exchange(held_, ""));
}

bool SocketEnd::TakeFrame() {
  const auto byte = [this](size_t i) { return static_cast<uint8_t>(raw_[i]); };
  if (raw_.size() < 2) return false;
  SocketFrame frame;
  frame.first = byte(0);
  frame.masked = (byte(1) & 0x80) != 0;
  frame.at = scene_.world.now();
  uint64_t size = byte(1) & 0x7f;
  const size_t more = size == 126 ? 2 : size == 127 ? 8 : 0;
  const size_t head = 2 + more + (frame.masked ? 4 : 0);
  if (raw_.size() < head) return false;
  if (more > 0) size = 0;
  for (size_t i = 0; i < more; ++i) size = size << 8 | byte(2 + i);
  if (raw_.size() < head + size) return false;
  frame.payload = raw_.substr(head, size);
  for (size_t i = 0; frame.masked && i < size; ++i) {
    frame.payload[i] = static_cast<char>(frame.payload[i] ^ raw_[head - 4 + i % 4]);
  }
  raw_.erase(0, head + size);
  if (close() != nullptr) scene_.Report("a frame behind a Close frame");
  if (frame.masked == (role_ == Role::kClient)) scene_.Report("a frame with a wrong mask");
  const bool is_close = frame.is_close();
  frames_.push_back(std::move(frame));
  if (is_close && answers_close && !said_close_) {
    said_close_ = true;
    Say(0x88, frames_.back().payload);
    if (role_ == Role::kServer) peer_.FinishSending();
  }
  return true;
}

void SocketEnd::End(bool orderly) {
  if (!ended()) ended_at_ = scene_.world.now();
  broken_ |= !orderly;
  peer_.Close();
}

SocketBackend::SocketBackend(Scene& scene, SimEngine& engine, const SocketAddress& address)
    : acceptor_(scene.world, engine, address, [this, &scene, &engine](int fd) {
        ends_.push_back(std::make_unique<SocketEnd>(scene, engine, SocketEnd::Role::kServer));
        if (on_accept) on_accept(*ends_.back());
        ends_.back()->Adopt(fd);
      }) {}

void SocketBackend::Stop() {
  acceptor_.Stop();
  for (auto& end : ends_) end->Close();
}

}  // namespace rondo::sim
