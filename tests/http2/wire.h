// Frames of HTTP/2 as bytes, written and read by hand, so that tests can say what no library would.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "rondo/http2/types.h"

namespace rondo::http2::wire {

enum Type : uint8_t {
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

enum Flag : uint8_t {
  kNone = 0,
  kAck = 1,
  kEndStream = 1,
  kEndHeaders = 4,
  kPadded = 8,
  kWithPriority = 32,
};

enum Setting : uint16_t {
  kHeaderTableSize = 1,
  kEnablePush = 2,
  kMaxConcurrentStreams = 3,
  kInitialWindowSize = 4,
  kMaxFrameSize = 5,
  kMaxHeaderListSize = 6,
  kEnableConnectProtocol = 8,
  kNoRfc7540Priorities = 9,
};

inline const std::string kHello(kPreface, kPrefaceBytes);

// `bytes` of them, most significant first.
inline std::string Number(uint64_t value, size_t bytes) {
  std::string text;
  for (size_t i = bytes; i > 0; --i) text.push_back(static_cast<char>(value >> (8 * (i - 1))));
  return text;
}

inline std::string Frame(uint8_t type, int flags, uint32_t stream, std::string_view payload) {
  return Number(payload.size(), 3) + Number(type, 1) + Number(static_cast<uint64_t>(flags), 1) +
         Number(stream, 4) + std::string(payload);
}

inline std::string Settings(std::initializer_list<std::pair<uint16_t, uint32_t>> parameters = {}) {
  std::string payload;
  for (const auto& [id, value] : parameters) payload += Number(id, 2) + Number(value, 4);
  return Frame(kSettings, 0, 0, payload);
}
inline std::string SettingsAck() { return Frame(kSettings, kAck, 0, ""); }
inline std::string Data(uint32_t stream, std::string_view bytes, int flags = 0) {
  return Frame(kData, flags, stream, bytes);
}
inline std::string Headers(uint32_t stream, std::string_view block,
                           int flags = kEndHeaders | kEndStream) {
  return Frame(kHeaders, flags, stream, block);
}
inline std::string RstStream(uint32_t stream, ErrorCode code) {
  return Frame(kRstStream, 0, stream, Number(static_cast<uint32_t>(code), 4));
}
inline std::string Ping(std::string_view payload, int flags = 0) {
  return Frame(kPing, flags, 0, payload);
}
inline std::string Goaway(uint32_t last, ErrorCode code, std::string_view why = "") {
  return Frame(kGoaway, 0, 0,
               Number(last, 4) + Number(static_cast<uint32_t>(code), 4) + std::string(why));
}
inline std::string WindowUpdate(uint32_t stream, uint32_t increment) {
  return Frame(kWindowUpdate, 0, stream, Number(increment, 4));
}

// -- RFC 7541 --

// An integer with a prefix of `bits` bits, in whose byte `pattern` stands (§5.1).
inline std::string Integer(uint64_t value, int bits, uint8_t pattern) {
  const uint64_t most = (uint64_t{1} << bits) - 1;
  if (value < most) return Number(pattern | value, 1);
  std::string text = Number(pattern | most, 1);
  for (value -= most; value >= 128; value >>= 7) text += Number(128 | (value & 127), 1);
  return text + Number(value, 1);
}
inline std::string String(std::string_view text) {
  return Integer(text.size(), 7, 0) + std::string(text);
}
inline std::string Indexed(uint64_t index) { return Integer(index, 7, 0x80); }
// Without indexing, never huffman.
inline std::string Literal(std::string_view name, std::string_view value) {
  return Number(0, 1) + String(name) + String(value);
}
inline std::string Literal(uint64_t index, std::string_view value) {
  return Integer(index, 4, 0) + String(value);
}
inline std::string Remembered(std::string_view name, std::string_view value) {
  return Number(0x40, 1) + String(name) + String(value);
}
inline std::string TableSize(uint64_t size) { return Integer(size, 5, 0x20); }

using Fields = std::vector<std::pair<std::string, std::string>>;

inline std::string Block(const Fields& fields) {
  std::string block;
  for (const auto& [name, value] : fields) block += Literal(name, value);
  return block;
}
// A request's head, with more fields behind it.
inline Fields Get(std::string_view path = "/", const Fields& more = {}) {
  Fields fields = {{":method", "GET"},
                   {":scheme", "https"},
                   {":authority", "example.com"},
                   {":path", std::string(path)}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}
inline Fields Post(const Fields& more = {}) {
  Fields fields = Get("/", more);
  fields[0].second = "POST";
  return fields;
}
inline Fields Ok(const Fields& more = {}) {
  Fields fields = {{":status", "200"}};
  fields.insert(fields.end(), more.begin(), more.end());
  return fields;
}

// -- reading --

struct Seen {
  uint8_t type = 0;
  uint8_t flags = 0;
  uint32_t stream = 0;
  std::string payload;

  uint32_t number(size_t at = 0) const {
    uint32_t value = 0;
    for (size_t i = at; i < at + 4 && i < payload.size(); ++i) {
      value = value << 8 | static_cast<uint8_t>(payload[i]);
    }
    return value;
  }
  bool ends() const { return (flags & kEndStream) != 0; }
};

// Whole frames only; what is left of `bytes` is a part of one.
inline std::vector<Seen> TakeFrames(std::string& bytes) {
  std::vector<Seen> frames;
  const auto byte = [&](size_t at) { return static_cast<uint8_t>(bytes[at]); };
  while (bytes.size() >= 9) {
    const size_t size = size_t{byte(0)} << 16 | size_t{byte(1)} << 8 | byte(2);
    if (bytes.size() < 9 + size) break;
    Seen frame;
    frame.type = byte(3);
    frame.flags = byte(4);
    for (size_t i = 5; i < 9; ++i) frame.stream = frame.stream << 8 | byte(i);
    frame.payload = bytes.substr(9, size);
    bytes.erase(0, 9 + size);
    frames.push_back(std::move(frame));
  }
  return frames;
}

}  // namespace rondo::http2::wire
