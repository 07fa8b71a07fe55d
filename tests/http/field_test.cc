#include "rondo/http/field.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

namespace rondo::http {
namespace {

TEST(Field, FindsEachKnownNameInAnyCase) {
  const std::vector<std::pair<std::string, FieldId>> kNames = {
      {"Host", FieldId::kHost},
      {"CONNECTION", FieldId::kConnection},
      {"content-length", FieldId::kContentLength},
      {"Transfer-Encoding", FieldId::kTransferEncoding},
      {"tE", FieldId::kTe},
      {"X-Forwarded-For", FieldId::kXForwardedFor},
      {"x-real-ip", FieldId::kXRealIp},
      {"HTTP2-Settings", FieldId::kHttp2Settings},
      {"Idempotency-Key", FieldId::kIdempotencyKey},
      {"If-Unmodified-Since", FieldId::kIfUnmodifiedSince},
      {"Proxy-Authentication-Info", FieldId::kProxyAuthenticationInfo},
  };
  for (const auto& [name, id] : kNames) EXPECT_EQ(FieldIdOf(name), id) << name;
}

TEST(Field, DoesNotTakeOneNameForAnother) {
  for (std::string name : {"", "h", "Hosts", "Hest", "Hast", "Content_Length", "Content-Lengthy",
                           "T", "TEE", "X-Forwarded-Fox", "Transfer-Encodinh", "x"}) {
    EXPECT_EQ(FieldIdOf(name), FieldId::kOther) << name;
  }
}

TEST(Field, SplitsLists) {
  std::string_view rest = " a ,, b\t,c=d,";
  std::vector<std::string> members;
  std::string_view member;
  while (NextListMember(&rest, &member)) members.emplace_back(member);
  EXPECT_EQ(members, (std::vector<std::string>{"a", "b", "c=d"}));
}

TEST(Field, TrimsAndCompares) {
  EXPECT_EQ(TrimOws(" \t a b\t "), "a b");
  EXPECT_EQ(TrimOws(" \t"), "");
  EXPECT_TRUE(EqualsIgnoreCase("aB-1", "Ab-1"));
  EXPECT_FALSE(EqualsIgnoreCase("@", "`"));
  EXPECT_FALSE(EqualsIgnoreCase("a", "ab"));
  EXPECT_TRUE(IsToken("a!9"));
  EXPECT_FALSE(IsToken(""));
  EXPECT_FALSE(IsToken("a b"));
}

}  // namespace
}  // namespace rondo::http
