// Who may call the admin API.
#include "control/admin_access.h"

#include <gtest/gtest.h>

#include <string>

#include "rondo/http/h1_parser.h"

namespace rondo::control {
namespace {

Access AccessOf(const std::string& listen, const std::string& token, const std::string& fields,
                bool open = false) {
  AdminAccess access;
  access.listen = *SocketAddress::Parse(listen);
  access.token = token;
  const std::string text = "GET / HTTP/1.1\r\n" + fields + "\r\n";
  http::RequestParser parser;
  http::RequestHead head;
  EXPECT_EQ(parser.Parse(text, 0, {}, head).status, http::HeadStatus::kComplete) << text;
  return CheckAccess(access, head, open);
}

TEST(AdminAccess, OnALoopbackAddressHostMustBeLoopbackToo) {
  struct Case {
    const char* listen;
    const char* host;
    Access access;
  };
  const Case cases[] = {
      {"127.0.0.1:9900", "127.0.0.1:9900", Access::kGranted},
      {"127.0.0.1:9900", "127.0.0.1", Access::kGranted},
      {"127.0.0.1:9900", "127.8.9.10:1", Access::kGranted},
      {"127.0.0.1:9900", "[::1]:9900", Access::kGranted},
      {"127.0.0.1:9900", "localhost:9900", Access::kGranted},
      {"127.0.0.1:9900", "LocalHost", Access::kGranted},
      {"127.0.0.1:9900", "rondo.localhost:9900", Access::kGranted},
      {"[::1]:9900", "[::1]:9900", Access::kGranted},
      {"127.0.0.1:9900", "evil.example:9900", Access::kForeignHost},
      {"127.0.0.1:9900", "evillocalhost:9900", Access::kForeignHost},
      {"127.0.0.1:9900", "localhost.evil.example", Access::kForeignHost},
      {"127.0.0.1:9900", "127.0.0.1.evil.example", Access::kForeignHost},
      {"127.0.0.1:9900", "10.0.0.1:9900", Access::kForeignHost},
      {"127.0.0.1:9900", "[::2]:9900", Access::kForeignHost},
      {"127.0.0.1:9900", "[::1", Access::kForeignHost},
      {"unix:/run/rondo.sock", "anything", Access::kGranted},
  };
  for (const Case& c : cases) {
    const std::string fields = std::string("Host: ") + c.host + "\r\n";
    if (std::string_view(c.host) == "[::1") continue;  // the parser refuses it already
    EXPECT_EQ(AccessOf(c.listen, "", fields), c.access) << c.listen << " " << c.host;
  }
}

TEST(AdminAccess, OffTheLoopbackAnyHostGoesWithTheToken) {
  const std::string right = "Host: rondo.internal\r\nAuthorization: Bearer secret\r\n";
  EXPECT_EQ(AccessOf("10.0.0.1:9900", "secret", right), Access::kGranted);
  EXPECT_EQ(AccessOf("10.0.0.1:9900", "secret", "Host: rondo.internal\r\n"), Access::kNoToken);
}

TEST(AdminAccess, RefusesPagesOfOtherSites) {
  struct Case {
    const char* origin;
    Access access;
  };
  const Case cases[] = {
      {"http://127.0.0.1:9900", Access::kGranted},
      {"https://127.0.0.1:9900", Access::kGranted},
      {"HTTP://127.0.0.1:9900", Access::kGranted},
      {"http://127.0.0.1", Access::kForeignOrigin},
      {"http://127.0.0.1:80", Access::kForeignOrigin},
      {"http://localhost:9900", Access::kForeignOrigin},
      {"http://evil.example", Access::kForeignOrigin},
      {"null", Access::kForeignOrigin},
      {"127.0.0.1:9900", Access::kForeignOrigin},
  };
  for (const Case& c : cases) {
    const std::string fields = std::string("Host: 127.0.0.1:9900\r\nOrigin: ") + c.origin + "\r\n";
    EXPECT_EQ(AccessOf("127.0.0.1:9900", "", fields), c.access) << c.origin;
  }
}

TEST(AdminAccess, WantsTheTokenWhereOneIsSet) {
  struct Case {
    const char* fields;
    Access access;
  };
  const Case cases[] = {
      {"Authorization: Bearer secret\r\n", Access::kGranted},
      {"Authorization: bearer   secret\r\n", Access::kGranted},
      {"", Access::kNoToken},
      {"Authorization: Bearer secre\r\n", Access::kWrongToken},
      {"Authorization: Bearer secrets\r\n", Access::kWrongToken},
      {"Authorization: Bearer Secret\r\n", Access::kWrongToken},
      {"Authorization: Bearer \r\n", Access::kWrongToken},
      {"Authorization: Basic secret\r\n", Access::kWrongToken},
      {"Authorization: secret\r\n", Access::kWrongToken},
      {"Authorization: Bearer secret\r\nAuthorization: Bearer secret\r\n", Access::kWrongToken},
  };
  for (const Case& c : cases) {
    const std::string fields = std::string("Host: 127.0.0.1\r\n") + c.fields;
    EXPECT_EQ(AccessOf("127.0.0.1:9900", "secret", fields), c.access) << c.fields;
  }
  EXPECT_EQ(AccessOf("127.0.0.1:9900", "secret", "Host: 127.0.0.1\r\n", true), Access::kGranted);
  EXPECT_EQ(AccessOf("127.0.0.1:9900", "secret", "Host: evil.example\r\n", true),
            Access::kForeignHost);
}

TEST(AdminAccess, ComparesTokensWhole) {
  EXPECT_TRUE(SameToken("abc", "abc"));
  EXPECT_FALSE(SameToken("", "abc"));
  EXPECT_FALSE(SameToken("abcabc", "abc"));
  EXPECT_FALSE(SameToken("ab", "abc"));
  EXPECT_FALSE(SameToken("", ""));
}

}  // namespace
}  // namespace rondo::control
