// Header blocks as HTTP/2 has them, turned into the heads of HTTP/1.1 messages, with all that RFC
// 9113 §8 asks of a recipient: nothing gets through that two parsers could read differently. Pure.
//
// The text is what a client or a backend of HTTP/1.1 would have sent, so that all that is behind
// (routes, forwarding, retries) knows one form of message only. A body that is to come without a
// length is framed as chunks by whoever hands the text on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "rondo/http/message.h"
#include "rondo/http2/types.h"

namespace rondo::http2 {

// A message's head as text, and how its body is framed behind it.
struct IncomingHead {
  // Ends in a blank line. A view of the builder, until its next Begin. Empty where refused.
  std::string_view text;
  // kNone: no body. kLength: `content_length` bytes, which the text says too. kChunked: the text
  // says chunked. kUntilClose: a tunnel (RFC 8441), bytes that are framed by nothing.
  http::Framing framing = http::Framing::kNone;
  uint64_t content_length = 0;
  // Responses: 1xx; another head follows.
  bool interim = false;
  // Malformed (RFC 9113 §8.1.1), or more than the limits allow: 400 or 431 with a reason for
  // requests, 502 "bad_response" with a detail for responses. Nothing of it may be forwarded.
  http::Refusal refusal;
};

// One header block at a time: Begin, Add for each field in order, Finish. A builder is scratch: one
// serves all streams of a connection, since header blocks do not interleave.
class RequestBuilder {
 public:
  void Begin(const SessionOptions& options);
  // `name` and `value` as decompressed. Cheap once something is wrong or too long: nothing is kept.
  void Add(std::string_view name, std::string_view value);
  // `ends`: the head ends the stream. `key`: 16 bytes for Sec-WebSocket-Key, should the request be
  // an extended CONNECT for WebSocket, which becomes GET with Upgrade.
  //
  // Reasons (all 400 but where said): header_name (RFC 9113 §8.2.1: upper case, not a token,
  // empty), header_value (NUL, CR, LF, white space at its ends), connection_header (§8.2.2:
  // connection, keep-alive, proxy-connection, transfer-encoding, upgrade; te other than trailers;
  // also http2-settings), pseudo_header (unknown, doubled, behind a regular field, of the other
  // kind of message, missing, with an empty or malformed value), authority_and_host_differ,
  // no_authority (none and no host, or an authority with user information), content_length
  // (malformed, doubled with other values, or more than 0 where the head ends the stream),
  // headers_too_large and too_many_headers (431). A method CONNECT without :protocol comes out as
  // the text of a CONNECT, for which HTTP/1's parser has its answer. Cookie fields are joined by ";
  // " into one (§8.2.3).
  IncomingHead Finish(bool ends, std::string_view key);

 private:
  // To be filled in by src/http2/incoming_request.cc's owner.
};

class ResponseBuilder {
 public:
  void Begin(const SessionOptions& options);
  void Add(std::string_view name, std::string_view value);
  // What the request was, since that decides what its answer may be.
  struct Asked {
    bool head = false;    // its method was HEAD
    bool tunnel = false;  // it was an extended CONNECT: 200 becomes 101, whose Sec-WebSocket-Accept
                          // answers to `key`, the client's Sec-WebSocket-Key
    std::string_view key = {};
  };
  // An answer whose head ends the stream and that could have had a body says Content-Length: 0.
  IncomingHead Finish(bool ends, const Asked& asked);

 private:
};

// The fields behind a body, as "name: value\r\n" lines. Those that may not be trailers (RFC 9110
// §6.5.1) are left out where harmless, pseudo-headers and what is malformed refuse the message.
class TrailerBuilder {
 public:
  void Begin(const SessionOptions& options);
  void Add(std::string_view name, std::string_view value);
  std::string_view Finish(http::Refusal* refusal);

 private:
};

}  // namespace rondo::http2
