// Goes over the frames of one direction of a connection without taking part in it: where each
// begins and what its head says, however the bytes are cut. It is how floods are seen before
// anything is done with them, those of frames that nghttp2 skips in silence included.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace rondo::http2 {

enum class FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoaway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};

inline constexpr uint8_t kFlagEndStream = 1;
inline constexpr uint8_t kFlagAck = 1;
inline constexpr uint8_t kFlagEndHeaders = 4;
inline constexpr uint8_t kFlagPadded = 8;

struct FrameHead {
  static constexpr size_t kBytes = 9;  // RFC 9113 §4.1
  uint32_t length = 0;
  FrameType type = FrameType::kData;  // others than those with a name are extensions
  uint8_t flags = 0;
  uint32_t stream = 0;
};

class FrameWalk {
 public:
  // Calls `take` with each frame's head whose last byte is among these; it returns whether to go
  // on. What is behind a preface is walked over, the preface is not.
  template <typename Take>
  void Over(std::span<const char> bytes, const Take& take) {
    while (!bytes.empty()) {
      const size_t skipped = std::min<size_t>(payload_left_, bytes.size());
      payload_left_ -= static_cast<uint32_t>(skipped);
      bytes = bytes.subspan(skipped);
      if (!TakeHead(bytes)) return;
      if (!take(head_)) return;
    }
  }
  // Within a head whose end has not come: in HEADERS, or in front of a CONTINUATION.
  bool in_head() const { return block_open_ || (in_block_ && payload_left_ > 0); }
  // HEADERS so far; it wraps around.
  uint32_t heads() const { return heads_; }

 private:
  // Takes bytes of a frame's head; true once it is whole.
  bool TakeHead(std::span<const char>& bytes) {
    if (bytes.empty()) return false;
    const size_t taken = std::min(FrameHead::kBytes - have_, bytes.size());
    std::memcpy(raw_.data() + have_, bytes.data(), taken);
    have_ += taken;
    bytes = bytes.subspan(taken);
    if (have_ < FrameHead::kBytes) return false;
    have_ = 0;
    head_.length = uint32_t{raw_[0]} << 16 | uint32_t{raw_[1]} << 8 | raw_[2];
    head_.type = static_cast<FrameType>(raw_[3]);
    head_.flags = raw_[4];
    head_.stream =
        (uint32_t{raw_[5]} << 24 | uint32_t{raw_[6]} << 16 | uint32_t{raw_[7]} << 8 | raw_[8]) &
        0x7fffffff;
    payload_left_ = head_.length;
    in_block_ = head_.type == FrameType::kHeaders || head_.type == FrameType::kContinuation;
    if (head_.type == FrameType::kHeaders) ++heads_;
    block_open_ = in_block_ && (head_.flags & kFlagEndHeaders) == 0;
    return true;
  }

  std::array<uint8_t, FrameHead::kBytes> raw_{};
  size_t have_ = 0;
  uint32_t payload_left_ = 0;
  uint32_t heads_ = 0;
  bool in_block_ = false;
  bool block_open_ = false;
  FrameHead head_;
};

}  // namespace rondo::http2
