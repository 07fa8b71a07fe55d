#include "rondo/http/field.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "rondo/http/find_control.h"

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

// Every byte in place of every byte of every known name.
TEST(Field, TakesOnlyACapitalForALetterOfAKnownName) {
  for (auto id = FieldId::kHost; id != FieldId::kCount;
       id = static_cast<FieldId>(static_cast<int>(id) + 1)) {
    const std::string known(NameOf(id));
    for (size_t i = 0; i < known.size(); ++i) {
      std::string name = known;
      for (int byte = 0; byte < 256; ++byte) {
        name[i] = static_cast<char>(byte);
        const bool letter = known[i] >= 'a' && known[i] <= 'z';
        const bool same = name[i] == known[i] || (letter && name[i] == known[i] - 'a' + 'A');
        ASSERT_EQ(FieldIdOf(name) == id, same) << name;
      }
    }
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

// Byte by byte, as it is meant.
bool SameButForCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

// Every pair of bytes, at every place of texts of every length that is handled in another way. Each
// text lies in memory of its own, so that the address sanitizer sees a byte too many.
TEST(Field, ComparesEveryByteAtEveryPlace) {
  for (size_t n = 1; n <= 18; ++n) {
    std::vector<char> a(n, 'x');
    std::vector<char> b(n, 'X');
    for (size_t i = 0; i < n; ++i) {
      for (int first = 0; first < 256; ++first) {
        a[i] = static_cast<char>(first);
        for (const int second : {first, first ^ 0x20, first ^ 1, first ^ 0x80, first ^ 0x60}) {
          b[i] = static_cast<char>(second);
          const std::string_view left(a.data(), n), right(b.data(), n);
          ASSERT_EQ(EqualsIgnoreCase(left, right), SameButForCase(left, right))
              << n << " at " << i << ": " << first << ", " << second;
        }
      }
      a[i] = 'x';
      b[i] = 'X';
    }
  }
  EXPECT_TRUE(EqualsIgnoreCase("", ""));
}

TEST(Field, KnowsWhatCanBeSeenAndWhatControls) {
  for (size_t n = 1; n <= 40; ++n) {
    std::vector<char> text(n, 'x');
    const std::string_view view(text.data(), n);
    for (size_t i = 0; i < n; ++i) {
      for (int byte = 0; byte < 256; ++byte) {
        text[i] = static_cast<char>(byte);
        ASSERT_EQ(IsVisibleAscii(view), byte > 0x20 && byte < 0x7f)
            << n << " at " << i << ": " << byte;
        const bool control = byte < 0x20 || byte == 0x7f;
        const char* const expected = text.data() + (control ? i : n);
        ASSERT_EQ(FindControl(text.data(), text.data() + n), expected)
            << n << " at " << i << ": " << byte;
      }
      text[i] = 'x';
    }
  }
  EXPECT_TRUE(IsVisibleAscii(""));
}

}  // namespace
}  // namespace rondo::http
