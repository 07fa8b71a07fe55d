#include "head_scan.h"

#include <algorithm>
#include <cstdint>

#include "rondo/http/find_control.h"

namespace rondo::http {
namespace {

// `scanned` is a position in the low half and a count of finished lines in the high half.
constexpr unsigned kLinesShift = 40;
constexpr size_t kPositionMask = (size_t{1} << kLinesShift) - 1;

HeadScan NeedMore(size_t position, size_t lines) {
  HeadScan scan;
  scan.scanned = position | lines << kLinesShift;
  return scan;
}

HeadScan Refused(int status, const char* reason) {
  HeadScan scan;
  scan.status = HeadStatus::kRefused;
  scan.refusal = {status, reason};
  return scan;
}

HeadScan RefusedControl(char c) {
  if (c == '\n') return Refused(400, "bare_lf");
  if (c == '\r') return Refused(400, "bare_cr");
  if (c == '\0') return Refused(400, "nul_byte");
  return Refused(400, "control_character");
}

enum class Lead : uint8_t { kFound, kNeedMore, kTooMany, kBareCr };

// Skips up to two blank lines before a request line (RFC 9112 §2.2).
Lead SkipBlankLines(std::string_view bytes, size_t* start) {
  constexpr size_t kBlankBytesMax = 4;
  size_t i = 0;
  while (i < bytes.size() && bytes[i] == '\r') {
    if (i == kBlankBytesMax) return Lead::kTooMany;
    if (i + 1 == bytes.size()) return Lead::kNeedMore;
    if (bytes[i + 1] != '\n') return Lead::kBareCr;
    i += 2;
  }
  *start = i;
  return i == bytes.size() ? Lead::kNeedMore : Lead::kFound;
}

// What the first bytes tell before their line is complete: a peer that speaks something else may
// never send a line end, and should not have to wait for a timeout to learn it.
Refusal CheckBeginning(HeadKind kind, std::string_view bytes) {
  if (kind == HeadKind::kRequest) {
    if (bytes.front() == 0x16) return {400, "tls_on_plain_listener"};
    // Control characters have names of their own, which the scan gives.
    const bool control = static_cast<uint8_t>(bytes.front()) < 0x20;
    if (!control && !IsTokenChar(bytes.front())) return {400, "bad_method"};
    return {};
  }
  constexpr std::string_view kVersion = "HTTP/";
  const size_t n = std::min(bytes.size(), kVersion.size());
  if (bytes.substr(0, n) != kVersion.substr(0, n)) return {502, "bad_status_line"};
  return {};
}

class Scanner {
 public:
  Scanner(HeadKind kind, std::string_view bytes, size_t start, const HeadLimits& limits,
          FirstLine& first_line)
      : kind_(kind), bytes_(bytes), start_(start), limits_(limits), first_line_(first_line) {}

  HeadScan Run(size_t position, size_t lines) {
    // Never beyond the limit, so that what is found does not depend on how the bytes were split.
    const size_t cap = std::min(bytes_.size(), start_ + limits_.header_bytes);
    const char* const base = bytes_.data();
    while (position < cap) {
      if (lines > 0 && base[position - 1] == '\n') {
        const char c = base[position];
        if (c == '\r') {
          if (position + 1 == cap) break;
          if (base[position + 1] != '\n') return Refused(400, "bare_cr");
          return Complete(position + 2, lines);
        }
        if (c == ' ' || c == '\t') return Refused(400, "folded_header");
        if (c == ':') return Refused(400, "empty_header_name");
      }
      const char* hit = FindControl(base + position, base + cap);
      position = static_cast<size_t>(hit - base);
      if (position == cap) break;
      if (*hit == '\t' && lines > 0) {
        ++position;
        continue;
      }
      if (*hit != '\r') return RefusedControl(*hit);
      if (position + 1 == cap) break;
      if (base[position + 1] != '\n') return Refused(400, "bare_cr");
      if (lines == 0) {
        Refusal refusal = ReadFirstLine(position);
        if (refusal) return Refused(refusal.status, refusal.reason);
      } else if (lines > limits_.header_count) {
        return Refused(431, "too_many_headers");
      }
      ++lines;
      position += 2;
    }
    if (bytes_.size() >= start_ + limits_.header_bytes) return TooLarge(lines);
    return NeedMore(position, lines);
  }

 private:
  Refusal ReadFirstLine(size_t line_end) {
    fields_begin_ = line_end + 2;
    return first_line_.Read(bytes_.substr(start_, line_end - start_));
  }

  HeadScan Complete(size_t end, size_t lines) {
    if (fields_begin_ == 0) {
      // It was found right when it arrived; since then the bytes may have moved.
      Refusal refusal = ReadFirstLine(bytes_.find('\r', start_));
      if (refusal) return Refused(refusal.status, refusal.reason);
    }
    HeadScan scan;
    scan.status = HeadStatus::kComplete;
    scan.fields_begin = fields_begin_;
    scan.end = end;
    scan.field_lines = lines - 1;
    return scan;
  }

  HeadScan TooLarge(size_t lines) {
    if (lines > 0) return Refused(431, "headers_too_large");
    switch (kind_) {
      case HeadKind::kRequest:
        return Refused(414, "request_line_too_long");
      case HeadKind::kResponse:
        break;
    }
    return Refused(502, "status_line_too_long");
  }

  HeadKind kind_;
  std::string_view bytes_;
  size_t start_;
  const HeadLimits& limits_;
  FirstLine& first_line_;
  size_t fields_begin_ = 0;
};

}  // namespace

HeadScan ScanHead(HeadKind kind, std::string_view bytes, size_t scanned, const HeadLimits& limits,
                  FirstLine& first_line) {
  if (bytes.empty()) return NeedMore(0, 0);
  size_t start = 0;
  if (kind == HeadKind::kRequest) {
    switch (SkipBlankLines(bytes, &start)) {
      case Lead::kNeedMore:
        return NeedMore(0, 0);
      case Lead::kTooMany:
        return Refused(400, "blank_lines_before_request");
      case Lead::kBareCr:
        return Refused(400, "bare_cr");
      case Lead::kFound:
        break;
    }
  }
  const size_t lines = scanned >> kLinesShift;
  if (lines == 0) {
    const Refusal refusal = CheckBeginning(kind, bytes.substr(start));
    if (refusal) return Refused(refusal.status, refusal.reason);
  }
  Scanner scanner(kind, bytes, start, limits, first_line);
  return scanner.Run(std::max(start, scanned & kPositionMask), lines);
}

}  // namespace rondo::http
