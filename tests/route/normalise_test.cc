#include "rondo/route/normalise.h"

#include <gtest/gtest.h>

namespace rondo::route {
namespace {

using std::string_view_literals::operator""sv;

TEST(NormalisePath, ReturnsTheInputItselfWhereNothingIsToDo) {
  for (const std::string_view path : {"/"sv, "/a/b.c/d..e/..."sv, "/.well-known/x"sv, "/..a/.b"sv,
                                      "/a;x=1,2:@!$&'()*+~_-"sv, "/a/"sv, "*"sv}) {
    Scratch scratch = "untouched";
    const NormaliseResult result = NormalisePath(path, scratch);
    EXPECT_EQ(result.path, path);
    EXPECT_EQ(result.path.data(), path.data());
    EXPECT_EQ(scratch, "untouched");
  }
}

TEST(NormalisePath, CutsTheQueryWithoutLookingAtIt) {
  Scratch scratch;
  for (const std::string_view target :
       {"/a?x=/../%zz\\"sv, "/a?"sv, "/a??"sv, "/%61?%00"sv, "/b/..//a?#"sv}) {
    EXPECT_EQ(NormalisePath(target, scratch).path, "/a");
  }
  EXPECT_EQ(NormalisePath("*?x", scratch).path, "*");
}

TEST(NormalisePath, BringsEverySpellingToOneForm) {
  const struct {
    std::string_view path;
    std::string_view normal;
  } cases[] = {
      {"/%61%41%7e%2D%5f", "/aA~-_"},
      {"/a%2fb", "/a%2Fb"},
      {"/a%2Fb", "/a%2Fb"},
      {"/%25%32%65", "/%252e"},  // decoded once, never twice
      {"/%252e%252e/x", "/%252e%252e/x"},
      {"/a%3fb%23c", "/a%3Fb%23c"},
      {"/%c3%a9", "/%C3%A9"},
      {"/\xc3\xa9", "/%C3%A9"},
      {"/a b\"<>^`{|}", "/a%20b%22%3C%3E%5E%60%7B%7C%7D"},
      {"/%0a%7F", "/%0A%7F"},
      {"//", "/"},
      {"//a///b//", "/a/b/"},
      {"/.", "/"},
      {"/./", "/"},
      {"/a/.", "/a/"},
      {"/a/./b", "/a/b"},
      {"/a/..", "/"},
      {"/a/../", "/"},
      {"/a/b/..", "/a/"},
      {"/a/b/../c", "/a/c"},
      {"/a/b/../../c", "/c"},
      {"/a//../b", "/b"},  // slashes are merged first, as file systems do
      {"/a/%2e%2e/b", "/b"},
      {"/a/%2E./b", "/b"},
      {"/a/.%2e", "/"},
      {"/a/%2e", "/a/"},
      {"/a/.%2e%2e/b", "/a/.../b"},
      {"/a/..%2fb", "/a/..%2Fb"},
      {"/a/..;/b", "/a/..;/b"},
      {"/./a", "/a"},
      {"/.%61", "/.a"},
      {"/a/..?x", "/"},
      {"/a/%2e%2e?x", "/"},
  };
  Scratch scratch;
  for (const auto& each : cases) {
    const NormaliseResult result = NormalisePath(each.path, scratch);
    EXPECT_TRUE(result.ok()) << each.path << " " << result.reason;
    EXPECT_EQ(result.path, each.normal) << each.path;
    const std::string once(result.path);
    EXPECT_EQ(NormalisePath(once, scratch).path, once) << "again";
  }
}

TEST(NormalisePath, RefusesWithAReason) {
  const struct {
    std::string_view path;
    std::string_view reason;
  } cases[] = {
      {"", "path_not_absolute"},          {"?x", "path_not_absolute"},
      {"a/b", "path_not_absolute"},       {"**", "path_not_absolute"},
      {"http://h/", "path_not_absolute"}, {"/%00", "path_nul"},
      {"/a/../%00", "path_nul"},          {"/a\\b", "path_backslash"},
      {"/%61\\b", "path_backslash"},      {"/a%5cb", "path_backslash"},
      {"/a%5Cb", "path_backslash"},       {"/a#b", "path_fragment"},
      {"/%61#b", "path_fragment"},        {"/%", "path_bad_escape"},
      {"/%4", "path_bad_escape"},         {"/%G1", "path_bad_escape"},
      {"/%1g", "path_bad_escape"},        {"/%4?1", "path_bad_escape"},
      {"/%?", "path_bad_escape"},         {"/%%41", "path_bad_escape"},
      {"/..", "path_above_root"},         {"/../", "path_above_root"},
      {"/a/../..", "path_above_root"},    {"/a/../../a", "path_above_root"},
      {"//../a", "path_above_root"},      {"/./../a", "path_above_root"},
      {"/%2e%2e", "path_above_root"},     {"/..?x", "path_above_root"},
      {"/a\tb", "path_control_byte"},     {"/a\x7f", "path_control_byte"},
      {"/a\0b"sv, "path_control_byte"},   {"/%61\r\n", "path_control_byte"},
  };
  Scratch scratch;
  for (const auto& each : cases) {
    const NormaliseResult result = NormalisePath(each.path, scratch);
    ASSERT_FALSE(result.ok()) << each.path << " became " << result.path;
    EXPECT_EQ(result.reason, each.reason) << each.path;
    EXPECT_EQ(result.path, "");
  }
}

}  // namespace
}  // namespace rondo::route
