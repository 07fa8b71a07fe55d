#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "app/echo_connection.h"
#include "app/echo_text.h"

namespace rondo::app {
namespace {

EchoOptions Named() {
  EchoOptions options;
  options.name = "a";
  return options;
}

// Sends what the connection has to send; a delayed answer is due at once.
void Drain(EchoConnection& connection, std::string* out) {
  if (connection.delay() > Duration{}) connection.DelayOver();
  iovec pieces[2];
  while (connection.has_output()) {
    const int count = connection.Gather(pieces);
    // Less than offered, so that partial sends are met as well.
    const size_t size = std::min<size_t>(pieces[0].iov_len, 40000);
    ASSERT_GT(count, 0);
    out->append(static_cast<const char*>(pieces[0].iov_base), size);
    connection.Sent(size);
  }
}

// All that comes back for `input`, which arrives in pieces that end at the positions `cuts`.
std::string Exchange(std::string_view input, const std::vector<size_t>& cuts,
                     const EchoOptions& options) {
  EchoConnection connection(options);
  std::string pending;
  std::string out;
  size_t from = 0;
  for (const size_t cut : cuts) {
    pending.append(input.substr(from, cut - from));
    from = cut;
    for (;;) {
      const size_t taken = connection.Consume(pending);
      pending.erase(0, taken);
      const size_t before = out.size();
      Drain(connection, &out);
      if (taken == 0 && out.size() == before) break;
    }
  }
  return out;
}

// The same whole, byte by byte, and split at each position.
std::string ExchangeEveryWay(std::string_view input, const EchoOptions& options = Named()) {
  const std::string whole = Exchange(input, {input.size()}, options);
  std::vector<size_t> bytes;
  for (size_t i = 1; i <= input.size(); ++i) bytes.push_back(i);
  EXPECT_EQ(Exchange(input, bytes, options), whole);
  for (size_t i = 1; i < input.size(); ++i) {
    EXPECT_EQ(Exchange(input, {i, input.size()}, options), whole) << "split at " << i;
  }
  return whole;
}

std::string Answer(std::string_view status, std::string_view type, std::string_view body,
                   std::string_view more = "") {
  return "HTTP/1.1 " + std::string(status) +
         "\r\nX-Backend: a\r\nContent-Type: " + std::string(type) +
         "\r\nContent-Length: " + std::to_string(body.size()) + std::string(more) + "\r\n\r\n" +
         std::string(body);
}

TEST(Echo, AnswersByPath) {
  struct Case {
    std::string request;
    std::string answer;
  };
  const std::string json = "application/json";
  const Case cases[] = {
      {"GET /x?y HTTP/1.1\r\nHost: h\r\n\r\n",
       Answer("200 OK", json,
              "{\"backend\":\"a\",\"method\":\"GET\",\"path\":\"/x?y\",\"body_bytes\":0}\n")},
      {"GET /health HTTP/1.1\r\nHost: h\r\n\r\n", Answer("200 OK", "text/plain", "ok\n")},
      {"POST /upload HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
       Answer("200 OK", json, "{\"bytes\":5,\"fnv64\":\"a430d84680aabd0b\"}\n")},
      {"POST /upload HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
       "2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: 1\r\n\r\n",
       Answer("200 OK", json, "{\"bytes\":5,\"fnv64\":\"a430d84680aabd0b\"}\n")},
      {"GET /headers HTTP/1.1\r\nHost: h\r\n\r\n",
       Answer("200 OK", "text/plain", "GET /headers HTTP/1.1\r\nHost: h\r\n\r\n")},
      {"GET /status/418 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n",
       Answer("418 Status", json,
              "{\"backend\":\"a\",\"method\":\"GET\",\"path\":\"/status/418\",\"body_bytes\":0}\n",
              "\r\nConnection: close")},
      {"GET /bytes/3 HTTP/1.1\r\nHost: h\r\n\r\n",
       Answer("200 OK", "application/octet-stream", std::string("\0\1\2", 3))},
      {"GET /delay/5 HTTP/1.0\r\n\r\n",
       Answer("200 OK", json,
              "{\"backend\":\"a\",\"method\":\"GET\",\"path\":\"/delay/5\",\"body_bytes\":0}\n",
              "\r\nConnection: close")},
  };
  for (const Case& c : cases) EXPECT_EQ(ExchangeEveryWay(c.request), c.answer) << c.request;
}

TEST(Echo, AnswersAPipelineInOrder) {
  const std::string one = "GET /bytes/1 HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string head = "HEAD /bytes/70000 HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string answers = ExchangeEveryWay(one + head + "\r\n" + one);
  const std::string first = Answer("200 OK", "application/octet-stream", std::string(1, '\0'));
  EXPECT_EQ(answers,
            first +
                "HTTP/1.1 200 OK\r\nX-Backend: a\r\nContent-Type: application/octet-stream\r\n"
                "Content-Length: 70000\r\n\r\n" +
                first);
}

TEST(Echo, SendsLongBodiesInThePattern) {
  const std::string out = Exchange("GET /bytes/3000001 HTTP/1.1\r\nHost: h\r\n\r\n", {42}, Named());
  const size_t start = out.find("\r\n\r\n") + 4;
  ASSERT_EQ(out.size() - start, 3000001u);
  for (size_t i = 0; i < 3000001; i += 997) {
    const size_t at = i % 65536;
    ASSERT_EQ(static_cast<uint8_t>(out[start + i]), ((at ^ (at >> 8)) & 0xff)) << i;
  }
}

TEST(Echo, SendsChunksThatEnd) {
  const std::string request = "GET /chunked/20000 HTTP/1.1\r\nHost: h\r\n\r\n";
  const std::string out = Exchange(request, {request.size()}, Named());
  EXPECT_NE(out.find("\r\n\r\n4000\r\n"), std::string::npos);
  EXPECT_TRUE(out.ends_with("\r\n0\r\n\r\n"));
}

TEST(Echo, RefusesWhatTwoReadersCouldReadDifferently) {
  const char* const cases[] = {
      "GET /\r\n\r\n",
      "GET / HTTP/1.1\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
      "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
      "GET / HTTP/1.1\r\nHost: a\r\nX: a\nY: b\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
  };
  for (const char* request : cases) {
    const std::string out = ExchangeEveryWay(request);
    EXPECT_TRUE(out.starts_with("HTTP/1.1 400 ")) << request << out;
    EXPECT_NE(out.find("Connection: close"), std::string::npos) << request;
  }
}

TEST(Echo, AsksForTheBodyThatIsHeldBack) {
  const std::string head =
      "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
  const std::string split = Exchange(head + "x", {head.size(), head.size() + 1}, Named());
  EXPECT_TRUE(split.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"));
  EXPECT_TRUE(Exchange(head + "x", {head.size() + 1}, Named()).starts_with("HTTP/1.1 200 OK"));
}

TEST(Echo, SendsWebSocketFramesBackUnmasked) {
  const std::string handshake =
      "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  const std::string frames =
      std::string("\x81\x82\1\2\3\4", 6) + std::string("\x69\x6b", 2) +  // "hi"
      std::string("\x89\x81\0\0\0\0p", 7) + std::string("\x88\x80\0\0\0\0", 6);
  const std::string out = ExchangeEveryWay(handshake + frames);
  EXPECT_NE(out.find("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"), std::string::npos);
  EXPECT_TRUE(out.ends_with(std::string("\r\n\r\n\x81\x02hi\x8a\x01p\x88\x00", 13))) << out;
}

TEST(Echo, EndsAWebSocketWhoseFramesAreNotMasked) {
  const std::string handshake =
      "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a\r\n\r\n";
  EXPECT_TRUE(ExchangeEveryWay(handshake + std::string("\x81\x01x\0\0\0\0", 7))
                  .ends_with("\x88\x02\x03\xea"));
}

TEST(EchoText, EscapesWhatJsonDoesNotTake) {
  std::string out;
  AppendJsonString(&out, "a\"b\\c\n\xff");
  EXPECT_EQ(out, "\"a\\\"b\\\\c\\u000a\\u00ff\"");
}

}  // namespace
}  // namespace rondo::app
