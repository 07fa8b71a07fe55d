// Where a message body ends, and what of the bytes is body: Content-Length, chunked, until close.
// Pure; no allocation but for trailers. One decoder belongs to one direction of one exchange.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "rondo/http/h1_parser.h"
#include "rondo/http/header_edits.h"
#include "rondo/http/message.h"

namespace rondo::http {

class BodyDecoder {
 public:
  struct Step {
    // Bytes of the input that are dealt with. Those behind belong to the next message when done;
    // else all of them were consumed.
    size_t consumed = 0;
    // Body data: one span inside the given buffer (chunked data is moved together in place).
    char* data = nullptr;
    size_t size = 0;
    // The message has ended.
    bool done = false;
    // Malformed: the data of this step must not be used, and the connection neither.
    Refusal refusal;
  };

  BodyDecoder() = default;
  BodyDecoder(BodyDecoder&&) = default;
  BodyDecoder& operator=(BodyDecoder&&) = default;

  // Starts a body. `limits` bound the trailer section. `refusal_status` is that of refusals: 400
  // for what comes from a client (413 and 431 are never used here), 502 for what comes from a
  // backend. What `edits` drop of a head is no trailer either: a receiver may merge the two. They
  // outlive the body.
  void Begin(Framing framing, uint64_t content_length, const HeadLimits& limits, int refusal_status,
             const CompiledEdits* edits = nullptr);

  // Takes the next bytes. With kNone, or once done, it consumes nothing and says done.
  // Chunked (RFC 9112 §7.1) is read strictly: sizes are at most 16 hex digits and below 2^60,
  // extensions are skipped within a bound, every line ends in CRLF. May write to `bytes[0, n)`.
  Step Decode(char* bytes, size_t n);

  // Whether the end of the connection now is the proper end of the body: done, or until close.
  bool CloseEndsBody() const { return state_ == State::kDone || state_ == State::kUntilClose; }
  bool done() const { return state_ == State::kDone; }
  // kLength: the bytes still to come; else 0.
  uint64_t remaining() const { return state_ == State::kLength ? remaining_ : 0; }

  // After the end of a chunked body: its trailer fields as "Name: value\r\n" lines, without those
  // that may not be trailers (framing, routing, hop-by-hop, authentication: RFC 9110 §6.5.1), and
  // without what the edits drop. Often empty.
  std::string_view trailers() const { return trailers_ ? std::string_view(*trailers_) : ""; }

 private:
  enum class State : uint8_t {
    kDone,
    kLength,
    kUntilClose,
    kChunkSize,      // before the first digit
    kChunkSizeMore,  // after at least one digit
    kChunkExtension,
    kChunkSizeLf,
    kChunkData,
    kChunkDataCr,
    kChunkDataLf,
    kTrailerStart,
    kTrailerName,
    kTrailerLine,
    kTrailerLf,
    kFinalLf,
    kRefused,
  };

  Step DecodeChunked(char* bytes, size_t n);
  const char* TakeFramingByte(char c);
  const char* TakeSizeByte(char c);
  const char* TakeTrailerByte(char c);
  void EndTrailerLine();
  Step Refuse(const char* reason);

  uint64_t remaining_ = 0;
  std::unique_ptr<std::string> trailers_;
  const char* refused_ = nullptr;
  const CompiledEdits* edits_ = nullptr;
  uint32_t extension_bytes_ = 0;  // of this chunk
  uint32_t trailer_bytes_ = 0;
  uint32_t trailer_bytes_max_ = 0;
  uint32_t line_start_ = 0;  // in *trailers_
  uint16_t trailer_count_ = 0;
  uint16_t trailer_count_max_ = 0;
  int16_t refusal_status_ = 400;
  uint8_t size_digits_ = 0;
  State state_ = State::kDone;
};
static_assert(sizeof(BodyDecoder) <= 64);

// Room that WriteChunkHead needs: 16 hex digits and CRLF.
inline constexpr size_t kChunkHeadMax = 18;
// Writes the size line of a chunk to `out`, which has room for kChunkHeadMax; returns its length.
// REQUIRES: size > 0, since a chunk of 0 bytes ends the body.
size_t WriteChunkHead(char* out, size_t size);
// Ends a chunk's data.
inline constexpr std::string_view kChunkTail = "\r\n";
// The end of a body without trailers; and with them: kLastChunkSize, the trailer lines, kChunkTail.
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";
inline constexpr std::string_view kLastChunkSize = "0\r\n";

}  // namespace rondo::http
