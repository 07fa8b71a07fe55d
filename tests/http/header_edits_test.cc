#include "rondo/http/header_edits.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rondo/http/forwarding.h"
#include "rondo/http/h1_parser.h"

namespace rondo::http {
namespace {

constexpr std::string_view kId = "0123456789abcdef0123456789abcdef";

std::string Lines(std::string text) {
  EXPECT_TRUE(text.ends_with("\r\n\r\n"));
  text.resize(text.size() - 4);
  for (size_t at; (at = text.find("\r\n")) != std::string::npos;) text.replace(at, 2, "|");
  return text;
}

struct Written {
  std::string head;
  std::vector<char> memory;
  ForwardedRequest spans;
  std::string In(const TextSpan& span) const { return std::string(span.In(memory.data())); }
};

// What becomes of "GET /p HTTP/1.1", Host: a and these fields.
Written Forward(const std::string& fields, const CompiledEdits* edits,
                ForwardRequest options = {}) {
  const std::string bytes = "GET /p HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n";
  RequestParser parser;
  RequestHead head;
  EXPECT_EQ(parser.Parse(bytes, 0, {}, head).status, HeadStatus::kComplete) << bytes;
  options.request_id = kId;
  options.peer = IpAddress::Parse("192.0.2.7");
  options.edits = edits;
  Written written;
  written.memory.resize(ForwardedRequestBound(head, options));
  const size_t size = WriteForwardedRequest(head, options, written.memory.data(), &written.spans);
  EXPECT_LE(size + written.spans.kept_bytes, written.memory.size());
  written.head = Lines(std::string(written.memory.data(), size));
  return written;
}

// The same without what is always there: the request line, Host and our own fields.
std::string ForwardedFields(const std::string& fields, const HeaderEdits& edits) {
  const CompiledEdits compiled(edits);
  std::string head = Forward(fields, &compiled).head;
  const std::string start = "GET /p HTTP/1.1|Host: a|";
  const std::string own =
      "X-Forwarded-For: 192.0.2.7|X-Forwarded-Proto: http|X-Forwarded-Host: a|X-Real-IP: "
      "192.0.2.7|X-Request-Id: " +
      std::string(kId);
  EXPECT_TRUE(head.starts_with(start)) << head;
  const size_t at = head.find(own);
  EXPECT_NE(at, std::string::npos) << head;
  if (at != std::string::npos) head.replace(at, own.size(), "...");
  return head.substr(start.size());
}

TEST(HeaderEdits, TakeAwayWhatWasReceivedAndAddWhatIsSet) {
  struct {
    std::string fields;
    HeaderEdits edits;
    std::string forwarded;
  } const kCases[] = {
      {"X: y\r\n", {}, "X: y|..."},
      {"X: y\r\n", {{{"X-Env", "prod"}}, {}}, "X: y|...|X-Env: prod"},
      {"x-env: forged\r\nX: y\r\nX-ENV: again\r\n",
       {{{"X-Env", "prod"}}, {}},
       "X: y|...|X-Env: prod"},
      {"X-Env: a\r\nX-En: b\r\nX-Envy: c\r\nY-Env: d\r\n",
       {{}, {"x-eNV"}},
       "X-En: b|X-Envy: c|Y-Env: d|..."},
      {"Cookie: a=b\r\nCookie: c=d\r\nAuthorization: e\r\nAccept: f\r\n",
       {{}, {"cookie", "Authorization"}},
       "Accept: f|..."},
      {"Authorization: e\r\n", {{{"Authorization", "Basic x"}}, {}}, "...|Authorization: Basic x"},
      // Both named: it is set. Twice set: both stand.
      {"A: 1\r\n", {{{"A", "2"}}, {"a"}}, "...|A: 2"},
      {"A: 1\r\n", {{{"A", "2"}, {"a", "3"}}, {}}, "...|A: 2|a: 3"},
      {"A: 1\r\n", {{{"A", ""}}, {}}, "...|A: "},
      // What was hop-by-hop for the client is gone before; ours is for the backend.
      {"Connection: X-Env\r\nX-Env: a\r\n", {{{"X-Env", "prod"}}, {}}, "...|X-Env: prod"},
      // Nobody strips what we set by naming it in Connection.
      {"Connection: X-Env, close\r\n", {{{"X-Env", "prod"}}, {}}, "...|X-Env: prod"},
  };
  for (const auto& c : kCases)
    EXPECT_EQ(ForwardedFields(c.fields, c.edits), c.forwarded) << c.fields;
}

TEST(HeaderEdits, ReplaceWhatWeWriteOurselves) {
  const CompiledEdits edits({.set = {{"X-Forwarded-Proto", "https"}, {"Via", "edge"}},
                             .remove = {"X-Forwarded-For", "x-real-ip", "X-Forwarded-Host"}});
  ForwardRequest options;
  options.via_name = "ours";
  EXPECT_EQ(Forward("X-Forwarded-Proto: spdy\r\nVia: 1.1 x\r\n", &edits, options).head,
            "GET /p HTTP/1.1|Host: a|X-Request-Id: " + std::string(kId) +
                "|X-Forwarded-Proto: https|Via: edge");
  const CompiledEdits removal({.set = {}, .remove = {"X-Request-Id", "X-Forwarded-Proto", "Via"}});
  EXPECT_EQ(Forward("", &removal, options).head,
            "GET /p HTTP/1.1|Host: a|X-Forwarded-For: 192.0.2.7|X-Forwarded-Host: a|X-Real-IP: "
            "192.0.2.7");
}

TEST(HeaderEdits, LeaveTheLogWhatTheClientSent) {
  const CompiledEdits edits(
      {.set = {{"User-Agent", "rondo"}}, .remove = {"Referer", "X-Request-Id"}});
  const std::string fields = "User-Agent: curl/8\r\nReferer: http://x/\r\n";
  ForwardRequest options;
  options.target = "/rewritten";
  Written written = Forward(fields, &edits, options);
  EXPECT_TRUE(written.head.starts_with("GET /rewritten HTTP/1.1|"));
  EXPECT_EQ(written.spans.kept_bytes, 0u);
  EXPECT_EQ(written.In(written.spans.target), "/rewritten");
  EXPECT_EQ(written.In(written.spans.user_agent), "");

  options.keep_received = true;
  written = Forward(fields, &edits, options);
  EXPECT_TRUE(written.head.starts_with("GET /rewritten HTTP/1.1|"));
  EXPECT_TRUE(written.head.ends_with("|User-Agent: rondo")) << written.head;
  EXPECT_EQ(written.In(written.spans.target), "/p");
  EXPECT_EQ(written.In(written.spans.user_agent), "curl/8");
  EXPECT_EQ(written.In(written.spans.referer), "http://x/");
  EXPECT_EQ(written.In(written.spans.request_id), kId);
  EXPECT_EQ(written.spans.kept_bytes, std::string("/pcurl/8http://x/").size() + kId.size());

  // Nothing is written twice where nothing was changed.
  options.target = {};
  written = Forward(fields, nullptr, options);
  EXPECT_EQ(written.spans.kept_bytes, 0u);
  EXPECT_EQ(written.In(written.spans.target), "/p");
  EXPECT_EQ(written.In(written.spans.user_agent), "curl/8");
}

TEST(HeaderEdits, ChangeResponsesButAddNothingToInterimOnes) {
  const CompiledEdits edits({.set = {{"Strict-Transport-Security", "max-age=1"}, {"Date", "E"}},
                             .remove = {"Server", "X-Powered-By"}});
  struct {
    std::string input;
    std::string forwarded;
  } const kCases[] = {
      {"HTTP/1.1 200 OK\r\nserver: s\r\nX-Powered-By: p\r\nContent-Length: 0\r\nDate: x\r\n"
       "Strict-Transport-Security: no\r\nX: y\r\n\r\n",
       "HTTP/1.1 200 OK|X: y|Content-Length: 0|Strict-Transport-Security: max-age=1|Date: E"},
      {"HTTP/1.1 304 Not Modified\r\n\r\n",
       "HTTP/1.1 304 Not Modified|Strict-Transport-Security: max-age=1|Date: E"},
      {"HTTP/1.1 103 Early Hints\r\nServer: s\r\nLink: l\r\n\r\n",
       "HTTP/1.1 103 Early Hints|Link: l"},
      {"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: upgrade\r\nServer: s\r\n\r\n",
       "HTTP/1.1 101 Switching|Connection: upgrade|Upgrade: websocket|Strict-Transport-Security: "
       "max-age=1|Date: E"},
  };
  for (const auto& c : kCases) {
    ResponseParser parser;
    ResponseHead head;
    ASSERT_EQ(parser.Parse(c.input, 0, {}, false, true, head).status, HeadStatus::kComplete);
    ForwardResponse options;
    options.framing = ResponseFraming(head, 1);
    options.date = "D";
    options.edits = &edits;
    std::vector<char> out(ForwardedResponseBound(head, options));
    const size_t size = WriteForwardedResponse(head, options, out.data());
    ASSERT_LE(size, out.size());
    EXPECT_EQ(Lines(std::string(out.data(), size)), c.forwarded);
  }
}

TEST(HeaderEdits, FindManyNamesAndNoOthers) {
  HeaderEdits edits;
  for (int i = 0; i < 200; ++i) edits.remove.push_back("X-Field-" + std::to_string(i));
  edits.remove.push_back(std::string(80, 'x'));
  edits.remove.push_back("Cookie");
  const CompiledEdits compiled(edits);
  for (std::string name : edits.remove) {
    EXPECT_TRUE(compiled.Drops(FieldIdOf(name), name)) << name;
    name[0] = static_cast<char>(name[0] ^ 0x20);
    EXPECT_TRUE(compiled.Drops(FieldIdOf(name), name)) << name;
    name.back() = '!';
    EXPECT_FALSE(compiled.Drops(FieldIdOf(name), name)) << name;
  }
  for (int i = 200; i < 400; ++i) {
    EXPECT_FALSE(compiled.Drops(FieldId::kOther, "X-Field-" + std::to_string(i)));
  }
  EXPECT_FALSE(compiled.Drops(FieldId::kOther, std::string(81, 'x')));
  EXPECT_FALSE(compiled.Drops(FieldId::kHost));
  EXPECT_TRUE(compiled.lines().empty());
  EXPECT_FALSE(compiled.empty());
  EXPECT_TRUE(CompiledEdits().empty());
  EXPECT_TRUE(CompiledEdits(HeaderEdits{}).empty());
  EXPECT_FALSE(CompiledEdits().Drops(FieldId::kOther, "X"));
}

TEST(HeaderEdits, KnowWhatNoRouteMayTouch) {
  for (std::string_view name : {"Host",
                                "content-length",
                                "Transfer-Encoding",
                                "CONNECTION",
                                "Keep-Alive",
                                "TE",
                                "Trailer",
                                "Upgrade",
                                "Expect",
                                "Proxy-Connection",
                                "Proxy-Authorization",
                                "Proxy-Authenticate",
                                "Proxy-Authentication-Info",
                                "HTTP2-Settings",
                                "Max-Forwards",
                                "",
                                "a b",
                                "a:",
                                "a\r\nb",
                                "\xc3\xa4"}) {
    EXPECT_FALSE(IsEditableName(name)) << name;
  }
  for (std::string_view name :
       {"X-Env", "Cookie", "Authorization", "X-Forwarded-For", "Date", "Set-Cookie", "Via", "x",
        "Content-Type", "Proxy", "Content-Lengt"}) {
    EXPECT_TRUE(IsEditableName(name)) << name;
  }
  using std::string_view_literals::operator""sv;
  for (std::string_view value :
       {"a\r\nB: c"sv, "a\n"sv, "a\0b"sv, " a"sv, "a\t"sv, "\x7f"sv, "a\rb"sv}) {
    EXPECT_FALSE(IsEditableValue(value)) << value;
  }
  for (std::string_view value : {""sv, "a"sv, "a b\tc"sv, "\"q\", ;"sv, "\xc3\xa4"sv}) {
    EXPECT_TRUE(IsEditableValue(value)) << value;
  }
}

TEST(HeaderEditsDeathTest, RefuseToCompileWhatWouldBreakFraming) {
  EXPECT_DEATH(CompiledEdits({.set = {{"Content-Length", "5"}}, .remove = {}}), "IsEditableName");
  EXPECT_DEATH(CompiledEdits({.set = {{"A", "b\r\nC: d"}}, .remove = {}}), "IsEditableValue");
  EXPECT_DEATH(CompiledEdits({.set = {}, .remove = {"Transfer-Encoding"}}), "IsEditableName");
}

}  // namespace
}  // namespace rondo::http
