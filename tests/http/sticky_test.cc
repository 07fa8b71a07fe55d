#include "rondo/http/sticky.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <vector>

#include "rondo/http/forwarding.h"
#include "rondo/http/h1_parser.h"

namespace rondo::http {
namespace {

using std::chrono_literals::operator""h;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

struct Request {
  explicit Request(const std::string& fields)
      : bytes("GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n") {
    RequestParser parser;
    EXPECT_EQ(parser.Parse(bytes, 0, {}, head).status, HeadStatus::kComplete) << bytes;
  }
  std::string bytes;
  RequestHead head;
};

TEST(FindCookie, TakesTheFirstOfThatName) {
  struct {
    std::string fields;
    std::optional<std::string_view> value;
  } const kCases[] = {
      {"", std::nullopt},
      {"Cookie: s=1\r\n", "1"},
      {"cookie:a=b; s=1\r\n", "1"},
      {"Cookie: a=b;s=1;c=d\r\n", "1"},
      {"Cookie:  ; ;a;s = 1 ; c\r\n", "1"},
      {"Cookie: s=1; s=2\r\n", "1"},
      {"Cookie: a=b\r\nX: y\r\nCookie: s=1\r\n", "1"},
      {"Cookie: s=\r\n", ""},
      {"Cookie: s=\"1\"\r\n", "\"1\""},
      {"Cookie: s=1=2\r\n", "1=2"},
      // Not that name.
      {"Cookie: S=1\r\n", std::nullopt},
      {"Cookie: s\r\n", std::nullopt},
      {"Cookie: xs=1; ss=2; sx=3\r\n", std::nullopt},
      {"Cookie: a=s=1\r\n", std::nullopt},
      {"Cookie: a=\"x; s=1\"\r\n", "1\""},  // quotes do not shield a semicolon
      {"X-Cookie: s=1\r\nSet-Cookie: s=1\r\n", std::nullopt},
      {"Cookie:\r\n", std::nullopt},
  };
  for (const auto& c : kCases) {
    const Request request(c.fields);
    EXPECT_EQ(FindCookie(request.head, "s"), c.value) << c.fields;
  }
}

TEST(FindSticky, TakesOnlyWhatWeWrote) {
  constexpr uint64_t kValue = 0x0123456789abcdef;
  struct {
    std::string cookies;
    std::optional<uint64_t> value;
  } const kCases[] = {
      {"s=0123456789abcdef", kValue},
      {"a=b; s=0123456789abcdef; c=d", kValue},
      {"s=ffffffffffffffff", UINT64_MAX},
      {"s=0000000000000000", 0},
      // Others of that name are passed over, the first valid one counts.
      {"s=old; s=0123456789abcdef", kValue},
      {"s=0123456789abcdef; s=ffffffffffffffff", kValue},
      {"a=b\r\nCookie: s=x\r\nCookie: s=0123456789abcdef", kValue},
      {"s=0123456789ABCDEF", std::nullopt},
      {"s=0123456789abcde", std::nullopt},
      {"s=0123456789abcdef0", std::nullopt},
      {"s=\"0123456789abcdef\"", std::nullopt},
      {"s=0x23456789abcdef", std::nullopt},
      {"s=+123456789abcdef", std::nullopt},
      {"s=0123456789abcdeg", std::nullopt},
      {"s=0123456789abcde/", std::nullopt},
      {"s=0123456789abcde:", std::nullopt},
      {"s=0123456789abcde`", std::nullopt},
      {"s=", std::nullopt},
      {"S=0123456789abcdef", std::nullopt},
      {"t=0123456789abcdef", std::nullopt},
  };
  for (const auto& c : kCases) {
    const Request request("Cookie: " + c.cookies + "\r\n");
    EXPECT_EQ(FindSticky(request.head, "s"), c.value) << c.cookies;
  }
  EXPECT_EQ(FindSticky(Request("").head, "s"), std::nullopt);
}

TEST(SetCookie, IsWrittenWithItsAttributesAndFoundAgain) {
  struct {
    StickyCookie cookie;
    uint64_t value;
    bool secure;
    std::string line;
  } const kCases[] = {
      {{"rondo_backend", 1h},
       0x0123456789abcdef,
       false,
       "Set-Cookie: rondo_backend=0123456789abcdef; Path=/; Max-Age=3600; HttpOnly; "
       "SameSite=Lax\r\n"},
      {{"s", 1h},
       0xf,
       true,
       "Set-Cookie: s=000000000000000f; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax; Secure\r\n"},
      {{"s", 1500ms},
       0,
       false,
       "Set-Cookie: s=0000000000000000; Path=/; Max-Age=2; HttpOnly; SameSite=Lax\r\n"},
      {{"s", 0s},
       UINT64_MAX,
       false,
       "Set-Cookie: s=ffffffffffffffff; Path=/; HttpOnly; SameSite=Lax\r\n"},
      {{"s", Duration::max()},
       1,
       true,
       "Set-Cookie: s=0000000000000001; Path=/; Max-Age=9223372037; HttpOnly; SameSite=Lax; "
       "Secure\r\n"},
  };
  for (const auto& c : kCases) {
    std::vector<char> out(SetCookieBound(c.cookie));
    const size_t size = WriteSetCookie(c.cookie, c.value, c.secure, out.data());
    ASSERT_LE(size, out.size());
    const std::string line(out.data(), size);
    EXPECT_EQ(line, c.line);
    const size_t begin = std::string("Set-Cookie: ").size();
    const Request request("Cookie: " + line.substr(begin, line.find(';') - begin) + "\r\n");
    EXPECT_EQ(FindSticky(request.head, c.cookie.name), c.value);
  }
}

TEST(StripCookie, TakesOnlyOurOwnOut) {
  struct {
    std::string cookie;     // the value of the field
    std::string forwarded;  // "" where the field goes whole
  } const kCases[] = {
      {"s=1", ""},
      {"s=1; s=2", ""},
      {" ;s=1 ; ;", ""},
      {"s=1; a=b", "a=b"},
      {"a=b; s=1", "a=b"},
      {"a=b; s=1; c=d", "a=b; c=d"},
      {"s=1; a=b; s=2; c=d; s=3", "a=b; c=d"},
      {"a=b;s=1;c=d", "a=b;c=d"},
      {"a=b ; s=1", "a=b"},
      {"a=b ;s=1; c", "a=b ; c"},
      {"a=\"b c\"; s = 1; c==", "a=\"b c\"; c=="},
      {"s=; a", "a"},
      // Not ours: the field stays byte for byte.
      {"S=1;;  a=b;", "S=1;;  a=b;"},
      {"s; ss=1; xs=2; a=s=1", "s; ss=1; xs=2; a=s=1"},
  };
  for (const auto& c : kCases) {
    const Request request("Cookie: " + c.cookie + "\r\nX: y\r\ncookie: other=1\r\n");
    ForwardRequest options;
    options.request_id = "id";
    options.strip_cookie = "s";
    std::vector<char> out(ForwardedRequestBound(request.head, options));
    const size_t size = WriteForwardedRequest(request.head, options, out.data(), nullptr);
    ASSERT_LE(size, out.size());
    const std::string field = c.forwarded.empty() ? "" : "Cookie: " + c.forwarded + "\r\n";
    EXPECT_TRUE(std::string_view(out.data(), size)
                    .starts_with("GET / HTTP/1.1\r\nHost: a\r\n" + field +
                                 "X: y\r\ncookie: other=1\r\nX-Forwarded-Proto"))
        << c.cookie << "\n"
        << std::string_view(out.data(), size);
  }
}

TEST(StripCookie, FollowsTheEditsOfTheRoute) {
  const Request request("Cookie: s=1; a=b\r\n");
  const CompiledEdits edits({.set = {{"Cookie", "s=own"}}, .remove = {}});
  ForwardRequest options;
  options.request_id = "id";
  options.strip_cookie = "s";
  options.edits = &edits;
  std::vector<char> out(ForwardedRequestBound(request.head, options));
  EXPECT_EQ(
      std::string(out.data(), WriteForwardedRequest(request.head, options, out.data(), nullptr)),
      "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: "
      "a\r\nX-Request-Id: id\r\nCookie: s=own\r\n\r\n");
}

}  // namespace
}  // namespace rondo::http
