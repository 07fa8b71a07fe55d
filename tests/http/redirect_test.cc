#include <gtest/gtest.h>

#include <string>

#include "rondo/http/local_reply.h"

namespace rondo::http {
namespace {

std::string Expand(std::string_view to, std::string_view host, std::string_view path_and_query) {
  const RedirectTarget target{to, host, path_and_query};
  std::string out(RedirectTargetBound(target), '\0');
  out.resize(WriteRedirectTarget(target, out.data()));
  return out;
}

TEST(RedirectTarget, TakesPartsOfTheRequest) {
  struct Case {
    const char* to;
    const char* host;
    const char* uri;
    const char* expected;
  };
  const Case cases[] = {
      {"https://{host}{uri}", "example.com", "/a?b=c", "https://example.com/a?b=c"},
      {"https://{host}{uri}", "example.com:8080", "/", "https://example.com/"},
      {"https://{host}:8443{uri}", "example.com:80", "/x", "https://example.com:8443/x"},
      {"https://{host}{uri}", "[::1]:80", "/x", "https://[::1]/x"},
      {"https://{host}{uri}", "[::1]", "/x", "https://[::1]/x"},
      {"https://{host}{uri}", "example.com", "*", "https://example.com"},
      {"https://{host}/", "example.com", "/x", "https://example.com/"},
      {"/new{uri}", "example.com", "/x?y", "/new/x?y"},
      {"https://{host}/?from={host}", "a.b:1", "/", "https://a.b/?from=a.b"},
      {"https://example.com/{other}", "a", "/x", "https://example.com/{other}"},
      {"https://example.com/", "a", "/x", "https://example.com/"},
      // What the client wrote is not looked at again.
      {"https://{host}{uri}", "a", "/{host}{uri}", "https://a/{host}{uri}"},
  };
  for (const Case& each : cases) EXPECT_EQ(Expand(each.to, each.host, each.uri), each.expected);
}

TEST(RedirectTarget, KnowsWhetherItNeedsAHost) {
  EXPECT_TRUE(RedirectNeedsHost("https://{host}{uri}"));
  EXPECT_FALSE(RedirectNeedsHost("https://example.com{uri}"));
}

TEST(LocalReply, FieldsOfTheListenerStandInErrors) {
  LocalReply reply;
  reply.status = 429;
  reply.reason = "rate_limited";
  reply.retry_after_s = 3600;
  const std::string fields = "Strict-Transport-Security: max-age=31536000\r\n";
  reply.extra_fields = fields;
  char out[kLocalReplyMax];
  const std::string text(out, WriteLocalReply(reply, out, sizeof(out)));
  EXPECT_NE(text.find("\r\n" + fields), std::string::npos);
  EXPECT_NE(text.find("\r\nRetry-After: 3600\r\n"), std::string::npos);
  EXPECT_LT(text.find(fields), text.find("\r\n\r\n"));
}

}  // namespace
}  // namespace rondo::http
