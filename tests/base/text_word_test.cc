#include "rondo/base/text_word.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rondo {
namespace {

// Of each size on its own, so that the address sanitizer sees a byte too many.
TEST(TextWord, CopiesTextsOfEverySizeAndNothingBeside) {
  for (size_t n = 0; n <= 80; ++n) {
    std::vector<char> from(n);
    for (size_t i = 0; i < n; ++i) from[i] = static_cast<char>('!' + i);
    std::vector<char> to(n + 2, '\0');
    CopyText(to.data() + 1, from.data(), n);
    EXPECT_EQ(std::string(to.begin() + 1, to.end() - 1), std::string(from.begin(), from.end()))
        << n;
    EXPECT_EQ(to.front(), '\0') << n;
    EXPECT_EQ(to.back(), '\0') << n;
  }
  CopyText(nullptr, nullptr, 0);
}

TEST(TextWord, ShortTextsDifferWhereAByteDoes) {
  for (size_t n = 1; n <= 7; ++n) {
    const std::vector<char> text(n, 'a');
    const uint64_t word = LoadShort({text.data(), n});
    EXPECT_EQ(word, LoadShort(std::string_view("aaaaaaa", n)));
    for (size_t i = 0; i < n; ++i) {
      std::vector<char> other = text;
      other[i] = 'b';
      EXPECT_NE(word, LoadShort({other.data(), n})) << n << " at " << i;
    }
  }
}

}  // namespace
}  // namespace rondo
