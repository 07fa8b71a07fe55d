// Parse, rewrite, parse again: the second reading must succeed and mean the same, so that nothing
// can be smuggled through our own rewriting.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/fuzz_check.h"
#include "rondo/http/forwarding.h"
#include "rondo/http/h1_parser.h"
#include "rondo/http/sticky.h"

namespace {

using namespace rondo::http;

constexpr std::string_view kId = "0123456789abcdef0123456789abcdef";
// The second reading gets room for what we add.
constexpr HeadLimits kFirst{.header_bytes = 2048, .header_count = 16};
constexpr HeadLimits kSecond{.header_bytes = 8192, .header_count = 64};

size_t Count(const std::vector<Field>& fields, FieldId id) {
  return static_cast<size_t>(std::count_if(fields.begin(), fields.end(),
                                           [&](const Field& field) { return field.id == id; }));
}

// What a route may do to fields, and a cookie of ours.
const CompiledEdits& Edits() {
  static const CompiledEdits edits(
      {.set = {{"X-Env", "prod"}, {"Referer", "set"}, {"X-Forwarded-Proto", "https"}},
       .remove = {"Authorization", "X", "Set-Cookie", "User-Agent"}});
  return edits;
}
constexpr std::string_view kOurs = "s";

// All pairs of all Cookie fields, but for those of ours.
std::vector<std::string> OtherCookies(const std::vector<Field>& fields) {
  std::vector<std::string> pairs;
  for (const Field& field : fields) {
    if (field.id != FieldId::kCookie) continue;
    std::string_view rest = field.value;
    CookiePair pair;
    while (NextCookie(&rest, &pair)) {
      if (pair.name == kOurs) continue;
      pairs.push_back(std::string(pair.name) + "=" + std::string(pair.value));
    }
  }
  return pairs;
}

void CheckEdited(const std::vector<Field>& fields) {
  size_t set = 0;
  for (const Field& field : fields) {
    FUZZ_CHECK(!EqualsIgnoreCase(field.name, "x"));
    FUZZ_CHECK(field.id != FieldId::kAuthorization && field.id != FieldId::kSetCookie);
    FUZZ_CHECK(field.id != FieldId::kUserAgent);
    FUZZ_CHECK(field.id != FieldId::kReferer || field.value == "set");
    FUZZ_CHECK(field.id != FieldId::kXForwardedProto || field.value == "https");
    if (EqualsIgnoreCase(field.name, "X-Env")) {
      FUZZ_CHECK(field.value == "prod");
      ++set;
    }
  }
  FUZZ_CHECK(set == 1 && Count(fields, FieldId::kReferer) == 1);
}

// What the log is given is what was received, edited or not.
void CheckKept(const RequestHead& head, const ForwardedRequest& spans, const char* out) {
  FUZZ_CHECK(spans.target.In(out) == head.path_and_query);
  FUZZ_CHECK(spans.request_id.size > 0);
  std::string_view user_agent;
  std::string_view referer;
  for (const Field& field : head.fields) {
    if (field.id == FieldId::kUserAgent) user_agent = field.value;
    if (field.id == FieldId::kReferer) referer = field.value;
  }
  FUZZ_CHECK(spans.user_agent.In(out) == user_agent);
  FUZZ_CHECK(spans.referer.In(out) == referer);
}

void CheckRequest(std::string_view bytes, uint8_t flags) {
  RequestParser parser;
  RequestHead head;
  if (parser.Parse(bytes, 0, kFirst, head).status != HeadStatus::kComplete) return;
  ForwardRequest options;
  if (flags & 1) options.peer = rondo::IpAddress::V4(0x0a000001);
  options.peer_trusted = flags & 2;
  if (flags & 4) options.via_name = "edge";
  options.request_id = kId;
  options.backend_host = "10.0.0.9:3000";
  options.framing = head.framing;
  options.content_length = head.content_length;
  const std::vector<std::string> allowed = {"websocket", "x"};
  if (flags & 8) options.upgrade = ChooseUpgrade(head, allowed);
  const std::vector<rondo::Network> trusted = {*rondo::Network::Parse("10.0.0.0/8")};
  if (options.peer) options.client = ClientAddress(head, *options.peer, trusted);
  if (flags & 16) options.edits = &Edits();
  if (flags & 32) options.strip_cookie = kOurs;
  options.keep_received = flags & 64;

  const size_t bound = ForwardedRequestBound(head, options);
  std::vector<char> out(bound);
  ForwardedRequest spans;
  const size_t size = WriteForwardedRequest(head, options, out.data(), &spans);
  FUZZ_CHECK(size + spans.kept_bytes <= bound);
  if (options.keep_received) CheckKept(head, spans, out.data());
  RequestHead again;
  const HeadResult result = parser.Parse({out.data(), size}, 0, kSecond, again);
  FUZZ_CHECK(result.status == HeadStatus::kComplete && result.head_bytes == size);
  FUZZ_CHECK(again.method == head.method && spans.method.In(out.data()) == head.method);
  FUZZ_CHECK(again.target == head.path_and_query && again.path_and_query == head.path_and_query);
  FUZZ_CHECK(again.host == (head.host.empty() ? options.backend_host : head.host));
  FUZZ_CHECK(again.minor_version == 1 && again.keep_alive);
  FUZZ_CHECK(again.framing == head.framing && again.content_length == head.content_length);
  FUZZ_CHECK(again.expect_continue == head.expect_continue);
  FUZZ_CHECK(again.upgrade == options.upgrade);
  for (FieldId id : {FieldId::kKeepAlive, FieldId::kProxyConnection, FieldId::kHttp2Settings}) {
    FUZZ_CHECK(Count(again.fields, id) == 0);
  }
  FUZZ_CHECK(Count(again.fields, FieldId::kXRequestId) == 1);
  FUZZ_CHECK(Count(again.fields, FieldId::kXForwardedProto) == 1);
  FUZZ_CHECK(Count(again.fields, FieldId::kXForwardedFor) <= 1);
  FUZZ_CHECK(OtherCookies(again.fields) == OtherCookies(head.fields));
  if (flags & 32) {
    FUZZ_CHECK(!FindCookie(again, kOurs));
  } else {
    FUZZ_CHECK(Count(again.fields, FieldId::kCookie) == Count(head.fields, FieldId::kCookie));
  }
  FUZZ_CHECK(Count(again.fields, FieldId::kContentType) ==
             Count(head.fields, FieldId::kContentType));
  if (flags & 16) {
    CheckEdited(again.fields);
  } else {
    FUZZ_CHECK(Count(again.fields, FieldId::kAuthorization) ==
               Count(head.fields, FieldId::kAuthorization));
  }
}

void CheckResponse(std::string_view bytes, uint8_t flags) {
  const bool was_head = flags & 1;
  const bool had_upgrade = flags & 2;
  const int client_minor = flags & 4 ? 1 : 0;
  ResponseParser parser;
  ResponseHead head;
  if (parser.Parse(bytes, 0, kFirst, was_head, had_upgrade, head).status != HeadStatus::kComplete)
    return;
  ForwardResponse options;
  options.framing = ResponseFraming(head, client_minor);
  options.content_length = head.content_length;
  options.date = "Sun, 06 Nov 1994 08:49:37 GMT";
  if (flags & 8) options.connection = ConnectionField::kClose;
  if (flags & 16) options.edits = &Edits();
  const size_t bound = ForwardedResponseBound(head, options);
  std::vector<char> out(bound);
  const size_t size = WriteForwardedResponse(head, options, out.data());
  FUZZ_CHECK(size <= bound);
  ResponseHead again;
  const HeadResult result =
      parser.Parse({out.data(), size}, 0, kSecond, was_head, had_upgrade, again);
  FUZZ_CHECK(result.status == HeadStatus::kComplete && result.head_bytes == size);
  FUZZ_CHECK(again.status == head.status && again.reason_phrase == head.reason_phrase);
  FUZZ_CHECK(again.framing == options.framing);
  FUZZ_CHECK(again.framing != Framing::kLength || again.content_length == head.content_length);
  FUZZ_CHECK(again.upgrade == head.upgrade);
  if (flags & 16) {
    FUZZ_CHECK(Count(again.fields, FieldId::kSetCookie) == 0);
    if (!head.interim()) CheckEdited(again.fields);
  } else {
    FUZZ_CHECK(Count(again.fields, FieldId::kSetCookie) == Count(head.fields, FieldId::kSetCookie));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] & 0x80) {
    CheckResponse(bytes, data[0]);
  } else {
    CheckRequest(bytes, data[0]);
  }
  return 0;
}
