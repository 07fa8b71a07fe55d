// Rondo's own answers: errors with their reason, and fixed responses. Pure, no allocation.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "rondo/http/header_edits.h"
#include "rondo/http/message.h"

namespace rondo::http {

enum class ReplyFormat : uint8_t {
  kJson,
  kPlainText,
  // For calls of gRPC: status 200 without a body, and what became of the call in grpc-status and
  // grpc-message, which are in the head where there is nothing else ("Trailers-Only").
  kGrpc,
};

struct LocalReply {
  int status = 500;                  // kGrpc: as it would be for others
  std::string_view reason = {};      // stable: "no_route"; the "code" of the body
  std::string_view message = {};     // empty: MessageOf(reason, status)
  std::string_view request_id = {};  // empty: none was made yet
  std::string_view date = {};        // an IMF-fixdate; empty: no Date
  ReplyFormat format = ReplyFormat::kJson;
  bool close = false;          // Connection: close
  bool keep_alive = false;     // Connection: keep-alive, for HTTP/1.0 clients that asked for it
  bool head_only = false;      // answers HEAD: Content-Length of the body, without the body
  int64_t retry_after_s = -1;  // Retry-After where 0 or more
  std::string_view extra_fields = {};  // "Name: value\r\n" lines
};

// Writes head and body; {"error":{"code":…,"message":…,"request_id":…}} or the same as a line of
// text. Returns the length, or 0 where `capacity` does not suffice: kLocalReplyMax always does as
// long as reason, message, request_id and extra_fields have at most 64, 512, 128 and 256 bytes.
size_t WriteLocalReply(const LocalReply& reply, char* out, size_t capacity);
inline constexpr size_t kLocalReplyMax = 5120;

// gRPC by Content-Type. Plain text where Accept names text/plain, text/html or text/* and no JSON
// (browsers, say); else JSON.
ReplyFormat ReplyFormatFor(const RequestHead& head);

// A response of the configuration's own (`respond`): the head, for a body that the caller sends
// behind it (unless the request was HEAD), and redirects, which have none.
struct FixedReply {
  int status = 200;
  std::string_view content_type = {};  // empty: none
  // Where a redirect leads, as it is written in Location: no white space, no control characters
  // (config/ refuses them). Empty: none.
  std::string_view location = {};
  uint64_t body_bytes = 0;  // not written for 204 and 304
  std::string_view date = {};
  // The route's edits of what stands above, null: none.
  const CompiledEdits* edits = nullptr;
  std::string_view extra_fields = {};  // "Name: value\r\n" lines
  bool close = false;
  bool keep_alive = false;
};
size_t WriteFixedReplyHead(const FixedReply& reply, char* out, size_t capacity);

// Where a redirect of the configuration leads: `to` with each "{host}" replaced by the host of the
// request without its port, and each "{uri}" by its path and query (nothing for the "*" of
// OPTIONS).
struct RedirectTarget {
  std::string_view to;
  std::string_view host;  // as in Host
  std::string_view path_and_query;
};
// The length of what is written to `out`, which has room for RedirectTargetBound() bytes.
size_t WriteRedirectTarget(const RedirectTarget& target, char* out);
size_t RedirectTargetBound(const RedirectTarget& target);
// Whether `to` needs a host that a request of HTTP/1.0 may not have.
bool RedirectNeedsHost(std::string_view to);

// "Not Found" for 404; "" for statuses that have no registered phrase.
std::string_view PhraseOf(int status);
// A sentence that says what happened; for unknown reasons one about the status. Static.
std::string_view MessageOf(std::string_view reason, int status);

}  // namespace rondo::http
