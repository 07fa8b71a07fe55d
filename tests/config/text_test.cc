#include "config/text.h"

#include <gtest/gtest.h>

#include <array>

namespace rondo::config {
namespace {

TEST(Text, FindsTheFirstByteThatIsNotUtf8) {
  EXPECT_EQ(FirstInvalidUtf8("plain"), std::nullopt);
  EXPECT_EQ(FirstInvalidUtf8("\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"), std::nullopt);
  const std::array<std::string_view, 11> wrong = {
      "ab\x80",              // a continuation alone
      "ab\xc3",              // cut short
      "ab\xc0\xaf",          // overlong
      "ab\xe0\x80\xaf",      // overlong
      "ab\xf0\x80\x80\xaf",  // overlong
      "ab\xed\xa0\x80",      // a surrogate
      "ab\xf4\x90\x80\x80",  // beyond U+10FFFF
      "ab\xf5\x80\x80\x80",
      "ab\xe2\x82",
      "ab\xf0\x9f\x98",
      "ab\xff\xfe",
  };
  for (const std::string_view text : wrong) EXPECT_EQ(FirstInvalidUtf8(text), 2u);
}

TEST(Text, FindsControlCharactersButNotLineEnds) {
  EXPECT_EQ(FirstForbiddenControl("a\tb\r\nc"), std::nullopt);
  EXPECT_EQ(FirstForbiddenControl(std::string_view("a\0b", 3)), 1u);
  EXPECT_EQ(FirstForbiddenControl("ab\x04"), 2u);
  EXPECT_EQ(FirstForbiddenControl("\x7f"), 0u);
}

TEST(Text, FindsTheNearestWordWhereOneIsNear) {
  const std::array<std::string_view, 4> words = {"upstream", "upgrades", "respond", "match"};
  EXPECT_EQ(Nearest("upstrem", words), "upstream");
  EXPECT_EQ(Nearest("upstraem", words), "upstream");
  EXPECT_EQ(Nearest("Upgrade", words), "upgrades");
  EXPECT_EQ(Nearest("mach", words), "match");
  EXPECT_EQ(Nearest("x", words), std::nullopt);
  EXPECT_EQ(Nearest("", words), std::nullopt);
  EXPECT_EQ(Nearest("something", words), std::nullopt);
  EXPECT_EQ(Nearest(std::string(5000, 'u'), words), std::nullopt);
}

}  // namespace
}  // namespace rondo::config
