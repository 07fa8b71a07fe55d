// The WebSocket half of EchoConnection: frames go back as they come, unmasked (RFC 6455 §5.1),
// without being held whole; a ping is answered and a close ends the connection.
#include <algorithm>
#include <cstring>

#include "app/echo_connection.h"

namespace rondo::app {
namespace {

constexpr uint8_t kClose = 8;
constexpr uint8_t kPing = 9;
constexpr uint8_t kPong = 10;

void AppendFrameHead(std::string* out, uint8_t first, uint64_t size) {
  out->push_back(static_cast<char>(first));
  if (size < 126) {
    out->push_back(static_cast<char>(size));
    return;
  }
  const int bytes = size < 65536 ? 2 : 8;
  out->push_back(static_cast<char>(bytes == 2 ? 126 : 127));
  for (int i = bytes - 1; i >= 0; --i) out->push_back(static_cast<char>(size >> (8 * i)));
}

}  // namespace

size_t EchoConnection::ConsumeFrameHead(std::string_view data) {
  if (data.size() < 2) return 0;
  const auto byte = [data](size_t i) { return static_cast<uint8_t>(data[i]); };
  const bool masked = (byte(1) & 0x80) != 0;
  uint64_t size = byte(1) & 0x7f;
  const size_t extra = size == 126 ? 2 : size == 127 ? 8 : 0;
  if (data.size() < 2 + extra + 4) return 0;
  if (extra > 0) size = 0;
  for (size_t i = 0; i < extra; ++i) size = size << 8 | byte(2 + i);
  opcode_ = byte(0) & 0x0f;
  const bool control = opcode_ >= kClose;
  // A client's frame is masked, a control frame short and whole, and no extension was agreed on.
  if (!masked || (byte(0) & 0x70) != 0 || size > INT64_MAX || opcode_ > kPong ||
      (control && (size > 125 || (byte(0) & 0x80) == 0))) {
    out_.append("\x88\x02\x03\xea", 4);  // 1002, protocol error
    state_ = State::kClosing;
    return data.size();
  }
  std::memcpy(mask_, data.data() + 2 + extra, 4);
  mask_at_ = 0;
  in_left_ = static_cast<int64_t>(size);
  control_.clear();
  state_ = control ? State::kFrameControl : State::kFrameData;
  if (!control) AppendFrameHead(&out_, byte(0), size);
  if (in_left_ == 0) FinishFrame();
  return 2 + extra + 4;
}

size_t EchoConnection::ConsumeFrameData(std::string_view data) {
  const size_t size = std::min(data.size(), static_cast<size_t>(in_left_));
  std::string& out = state_ == State::kFrameControl ? control_ : out_;
  const size_t at = out.size();
  out.append(data.substr(0, size));
  for (size_t i = 0; i < size; ++i) out[at + i] ^= static_cast<char>(mask_[mask_at_++ & 3]);
  in_left_ -= static_cast<int64_t>(size);
  if (size > 0 && in_left_ == 0) FinishFrame();
  return size;
}

void EchoConnection::FinishFrame() {
  const bool control = state_ == State::kFrameControl;
  state_ = State::kFrameHead;
  if (!control || opcode_ == kPong) return;
  AppendFrameHead(&out_, static_cast<uint8_t>(0x80 | (opcode_ == kPing ? kPong : kClose)),
                  control_.size());
  out_.append(control_);
  if (opcode_ == kClose) state_ = State::kClosing;
}

}  // namespace rondo::app
