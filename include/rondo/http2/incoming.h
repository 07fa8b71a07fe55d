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
#include "rondo/http2/head_text.h"
#include "rondo/http2/types.h"

namespace rondo::http2 {

// A message's head as text, and how its body is framed behind it.
struct IncomingHead {
  // Ends in a blank line. A view of the builder, until its next Begin. Empty where refused.
  std::string_view text;
  // kNone: no body; DATA that is not empty is malformed, or for nobody (CONNECT). kLength:
  // `content_length` bytes, which the text says too; trailers have no place behind them in
  // HTTP/1.1 and are left out. kChunked: the text says chunked. kUntilClose: a tunnel (RFC 8441),
  // bytes that are framed by nothing.
  http::Framing framing = http::Framing::kNone;
  uint64_t content_length = 0;
  // What the bytes of DATA must come to (RFC 9113 §8.1.1), whatever the text says; -1: they may
  // come to anything.
  int64_t data_bytes = -1;
  // Responses: 1xx; another head follows.
  bool interim = false;
  // Malformed (RFC 9113 §8.1.1), or more than the limits allow: 400 (or 414, 431, 501) with a
  // reason for requests, 502 "bad_response" with a detail for responses. Nothing of it may be
  // forwarded.
  http::Refusal refusal;
};

// One header block at a time: Begin, Add for each field in order, Finish. A builder is scratch: one
// serves all streams of a connection, since header blocks do not interleave.
class RequestBuilder {
 public:
  void Begin(const SessionOptions& options);
  // `name` and `value` as decompressed. Cheap once something is wrong or too long: nothing is kept.
  void Add(std::string_view name, std::string_view value);
  // `ends`: the head ends the stream. `key`: 16 random bytes for Sec-WebSocket-Key, should the
  // request be an extended CONNECT for WebSocket, which becomes GET with Upgrade.
  //
  // Reasons, with 400 but where said:
  // - header_name: upper case, not a token, empty (RFC 9113 §8.2.1).
  // - header_value: NUL, CR, LF, other control characters, white space at its ends.
  // - connection_header (§8.2.2): connection, keep-alive, proxy-connection, transfer-encoding,
  //   upgrade, http2-settings; te other than "trailers".
  // - pseudo_header (§8.3): unknown, doubled, behind a regular field, of the other kind of message,
  //   missing, where CONNECT has none, with an empty or malformed value.
  // - no_authority: neither :authority nor host, or one with user information.
  // - several_hosts, bad_host; authority_and_host_differ: case is all they may differ in.
  // - content_length: malformed, more than one, above 0 where the head ends the stream, or in a
  //   request for a tunnel.
  // - headers_too_large, too_many_headers: 431; request_line_too_long: 414.
  // - connect_protocol: 501, an extended CONNECT for something else than WebSocket.
  //
  // A method CONNECT without :protocol comes out as the text of a CONNECT, for which HTTP/1's
  // parser has its answer. Cookie fields are joined by "; " into one (§8.2.3). A POST, PUT or PATCH
  // without a body says Content-Length: 0 (RFC 9110 §8.6). One with a length and trailers to come (it
  // says so, or is gRPC) is chunked instead, since HTTP/1.1 has no place for them else.
  IncomingHead Finish(bool ends, std::string_view key);

 private:
  enum class Protocol : uint8_t { kNone, kWebSocket, kOther };

  void AddPseudo(std::string_view name, std::string_view value);
  void AddListed(http::FieldId id, std::string_view value);
  void AddHost(std::string_view value);
  void AddLine(std::string_view name, std::string_view value);
  void BeginFields();
  void CheckConnect();
  void WriteTunnel(std::string_view key);
  IncomingHead WriteFraming(bool ends);
  void Refuse(int status, const char* reason);
  bool is_tunnel() const { return protocol_ == Protocol::kWebSocket; }

  HeadText text_;
  std::string method_, path_, authority_, cookie_;
  http::Refusal refusal_;
  uint64_t content_length_ = 0;
  size_t bytes_max_ = 0;
  uint32_t lines_max_ = 0;
  uint32_t lines_ = 0;
  Protocol protocol_ = Protocol::kNone;
  bool in_fields_ = false;  // behind the pseudo-headers
  bool has_scheme_ = false;
  bool has_host_ = false;
  bool has_cookie_ = false;
  bool has_content_length_ = false;
  bool takes_trailers_ = false;
  bool wants_trailers_ = false;  // has some itself
};

class ResponseBuilder {
 public:
  void Begin(const SessionOptions& options);
  void Add(std::string_view name, std::string_view value);
  // What the request was, since that decides what its answer may be.
  struct Asked {
    bool head = false;    // its method was HEAD
    bool tunnel = false;  // it was an extended CONNECT: 2xx becomes 101, whose Sec-WebSocket-Accept
                          // answers to `key`, the client's Sec-WebSocket-Key
    std::string_view key = {};
  };
  // Details of refusals: header_name, header_value, connection_header, pseudo_header,
  // headers_too_large, too_many_headers as with requests (any te is a connection_header here);
  // bad_status_code: not from 100 to 599, or 101, which HTTP/2 has not; content_length: malformed,
  // more than one, or above 0 where there is no body (interim, 204, a head that ends the stream);
  // interim_response_ends: a 1xx ends the stream.
  //
  // An answer whose head ends the stream and that could have had a body says Content-Length: 0. One
  // with a length and trailers to come (it says so, or is gRPC) is chunked instead, since HTTP/1.1
  // has no place for them else.
  IncomingHead Finish(bool ends, const Asked& asked);

 private:
  void AddStatus(std::string_view value);
  void AddListed(http::FieldId id, std::string_view name, std::string_view value);
  void AddLine(std::string_view name, std::string_view value);
  void WriteTunnel(const Asked& asked, IncomingHead* head);
  void WriteFraming(bool ends, bool to_head, IncomingHead* head);
  void WriteStatusLine(int status);
  void Refuse(const char* detail);

  HeadText text_;
  const char* refused_ = nullptr;
  uint64_t content_length_ = 0;
  uint32_t lines_max_ = 0;
  uint32_t lines_ = 0;
  int status_ = 0;  // 0: it has not come
  bool in_fields_ = false;
  bool has_content_length_ = false;
  bool wants_trailers_ = false;
};

// The fields behind a body, as "name: value\r\n" lines. Those that may not be trailers (RFC 9110
// §6.5.1) are left out where harmless; pseudo-headers, connection headers and what is malformed
// refuse the message: 400 for requests, 502 "bad_response" with a detail for responses. Reasons:
// header_name, header_value, pseudo_header, connection_header, trailers_too_large,
// too_many_trailers.
class TrailerBuilder {
 public:
  void Begin(const SessionOptions& options);
  void Add(std::string_view name, std::string_view value);
  // A view of the builder, until its next Begin; empty where refused.
  std::string_view Finish(http::Refusal* refusal);

 private:
  HeadText text_;
  const char* refused_ = nullptr;
  size_t dropped_bytes_ = 0;
  size_t bytes_max_ = 0;
  uint32_t lines_max_ = 0;
  uint32_t lines_ = 0;
  Role role_ = Role::kServer;
};

}  // namespace rondo::http2
