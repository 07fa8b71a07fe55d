#include "rondo/http/websocket.h"

namespace rondo::http {
namespace {

constexpr uint8_t kFin = 0x80;
constexpr uint8_t kMasked = 0x80;
constexpr uint8_t kOpcode = 0x0f;
constexpr uint8_t kControl = 0x08;
constexpr uint8_t kOpcodeBinary = 0x2;
constexpr uint8_t kOpcodeClose = 0x8;
constexpr uint8_t kOpcodePong = 0xa;
constexpr uint8_t kControlPayloadMax = 125;
constexpr uint8_t kSizeInTwo = 126;
constexpr uint8_t kSizeInEight = 127;
constexpr uint8_t kMaskBytes = 4;

bool IsKnown(uint8_t opcode) {
  return opcode <= kOpcodeBinary || (opcode >= kOpcodeClose && opcode <= kOpcodePong);
}

}  // namespace

void FrameCursor::Advance(std::string_view bytes) {
  while (!bytes.empty() && state_ != State::kClosed && state_ != State::kBroken) {
    bytes.remove_prefix(Step(bytes));
  }
}

size_t FrameCursor::AdvanceToBoundary(std::string_view bytes) {
  size_t taken = 0;
  while (taken < bytes.size()) {
    if (state_ == State::kBoundary || state_ == State::kClosed) return taken;
    if (state_ == State::kBroken) return bytes.size();
    taken += Step(bytes.substr(taken));
  }
  return taken;
}

size_t FrameCursor::Step(std::string_view bytes) {
  const auto byte = static_cast<uint8_t>(bytes.front());
  switch (state_) {
    case State::kBoundary:
      TakeFirst(byte);
      return 1;
    case State::kSize:
      TakeSize(byte);
      return 1;
    case State::kLongSize:
      TakeLongSize(byte);
      return 1;
    case State::kMask:
      if (--head_left_ == 0) HeadIsWhole();
      return 1;
    case State::kPayload: {
      const size_t size = left_ < bytes.size() ? static_cast<size_t>(left_) : bytes.size();
      left_ -= size;
      if (left_ == 0) FrameIsWhole();
      return size;
    }
    case State::kClosed:
    case State::kBroken:
      break;
  }
  return bytes.size();
}

// The reserved bits belong to extensions, which both ends have agreed on.
void FrameCursor::TakeFirst(uint8_t byte) {
  const uint8_t opcode = byte & kOpcode;
  const bool torn_control = (opcode & kControl) != 0 && (byte & kFin) == 0;
  first_ = byte;
  state_ = !IsKnown(opcode) || torn_control ? State::kBroken : State::kSize;
}

void FrameCursor::TakeSize(uint8_t byte) {
  const bool masked = (byte & kMasked) != 0;
  const uint8_t size = byte & static_cast<uint8_t>(~kMasked);
  const bool control = (first_ & kControl) != 0;
  if (masked != (from_ == From::kClient) || (control && size > kControlPayloadMax)) {
    state_ = State::kBroken;
    return;
  }
  if (size < kSizeInTwo) {
    left_ = size;
    state_ = State::kMask;
    head_left_ = kMaskBytes;
    if (from_ == From::kServer) HeadIsWhole();
    return;
  }
  left_ = 0;
  long_size_ = size == kSizeInEight;
  head_left_ = long_size_ ? 8 : 2;
  state_ = State::kLongSize;
}

void FrameCursor::TakeLongSize(uint8_t byte) {
  left_ = left_ << 8 | byte;
  if (--head_left_ > 0) return;
  // The shortest form has to be used, and the top bit is zero: anything else is not a size.
  const uint64_t least = long_size_ ? uint64_t{1} << 16 : kSizeInTwo;
  if (left_ < least || left_ >> 63 != 0) {
    state_ = State::kBroken;
    return;
  }
  state_ = State::kMask;
  head_left_ = kMaskBytes;
  if (from_ == From::kServer) HeadIsWhole();
}

void FrameCursor::HeadIsWhole() {
  state_ = State::kPayload;
  if (left_ == 0) FrameIsWhole();
}

void FrameCursor::FrameIsWhole() {
  state_ = (first_ & kOpcode) == kOpcodeClose ? State::kClosed : State::kBoundary;
}

size_t WriteCloseFrame(uint16_t code, std::optional<uint32_t> mask, char* out) {
  constexpr uint8_t kPayloadBytes = 2;
  size_t at = 0;
  const auto put = [&](unsigned byte) {
    out[at++] = static_cast<char>(static_cast<uint8_t>(byte));
  };
  put(kFin | kOpcodeClose);
  put(mask ? kMasked | kPayloadBytes : kPayloadBytes);
  const uint32_t key = mask.value_or(0);
  if (mask) {
    for (int shift = 24; shift >= 0; shift -= 8) put(key >> shift & 0xff);
  }
  put((code >> 8) ^ (key >> 24 & 0xff));
  put((code & 0xffu) ^ (key >> 16 & 0xff));
  return at;
}

}  // namespace rondo::http
