#include "rondo/base/hex.h"

#include <gtest/gtest.h>

#include <climits>
#include <string_view>

namespace rondo {
namespace {

TEST(HexTest, DigitsOfBothCasesHaveTheirValueAndNothingElseHasOne) {
  constexpr std::string_view kLower = "0123456789abcdef";
  constexpr std::string_view kUpper = "0123456789ABCDEF";
  for (int byte = CHAR_MIN; byte <= CHAR_MAX; ++byte) {
    const char c = static_cast<char>(byte);
    size_t at = kLower.find(c);
    if (at == std::string_view::npos) at = kUpper.find(c);
    EXPECT_EQ(HexValue(c), at == std::string_view::npos ? -1 : static_cast<int>(at)) << byte;
  }
}

}  // namespace
}  // namespace rondo
