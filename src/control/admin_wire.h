// The admin API's answers as bytes. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "control/admin_api.h"
#include "rondo/base/time.h"

namespace rondo::control {

// A comment is sent into an event stream after so long without an event.
inline constexpr Duration kEventsQuiet = std::chrono::seconds(15);

// Head of an answer with its body's length, the blank line included.
std::string ReplyHead(const AdminReply& reply, bool keep, int minor_version, WallTime now);

// Head of an event stream: chunked, or for HTTP/1.0 until close.
std::string EventStreamHead(bool chunked, WallTime now);
// REQUIRES: `data` is one line.
void AppendEvent(uint64_t id, std::string_view type, std::string_view data, std::string& out);
void AppendStreamPiece(bool chunked, std::string_view text, std::string& out);

// An IMF-fixdate (RFC 9110 §5.6.7).
std::string HttpDate(WallTime now);

}  // namespace rondo::control
