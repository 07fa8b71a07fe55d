// HTTP/1 message heads: bytes in, a head, "need more", or a refusal with its reason. Pure: no I/O,
// no clock.
//
// What two parsers could read in two ways is refused and never repaired (RFC 9112 §6.3, §11.2). A
// parser is scratch without memory of a connection, so one serves all connections of a worker.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "rondo/http/message.h"

namespace rondo::http {

struct HeadLimits {
  size_t header_bytes = 32768;  // the whole head, first line and blank line included
  size_t header_count = 100;
};

enum class HeadStatus : uint8_t { kNeedMore, kComplete, kRefused };

struct HeadResult {
  HeadStatus status = HeadStatus::kNeedMore;
  // kComplete: what the head took of the bytes; behind it the body, or the next message, begins.
  size_t head_bytes = 0;
  // kNeedMore: pass it back with the same bytes and those that have come since, so that a head that
  // arrives byte by byte costs linear time. Opaque (a position and a count of lines); 0 to begin
  // with.
  size_t scanned = 0;
  // kRefused. Seen as early as the bytes allow; the connection cannot be used any further.
  Refusal refusal;
};

class RequestParser {
 public:
  // Parses the head at the beginning of `bytes`. `out` is filled on kComplete only and is a view of
  // `bytes`. At most two blank lines before the request line are skipped (RFC 9112 §2.2). Statuses
  // of refusals: 400, 414, 431, 501, 505.
  HeadResult Parse(std::string_view bytes, size_t scanned, const HeadLimits& limits,
                   RequestHead& out);
  // The same for text that was not received but written by http2/incoming.h, which has made sure
  // that its lines are what they should be, within the limits. Starts over each time.
  HeadResult ParseOwn(std::string_view bytes, RequestHead& out);
};

class ResponseParser {
 public:
  // Parses the head at the beginning of `bytes`; refusals have status 502. Interim responses (1xx)
  // come as heads of their own; the caller goes on behind each.
  HeadResult Parse(std::string_view bytes, size_t scanned, const HeadLimits& limits,
                   bool request_was_head, bool request_had_upgrade, ResponseHead& out);
  // As with requests.
  HeadResult ParseOwn(std::string_view bytes, bool request_was_head, bool request_had_upgrade,
                      ResponseHead& out);
};

}  // namespace rondo::http
