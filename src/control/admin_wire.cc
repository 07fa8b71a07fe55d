#include "control/admin_wire.h"

#include <chrono>
#include <cstdio>
#include <ctime>

#include "rondo/http/body.h"
#include "rondo/http/local_reply.h"

namespace rondo::control {
namespace {

// What every answer has: nothing here may be kept or shown as something else.
constexpr std::string_view kCommon =
    "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
    "Content-Security-Policy: default-src 'self'; frame-ancestors 'none'\r\n";

void AppendField(std::string_view name, std::string_view value, std::string& out) {
  out.append(name).append(": ").append(value).append("\r\n");
}

std::string StatusLine(int status, WallTime now) {
  std::string head = "HTTP/1.1 " + std::to_string(status) + " ";
  head.append(http::PhraseOf(status)).append("\r\n");
  AppendField("Date", HttpDate(now), head);
  return head;
}

}  // namespace

std::string ReplyHead(const AdminReply& reply, bool keep, int minor_version, WallTime now) {
  std::string head = StatusLine(reply.status, now);
  AppendField("Content-Type", reply.content_type, head);
  AppendField("Content-Length", std::to_string(reply.body.size()), head);
  if (reply.etag) AppendField("ETag", "\"" + std::to_string(*reply.etag) + "\"", head);
  if (!reply.location.empty()) AppendField("Location", reply.location, head);
  if (!reply.allow.empty()) AppendField("Allow", reply.allow, head);
  if (reply.status == 401) AppendField("WWW-Authenticate", "Bearer realm=\"rondo\"", head);
  if (reply.status == 503) AppendField("Retry-After", "1", head);
  if (!keep) {
    AppendField("Connection", "close", head);
  } else if (minor_version == 0) {
    AppendField("Connection", "keep-alive", head);
  }
  head.append(kCommon).append("\r\n");
  return head;
}

std::string EventStreamHead(bool chunked, WallTime now) {
  std::string head = StatusLine(200, now);
  AppendField("Content-Type", "text/event-stream", head);
  if (chunked) AppendField("Transfer-Encoding", "chunked", head);
  AppendField("Connection", "close", head);
  head.append(kCommon).append("\r\n");
  return head;
}

void AppendEvent(uint64_t id, std::string_view type, std::string_view data, std::string& out) {
  out.append("id: ").append(std::to_string(id));
  out.append("\nevent: ").append(type).append("\ndata: ").append(data).append("\n\n");
}

void AppendStreamPiece(bool chunked, std::string_view text, std::string& out) {
  if (!chunked) {
    out.append(text);
    return;
  }
  char size[http::kChunkHeadMax];
  out.append(size, http::WriteChunkHead(size, text.size()));
  out.append(text).append(http::kChunkTail);
}

std::string HttpDate(WallTime now) {
  static constexpr const char* kDays[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  static constexpr const char* kMonths[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                            "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const std::time_t seconds =
      std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  const int size = std::snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT",
                                 kDays[parts.tm_wday], parts.tm_mday, kMonths[parts.tm_mon],
                                 parts.tm_year + 1900, parts.tm_hour, parts.tm_min, parts.tm_sec);
  return std::string(text, static_cast<size_t>(size));
}

}  // namespace rondo::control
