// Between HTTP/2 and HTTP/1.1 text, both ways: what a builder lets through is taken by HTTP/1's
// parsers and means the same to them; what our own writers write comes back as fields that a
// builder makes the same message of; and a message is read the same however its bytes arrive.
//
// The first byte says what is tried, and how. Fields are "name \xfe value \xff".
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fuzz/fuzz_check.h"
#include "http2/same_head.h"
#include "rondo/http/body.h"
#include "rondo/http/forwarding.h"
#include "rondo/http/h1_parser.h"
#include "rondo/http2/incoming.h"
#include "rondo/http2/outgoing.h"

namespace {

using namespace rondo::http2;
using rondo::http::FieldId;
using rondo::http::Framing;
using rondo::http::HeadStatus;

using Fields = std::vector<std::pair<std::string, std::string>>;

constexpr SessionOptions kFirst{.header_bytes = 2048, .header_count = 16};
// The second reading gets room for what we add.
constexpr SessionOptions kSecond{.header_bytes = 8192, .header_count = 64};
constexpr std::string_view kNonce = "0123456789abcdef";

rondo::http::HeadLimits LimitsOf(const SessionOptions& options) {
  return {options.header_bytes, options.header_count};
}

Fields SplitFields(std::string_view text) {
  Fields fields;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\xff'), text.size());
    const std::string_view field = text.substr(0, end);
    const size_t middle = std::min(field.find('\xfe'), field.size());
    fields.emplace_back(field.substr(0, middle),
                        middle < field.size() ? field.substr(middle + 1) : std::string_view());
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return fields;
}

// Fields that the text has in other ways, or not at all.
bool IsSpecial(FieldId id) {
  return id == FieldId::kHost || id == FieldId::kContentLength || id == FieldId::kCookie ||
         id == FieldId::kTe || id == FieldId::kConnection || id == FieldId::kTransferEncoding ||
         id == FieldId::kUpgrade || id == FieldId::kKeepAlive || id == FieldId::kProxyConnection ||
         id == FieldId::kHttp2Settings;
}
bool IsOfHandshake(std::string_view name) {
  return name == "sec-websocket-key" || name == "sec-websocket-accept";
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return lower;
}

// What is just passed on, in order.
Fields Plain(const std::vector<rondo::http::Field>& fields) {
  Fields plain;
  for (const rondo::http::Field& field : fields) {
    const std::string name = Lower(field.name);
    if (!IsSpecial(field.id) && !IsOfHandshake(name)) plain.emplace_back(name, field.value);
  }
  return plain;
}
Fields Plain(const Fields& fields) {
  Fields plain;
  for (const auto& [name, value] : fields) {
    if (name.starts_with(':') || IsSpecial(rondo::http::FieldIdOf(name))) continue;
    if (!IsOfHandshake(name)) plain.emplace_back(name, value);
  }
  return plain;
}
Fields Copied(std::span<const OutgoingField> fields) {
  Fields copies;
  for (const OutgoingField& field : fields) copies.emplace_back(field.name, field.value);
  return copies;
}

std::string ValueOf(const Fields& fields, std::string_view name) {
  for (const auto& field : fields) {
    if (field.first == name) return field.second;
  }
  return "";
}
std::string Cookies(const Fields& fields) {
  std::string all;
  for (const auto& [name, value] : fields) {
    if (name != "cookie" || value.empty()) continue;
    if (!all.empty()) all += "; ";
    all += value;
  }
  return all;
}
std::string Cookies(const std::vector<rondo::http::Field>& fields) {
  Fields cookies;
  for (const rondo::http::Field& field : fields) {
    if (field.id == FieldId::kCookie) cookies.emplace_back("cookie", field.value);
  }
  return Cookies(cookies);
}

// -- what is read of a message --

struct Reading {
  std::vector<Fields> heads;
  std::string flags;  // of the last head
  std::string data;
  Fields trailers;
  bool bad = false;
  bool ended = false;
  friend bool operator==(const Reading&, const Reading&) = default;
};

struct How {
  MessageReader::Kind kind = MessageReader::Kind::kRequest;
  bool to_head = false;
  bool to_tunnel = false;
};

void TakeStep(const MessageReader& reader, const MessageReader::Step& step, Reading* reading) {
  if (step.what == MessageReader::What::kHead) {
    const OutgoingHead& head = reader.head();
    reading->heads.push_back(Copied(head.fields));
    reading->flags = std::to_string(head.interim) + std::to_string(head.ends) +
                     std::to_string(head.tunnel) + std::string(head.websocket_key);
  } else if (step.what == MessageReader::What::kData) {
    reading->data.append(step.data);
  } else if (step.what == MessageReader::What::kEnd && !reading->ended) {
    reading->ended = true;
    reading->trailers = Copied(reader.trailers());
  }
}

Reading ReadAll(std::string_view text, const How& how, size_t piece_size, size_t data_max) {
  ReaderScratch scratch;
  MessageReader reader(scratch);
  reader.Begin(how.kind, how.to_head, how.to_tunnel, "https");
  Reading reading;
  while (!reading.bad && (!text.empty() || piece_size > 0)) {
    // Memory of its own, so that what is read beyond it is noticed.
    const std::string piece(text.substr(0, piece_size));
    text.remove_prefix(piece.size());
    if (piece.empty()) piece_size = 0;
    std::string_view rest = piece;
    for (;;) {
      const MessageReader::Step step = reader.Read(rest, data_max);
      FUZZ_CHECK(step.consumed <= rest.size());
      rest.remove_prefix(step.consumed);
      if (step.what == MessageReader::What::kBad) {
        reading.bad = true;
        break;
      }
      TakeStep(reader, step, &reading);
      if (step.what == MessageReader::What::kNeedMore) FUZZ_CHECK(rest.empty());
      const bool more = step.what == MessageReader::What::kHead || !rest.empty();
      if (!more || (step.what == MessageReader::What::kEnd && rest.empty())) break;
    }
  }
  return reading;
}

// A message that turned out bad may have given more or less before, by how it came.
Reading ReadEveryWay(std::string_view text, const How& how) {
  const Reading whole = ReadAll(text, how, text.size() + 1, SIZE_MAX);
  for (const auto& [piece, data_max] : {std::pair<size_t, size_t>{1, SIZE_MAX}, {7, 3}, {64, 1}}) {
    const Reading other = ReadAll(text, how, piece, data_max);
    FUZZ_CHECK(other.bad == whole.bad);
    if (!whole.bad) FUZZ_CHECK(other == whole);
  }
  return whole;
}

// What was read of a body has to be what the decoder that everybody else uses makes of it.
void CheckBody(std::string_view text, Framing framing, uint64_t length, const Reading& reading) {
  rondo::http::BodyDecoder decoder;
  decoder.Begin(framing, length, LimitsOf(kSecond), 400);
  std::string bytes(text);
  const rondo::http::BodyDecoder::Step step = decoder.Decode(bytes.data(), bytes.size());
  if (step.refusal) return;
  FUZZ_CHECK(std::string_view(step.data, step.size) == reading.data);
  FUZZ_CHECK(step.done == reading.ended);
  if (!step.done) return;
  std::string trailers;
  for (const auto& [name, value] : reading.trailers) trailers += name + ": " + value + "\r\n";
  FUZZ_CHECK(Lower(trailers) == Lower(decoder.trailers()));
}

// -- requests --

IncomingHead BuildRequest(RequestBuilder& builder, const Fields& fields, bool ends,
                          const SessionOptions& options) {
  builder.Begin(options);
  for (const auto& [name, value] : fields) builder.Add(name, value);
  return builder.Finish(ends, kNonce);
}

// `fields` and `head` mean the same.
void CheckRequest(const Fields& fields, const IncomingHead& built,
                  const rondo::http::RequestHead& head) {
  const bool tunnel = built.framing == Framing::kUntilClose;
  FUZZ_CHECK(tunnel == (ValueOf(fields, ":method") == "CONNECT"));
  FUZZ_CHECK(head.method == (tunnel ? "GET" : ValueOf(fields, ":method")));
  FUZZ_CHECK(head.target == ValueOf(fields, ":path") && head.path_and_query == head.target);
  const std::string authority = ValueOf(fields, ":authority");
  FUZZ_CHECK(head.host == (authority.empty() ? ValueOf(fields, "host") : authority));
  FUZZ_CHECK(head.minor_version == 1 && head.keep_alive && !head.connection_names_fields);
  FUZZ_CHECK(head.upgrade == (tunnel ? "websocket" : ""));
  FUZZ_CHECK(head.framing == (tunnel ? Framing::kNone : built.framing));
  FUZZ_CHECK(head.content_length == built.content_length);
  FUZZ_CHECK(head.takes_trailers == !ValueOf(fields, "te").empty());
  FUZZ_CHECK(Plain(head.fields) == Plain(fields));
  FUZZ_CHECK(Cookies(head.fields) == Cookies(fields));
}

// The text, read back, is what it was made of.
void CheckReadBack(const Fields& fields, const IncomingHead& built) {
  const Reading reading = ReadEveryWay(built.text, {});
  FUZZ_CHECK(!reading.bad && reading.heads.size() == 1);
  const Fields& again = reading.heads[0];
  for (const char* name : {":method", ":path", ":protocol"}) {
    FUZZ_CHECK(Lower(ValueOf(again, name)) == Lower(ValueOf(fields, name)));
  }
  FUZZ_CHECK(ValueOf(again, "te") == (ValueOf(fields, "te").empty() ? "" : "trailers"));
  FUZZ_CHECK(Plain(again) == Plain(fields) && Cookies(again) == Cookies(fields));
  const std::string length = ValueOf(again, "content-length");
  FUZZ_CHECK(length.empty() == (built.framing != Framing::kLength));
  FUZZ_CHECK(length.empty() || length == std::to_string(built.content_length));
}

void TryRequestFields(std::string_view bytes, uint8_t flags) {
  const Fields fields = SplitFields(bytes);
  RequestBuilder builder;
  const IncomingHead built = BuildRequest(builder, fields, flags & 1, kFirst);
  FUZZ_CHECK(built.text.empty() == static_cast<bool>(built.refusal));
  if (built.refusal) return;
  rondo::http::RequestHead head;
  const rondo::http::HeadResult result =
      rondo::http::RequestParser().Parse(built.text, 0, LimitsOf(kFirst), head);
  FUZZ_CHECK(rondo::http2::OwnWayAgrees(built.text, result, head));
  if (built.text.starts_with("CONNECT ")) {
    FUZZ_CHECK(result.status == HeadStatus::kRefused && result.refusal.status == 501);
    return;
  }
  FUZZ_CHECK(result.status == HeadStatus::kComplete && result.head_bytes == built.text.size());
  CheckRequest(fields, built, head);
  CheckReadBack(fields, built);
}

// Whatever HTTP/1's parser takes is forwarded by our writer, and comes back.
void TryRequestText(std::string_view bytes) {
  ReadEveryWay(bytes, {});
  rondo::http::RequestParser parser;
  rondo::http::RequestHead head;
  const rondo::http::HeadResult result = parser.Parse(bytes, 0, LimitsOf(kFirst), head);
  if (result.status != HeadStatus::kComplete || head.host.empty()) return;
  const std::vector<std::string> allowed = {"websocket"};
  rondo::http::ForwardRequest options{.request_id = "0123456789abcdef", .framing = head.framing};
  options.content_length = head.content_length;
  options.upgrade = rondo::http::ChooseUpgrade(head, allowed);
  std::string text(ForwardedRequestBound(head, options), '\0');
  text.resize(WriteForwardedRequest(head, options, text.data(), nullptr));
  const std::string_view body = bytes.substr(result.head_bytes);
  const Reading reading = ReadEveryWay(text + std::string(body), {});
  FUZZ_CHECK(!reading.heads.empty());
  const bool tunnel = ValueOf(reading.heads[0], ":method") == "CONNECT";
  if (!reading.bad && !tunnel) CheckBody(body, head.framing, head.content_length, reading);

  rondo::http::RequestHead forwarded;
  FUZZ_CHECK(parser.Parse(text, 0, LimitsOf(kSecond), forwarded).status == HeadStatus::kComplete);
  RequestBuilder builder;
  const bool ends = ReadAll(text, {}, text.size() + 1, SIZE_MAX).ended;
  const IncomingHead built = BuildRequest(builder, reading.heads[0], ends, kSecond);
  FUZZ_CHECK(!built.refusal);
  rondo::http::RequestHead again;
  FUZZ_CHECK(parser.Parse(built.text, 0, LimitsOf(kSecond), again).status == HeadStatus::kComplete);
  CheckRequest(reading.heads[0], built, again);
  FUZZ_CHECK(again.host == forwarded.host && again.takes_trailers == forwarded.takes_trailers);
  FUZZ_CHECK(Plain(again.fields) == Plain(forwarded.fields));
  FUZZ_CHECK(again.content_length == forwarded.content_length);
  // A POST without a body says so where it did not before.
  FUZZ_CHECK(again.framing == forwarded.framing || forwarded.framing == Framing::kNone);
}

// -- answers --

void TryAnswerFields(std::string_view bytes, uint8_t flags) {
  const Fields fields = SplitFields(bytes);
  const ResponseBuilder::Asked asked{
      .head = (flags & 2) != 0, .tunnel = (flags & 6) == 4, .key = "key"};
  ResponseBuilder builder;
  builder.Begin(kFirst);
  for (const auto& [name, value] : fields) builder.Add(name, value);
  const IncomingHead built = builder.Finish(flags & 1, asked);
  FUZZ_CHECK(built.text.empty() == static_cast<bool>(built.refusal));
  if (built.refusal) return;
  rondo::http::ResponseHead head;
  const rondo::http::HeadResult result = rondo::http::ResponseParser().Parse(
      built.text, 0, LimitsOf(kFirst), asked.head, asked.tunnel, head);
  FUZZ_CHECK(OwnWayAgrees(built.text, result, head, asked.head, asked.tunnel));
  FUZZ_CHECK(result.status == HeadStatus::kComplete && result.head_bytes == built.text.size());
  const bool tunnel = built.framing == Framing::kUntilClose;
  const std::string status = ValueOf(fields, ":status");
  FUZZ_CHECK(tunnel ? head.status == 101 : std::to_string(head.status) == status);
  FUZZ_CHECK(head.keep_alive && !head.connection_names_fields);
  FUZZ_CHECK(head.interim() == built.interim && head.upgrade == (tunnel ? "websocket" : ""));
  FUZZ_CHECK(head.framing == (tunnel ? Framing::kNone : built.framing));
  FUZZ_CHECK(head.framing != Framing::kLength || head.content_length == built.content_length);
  Fields wanted = Plain(fields);
  for (const auto& field : fields) {
    if (field.first == "cookie") return;  // no answer has it, and it stays as it is
  }
  FUZZ_CHECK(Plain(head.fields) == wanted);
  const How how{MessageReader::Kind::kResponse, asked.head, asked.tunnel};
  const Reading reading = ReadEveryWay(built.text, how);
  FUZZ_CHECK(!reading.bad && reading.heads.size() == 1);
  const std::string again = ValueOf(reading.heads[0], ":status");
  FUZZ_CHECK(again == (tunnel ? "200" : status));
  FUZZ_CHECK(Plain(reading.heads[0]) == wanted);
}

void TryAnswerText(std::string_view bytes, uint8_t flags) {
  const How how{MessageReader::Kind::kResponse, (flags & 2) != 0, (flags & 6) == 4};
  ReadEveryWay(bytes, how);
  rondo::http::ResponseHead head;
  rondo::http::ResponseParser parser;
  const rondo::http::HeadResult result =
      parser.Parse(bytes, 0, LimitsOf(kFirst), how.to_head, how.to_tunnel, head);
  if (result.status != HeadStatus::kComplete) return;
  if (head.status == 101 && !rondo::http::EqualsIgnoreCase(head.upgrade, "websocket")) return;
  rondo::http::ForwardResponse options{.framing = rondo::http::ResponseFraming(head, 1)};
  options.content_length = head.content_length;
  std::string text(ForwardedResponseBound(head, options), '\0');
  text.resize(WriteForwardedResponse(head, options, text.data()));
  const Reading reading = ReadEveryWay(text, how);
  FUZZ_CHECK(!reading.bad && reading.heads.size() == 1);
  if (how.to_tunnel && head.status / 100 == 2) {
    FUZZ_CHECK(ValueOf(reading.heads[0], ":status") == "502");
    return;
  }
  ResponseBuilder builder;
  builder.Begin(kSecond);
  for (const auto& [name, value] : reading.heads[0]) builder.Add(name, value);
  const ResponseBuilder::Asked asked{how.to_head, how.to_tunnel, "key"};
  const IncomingHead built = builder.Finish(reading.ended && !head.interim(), asked);
  FUZZ_CHECK(!built.refusal);
  rondo::http::ResponseHead again;
  FUZZ_CHECK(
      parser.Parse(built.text, 0, LimitsOf(kSecond), how.to_head, how.to_tunnel, again).status ==
      HeadStatus::kComplete);
  FUZZ_CHECK(again.status == head.status && again.interim() == head.interim());
  rondo::http::ResponseHead forwarded;
  FUZZ_CHECK(
      parser.Parse(text, 0, LimitsOf(kSecond), how.to_head, how.to_tunnel, forwarded).status ==
      HeadStatus::kComplete);
  FUZZ_CHECK(Plain(again.fields) == Plain(forwarded.fields));
}

// -- trailers --

void TryTrailers(std::string_view bytes) {
  TrailerBuilder builder;
  builder.Begin(kFirst);
  for (const auto& [name, value] : SplitFields(bytes)) builder.Add(name, value);
  rondo::http::Refusal refusal;
  const std::string lines(builder.Finish(&refusal));
  if (refusal) return;
  const std::string text = "1\r\nx\r\n0\r\n" + lines + "\r\n";
  std::string decoded = text;
  rondo::http::BodyDecoder decoder;
  decoder.Begin(Framing::kChunked, 0, LimitsOf(kFirst), 400);
  const rondo::http::BodyDecoder::Step step = decoder.Decode(decoded.data(), decoded.size());
  FUZZ_CHECK(step.done && step.consumed == text.size() && decoder.trailers() == lines);
  const Reading reading =
      ReadEveryWay("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + text, {});
  FUZZ_CHECK(reading.ended && reading.data == "x");
  std::string again;
  for (const auto& [name, value] : reading.trailers) again += name + ": " + value + "\r\n";
  FUZZ_CHECK(again == lines);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const uint8_t flags = data[0];
  switch (flags >> 5) {
    case 0:
    case 1:
      TryRequestFields(bytes, flags);
      break;
    case 2:
    case 3:
      TryAnswerFields(bytes, flags);
      break;
    case 4:
    case 5:
      TryRequestText(bytes);
      break;
    case 6:
      TryAnswerText(bytes, flags);
      break;
    default:
      TryTrailers(bytes);
      break;
  }
  return 0;
}
