#include "head_scan.h"
#include "header_section.h"
#include "rondo/http/h1_parser.h"

namespace rondo::http {
namespace {

constexpr const char* kBadResponse = "bad_response";

bool IsDigit(char c) { return c >= '0' && c <= '9'; }

// HTTP-version SP 3DIGIT [SP reason-phrase] (RFC 9112 §4). The second space is due even where the
// phrase is empty, but servers that leave it out are many, and it cannot be misread.
class StatusLine final : public FirstLine {
 public:
  explicit StatusLine(ResponseHead& head) : head_(head) {}

  Refusal Read(std::string_view line) override {
    constexpr Refusal kBad{502, "bad_status_line"};
    head_.Clear();
    if (line.size() < 12 || line.substr(0, 5) != "HTTP/" || line[8] != ' ') return kBad;
    if (line[5] != '1' || line[6] != '.' || !IsDigit(line[7])) return kBad;
    if (!IsDigit(line[9]) || !IsDigit(line[10]) || !IsDigit(line[11])) return kBad;
    if (line.size() > 12 && line[12] != ' ') return kBad;
    head_.minor_version = line[7] == '0' ? 0 : 1;
    head_.status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
    if (head_.status < 100 || head_.status > 599) return {502, "bad_status_code"};
    if (line.size() > 13) head_.reason_phrase = line.substr(13);
    return {};
  }

 private:
  ResponseHead& head_;
};

// timeout=N of Keep-Alive; -1 where it is missing or is not a number that makes sense.
int64_t KeepAliveTimeout(std::string_view value) {
  std::string_view member;
  while (NextListMember(&value, &member)) {
    constexpr std::string_view kName = "timeout=";
    if (!EqualsIgnoreCase(member.substr(0, kName.size()), kName)) continue;
    const std::string_view digits = member.substr(kName.size());
    if (digits.empty() || digits.size() > 9) return -1;
    int64_t seconds = 0;
    for (char c : digits) {
      if (!IsDigit(c)) return -1;
      seconds = seconds * 10 + (c - '0');
    }
    return seconds;
  }
  return -1;
}

// RFC 9112 §6.3. A body where there can be none would be taken for the next response, so after such
// a head the connection is not used again.
Refusal ReadBody(const FramingFields& framing, bool request_was_head, ResponseHead& head) {
  head.has_content_length = framing.content_lengths == 1;
  head.content_length = framing.content_length;
  if (head.interim()) {
    if (framing.chunked || head.content_length > 0) return {502, "interim_response_with_body"};
    return {};
  }
  if (head.status == 101) return {};
  if (head.status == 204) {
    if (framing.chunked || head.content_length > 0) head.keep_alive = false;
    return {};
  }
  if (head.status == 304 || request_was_head) return {};
  if (framing.chunked) {
    head.framing = Framing::kChunked;
  } else if (head.has_content_length) {
    head.framing = Framing::kLength;
  } else {
    head.framing = Framing::kUntilClose;
    head.keep_alive = false;
  }
  return {};
}

Refusal ReadUpgrade(const FramingFields& framing, bool request_had_upgrade, ResponseHead& head) {
  if (head.status != 101) return {};
  if (!request_had_upgrade) return {502, "unasked_upgrade"};
  if (head.minor_version == 0 || framing.upgrades != 1 || framing.upgrade.empty() ||
      !framing.connection_upgrade) {
    return {502, "switching_without_upgrade"};
  }
  if (framing.chunked || framing.content_length > 0) return {502, "interim_response_with_body"};
  head.upgrade = framing.upgrade;
  return {};
}

HeadResult Refused(Refusal refusal) {
  HeadResult result;
  result.status = HeadStatus::kRefused;
  result.refusal = {502, kBadResponse, refusal.reason};
  return result;
}

// What the fields come to, once all of them are here.
HeadResult Complete(const FramingFields& framing, size_t head_bytes, bool request_was_head,
                    bool request_had_upgrade, ResponseHead& head) {
  head.keep_alive = !framing.close && (head.minor_version > 0 || framing.keep_alive);
  head.connection_names_fields = framing.connection_names_fields;
  head.keepalive_timeout_s = KeepAliveTimeout(framing.keep_alive_value);
  Refusal refusal = ReadUpgrade(framing, request_had_upgrade, head);
  if (!refusal) refusal = ReadBody(framing, request_was_head, head);
  if (refusal) return Refused(refusal);
  head.head_bytes = head_bytes;
  HeadResult result;
  result.status = HeadStatus::kComplete;
  result.head_bytes = head_bytes;
  return result;
}

}  // namespace

HeadResult ResponseParser::Parse(std::string_view bytes, size_t scanned, const HeadLimits& limits,
                                 bool request_was_head, bool request_had_upgrade,
                                 ResponseHead& out) {
  StatusLine line(out);
  const HeadScan scan = ScanHead(HeadKind::kResponse, bytes, scanned, limits, line);
  if (scan.status == HeadStatus::kRefused) return Refused(scan.refusal);
  HeadResult result;
  if (scan.status == HeadStatus::kNeedMore) {
    result.scanned = scan.scanned;
    return result;
  }
  FramingFields framing;
  const std::string_view section = bytes.substr(scan.fields_begin, scan.end - scan.fields_begin);
  const Refusal refusal = ParseHeaderSection(section, scan.field_lines, out.minor_version,
                                             out.fields, out.known, &framing);
  if (refusal) return Refused(refusal);
  return Complete(framing, scan.end, request_was_head, request_had_upgrade, out);
}

HeadResult ResponseParser::ParseOwn(std::string_view bytes, bool request_was_head,
                                    bool request_had_upgrade, ResponseHead& out) {
  StatusLine line(out);
  const size_t line_end = bytes.find("\r\n");
  if (line_end == std::string_view::npos) return {};
  Refusal refusal = line.Read(bytes.substr(0, line_end));
  if (refusal) return Refused(refusal);
  const size_t fields_begin = line_end + 2;
  FramingFields framing;
  size_t size = 0;
  refusal = SplitOwnSection(bytes.substr(fields_begin), out.minor_version, out.fields, out.known,
                            &framing, &size);
  if (refusal) return Refused(refusal);
  if (size == 0) return {};
  return Complete(framing, fields_begin + size, request_was_head, request_had_upgrade, out);
}

}  // namespace rondo::http
