#include "head_scan.h"
#include "header_section.h"
#include "rondo/http/authority.h"
#include "rondo/http/h1_parser.h"

namespace rondo::http {
namespace {

// Takes "HTTP/1.1" apart; the version of a request line or status line.
Refusal ReadVersion(std::string_view text, int* minor_version) {
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  if (text.size() != 8 || text.substr(0, 5) != "HTTP/" || !digit(text[5]) || text[6] != '.' ||
      !digit(text[7])) {
    return {400, "bad_http_version"};
  }
  if (text[5] != '1') return {505, "http_version_not_supported"};
  *minor_version = text[7] == '0' ? 0 : 1;
  return {};
}

// The methods that may be repeated (RFC 9110 §9.2.2). Methods are case-sensitive.
bool IsIdempotent(std::string_view method) {
  return method == "GET" || method == "HEAD" || method == "PUT" || method == "DELETE" ||
         method == "OPTIONS" || method == "TRACE";
}

// scheme "://" authority path, and what is routed of it. Only http and https name resources that an
// HTTP proxy can serve. Without a path behind the authority there is nothing to forward in origin
// form.
Refusal ReadAbsoluteForm(RequestHead& head) {
  const size_t colon = head.target.find("://");
  if (colon == std::string_view::npos) return {400, "bad_target"};
  const std::string_view scheme = head.target.substr(0, colon);
  if (!EqualsIgnoreCase(scheme, "http") && !EqualsIgnoreCase(scheme, "https")) {
    return {400, "bad_target"};
  }
  const std::string_view rest = head.target.substr(colon + 3);
  const size_t path = rest.find_first_of("/?");
  const std::string_view authority = rest.substr(0, path);
  if (authority.find('@') != std::string_view::npos) return {400, "userinfo_in_target"};
  if (!IsValidAuthority(authority)) return {400, "bad_authority"};
  head.host = authority;
  if (path == std::string_view::npos) {
    // RFC 9112 §3.2.4: OPTIONS for the server as a whole; else §3.2.1: an empty path is "/".
    head.path_and_query = head.method == "OPTIONS" ? "*" : "/";
    return {};
  }
  if (rest[path] == '?') return {400, "absolute_target_without_path"};
  head.path_and_query = rest.substr(path);
  return {};
}

Refusal ReadTarget(RequestHead& head) {
  if (head.target.empty() || !IsVisibleAscii(head.target)) return {400, "bad_target"};
  if (head.target.find('#') != std::string_view::npos) return {400, "fragment_in_target"};
  if (head.target.front() == '/') {
    head.path_and_query = head.target;
    return {};
  }
  if (head.target == "*") {
    if (head.method != "OPTIONS") return {400, "asterisk_without_options"};
    head.path_and_query = head.target;
    return {};
  }
  return ReadAbsoluteForm(head);
}

// method SP target SP version, with exactly one space at each place (RFC 9112 §3).
class RequestLine final : public FirstLine {
 public:
  explicit RequestLine(RequestHead& head) : head_(head) {}

  Refusal Read(std::string_view line) override {
    head_.Clear();
    const size_t first = line.find(' ');
    if (first == std::string_view::npos) return {400, "bad_request_line"};
    head_.method = line.substr(0, first);
    if (!IsToken(head_.method)) return {400, "bad_method"};
    line.remove_prefix(first + 1);
    const size_t second = line.find(' ');
    // A request without a version is HTTP/0.9.
    if (second == std::string_view::npos) return {400, "bad_request_line"};
    head_.target = line.substr(0, second);
    if (head_.target.empty()) return {400, "bad_request_line"};
    line.remove_prefix(second + 1);
    if (line.find(' ') != std::string_view::npos) return {400, "space_in_target"};
    const Refusal refusal = ReadVersion(line, &head_.minor_version);
    if (refusal) return refusal;
    if (head_.method == "CONNECT") return {501, "connect_not_supported"};
    return ReadTarget(head_);
  }

 private:
  RequestHead& head_;
};

// Host (RFC 9112 §3.2): exactly one in HTTP/1.1, at most one in 1.0, valid also where the authority
// of an absolute-form target stands above it.
Refusal ReadHost(const FramingFields& framing, RequestHead& head) {
  if (framing.hosts > 1) return {400, "several_hosts"};
  if (framing.hosts == 0) {
    if (head.minor_version > 0) return {400, "missing_host"};
    return {};
  }
  if (framing.host.empty()) return {400, "empty_host"};
  if (!IsValidAuthority(framing.host)) return {400, "bad_host"};
  if (head.host.empty()) head.host = framing.host;
  return {};
}

void ReadFraming(const FramingFields& framing, RequestHead& head) {
  if (framing.chunked) {
    head.framing = Framing::kChunked;
  } else if (framing.content_lengths == 1) {
    head.framing = Framing::kLength;
    head.content_length = framing.content_length;
  }
  const bool version_1_1 = head.minor_version > 0;
  head.keep_alive = !framing.close && (version_1_1 || framing.keep_alive);
  head.connection_names_fields = framing.connection_names_fields;
  if (!version_1_1) return;
  const bool has_body = head.framing == Framing::kChunked || head.content_length > 0;
  head.expect_continue = has_body && EqualsIgnoreCase(framing.expect, "100-continue");
  head.takes_trailers = framing.connection_te && framing.te_trailers;
  // Several Upgrade fields are a list in more than one line: nothing real sends it.
  if (framing.connection_upgrade && framing.upgrades == 1) head.upgrade = framing.upgrade;
}

// Values that are no number, or an absurd one, are left for the backend to judge.
int64_t ReadMaxForwards(const RequestHead& head) {
  if (head.method != "OPTIONS" && head.method != "TRACE") return -1;
  const Field* field = head.Find(FieldId::kMaxForwards);
  if (field == nullptr || field->value.empty() || field->value.size() > 9) return -1;
  int64_t count = 0;
  for (char c : field->value) {
    if (c < '0' || c > '9') return -1;
    count = count * 10 + (c - '0');
  }
  return count;
}

HeadResult Refused(Refusal refusal) {
  HeadResult result;
  result.status = HeadStatus::kRefused;
  result.refusal = refusal;
  return result;
}

// What the fields come to, once all of them are here.
HeadResult Complete(const FramingFields& framing, size_t head_bytes, RequestHead& head) {
  const Refusal refusal = ReadHost(framing, head);
  if (refusal) return Refused(refusal);
  ReadFraming(framing, head);
  head.is_head = head.method == "HEAD";
  head.idempotent = IsIdempotent(head.method);
  head.max_forwards = ReadMaxForwards(head);
  head.head_bytes = head_bytes;
  HeadResult result;
  result.status = HeadStatus::kComplete;
  result.head_bytes = head_bytes;
  return result;
}

}  // namespace

HeadResult RequestParser::Parse(std::string_view bytes, size_t scanned, const HeadLimits& limits,
                                RequestHead& out) {
  RequestLine line(out);
  const HeadScan scan = ScanHead(HeadKind::kRequest, bytes, scanned, limits, line);
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
  return Complete(framing, scan.end, out);
}

HeadResult RequestParser::ParseOwn(std::string_view bytes, RequestHead& out) {
  RequestLine line(out);
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
  return size > 0 ? Complete(framing, fields_begin + size, out) : HeadResult();
}

}  // namespace rondo::http
