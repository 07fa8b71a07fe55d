#include <gtest/gtest.h>

#include <string>

#include "rondo/http/h1_parser.h"
#include "split_feed.h"

namespace rondo::http {
namespace {

std::string Describe(const ResponseHead& head) {
  std::string text = std::to_string(head.status) + " " + std::string(head.reason_phrase) + " 1." +
                     std::to_string(head.minor_version);
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
      text += " until-close";
      break;
  }
  if (!head.keep_alive) text += " close";
  if (head.keepalive_timeout_s >= 0) text += " timeout=" + std::to_string(head.keepalive_timeout_s);
  if (!head.upgrade.empty()) text += " upgrade=" + std::string(head.upgrade);
  return text;
}

enum class Asked { kGet, kHead, kUpgrade };

Outcome ParseEveryWay(std::string_view input, Asked asked = Asked::kGet, HeadLimits limits = {}) {
  ResponseParser parser;
  ResponseHead head;
  return FeedEveryWay(
      input,
      [&](std::string_view bytes, size_t scanned) {
        return parser.Parse(bytes, scanned, limits, asked == Asked::kHead, asked == Asked::kUpgrade,
                            head);
      },
      [&] { return Describe(head); });
}

struct Case {
  Asked asked;
  std::string input;
  std::string text;  // of the head, or of the refusal
};

TEST(H1Response, FindsTheBodyByStatusMethodAndFields) {
  using enum Asked;
  const Case kCases[] = {
      {kGet, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "200 OK 1.1 length=5"},
      {kGet, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 length=0"},
      {kGet, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 OK 1.1 chunked"},
      {kGet, "HTTP/1.1 200 OK\r\n\r\n", "200 OK 1.1 until-close close"},
      {kGet, "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", "200 OK 1.1 until-close close"},
      {kGet, "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", "200 OK 1.0 length=1 close"},
      {kGet, "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n",
       "200 OK 1.0 length=1"},
      {kGet, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n",
       "200 OK 1.1 length=1 close"},
      {kGet, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nKeep-Alive: timeout=5, max=100\r\n\r\n",
       "200 OK 1.1 length=1 timeout=5"},
      {kGet, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nKeep-Alive: max=1,Timeout=007\r\n\r\n",
       "200 OK 1.1 length=1 timeout=7"},
      {kGet, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nKeep-Alive: timeout=-1\r\n\r\n",
       "200 OK 1.1 length=1"},
      {kGet, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nKeep-Alive: timeout=9999999999\r\n\r\n",
       "200 OK 1.1 length=1"},
      {kGet, "HTTP/1.1 204 No Content\r\n\r\n", "204 No Content 1.1"},
      {kGet, "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "204 No Content 1.1"},
      // A body here would be taken for the next response.
      {kGet, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello",
       "204 No Content 1.1 close"},
      {kGet, "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
       "204 No Content 1.1 close"},
      {kGet, "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "304 Not Modified 1.1"},
      {kHead, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "200 OK 1.1"},
      {kHead, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "200 OK 1.1"},
      {kHead, "HTTP/1.1 200 OK\r\n\r\n", "200 OK 1.1"},
      {kGet, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "100 Continue 1.1"},
      {kGet, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", "103 Early Hints 1.1"},
      {kUpgrade, "HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81",
       "101 Switching 1.1 upgrade=websocket"},
      {kUpgrade, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", "200 OK 1.1 length=1"},
      {kGet, "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\n", "200  1.1 length=1"},
      {kGet, "HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\n", "200  1.1 length=1"},
      {kGet, "HTTP/1.1 599 a b \xe9\r\nContent-Length: 1\r\n\r\n", "599 a b \xe9 1.1 length=1"},
      {kGet, "HTTP/1.3 200 OK\r\nContent-Length: 1\r\n\r\n", "200 OK 1.1 length=1"},
  };
  for (const Case& c : kCases) {
    const Outcome outcome = ParseEveryWay(c.input, c.asked);
    EXPECT_EQ(outcome.status, HeadStatus::kComplete) << c.input << outcome;
    EXPECT_EQ(outcome.text, c.text) << c.input;
    EXPECT_EQ(outcome.head_bytes, c.input.find("\r\n\r\n") + 4);
  }
}

TEST(H1Response, RefusesWhatIsMalformed) {
  using enum Asked;
  const auto with = [](std::string_view fields) {
    return "HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\n";
  };
  const std::string cl = "Content-Length: 5\r\n";
  const std::string te = "Transfer-Encoding: chunked\r\n";
  const Case kCases[] = {
      {kGet, "HTP", "bad_status_line"},
      {kGet, "<html>", "bad_status_line"},
      {kGet, "\r\nHTTP/1.1 200 OK\r\n\r\n", "bad_status_line"},
      {kGet, "http/1.1 200 OK\r\n\r\n", "bad_status_line"},
      {kGet, "HTTP/2.0 200 OK\r\n\r\n", "bad_status_line"},
      {kGet, "HTTP/1.1  200 OK\r\n\r\n", "bad_status_line"},
      {kGet, "HTTP/1.1 20 OK\r\n\r\n", "bad_status_line"},
      {kGet, "HTTP/1.1 2000 OK\r\n\r\n", "bad_status_line"},
      {kGet, "HTTP/1.1 +20 OK\r\n\r\n", "bad_status_line"},
      {kGet, "HTTP/1.1 2 0 OK\r\n\r\n", "bad_status_line"},
      {kGet, "HTTP/1.1 200OK\r\n\r\n", "bad_status_line"},
      {kGet, "HTTP/1.1\r\n\r\n", "bad_status_line"},
      {kGet, "HTTP/1.11 200 OK\r\n\r\n", "bad_status_line"},
      {kGet, "HTTP/1.1 099 OK\r\n\r\n", "bad_status_code"},
      {kGet, "HTTP/1.1 000 OK\r\n\r\n", "bad_status_code"},
      {kGet, "HTTP/1.1 600 OK\r\n\r\n", "bad_status_code"},
      {kGet, "HTTP/1.1 200 O\x01K\r\n\r\n", "control_character"},
      {kGet, "HTTP/1.1 200 OK\n\n", "bare_lf"},
      {kGet, with(cl + te), "content_length_and_transfer_encoding"},
      {kGet, with(te + cl), "content_length_and_transfer_encoding"},
      {kHead, with(te + cl), "content_length_and_transfer_encoding"},
      {kGet, with(cl + cl), "several_content_lengths"},
      {kGet, with(cl + "Content-Length: 6\r\n"), "several_content_lengths"},
      {kGet, with("Content-Length: 5, 6\r\n"), "bad_content_length"},
      {kGet, with("Content-Length: abc\r\n"), "bad_content_length"},
      {kGet, with("Content-Length: -1\r\n"), "bad_content_length"},
      {kGet, with("Content-Length:\r\n"), "empty_content_length"},
      {kGet, with("Content-Length: 99999999999999999999\r\n"), "content_length_overflow"},
      {kGet, with("Transfer-Encoding: gzip, chunked\r\n"), "bad_transfer_encoding"},
      {kGet, with("Transfer-Encoding: identity\r\n"), "bad_transfer_encoding"},
      {kGet, with(te + te), "several_transfer_encodings"},
      {kGet, "HTTP/1.0 200 OK\r\n" + te + "\r\n", "transfer_encoding_in_http_1_0"},
      {kGet, with("X: a\r\n b\r\n"), "folded_header"},
      {kGet, with("X : a\r\n"), "space_before_colon"},
      {kGet, with(": a\r\n"), "empty_header_name"},
      {kGet, with("X\r\n"), "header_without_colon"},
      {kGet, with("X: a\nY: b\r\n"), "bare_lf"},
      {kGet, with(std::string("X: a\0\r\n", 7)), "nul_byte"},
      {kGet, "HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
       "unasked_upgrade"},
      {kUpgrade, "HTTP/1.1 101 S\r\nConnection: Upgrade\r\n\r\n", "switching_without_upgrade"},
      {kUpgrade, "HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n", "switching_without_upgrade"},
      {kUpgrade, "HTTP/1.0 101 S\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
       "switching_without_upgrade"},
      {kUpgrade, "HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: Upgrade\r\n" + te + "\r\n",
       "interim_response_with_body"},
      {kGet, "HTTP/1.1 100 Continue\r\n" + cl + "\r\n", "interim_response_with_body"},
      {kGet, "HTTP/1.1 103 Early Hints\r\n" + te + "\r\n", "interim_response_with_body"},
  };
  for (const Case& c : kCases) {
    const Outcome outcome = ParseEveryWay(c.input, c.asked);
    EXPECT_EQ(outcome.status, HeadStatus::kRefused) << c.input << outcome;
    EXPECT_EQ(outcome.refusal, "502 " + c.text) << c.input;
  }
}

TEST(H1Response, NamesEveryRefusalBadResponse) {
  ResponseParser parser;
  ResponseHead head;
  const HeadResult result = parser.Parse("HTTP/1.1 1000 OK\r\n\r\n", 0, {}, false, false, head);
  EXPECT_STREQ(result.refusal.reason, "bad_response");
  EXPECT_STREQ(result.refusal.detail, "bad_status_line");
  EXPECT_EQ(result.refusal.status, 502);
}

TEST(H1Response, HoldsItsLimits) {
  const HeadLimits limits{.header_bytes = 64, .header_count = 2};
  EXPECT_EQ(ParseEveryWay("HTTP/1.1 200 " + std::string(80, 'x'), Asked::kGet, limits).refusal,
            "502 status_line_too_long");
  EXPECT_EQ(
      ParseEveryWay("HTTP/1.1 200 OK\r\nX: " + std::string(80, 'x'), Asked::kGet, limits).refusal,
      "502 headers_too_large");
  EXPECT_EQ(
      ParseEveryWay("HTTP/1.1 200 OK\r\nA: b\r\nA: b\r\nA: b\r\n", Asked::kGet, limits).refusal,
      "502 too_many_headers");
}

}  // namespace
}  // namespace rondo::http
