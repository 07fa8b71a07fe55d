// The heads of HTTP messages as both codecs give them to the data plane. Everything is a view of
// the received bytes: a head is valid as long as they stay where they are. Heads are reused from
// message to message so that `fields` keeps its capacity; nothing here allocates on the steady
// path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "rondo/http/field.h"

namespace rondo::http {

// Why a message is not taken: the status to answer with and a stable name for logs, metrics and
// tests. Both texts are string literals; a `reason` of nullptr means that nothing is wrong.
struct Refusal {
  int status = 0;
  const char* reason = nullptr;
  // What a backend did wrong where `reason` is "bad_response"; else nullptr, since `reason` says it
  // all.
  const char* detail = nullptr;

  explicit operator bool() const { return reason != nullptr; }
  const char* what() const { return detail != nullptr ? detail : reason; }
};

// How the end of a body is found (RFC 9112 §6.3).
enum class Framing : uint8_t {
  kNone,        // there is no body
  kLength,      // content_length bytes, which may be 0
  kChunked,     // chunks, then trailers
  kUntilClose,  // responses only: all that comes until the connection ends
};

struct RequestHead {
  std::string_view method;
  // As received: origin, absolute or asterisk form.
  std::string_view target;
  // What is routed and forwarded: begins with '/', or is "*" (OPTIONS only).
  std::string_view path_and_query;
  // The authority of an absolute-form target, else the value of Host; with the port if there was
  // one. Empty only in HTTP/1.0 requests that have neither.
  std::string_view host;
  // 0 or 1: what a higher minor version says is read as 1.1 (RFC 9110 §2.5).
  int minor_version = 1;
  std::vector<Field> fields;
  FieldSet known;
  Framing framing = Framing::kNone;
  uint64_t content_length = 0;  // kLength only
  // The client's wish and ability to go on after this exchange (RFC 9112 §9.3).
  bool keep_alive = true;
  // Waits for 100 (Continue) before it sends its body. Never in HTTP/1.0 or without a body.
  bool expect_continue = false;
  // By method (RFC 9110 §9.2.2): GET HEAD OPTIONS TRACE PUT DELETE.
  bool idempotent = false;
  bool is_head = false;
  // Connection names a field that is not one of close, keep-alive, upgrade, te.
  bool connection_names_fields = false;
  // Connection names TE, and TE lists "trailers".
  bool takes_trailers = false;
  // Max-Forwards of OPTIONS and TRACE, which only these have (RFC 9110 §7.6.2); -1 without one. At
  // 0 the request must not be forwarded; above, it is forwarded with one less.
  int64_t max_forwards = -1;
  // The value of Upgrade where Connection names it and the version is 1.1, else empty. May be a
  // list.
  std::string_view upgrade;
  // The size of the head, with blank lines before and after it.
  size_t head_bytes = 0;

  // The first field of that name, or nullptr.
  const Field* Find(FieldId id) const;
  void Clear();
};

struct ResponseHead {
  int status = 0;
  std::string_view reason_phrase;
  int minor_version = 1;
  std::vector<Field> fields;
  FieldSet known;
  Framing framing = Framing::kNone;
  // The value of Content-Length if there is one, also where no body follows (HEAD, 304).
  bool has_content_length = false;
  uint64_t content_length = 0;
  // Whether the connection may carry another exchange once this one has ended.
  bool keep_alive = true;
  bool connection_names_fields = false;
  // Keep-Alive: timeout=N, in seconds; -1 without one.
  int64_t keepalive_timeout_s = -1;
  // 101 only: the protocol that follows.
  std::string_view upgrade;
  size_t head_bytes = 0;

  // 1xx but 101: another head of the same exchange follows.
  bool interim() const { return status < 200 && status != 101; }
  const Field* Find(FieldId id) const;
  void Clear();
};

}  // namespace rondo::http
