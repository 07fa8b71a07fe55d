// Where WebSocket frames begin and end in a stream of bytes (RFC 6455 §5.2), so that a proxy can
// say good-bye between two of them; the frame that says it; and the handshake's two texts. Payloads
// are not looked at. Pure, no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rondo::http {

// Follows one direction of a WebSocket connection from its first byte, however its bytes are cut.
class FrameCursor {
 public:
  // Who sends this direction: clients mask their frames, servers must not (§5.1).
  enum class From : uint8_t { kClient, kServer };

  explicit FrameCursor(From from) : from_(from) {}

  // Goes on over these bytes.
  void Advance(std::string_view bytes);
  // The same up to where a control frame may be put in: the next end of a frame, or here, where
  // none has begun. How many bytes that were; all of them where there is no such place among them.
  size_t AdvanceToBoundary(std::string_view bytes);

  // A frame of another may be put in here: nothing of a frame has come, or the last one is whole.
  // Between the fragments of a message is such a place as well (§5.4).
  bool at_boundary() const { return state_ == State::kBoundary; }
  // A whole Close frame has come. What follows it is no frame, and is not followed (§5.5.1).
  bool closed() const { return state_ == State::kClosed; }
  // The bytes are no frames, so nothing is known of boundaries any more.
  bool broken() const { return state_ == State::kBroken; }

 private:
  enum class State : uint8_t { kBoundary, kSize, kLongSize, kMask, kPayload, kClosed, kBroken };
  // Goes over the first byte, or as many as are of the payload; how many that were. REQUIRES: there
  // is one.
  size_t Step(std::string_view bytes);
  void TakeFirst(uint8_t byte);
  void TakeSize(uint8_t byte);
  void TakeLongSize(uint8_t byte);
  void HeadIsWhole();
  void FrameIsWhole();

  uint64_t left_ = 0;  // bytes of the payload; while its size is read: what is known of it
  State state_ = State::kBoundary;
  From from_;
  uint8_t first_ = 0;       // the frame's first byte: FIN, reserved bits, opcode
  uint8_t head_left_ = 0;   // bytes of the part of the head that is being read
  bool long_size_ = false;  // the size stands in eight bytes
};

// Why a connection is closed (§7.4.1).
constexpr uint16_t kCloseGoingAway = 1001;

constexpr size_t kCloseFrameMax = 8;
// Writes a Close frame with that code and no text; its length. With a `mask` as a client sends it.
size_t WriteCloseFrame(uint16_t code, std::optional<uint32_t> mask, char* out);

constexpr size_t kWebSocketNonceBytes = 16;
constexpr size_t kWebSocketKeyBytes = 24;
// Writes the Sec-WebSocket-Key that a client makes of 16 random bytes (§4.1).
void WriteWebSocketKey(std::string_view nonce, char out[kWebSocketKeyBytes]);

constexpr size_t kWebSocketAcceptBytes = 28;
// Writes the Sec-WebSocket-Accept that answers `key` (§4.2.2).
void WriteWebSocketAccept(std::string_view key, char out[kWebSocketAcceptBytes]);

}  // namespace rondo::http
