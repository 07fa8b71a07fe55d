#include "rondo/http/h1_parser.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "split_feed.h"

namespace rondo::http {
namespace {

std::string Describe(const RequestHead& head) {
  std::string text = std::string(head.method) + " " + std::string(head.path_and_query) + " @" +
                     std::string(head.host) + " 1." + std::to_string(head.minor_version);
  switch (head.framing) {
    case Framing::kNone:
      break;
    case Framing::kLength:
      text += " length=" + std::to_string(head.content_length);
      break;
    case Framing::kChunked:
      text += " chunked";
      break;
    case Framing::kUntilClose:
      text += " BAD";
      break;
  }
  if (!head.keep_alive) text += " close";
  if (head.expect_continue) text += " expect";
  if (!head.upgrade.empty()) text += " upgrade=" + std::string(head.upgrade);
  if (head.connection_names_fields) text += " names";
  if (head.takes_trailers) text += " trailers";
  for (const Field& field : head.fields) {
    text += "|" + std::string(field.name) + "=" + std::string(field.value);
  }
  return text;
}

Outcome ParseEveryWay(std::string_view input, HeadLimits limits = {}) {
  RequestParser parser;
  RequestHead head;
  return FeedEveryWay(
      input,
      [&](std::string_view bytes, size_t scanned) {
        return parser.Parse(bytes, scanned, limits, head);
      },
      [&] { return Describe(head); });
}

struct Good {
  std::string input;
  std::string text;
};

TEST(H1Request, ReadsWhatIsValid) {
  const Good kCases[] = {
      {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / @a 1.1|Host=a"},
      {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / @a 1.1|Host=a"},
      {"GET /a/b?c=d&e HTTP/1.1\r\nhost:a:80\r\nX:\r\n\r\n",
       "GET /a/b?c=d&e @a:80 1.1|host=a:80|X="},
      {"GET / HTTP/1.1\r\nHost: \t a \t \r\nX: a\tb \r\n\r\n", "GET / @a 1.1|Host=a|X=a\tb"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: caf\xc3\xa9 \xff\r\n\r\n",
       "GET / @a 1.1|Host=a|X=caf\xc3\xa9 \xff"},
      {"GET / HTTP/1.1\r\nHost: a\r\nX: a:b\r\nX: c\r\n\r\n", "GET / @a 1.1|Host=a|X=a:b|X=c"},
      {"GET / HTTP/1.0\r\n\r\n", "GET / @ 1.0 close"},
      {"GET / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n",
       "GET / @a 1.0|Host=a|Connection=Keep-Alive"},
      {"GET / HTTP/1.7\r\nHost: a\r\n\r\n", "GET / @a 1.1|Host=a"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
       "POST / @a 1.1 length=5|Host=a|Content-Length=5"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
       "POST / @a 1.1 length=0|Host=a|Content-Length=0"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 00012\r\n\r\n",
       "POST / @a 1.1 length=12|Host=a|Content-Length=00012"},
      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\n",
       "POST / @a 1.1 length=9223372036854775807|Host=a|Content-Length=9223372036854775807"},
      {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
       "POST / @a 1.1 chunked|Host=a|Transfer-Encoding=Chunked"},
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
       "GET / @a 1.1 close|Host=a|Connection=close"},
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Foo,\r\nConnection: , CLOSE\r\n\r\n",
       "GET / @a 1.1 close names|Host=a|Connection=keep-alive, X-Foo,|Connection=, CLOSE"},
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
       "GET / @a 1.1 upgrade=websocket|Host=a|Connection=keep-alive, Upgrade|Upgrade=websocket"},
      {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n",
       "GET / @a 1.1|Host=a|Upgrade=websocket"},
      {"GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
       "GET / @a 1.0 close|Host=a|Connection=Upgrade|Upgrade=websocket"},
      {"POST / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\nContent-Length: "
       "3\r\n\r\nabc",
       "POST / @a 1.1 length=3 upgrade=x|Host=a|Connection=Upgrade|Upgrade=x|Content-Length=3"},
      {"GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: deflate, trailers\r\n\r\n",
       "GET / @a 1.1 trailers|Host=a|Connection=TE|TE=deflate, trailers"},
      {"PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\n",
       "PUT / @a 1.1 length=1 expect|Host=a|Expect=100-Continue|Content-Length=1"},
      {"PUT / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
       "PUT / @a 1.0 length=1 close|Host=a|Expect=100-continue|Content-Length=1"},
      {"GET / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n",
       "GET / @a 1.1|Host=a|Expect=100-continue"},
      // Any token is a method: the backend may know it.
      {"BREW /pot HTTP/1.1\r\nHost: a\r\n\r\n", "BREW /pot @a 1.1|Host=a"},
      {"get / HTTP/1.1\r\nHost: a\r\n\r\n", "get / @a 1.1|Host=a"},
      {"M-SEARCH!#$%&'*+.^_`|~9 / HTTP/1.1\r\nHost: a\r\n\r\n",
       "M-SEARCH!#$%&'*+.^_`|~9 / @a 1.1|Host=a"},
      {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * @a 1.1|Host=a"},
      {"GET http://b.example:8080/p?q HTTP/1.1\r\nHost: a\r\n\r\n",
       "GET /p?q @b.example:8080 1.1|Host=a"},
      {"GET HTTPS://b HTTP/1.1\r\nHost: a\r\n\r\n", "GET / @b 1.1|Host=a"},
      {"OPTIONS http://b HTTP/1.1\r\nHost: b\r\n\r\n", "OPTIONS * @b 1.1|Host=b"},
      {"GET http://b/ HTTP/1.0\r\n\r\n", "GET / @b 1.0 close"},
      {"GET / HTTP/1.1\r\nHost: [2001:db8::1]:8080\r\n\r\n",
       "GET / @[2001:db8::1]:8080 1.1|Host=[2001:db8::1]:8080"},
      {"GET / HTTP/1.1\r\nHost: a_b.example.:\r\n\r\n",
       "GET / @a_b.example.: 1.1|Host=a_b.example.:"},
      {"GET /%00\\{}|^`\"<>[] HTTP/1.1\r\nHost: a\r\n\r\n", "GET /%00\\{}|^`\"<>[] @a 1.1|Host=a"},
      {"GET //evil/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET //evil/ @a 1.1|Host=a"},
  };
  for (const Good& c : kCases) {
    const Outcome outcome = ParseEveryWay(c.input);
    EXPECT_EQ(outcome.status, HeadStatus::kComplete) << c.input << outcome;
    EXPECT_EQ(outcome.text, c.text);
    EXPECT_EQ(outcome.head_bytes, c.input.find("\r\n\r\n", 4) + 4) << c.input;
  }
}

struct Bad {
  std::string input;
  std::string refusal;
};

// Each is a way to make two parsers see different messages, or different routes.
TEST(H1Request, RefusesWhatTwoParsersCouldReadDifferently) {
  const std::string host = "Host: a\r\n";
  const auto get = [&](std::string_view fields) {
    return "GET / HTTP/1.1\r\n" + host + std::string(fields) + "\r\n";
  };
  const auto line = [&](std::string_view first) {
    return std::string(first) + "\r\n" + host + "\r\n";
  };
  const std::string cl = "Content-Length: 5\r\n";
  const std::string te = "Transfer-Encoding: chunked\r\n";
  const Bad kCases[] = {
      // Framing.
      {get(cl + te), "400 content_length_and_transfer_encoding"},
      {get(te + cl), "400 content_length_and_transfer_encoding"},
      {get(te + "X: y\r\n" + cl), "400 content_length_and_transfer_encoding"},
      {get(cl + cl), "400 several_content_lengths"},
      {get(cl + "content-length: 6\r\n"), "400 several_content_lengths"},
      {get("Content-Length: 5, 5\r\n"), "400 bad_content_length"},
      {get("Content-Length: +5\r\n"), "400 bad_content_length"},
      {get("Content-Length: -5\r\n"), "400 bad_content_length"},
      {get("Content-Length: 0x5\r\n"), "400 bad_content_length"},
      {get("Content-Length: 5 5\r\n"), "400 bad_content_length"},
      {get("Content-Length: 5.0\r\n"), "400 bad_content_length"},
      {get("Content-Length: \xd9\xa5\r\n"), "400 bad_content_length"},
      {get("Content-Length: \"5\"\r\n"), "400 bad_content_length"},
      {get("Content-Length: 1_0\r\n"), "400 bad_content_length"},
      {get("Content-Length:\r\n"), "400 empty_content_length"},
      {get("Content-Length: \t \r\n"), "400 empty_content_length"},
      {get("Content-Length: 9223372036854775808\r\n"), "400 content_length_overflow"},
      {get("Content-Length: 18446744073709551621\r\n"), "400 content_length_overflow"},
      {get("Content-Length: 99999999999999999999999999\r\n"), "400 content_length_overflow"},
      {get("Transfer-Encoding: gzip\r\n"), "400 bad_transfer_encoding"},
      {get("Transfer-Encoding: gzip, chunked\r\n"), "400 bad_transfer_encoding"},
      {get("Transfer-Encoding: chunked, gzip\r\n"), "400 bad_transfer_encoding"},
      {get("Transfer-Encoding: chunked, chunked\r\n"), "400 bad_transfer_encoding"},
      {get("Transfer-Encoding: chunked,\r\n"), "400 bad_transfer_encoding"},
      {get("Transfer-Encoding: ,chunked\r\n"), "400 bad_transfer_encoding"},
      {get("Transfer-Encoding: xchunked\r\n"), "400 bad_transfer_encoding"},
      {get("Transfer-Encoding: chunked;a=b\r\n"), "400 bad_transfer_encoding"},
      {get("Transfer-Encoding: \"chunked\"\r\n"), "400 bad_transfer_encoding"},
      {get("Transfer-Encoding: identity\r\n"), "400 bad_transfer_encoding"},
      {get("Transfer-Encoding: chunke\r\n"), "400 bad_transfer_encoding"},
      {get("Transfer-Encoding: chunked\xa0\r\n"), "400 bad_transfer_encoding"},
      {get("Transfer-Encoding:\r\n"), "400 bad_transfer_encoding"},
      {get("Transfer-Encoding: identity\r\n" + cl), "400 bad_transfer_encoding"},
      {get("Transfer-Encoding: identity\r\n" + te), "400 bad_transfer_encoding"},
      {get(te + te), "400 several_transfer_encodings"},
      {get("Transfer-Encoding: \x0b chunked\r\n"), "400 control_character"},
      {get("Transfer-Encoding : chunked\r\n"), "400 space_before_colon"},
      {get("Transfer-Encoding\t: chunked\r\n"), "400 space_before_colon"},
      {get("Transfer-Encoding:\r\n chunked\r\n"), "400 folded_header"},
      {get("Transfer-Encoding:\n chunked\r\n"), "400 bare_lf"},
      {"POST / HTTP/1.0\r\n" + host + te + "\r\n", "400 transfer_encoding_in_http_1_0"},
      // Lines.
      {get("X: a\nY: b\r\n"), "400 bare_lf"},
      {get("X: a\rY: b\r\n"), "400 bare_cr"},
      {get("X: a\r\rY: b\r\n"), "400 bare_cr"},
      {get("X: a\r\n\rY"), "400 bare_cr"},
      {"GET / HTTP/1.1\nHost: a\n\n", "400 bare_lf"},
      {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 bare_lf"},
      {"\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "400 bare_cr"},
      {"\r\n\r\n\r\n" + get(""), "400 blank_lines_before_request"},
      {get("X: a\r\n b\r\n"), "400 folded_header"},
      {get("X: a\r\n\tb\r\n"), "400 folded_header"},
      {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", "400 folded_header"},
      {get(": a\r\n"), "400 empty_header_name"},
      {get("X : a\r\n"), "400 space_before_colon"},
      {get("X Y: a\r\n"), "400 bad_header_name"},
      {get("X\xff: a\r\n"), "400 bad_header_name"},
      {get("X(: a\r\n"), "400 bad_header_name"},
      {get("\"X\": a\r\n"), "400 bad_header_name"},
      {get("X\r\n"), "400 header_without_colon"},
      {get(std::string("X: a\0b\r\n", 8)), "400 nul_byte"},
      {get(std::string("X\0: a\r\n", 7)), "400 nul_byte"},
      {get("X: a\x01\r\n"), "400 control_character"},
      {get("X: a\x7f\r\n"), "400 control_character"},
      {get("X: a\x1b[31m\r\n"), "400 control_character"},
      // Host.
      {"GET / HTTP/1.1\r\n\r\n", "400 missing_host"},
      {"GET http://a/ HTTP/1.1\r\n\r\n", "400 missing_host"},
      {get("Host: a\r\n"), "400 several_hosts"},
      {get("host: b\r\n"), "400 several_hosts"},
      {"GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", "400 several_hosts"},
      {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "400 empty_host"},
      {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: a#b\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: a<b\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: a\"b\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: :80\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: [1.2.3.4]\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", "400 bad_host"},
      {"GET / HTTP/1.1\r\nHost: \xc3\xa4.example\r\n\r\n", "400 bad_host"},
      {"GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n", "400 bad_host"},
      // Request lines.
      {line("GET  / HTTP/1.1"), "400 bad_request_line"},
      {line("GET /  HTTP/1.1"), "400 space_in_target"},
      {line("GET / HTTP/1.1 "), "400 space_in_target"},
      {line("GET /a b HTTP/1.1"), "400 space_in_target"},
      {line("GET\t/ HTTP/1.1"), "400 control_character"},
      {line(" GET / HTTP/1.1"), "400 bad_method"},
      {line("G(T / HTTP/1.1"), "400 bad_method"},
      {line("\"GET\" / HTTP/1.1"), "400 bad_method"},
      {line("\xc3\xa9 / HTTP/1.1"), "400 bad_method"},
      {line("GET"), "400 bad_request_line"},
      {line("GET /"), "400 bad_request_line"},
      {line("GET HTTP/1.1"), "400 bad_request_line"},
      {line("GET /a#b HTTP/1.1"), "400 fragment_in_target"},
      {line("GET /\xff HTTP/1.1"), "400 bad_target"},
      {line("GET /\x01 HTTP/1.1"), "400 control_character"},
      {line("GET foo HTTP/1.1"), "400 bad_target"},
      {line("GET ?a HTTP/1.1"), "400 bad_target"},
      {line("GET a:80 HTTP/1.1"), "400 bad_target"},
      {line("GET * HTTP/1.1"), "400 asterisk_without_options"},
      {line("OPTIONS *x HTTP/1.1"), "400 bad_target"},
      {line("GET ftp://a/ HTTP/1.1"), "400 bad_target"},
      {line("GET http:/a HTTP/1.1"), "400 bad_target"},
      {line("GET http:///a HTTP/1.1"), "400 bad_authority"},
      {line("GET http://a,b/ HTTP/1.1"), "400 bad_authority"},
      {line("GET http://a\\b/ HTTP/1.1"), "400 bad_authority"},
      {line("GET http://u:p@a/ HTTP/1.1"), "400 userinfo_in_target"},
      {line("GET http://a?b HTTP/1.1"), "400 absolute_target_without_path"},
      {line("CONNECT a:443 HTTP/1.1"), "501 connect_not_supported"},
      {line("GET / HTTP/2.0"), "505 http_version_not_supported"},
      {line("GET / HTTP/0.9"), "505 http_version_not_supported"},
      {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 http_version_not_supported"},
      {line("GET / HTTP/1.10"), "400 bad_http_version"},
      {line("GET / HTTP/1"), "400 bad_http_version"},
      {line("GET / HTTP/11"), "400 bad_http_version"},
      {line("GET / HTTP/1,1"), "400 bad_http_version"},
      {line("GET / http/1.1"), "400 bad_http_version"},
      {line("GET / ICE/1.1"), "400 bad_http_version"},
      {line("GET / HTTP/A.1"), "400 bad_http_version"},
      {"\x16\x03\x01\x02", "400 tls_on_plain_listener"},
      {std::string("\0\0\0", 3), "400 nul_byte"},
      {"\x80", "400 bad_method"},
  };
  for (const Bad& c : kCases) {
    const Outcome outcome = ParseEveryWay(c.input);
    EXPECT_EQ(outcome.status, HeadStatus::kRefused) << c.input;
    EXPECT_EQ(outcome.refusal, c.refusal) << c.input;
  }
}

TEST(H1Request, RefusesAtTheFirstByteThatCannotBecomeRight) {
  const Bad kCases[] = {
      {"\x16", "400 tls_on_plain_listener"},
      {"{", "400 bad_method"},
      {"GET /\r\n", "400 bad_request_line"},
      {"GET / HTTP/1.1\r\nHost: a\r\n ", "400 folded_header"},
      {"GET / HTTP/1.1\r\nHost: a\n", "400 bare_lf"},
      {"GET / HTTP/1.1\r\nHost: a\rb", "400 bare_cr"},
  };
  for (const Bad& c : kCases) {
    EXPECT_EQ(ParseEveryWay(c.input).refusal, c.refusal);
    EXPECT_EQ(ParseEveryWay(c.input.substr(0, c.input.size() - 1)).status, HeadStatus::kNeedMore);
  }
}

TEST(H1Request, HoldsItsLimitsExactly) {
  const HeadLimits limits{.header_bytes = 100, .header_count = 3};
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  const auto sized = [&](size_t total) {
    return start + std::string(total - start.size() - 4, 'x') + "\r\n\r\n";
  };
  EXPECT_EQ(ParseEveryWay(sized(100), limits).status, HeadStatus::kComplete);
  EXPECT_EQ(ParseEveryWay("\r\n" + sized(100), limits).status, HeadStatus::kComplete);
  EXPECT_EQ(ParseEveryWay(sized(101), limits).refusal, "431 headers_too_large");
  EXPECT_EQ(ParseEveryWay(sized(5000), limits).refusal, "431 headers_too_large");
  const std::string line = "GET /" + std::string(84, 'x') + " HTTP/1.1";
  ASSERT_EQ(line.size(), 98u);
  EXPECT_EQ(ParseEveryWay(line + "\r\nHost: a\r\n\r\n", limits).refusal, "431 headers_too_large");
  EXPECT_EQ(ParseEveryWay("GET /" + line, limits).refusal, "414 request_line_too_long");
  EXPECT_EQ(ParseEveryWay(std::string(5000, 'G'), limits).refusal, "414 request_line_too_long");
  const std::string three = "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\nX: a\r\n";
  EXPECT_EQ(ParseEveryWay(three + "\r\n", limits).status, HeadStatus::kComplete);
  EXPECT_EQ(ParseEveryWay(three + "X: a\r\n\r\n", limits).refusal, "431 too_many_headers");
  EXPECT_EQ(ParseEveryWay(three + "X: a\r\n", limits).refusal, "431 too_many_headers");
}

TEST(H1Request, TakesPipelinedRequestsOneByOne) {
  std::string bytes = "GET /a HTTP/1.1\r\nHost: a\r\n\r\nPOST /b HTTP/1.1\r\nHost: b\r\n\r\n";
  RequestParser parser;
  RequestHead head;
  HeadResult result = parser.Parse(bytes, 0, {}, head);
  ASSERT_EQ(result.status, HeadStatus::kComplete);
  EXPECT_EQ(head.path_and_query, "/a");
  EXPECT_TRUE(head.idempotent);
  bytes.erase(0, result.head_bytes);
  result = parser.Parse(bytes, 0, {}, head);
  ASSERT_EQ(result.status, HeadStatus::kComplete);
  EXPECT_EQ(head.path_and_query, "/b");
  EXPECT_EQ(head.fields.size(), 1u);
  EXPECT_FALSE(head.idempotent);
  EXPECT_EQ(result.head_bytes, bytes.size());
}

TEST(H1Request, KnowsWhichMethodsMayBeRepeated) {
  for (std::string method :
       {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "POST", "PATCH", "BREW", "get"}) {
    RequestParser parser;
    RequestHead head;
    const std::string bytes = method + " / HTTP/1.1\r\nHost: a\r\n\r\n";
    ASSERT_EQ(parser.Parse(bytes, 0, {}, head).status, HeadStatus::kComplete);
    const bool expected =
        method != "POST" && method != "PATCH" && method != "BREW" && method != "get";
    EXPECT_EQ(head.idempotent, expected) << method;
    EXPECT_EQ(head.is_head, method == "HEAD");
  }
}

// Linear: 30,000 single bytes of one header line must not be read again and again.
TEST(H1Request, ResumesWhereItStopped) {
  std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
  RequestParser parser;
  RequestHead head;
  HeadResult result = parser.Parse(bytes, 0, {}, head);
  const size_t before = result.scanned;
  bytes += std::string(1000, 'y');
  result = parser.Parse(bytes, result.scanned, {}, head);
  EXPECT_EQ(result.scanned - before, 1000u);
}

}  // namespace
}  // namespace rondo::http
