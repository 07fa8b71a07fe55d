// Addresses of the admin API, and its answers as bytes.
#include "control/admin_target.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "control/admin_wire.h"
#include "control/json_writer.h"

namespace rondo::control {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

TEST(AdminTarget, DecodesSegmentsAfterSplittingThem) {
  struct Case {
    const char* target;
    std::vector<std::string> path;
  };
  const Case cases[] = {
      {"/", {}},
      {"/v1/status", {"v1", "status"}},
      {"/v1/upstreams/a%2Fb", {"v1", "upstreams", "a/b"}},
      {"/v1/upstreams/api/backends/unix:%2Frun%2Fa.sock",
       {"v1", "upstreams", "api", "backends", "unix:/run/a.sock"}},
      {"/x/%5B%3A%3A1%5D:80", {"x", "[::1]:80"}},
      {"/a+b", {"a+b"}},
      {"/a/", {"a", ""}},
      {"//a", {"", "a"}},
      {"/..", {".."}},
  };
  for (const Case& c : cases) {
    const auto target = ParseAdminTarget(c.target);
    ASSERT_TRUE(target) << c.target;
    EXPECT_EQ(target->path, c.path) << c.target;
  }
  for (const char* bad : {"", "*", "v1", "/%", "/%4", "/%zz", "/%00", "/%0a", "/?a=%", "/?%=a"}) {
    EXPECT_FALSE(ParseAdminTarget(bad)) << bad;
  }
}

TEST(AdminTarget, ReadsParametersInOrder) {
  const auto target = ParseAdminTarget("/x?a=1&b&c=%26+d&a=2&");
  ASSERT_TRUE(target);
  EXPECT_THAT(target->query,
              ElementsAre(Pair("a", "1"), Pair("b", ""), Pair("c", "& d"), Pair("a", "2")));
  EXPECT_EQ(*target->Find("a"), "1");
  EXPECT_EQ(target->Find("d"), nullptr);
}

TEST(AdminTarget, MatchesPatternsSegmentBySegment) {
  std::vector<std::string> values;
  EXPECT_TRUE(MatchAdminPattern("/", {}, values));
  EXPECT_TRUE(MatchAdminPattern("/a/{b}/c", {"a", "x/y", "c"}, values));
  EXPECT_THAT(values, ElementsAre("x/y"));
  EXPECT_FALSE(MatchAdminPattern("/a/{b}", {"a", ""}, values));
  EXPECT_FALSE(MatchAdminPattern("/a/{b}", {"a"}, values));
  EXPECT_FALSE(MatchAdminPattern("/a", {"a", "b"}, values));
  EXPECT_FALSE(MatchAdminPattern("/a", {"b"}, values));
  EXPECT_FALSE(MatchAdminPattern("/", {"a"}, values));
  EXPECT_FALSE(MatchAdminPattern("/a", {}, values));
}

TEST(AdminTarget, EncodedSegmentsComeBack) {
  for (const std::string text :
       {"127.0.0.1:80", "[::1]:80", "unix:/run/a b.sock", "100%", "\xc3\xa4?#&"}) {
    const auto target = ParseAdminTarget("/" + EncodeSegment(text));
    ASSERT_TRUE(target) << text;
    EXPECT_THAT(target->path, ElementsAre(text));
  }
  EXPECT_EQ(EncodeSegment("127.0.0.1:80"), "127.0.0.1:80");
}

TEST(AdminWire, WritesDatesAsHttpWantsThem) {
  const WallTime at{std::chrono::milliseconds(784111777999)};
  EXPECT_EQ(HttpDate(at), "Sun, 06 Nov 1994 08:49:37 GMT");
}

TEST(AdminWire, WritesTheHeadOfAnAnswer) {
  AdminReply reply;
  reply.status = 201;
  reply.body = "{}\n";
  reply.etag = 7;
  reply.location = "/v1/x";
  const std::string head = ReplyHead(reply, true, 1, WallTime{});
  EXPECT_THAT(head, ::testing::StartsWith("HTTP/1.1 201 Created\r\n"));
  for (const char* field : {"Content-Length: 3\r\n", "ETag: \"7\"\r\n", "Location: /v1/x\r\n",
                            "Cache-Control: no-store"}) {
    EXPECT_THAT(head, HasSubstr(field));
  }
  EXPECT_THAT(head, Not(HasSubstr("Connection")));
  EXPECT_THAT(head, ::testing::EndsWith("\r\n\r\n"));
  EXPECT_THAT(ReplyHead(reply, false, 1, WallTime{}), HasSubstr("Connection: close\r\n"));
  EXPECT_THAT(ReplyHead(reply, true, 0, WallTime{}), HasSubstr("Connection: keep-alive\r\n"));
  reply.status = 401;
  EXPECT_THAT(ReplyHead(reply, true, 1, WallTime{}), HasSubstr("WWW-Authenticate: Bearer"));
}

TEST(AdminWire, WritesEventsAsBrowsersReadThem) {
  std::string text;
  AppendEvent(17, "reload", "{\"a\":1}", text);
  EXPECT_EQ(text, "id: 17\nevent: reload\ndata: {\"a\":1}\n\n");
  std::string chunk;
  AppendStreamPiece(true, "abc", chunk);
  EXPECT_EQ(chunk, "3\r\nabc\r\n");
}

TEST(JsonWriter, PutsCommasAndEscapes) {
  std::string out;
  JsonWriter json(out);
  json.BeginObject();
  json.Key("a").Text("q\"\\\n\x01\x7f\xc3\xa4\xff");
  json.Key("b").BeginArray();
  json.Number(-1);
  json.Decimal(0.5);
  json.Decimal(100);
  json.Decimal(1.23456);
  json.Null();
  json.Bool(true);
  json.EndArray();
  json.Key("c").BeginObject();
  json.EndObject();
  json.Key("d").Raw("[1]");
  json.EndObject();
  EXPECT_EQ(out,
            "{\"a\":\"q\\\"\\\\\\n\\u0001\\u007f\xc3\xa4\\ufffd\",\"b\":[-1,0.5,100,1.235,null,"
            "true],\"c\":{},\"d\":[1]}");
}

TEST(JsonWriter, ReplacesWhatIsNotUtf8) {
  struct Case {
    const char* text;
    const char* json;
  };
  const Case cases[] = {
      {"\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\""},
      {"\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\""},  // a surrogate
      {"\xc0\xaf", "\"\\ufffd\\ufffd\""},             // overlong
      {"\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\""},
      {"\xe2\x82", "\"\\ufffd\\ufffd\""},  // cut
  };
  for (const Case& c : cases) {
    std::string out;
    AppendJsonText(c.text, out);
    EXPECT_EQ(out, c.json);
  }
}

}  // namespace
}  // namespace rondo::control
