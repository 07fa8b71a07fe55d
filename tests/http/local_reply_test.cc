#include "rondo/http/local_reply.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rondo/http/h1_parser.h"

namespace rondo::http {
namespace {

std::string Write(const LocalReply& reply) {
  std::vector<char> out(kLocalReplyMax);
  const size_t size = WriteLocalReply(reply, out.data(), out.size());
  EXPECT_GT(size, 0u);
  return std::string(out.data(), size);
}

TEST(LocalReply, SaysWhatHappenedInJson) {
  LocalReply reply;
  reply.status = 404;
  reply.reason = "no_route";
  reply.request_id = "abc";
  reply.date = "D";
  EXPECT_EQ(Write(reply),
            "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: 91\r\n"
            "Cache-Control: no-store\r\nDate: D\r\n\r\n"
            "{\"error\":{\"code\":\"no_route\",\"message\":\"no route matches this "
            "request\",\"request_id\":\"abc\"}}\n");
}

TEST(LocalReply, SaysItInTextAndCloses) {
  LocalReply reply;
  reply.status = 503;
  reply.reason = "queue_full";
  reply.message = "full\nup";
  reply.request_id = "abc";
  reply.format = ReplyFormat::kPlainText;
  reply.close = true;
  reply.retry_after_s = 1;
  EXPECT_EQ(Write(reply),
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; "
            "charset=utf-8\r\nContent-Length: 34\r\n"
            "Cache-Control: no-store\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
            "queue_full: full\nup (request abc)\n");
}

TEST(LocalReply, TellsCallsOfGrpcInTheirFields) {
  LocalReply reply;
  reply.status = 503;
  reply.reason = "queue_full";
  reply.message = "100% f\xc3\xbcll\n";
  reply.request_id = "abc";
  reply.format = ReplyFormat::kGrpc;
  reply.retry_after_s = 1;
  EXPECT_EQ(Write(reply),
            "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: 14\r\n"
            "grpc-message: queue_full: 100%25 f%C3%BCll%0A (request abc)\r\n"
            "Content-Length: 0\r\nCache-Control: no-store\r\nRetry-After: 1\r\n\r\n");
}

TEST(LocalReply, AnswersHeadWithoutBody) {
  LocalReply reply;
  reply.status = 502;
  reply.reason = "bad_response";
  const std::string with = Write(reply);
  reply.head_only = true;
  const std::string without = Write(reply);
  EXPECT_TRUE(with.starts_with(without));
  EXPECT_TRUE(without.ends_with("\r\n\r\n"));
  EXPECT_LT(without.size(), with.size());
}

TEST(LocalReply, EscapesWhatItQuotes) {
  LocalReply reply;
  reply.status = 400;
  reply.reason = "x";
  reply.message = "a\"b\\c\x01\xff";
  EXPECT_NE(Write(reply).find("\"message\":\"a\\\"b\\\\c\\u0001\\u00ff\""), std::string::npos);
}

TEST(LocalReply, FitsItsBoundAndSaysWhenThereIsNoRoom) {
  LocalReply reply;
  reply.status = 511;
  const std::string reason(64, 'r');
  const std::string message(512, '\x01');
  const std::string id(128, '\x01');
  reply.reason = reason;
  reply.message = message;
  reply.request_id = id;
  reply.date = "Sun, 06 Nov 1994 08:49:37 GMT";
  reply.close = true;
  reply.retry_after_s = INT32_MAX;
  for (ReplyFormat format : {ReplyFormat::kJson, ReplyFormat::kPlainText, ReplyFormat::kGrpc}) {
    reply.format = format;
    EXPECT_LE(Write(reply).size(), kLocalReplyMax);
  }
  char small[64];
  EXPECT_EQ(WriteLocalReply(reply, small, sizeof small), 0u);
}

// Each answer is one that our own response parser takes, with the body that its length says.
TEST(LocalReply, IsValidHttp) {
  for (int status : {400, 404, 408, 413, 414, 429, 431, 501, 502, 503, 504, 505}) {
    LocalReply reply;
    reply.status = status;
    reply.reason = "some_reason";
    const std::string bytes = Write(reply);
    ResponseParser parser;
    ResponseHead head;
    const HeadResult result = parser.Parse(bytes, 0, {}, false, false, head);
    ASSERT_EQ(result.status, HeadStatus::kComplete);
    EXPECT_EQ(head.content_length, bytes.size() - result.head_bytes);
    EXPECT_FALSE(PhraseOf(status).empty());
  }
  EXPECT_EQ(PhraseOf(299), "");
  EXPECT_EQ(MessageOf("bare_lf", 400), "a LF stands without CR");
  EXPECT_NE(MessageOf("never_heard_of", 400), "");
}

TEST(LocalReply, TakesItsFormatFromAccept) {
  struct {
    std::string accept;
    ReplyFormat format;
  } const kCases[] = {
      {"", ReplyFormat::kJson},
      {"Accept: */*\r\n", ReplyFormat::kJson},
      {"Accept: text/plain\r\n", ReplyFormat::kPlainText},
      {"Accept: text/html,application/xhtml+xml,*/*;q=0.8\r\n", ReplyFormat::kPlainText},
      {"Accept: text/*;q=0.5\r\n", ReplyFormat::kPlainText},
      {"Accept: text/plain, application/json\r\n", ReplyFormat::kJson},
      {"Accept: image/png\r\n", ReplyFormat::kJson},
      {"Content-Type: application/json\r\n", ReplyFormat::kJson},
      {"Content-Type: application/grpc\r\n", ReplyFormat::kGrpc},
      {"Accept: text/plain\r\nContent-Type: application/grpc+proto\r\n", ReplyFormat::kGrpc},
  };
  for (const auto& c : kCases) {
    RequestParser parser;
    RequestHead head;
    const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\n" + c.accept + "\r\n";
    ASSERT_EQ(parser.Parse(bytes, 0, {}, head).status, HeadStatus::kComplete);
    EXPECT_EQ(ReplyFormatFor(head), c.format) << c.accept;
  }
}

TEST(FixedReply, WritesAHeadForABodyOfTheConfigurations) {
  char out[1024];
  FixedReply reply;
  reply.content_type = "text/plain";
  reply.body_bytes = 5;
  reply.date = "D";
  reply.extra_fields = "X: y\r\n";
  reply.keep_alive = true;
  EXPECT_EQ(
      std::string(out, WriteFixedReplyHead(reply, out, sizeof out)),
      "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\nDate: D\r\nX: y\r\n"
      "Connection: keep-alive\r\n\r\n");
  reply = {.status = 204, .close = true};
  EXPECT_EQ(std::string(out, WriteFixedReplyHead(reply, out, sizeof out)),
            "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(WriteFixedReplyHead(reply, out, 10), 0u);
}

TEST(FixedReply, RedirectsWithoutABodyWhateverTheMethod) {
  char out[1024];
  for (const std::string method : {"GET", "HEAD", "POST"}) {
    for (const auto& [status, phrase] : {std::pair(301, "Moved Permanently"),
                                         {302, "Found"},
                                         {303, "See Other"},
                                         {307, "Temporary Redirect"},
                                         {308, "Permanent Redirect"}}) {
      FixedReply reply;
      reply.status = status;
      reply.location = "https://example.com/new?a=b";
      reply.close = method == "POST";
      const std::string head(out, WriteFixedReplyHead(reply, out, sizeof out));
      EXPECT_EQ(head, "HTTP/1.1 " + std::to_string(status) + " " + phrase +
                          "\r\nContent-Length: 0\r\nLocation: https://example.com/new?a=b\r\n" +
                          (reply.close ? "Connection: close\r\n" : "") + "\r\n");
      ResponseParser parser;
      ResponseHead parsed;
      ASSERT_EQ(parser.Parse(head, 0, {}, method == "HEAD", false, parsed).status,
                HeadStatus::kComplete);
      EXPECT_EQ(parsed.Find(FieldId::kLocation)->value, "https://example.com/new?a=b");
      EXPECT_EQ(parsed.keep_alive, !reply.close);
      EXPECT_TRUE(parsed.framing == Framing::kNone || parsed.content_length == 0);
    }
  }
}

TEST(FixedReply, TakesTheRoutesEdits) {
  char out[1024];
  const CompiledEdits edits(
      {.set = {{"content-type", "text/html"}, {"X-Env", "prod"}}, .remove = {"Date", "Server"}});
  FixedReply reply;
  reply.content_type = "text/plain";
  reply.body_bytes = 5;
  reply.date = "D";
  reply.edits = &edits;
  EXPECT_EQ(
      std::string(out, WriteFixedReplyHead(reply, out, sizeof out)),
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\ncontent-type: text/html\r\nX-Env: prod\r\n\r\n");
  const CompiledEdits elsewhere({.set = {{"Location", "/there"}}, .remove = {}});
  reply = {.status = 302, .location = "/here", .edits = &elsewhere};
  EXPECT_EQ(std::string(out, WriteFixedReplyHead(reply, out, sizeof out)),
            "HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: /there\r\n\r\n");
}

}  // namespace
}  // namespace rondo::http
