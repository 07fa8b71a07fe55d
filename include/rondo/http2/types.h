// What both ends of an HTTP/2 connection are set up with, and the codes they tell each other
// (RFC 9113).
#pragma once

#include <cstddef>
#include <cstdint>

namespace rondo::http2 {

// RFC 9113 §7.
enum class ErrorCode : uint32_t {
  kNoError = 0,
  kProtocolError = 1,
  kInternalError = 2,
  kFlowControlError = 3,
  kSettingsTimeout = 4,
  kStreamClosed = 5,
  kFrameSizeError = 6,
  kRefusedStream = 7,
  kCancel = 8,
  kCompressionError = 9,
  kConnectError = 10,
  kEnhanceYourCalm = 11,
  kInadequateSecurity = 12,
  kHttp11Required = 13,
};

enum class Role : uint8_t { kServer, kClient };

struct SessionOptions {
  Role role = Role::kServer;
  // Server: streams that the client may have open at once. Client: our own bound beside the peer's.
  uint32_t streams_max = 128;
  // How many bytes of bodies the peer may send before some of them were taken: of one stream, of
  // all together. 65535 up to 2^31 - 1.
  uint32_t stream_window = 65535;
  uint32_t connection_window = 1 << 20;
  // Of a head, as HTTP/1.1 text; and of trailers.
  uint32_t header_bytes = 32768;
  uint32_t header_count = 100;
  // Server: of the numbers in Sec-WebSocket-Key, which a client of HTTP/2 does not send but an
  // HTTP/1.1 backend wants. Any number.
  uint64_t seed = 0;
};

// What begins every connection of a client that speaks HTTP/2 (RFC 9113 §3.4).
inline constexpr char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
inline constexpr size_t kPrefaceBytes = sizeof(kPreface) - 1;

}  // namespace rondo::http2
