#include "rondo/http/rewrite.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rondo::http {
namespace {

struct Case {
  std::string received;
  std::string normalised;
  std::string prefix;
  std::string replacement;
  std::string forwarded;
};

void Expect(const Case& c) {
  const PrefixRewrite rewrite{c.received, c.normalised, c.prefix, c.replacement};
  std::vector<char> out(RewritePrefixBound(rewrite));
  const size_t size = RewritePrefix(rewrite, out.data());
  ASSERT_LE(size, out.size());
  EXPECT_EQ(std::string(out.data(), size), c.forwarded)
      << c.received << " " << c.prefix << " to " << c.replacement;
}

TEST(RewritePrefix, JoinsReplacementAndRestWithOneSlash) {
  for (const Case& c : {
           Case{"/v1/users", "/v1/users", "/v1", "/", "/users"},
           {"/v1", "/v1", "/v1", "/", "/"},
           {"/v1/", "/v1/", "/v1", "/", "/"},
           {"/v1/users", "/v1/users", "/v1", "/api", "/api/users"},
           {"/v1/users", "/v1/users", "/v1", "/api/", "/api/users"},
           {"/v1/users/", "/v1/users/", "/v1", "/api", "/api/users/"},
           {"/v1", "/v1", "/v1", "/api", "/api"},
           {"/v1", "/v1", "/v1", "/api/", "/api/"},
           {"/v1/", "/v1/", "/v1", "/api", "/api/"},
           {"/v1/", "/v1/", "/v1/", "/", "/"},
           {"/v1/x", "/v1/x", "/v1/", "/", "/x"},
           {"/v1/x", "/v1/x", "/v1/", "/api", "/api/x"},
           {"/", "/", "/", "/app", "/app/"},
           {"/x", "/x", "/", "/app", "/app/x"},
           {"/x", "/x", "/", "/app/", "/app/x"},
           {"/x", "/x", "/", "/", "/x"},
           {"/a/b/c", "/a/b/c", "/a/b", "/d/e/f", "/d/e/f/c"},
           {"*", "*", "/", "/app", "*"},
       }) {
    Expect(c);
  }
}

TEST(RewritePrefix, LeavesTheQueryAsItCame) {
  for (const Case& c : {
           Case{"/v1/x?a=/v1/../%7e//", "/v1/x", "/v1", "/", "/x?a=/v1/../%7e//"},
           {"/v1?", "/v1", "/v1", "/", "/?"},
           {"/v1?a?b", "/v1", "/v1", "/api", "/api?a?b"},
           {"/%761?a%2fb", "/v1", "/v1", "/api", "/api?a%2fb"},
       }) {
    Expect(c);
  }
}

TEST(RewritePrefix, KeepsTheSpellingOfTheRestWhereThatIsSafe) {
  for (const Case& c : {
           Case{"/v1/%7eme/a%2fb", "/v1/~me/a%2Fb", "/v1", "/", "/%7eme/a%2fb"},
           {"/v1/a//b", "/v1/a/b", "/v1", "/api", "/api/a//b"},
           {"/v1/a/...", "/v1/a/...", "/v1", "/", "/a/..."},
           {"/v1/a/..;/b", "/v1/a/..;/b", "/v1", "/", "/a/..;/b"},
           {"/v1/\"q\"", "/v1/%22q%22", "/v1", "/", "/\"q\""},
           {"/v1/%2e%2e%2e/.a/a.", "/v1/.../.a/a.", "/v1", "/", "/%2e%2e%2e/.a/a."},
       }) {
    Expect(c);
  }
}

TEST(RewritePrefix, TakesTheNormalisedPathWhereThePrefixIsSpelledOtherwise) {
  for (const Case& c : {
           Case{"//v1/%7ea", "/v1/~a", "/v1", "/", "/~a"},
           {"/./v1/a", "/v1/a", "/v1", "/", "/a"},
           {"/%76%31/a", "/v1/a", "/v1", "/api", "/api/a"},
           {"/x/../v1/a?q", "/v1/a", "/v1", "/api", "/api/a?q"},
           {"/v1x/../v1", "/v1", "/v1", "/api", "/api"},
           {"/a%2fb/c", "/a%2Fb/c", "/a%2Fb", "/", "/c"},
       }) {
    Expect(c);
  }
}

TEST(RewritePrefix, LetsNobodyClimbOutOfTheReplacement) {
  for (const Case& c : {
           Case{"/v1/../v1/x", "/v1/x", "/v1", "/tenants/a", "/tenants/a/x"},
           {"/a/b/../../a/b/x", "/a/b/x", "/a/b", "/tenants/a", "/tenants/a/x"},
           {"/v1/%2e%2E/v1/x", "/v1/x", "/v1", "/tenants/a", "/tenants/a/x"},
           {"/v1/.%2e/v1", "/v1", "/v1", "/tenants/a", "/tenants/a"},
           {"/v1/x/..", "/v1/", "/v1", "/tenants/a", "/tenants/a/"},
           {"/v1/./x", "/v1/x", "/v1", "/", "/x"},
           {"/v1/%2E", "/v1/", "/v1", "/", "/"},
           // A target that begins with two slashes names another host to some.
           {"/v1//evil.example/x", "/v1/evil.example/x", "/v1", "/", "/evil.example/x"},
           {"//evil.example/x", "/evil.example/x", "/", "/", "/evil.example/x"},
       }) {
    Expect(c);
  }
}

}  // namespace
}  // namespace rondo::http
