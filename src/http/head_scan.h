// Finds the end of a message head, and refuses at once what no later byte can make right: bare CR
// or LF, control characters, folded lines, too many bytes or lines. It resumes where it stopped, so
// a head that arrives byte by byte costs linear time; the parsers above read a head once, when it
// is complete.
#pragma once

#include <cstddef>
#include <string_view>

#include "rondo/http/h1_parser.h"

namespace rondo::http {

// Reads the first line (without its CRLF) as soon as it is there.
class FirstLine {
 public:
  virtual Refusal Read(std::string_view line) = 0;

 protected:
  ~FirstLine() = default;
};

enum class HeadKind : uint8_t { kRequest, kResponse };

struct HeadScan {
  HeadStatus status = HeadStatus::kNeedMore;
  size_t scanned = 0;       // kNeedMore: see HeadResult
  size_t fields_begin = 0;  // kComplete: behind the first line
  size_t end = 0;           // kComplete: behind the blank line
  size_t field_lines = 0;   // kComplete
  Refusal refusal;          // kRefused
};

// On kComplete `first_line` has read its line, in this call or because it arrived earlier, once
// more.
HeadScan ScanHead(HeadKind kind, std::string_view bytes, size_t scanned, const HeadLimits& limits,
                  FirstLine& first_line);

}  // namespace rondo::http
