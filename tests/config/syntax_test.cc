// Texts that are no configuration at all: each gets one clear error, never a crash.
#include "config/parse_helpers.h"
#include "config/yaml_tree.h"

namespace rondo::config {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::string Repeat(std::string_view part, size_t times) {
  std::string text;
  for (size_t i = 0; i < times; ++i) text.append(part);
  return text;
}

TEST(ConfigSyntax, ErrorsPointAtThePlaceAndSayWhatToWrite) {
  struct Case {
    std::string_view text;
    std::string_view error;
  };
  const Case cases[] = {
      {"a: b\n c: d\n",
       "2:3: not valid YAML: no `:` was expected here: check indentation, or quote the text"},
      {"x: 1\ny: [b\n", "2:4: not valid YAML: this `[` is not closed: `,` or `]` was expected"},
      {"x: 1\ny: {b: c\nz: d\n",
       "2:4: not valid YAML: this `{` is not closed: `,` or `}` was expected"},
      {"a: 'b\n", "1:4: not valid YAML: this quoted text is not closed"},
      {"a: &x \"b\\\"\n", "1:4: not valid YAML: this quoted text is not closed"},
      {"a: 'b\nc: d",
       "2:5: not valid YAML: a quoted text is not closed before the end of the file"},
      {"a: @b\n", "1:4: not valid YAML: no text begins with this character: quote it"},
      {"a: ]\n", "1:4: not valid YAML: this bracket closes nothing: remove it"},
      {"a: \"b\" c\n",
       "1:8: not valid YAML: the next key was expected here: check indentation and quotes"},
      {"a: \"\xc3\xa9\xc3\xa9\" c\n",
       "1:9: not valid YAML: the next key was expected here: check indentation and quotes"},
      {"a:\n  - b\n  c: d\n",
       "3:3: not valid YAML: the next key was expected here: check indentation and quotes"},
      {"a:\n\tb: c\n",
       "2:3: not valid YAML: no `:` was expected here: check indentation, or quote the text; a tab "
       "cannot indent: use spaces"},
      {"a: [::1]:80\n",
       "1:9: not valid YAML: the next key was expected here: check indentation and quotes; an IPv6 "
       "address needs quotes, such as \"[::1]:8080\""},
      {"a: [${PORT}]\n",
       "1:4: not valid YAML: this `[` is not closed: `,` or `]` was expected; inside [ ] and { } "
       "write \"${NAME}\" in quotes"},
      {"a: *b\n", "1:4: not valid YAML: the referenced anchor is not defined"},
      {"a: &a [*a]\n", "1:8: this alias stands inside the value that it repeats"},
      {"a: !!int 5\n", "1:4: tags (`!...`) are not used in a configuration: remove it"},
      {"---\na: b\n---\nc: d\n",
       "3:1: a second YAML document begins here (by `---`, or by a line indented less than the "
       "first): a configuration is one document"},
      {"- a\n", "1:1: the file must be a map of keys, such as `listeners:`"},
      {"word\n", "1:1: the file must be a map of keys, such as `listeners:`"},
  };
  for (const Case& c : cases) EXPECT_THAT(ErrorsOf(c.text), ElementsAre(c.error)) << c.text;
}

TEST(ConfigSyntax, NeedsUtf8Text) {
  using std::string_view_literals::operator""sv;
  EXPECT_THAT(ErrorsOf("# ok\na: \xff\n"),
              ElementsAre("2:4: not UTF-8: save the file in that encoding"));
  EXPECT_THAT(ErrorsOf("# ok\na: \xe9\n"),
              ElementsAre("2:4: not UTF-8: save the file in that encoding"));
  EXPECT_THAT(ErrorsOf("a: b\0\n"sv), ElementsAre("1:5: a NUL byte: the file must be UTF-8 text"));
  EXPECT_THAT(ErrorsOf("a: \x04\n"),
              ElementsAre("1:4: a control character: the file must be plain text"));
  // UTF-16, as some editors on other systems write it.
  EXPECT_THAT(ErrorsOf("\xff\xfe"
                       "a\0:\0"sv),
              ElementsAre("1:1: not UTF-8: save the file in that encoding"));
}

TEST(ConfigSyntax, HoldsNothingInAnEmptyText) {
  for (const std::string_view text :
       {"", "\n", "# a comment\n", "---\n", "---\n...\n", "~", "\xef\xbb\xbf", "&a"}) {
    const LoadResult result = ParseText(text);
    ASSERT_EQ(result.errors.size(), 1u) << text;
    EXPECT_EQ(FormatError("f", result.errors[0]),
              "f: holds no configuration: it needs at least `listeners`, and `upstreams` for them");
    EXPECT_FALSE(result.config.has_value());
  }
}

TEST(ConfigSyntax, BoundsTheDepthOfNesting) {
  const auto deep = HasSubstr("nested more than 64 levels deep");
  EXPECT_THAT(ErrorsOf(Repeat("[", 200'000)), ElementsAre(deep));
  EXPECT_THAT(ErrorsOf(Repeat("{a: ", 200'000)), ElementsAre(deep));
  EXPECT_THAT(ErrorsOf(Repeat("- ", 200'000)), ElementsAre(deep));
  EXPECT_THAT(ErrorsOf(Repeat("? ", 200'000)), ElementsAre(deep));
  EXPECT_THAT(ErrorsOf(Repeat("[", 100) + Repeat("]", 100)), ElementsAre(deep));
  std::string block;
  for (size_t i = 0; i < 2000; ++i) block += Repeat(" ", i) + "a:\n";
  EXPECT_THAT(ErrorsOf(block), ElementsAre(deep));
}

TEST(ConfigSyntax, BoundsTheSizeAndTheNumberOfValues) {
  const std::string large(kFileBytesMax + 1, '#');
  EXPECT_EQ(ParseYaml(large).errors.at(0).message, "larger than 10MiB: not a configuration");
  EXPECT_THAT(ErrorsOf("x-a: [" + Repeat("1,", kNodesMax) + "]"),
              ElementsAre(HasSubstr("more than 1000000 values: a configuration is smaller")));
}

TEST(ConfigSyntax, BoundsWhatAliasesGrowTo) {
  // Lists of lists that double on each line: refused for their type where they are used at all.
  std::string bomb = "x-a0: &a0 [x, x]\n";
  for (int i = 1; i < 60; ++i) {
    const std::string last = "*a" + std::to_string(i - 1);
    bomb +=
        "x-a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + last + ", " + last + "]\n";
  }
  EXPECT_THAT(ErrorsOf(bomb + "listeners: {w: {listen: *a59, routes: [{respond: {}}]}}\n"),
              ElementsAre(HasSubstr("an element of `listen` must be an address")));
  // A wide list used by many.
  std::string wide = "x-r: &r [" + Repeat("{respond: {}},", 2000) + "]\nlisteners:\n";
  for (int i = 0; i < 2000; ++i) {
    wide += "  l" + std::to_string(i) + ": {listen: [':0'], routes: *r}\n";
  }
  EXPECT_THAT(ErrorsOf(wide),
              testing::Contains(HasSubstr("more than 1000000 values once aliases are followed")));
  // Maps that are merged into themselves twice a line.
  std::string merges = "x-m0: &m0 {a: b}\n";
  for (int i = 1; i < 60; ++i) {
    const std::string last = "*m" + std::to_string(i - 1);
    merges += "x-m" + std::to_string(i) + ": &m" + std::to_string(i) + " {<<: [" + last + ", " +
              last + "]}\n";
  }
  EXPECT_THAT(ErrorsOf(merges + "listeners: {<<: *m59}\n"),
              testing::Contains(HasSubstr("more than 1000000 values once aliases are followed")));
  EXPECT_THAT(ErrorsOf("listeners: {<<: 5}\n"),
              testing::Contains(
                  "1:17: `<<` must be an alias of a map, or a list of them, not a single value"));
}

TEST(ConfigSyntax, ShowsABoundedNumberOfErrors) {
  std::string text = "listeners: {w: {listen: [':80'], routes: [{respond: {}}]}}\nupstreams:\n";
  for (int i = 0; i < 20'000; ++i) text += "  u" + std::to_string(i) + ": {backend: []}\n";
  const LoadResult result = ParseText(text);
  ASSERT_EQ(result.errors.size(), 1001u);
  EXPECT_THAT(result.errors[0].message,
              StartsWith("unknown key `backend`; did you mean `backends`?"));
  EXPECT_EQ(result.errors[1000].message, "only the first 1000 errors are shown");
}

TEST(ConfigSyntax, RefusesKeysThatAreNoText) {
  EXPECT_THAT(ErrorsOf("? [a]\n: b\nlisteners: {w: {listen: [':80'], routes: [{respond: {}}]}}\n"),
              ElementsAre("1:3: a key must be a plain word"));
  EXPECT_THAT(ErrorsOf(": b\nlisteners: {w: {listen: [':80'], routes: [{respond: {}}]}}\n"),
              ElementsAre("1:1: a key must be a plain word"));
}

}  // namespace
}  // namespace rondo::config
