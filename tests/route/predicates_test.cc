// What routes ask beyond host and path.
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "rondo/base/rng.h"
#include "rondo/route/router.h"
#include "route/naive_router.h"

namespace rondo::route {
namespace {

constexpr size_t kNone = Router::kNone;
using Kind = ValueMatch::Kind;
using Fields = std::vector<std::pair<std::string, std::string>>;

// A request that owns what its view looks at.
struct Request {
  std::string host = "h";
  std::string path = "/";
  std::string method = "GET";
  std::string query = {};
  Fields fields = {};
  std::vector<http::Field> views = {};

  RequestView View() {
    views.clear();
    for (const auto& [name, value] : fields) {
      views.push_back({.name = name, .value = value, .id = http::FieldIdOf(name)});
    }
    return {.host = host, .path = path, .method = method, .query = query, .fields = views};
  }
};

bool Takes(const RouteMatch& match, Request request) {
  EXPECT_EQ(CheckMatch(match), "");
  MatchScratch scratch;
  const Router router({match});
  const size_t found = router.Match(request.View(), scratch);
  EXPECT_EQ(router.Explain(request.View()).route, found);
  return found == 0;
}

TEST(Predicates, OfMethodsAreExact) {
  const RouteMatch match{.host = "", .path = "", .path_prefix = "", .methods = {"GET", "PURGE"}};
  EXPECT_TRUE(Takes(match, {.method = "GET"}));
  EXPECT_TRUE(Takes(match, {.method = "PURGE"}));
  EXPECT_FALSE(Takes(match, {.method = "HEAD"}));
  EXPECT_FALSE(Takes(match, {.method = "get"}));
  EXPECT_FALSE(Takes(match, {.method = ""}));
}

TEST(Predicates, OfHeadersLookAtEveryFieldOfTheName) {
  const struct {
    ValueMatch match;
    Fields fields;
    bool holds;
  } cases[] = {
      {{"X-Env", Kind::kExact, "prod"}, {{"x-ENV", "prod"}}, true},
      {{"X-Env", Kind::kExact, "prod"}, {{"X-Env", "Prod"}}, false},
      {{"X-Env", Kind::kExact, "prod"}, {{"X-Env", "dev"}, {"X-Env", "prod"}}, true},
      {{"X-Env", Kind::kExact, "prod"}, {{"X-Env", "prod, dev"}}, false},
      {{"X-Env", Kind::kExact, "prod"}, {{"X-Envy", "prod"}}, false},
      {{"X-Env", Kind::kExact, ""}, {{"X-Env", ""}}, true},
      {{"X-Env", Kind::kExact, ""}, {}, false},
      {{"accept", Kind::kPrefix, "text/"}, {{"Accept", "text/html"}}, true},
      {{"accept", Kind::kPrefix, "text/"}, {{"Accept", "image/png"}}, false},
      {{"X-N", Kind::kRegex, "[0-9]+"}, {{"X-N", "42"}}, true},
      {{"X-N", Kind::kRegex, "[0-9]+"}, {{"X-N", "42x"}}, false},
      {{"X-N", Kind::kRegex, "[0-9]+"}, {{"X-N", "x"}, {"X-N", "7"}}, true},
      // Neither a byte that is not UTF-8 nor a line end is a way around a pattern.
      {{"X-N", Kind::kRegex, ".*bad.*"},
       {{"X-N",
         "\xff"
         "bad\xfe"}},
       true},
      {{"X-N", Kind::kPresent, ""}, {{"X-N", ""}}, true},
      {{"X-N", Kind::kPresent, ""}, {}, false},
      {{"X-N", Kind::kAbsent, ""}, {}, true},
      {{"X-N", Kind::kAbsent, ""}, {{"X-n", "1"}}, false},
  };
  for (const auto& each : cases) {
    const RouteMatch match{.host = "", .path = "", .path_prefix = "", .headers = {each.match}};
    EXPECT_EQ(Takes(match, {.fields = each.fields}), each.holds)
        << each.match.name << " " << each.match.text;
  }
}

TEST(Predicates, OfCookiesReadEveryCookieField) {
  const struct {
    ValueMatch match;
    Fields fields;
    bool holds;
  } cases[] = {
      {{"beta", Kind::kExact, "1"}, {{"Cookie", "beta=1"}}, true},
      {{"beta", Kind::kExact, "1"}, {{"cookie", "a=b; beta=1; c=d"}}, true},
      {{"beta", Kind::kExact, "1"}, {{"Cookie", "a=b"}, {"Cookie", "beta=1"}}, true},
      {{"beta", Kind::kExact, "1"}, {{"Cookie", "beta=2; beta=1"}}, true},
      {{"beta", Kind::kExact, "1"}, {{"Cookie", "Beta=1"}}, false},
      {{"beta", Kind::kExact, "1"}, {{"Cookie", "xbeta=1"}}, false},
      {{"beta", Kind::kExact, "1"}, {{"Cookie", "beta=\"1\""}}, false},
      {{"beta", Kind::kExact, "1"}, {{"Set-Cookie", "beta=1"}}, false},
      {{"beta", Kind::kExact, "1=2"}, {{"Cookie", "beta=1=2"}}, true},
      {{"beta", Kind::kPresent, ""}, {{"Cookie", "beta="}}, true},
      {{"beta", Kind::kPresent, ""}, {{"Cookie", "beta"}}, false},
      {{"beta", Kind::kAbsent, ""}, {{"Cookie", "alpha=beta"}}, true},
  };
  for (const auto& each : cases) {
    const RouteMatch match{.host = "", .path = "", .path_prefix = "", .cookies = {each.match}};
    EXPECT_EQ(Takes(match, {.fields = each.fields}), each.holds)
        << each.fields.front().second << " ~ " << each.match.text;
  }
}

TEST(Predicates, OfParametersDecodeThem) {
  const struct {
    ValueMatch match;
    const char* query;
    bool holds;
  } cases[] = {
      {{"a", Kind::kExact, "1"}, "a=1", true},
      {{"a", Kind::kExact, "1"}, "b=2&a=1", true},
      {{"a", Kind::kExact, "1"}, "a=2&&a=1", true},
      {{"a", Kind::kExact, "1"}, "%61=%31", true},
      {{"a", Kind::kExact, "1"}, "A=1", false},
      {{"a", Kind::kExact, "1"}, "ab=1", false},
      {{"a", Kind::kExact, "1"}, "", false},
      {{"a b", Kind::kExact, "c d"}, "a+b=c%20d", true},
      {{"a", Kind::kExact, "+"}, "a=%2B", true},
      {{"a", Kind::kExact, "%"}, "a=%", true},
      {{"a", Kind::kExact, "%4"}, "a=%4", true},
      {{"a", Kind::kExact, "%zz"}, "a=%zz", true},
      {{"a", Kind::kExact, "b=c"}, "a=b=c", true},
      {{"a", Kind::kExact, "1;b=2"}, "a=1;b=2", true},
      {{"a", Kind::kPresent, ""}, "a", true},
      {{"a", Kind::kPresent, ""}, "=a", false},
      {{"a", Kind::kAbsent, ""}, "b=a", true},
      {{"a", Kind::kAbsent, ""}, "%61", false},
      {{"a", Kind::kPrefix, "x/"}, "a=x%2Fy", true},
      {{"a", Kind::kRegex, "x.*y"}, "a=x%0Ay", true},
  };
  for (const auto& each : cases) {
    const RouteMatch match{.host = "", .path = "", .path_prefix = "", .query = {each.match}};
    EXPECT_EQ(Takes(match, {.query = each.query}), each.holds)
        << each.query << " ~ " << each.match.name << " " << each.match.text;
  }
}

TEST(Predicates, OfPatternsTakeTheWholePath) {
  const RouteMatch match{
      .host = "", .path = "", .path_prefix = "", .path_regex = "/users/[0-9]+|/x"};
  EXPECT_TRUE(Takes(match, {.path = "/users/42"}));
  EXPECT_TRUE(Takes(match, {.path = "/x"}));
  EXPECT_FALSE(Takes(match, {.path = "/users/42/orders"}));
  EXPECT_FALSE(Takes(match, {.path = "/api/users/42"}));
  EXPECT_FALSE(Takes(match, {.path = "*"}));
}

TEST(Predicates, MustAllHoldAndTheFirstRouteWins) {
  const Router router({
      {.host = "h", .path = "", .path_prefix = "/v1", .headers = {{"X-V", Kind::kExact, "2"}}},
      {.host = "h",
       .path = "",
       .path_prefix = "/v1",
       .methods = {"POST"},
       .headers = {{"X-V", Kind::kPresent}}},
      {.host = "", .path = "", .path_prefix = "/v1", .query = {{"v", Kind::kExact, "2"}}},
      {.host = "h", .path = "", .path_prefix = ""},
  });
  MatchScratch scratch;
  Request request{.path = "/v1/x", .method = "POST", .query = "v=%32", .fields = {{"X-V", "2"}}};
  std::vector<size_t> found;
  for (size_t i = 0; (i = router.Match(request.View(), scratch, i)) != kNone; ++i) {
    found.push_back(i);
  }
  EXPECT_EQ(found, (std::vector<size_t>{0, 1, 2, 3}));
  request.fields = {{"X-V", "1"}};
  EXPECT_EQ(router.Match(request.View(), scratch), 1u);
  request.method = "GET";
  EXPECT_EQ(router.Match(request.View(), scratch), 2u);
  request.query = "v=1";
  EXPECT_EQ(router.Match(request.View(), scratch), 3u);
  EXPECT_EQ(router.Match("h", "/v1/x"), 3u);
}

TEST(Predicates, ThatCanNotBeCompiledAreNamed) {
  const struct {
    RouteMatch match;
    const char* problem;
  } cases[] = {
      {{.host = "", .path = "", .path_prefix = "", .path_regex = "/("},
       "path_regex is no regular expression: missing ): /( at character 1"},
      {{.host = "", .path = "", .path_prefix = "", .methods = {"A B"}},
       "a method must be a token, such as `GET`"},
      {{.host = "", .path = "", .path_prefix = "", .headers = {{"X A", Kind::kPresent}}},
       "the name of a header must be a token"},
      {{.host = "", .path = "", .path_prefix = "", .cookies = {{"", Kind::kPresent}}},
       "the name of a cookie must be a token"},
      {{.host = "", .path = "", .path_prefix = "", .query = {{"", Kind::kPresent}}},
       "a query parameter must have a name"},
      {{.host = "", .path = "", .path_prefix = "", .query = {{"a", Kind::kRegex, "[b"}}},
       "what `a` must be is no regular expression: missing ]: [b at character 1"},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(CheckMatch(each.match), each.problem);
    EXPECT_EQ(Router({each.match, {}}).Match("h", "/"), 1u);
  }
  EXPECT_EQ(CheckRegex(std::string(1025, 'a')), "is a regular expression of more than 1024 bytes");
  EXPECT_EQ(CheckRegex(".{900}.{900}.{900}"),
            "is too large a regular expression: use fewer or smaller repetitions");
}

// Patterns that take other engines exponential time.
TEST(Predicates, OfPatternsCanNotBeMadeSlow) {
  const Router router({{.host = "", .path = "", .path_prefix = "", .path_regex = "/(a+)+(a|aa)*b"},
                       {.host = "", .path = "", .path_prefix = "", .path_regex = "/.*a.{40}b"}});
  MatchScratch scratch;
  Request request{.path = "/" + std::string(32000, 'a')};
  for (int i = 0; i < 10; ++i) EXPECT_EQ(router.Match(request.View(), scratch), kNone);
}

class Drawer {
 public:
  explicit Drawer(uint64_t seed) : rng_(seed) {}

  RouteMatch Match() {
    RouteMatch match;
    if (rng_.Chance(0.3)) match.host = "h";
    if (rng_.Chance(0.4)) match.path_prefix = rng_.Chance(0.5) ? "/a" : "/";
    if (rng_.Chance(0.2)) match.path_regex = Pattern();
    if (rng_.Chance(0.3)) match.methods = {"GET"};
    if (rng_.Chance(0.1)) match.methods.push_back("POST");
    if (rng_.Chance(0.4)) match.headers.push_back(Value());
    if (rng_.Chance(0.3)) match.cookies.push_back(Value());
    if (rng_.Chance(0.4)) match.query.push_back(Value());
    if (rng_.Chance(0.1)) match.query.push_back(Value());
    return match;
  }
  Request Ask() {
    Request request;
    request.path = Pick({"/", "/a", "/a/b", "/bb", "/ab", "*"});
    request.method = Pick({"GET", "POST", "HEAD"});
    for (auto left = rng_.Below(4); left > 0; --left) {
      request.query +=
          Pick({"a=", "b=", "%61=", "a", "&", "c+c="}) + Pick({"1", "%61", "+", "ab", "%"});
      request.query += "&";
    }
    for (auto left = rng_.Below(4); left > 0; --left) {
      request.fields.emplace_back(Pick({"a", "B", "Cookie", "cookie"}),
                                  Pick({"1", "a", "ab", "a=1; b=ab", "b=;a", "a=a b; ;c=1"}));
    }
    return request;
  }
  size_t Below(size_t bound) { return rng_.Below(bound); }

 private:
  std::string Pick(std::vector<std::string> texts) { return texts[rng_.Below(texts.size())]; }
  std::string Pattern() { return kNaivePatterns[rng_.Below(std::size(kNaivePatterns))].text; }
  ValueMatch Value() {
    ValueMatch value{.name = Pick({"a", "b", "c"}), .kind = static_cast<Kind>(rng_.Below(5))};
    value.text = value.kind == Kind::kRegex ? Pattern() : Pick({"", "1", "a", "ab", " "});
    return value;
  }

  Rng rng_;
};

TEST(Predicates, AgreeWithAskingEachRouteInTurn) {
  Drawer drawer(5);
  MatchScratch scratch;
  size_t found = 0;
  for (int round = 0; round < 200; ++round) {
    std::vector<RouteMatch> routes(drawer.Below(20));
    for (RouteMatch& route : routes) route = drawer.Match();
    const Router router(routes);
    const NaiveRouter naive(routes);
    for (int i = 0; i < 100; ++i) {
      Request request = drawer.Ask();
      const size_t from = drawer.Below(routes.size() + 1);
      const size_t expected = naive.Match(request.View(), from);
      ASSERT_EQ(router.Match(request.View(), scratch, from), expected)
          << request.method << " " << request.path << "?" << request.query;
      found += expected != kNone ? 1 : 0;
    }
  }
  EXPECT_GT(found, 5000u);
}

TEST(Predicates, MayBeAskedByManyThreadsAtOnce) {
  const Router router({{.host = "", .path = "", .path_prefix = "", .path_regex = "/[a-c]*d"},
                       {.host = "", .path = "", .path_prefix = "", .path_regex = "/[a-d]*"}});
  std::vector<std::jthread> threads;
  std::vector<size_t> wrong(4);
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Rng rng(t);
      MatchScratch scratch;
      for (int i = 0; i < 2000; ++i) {
        Request request{.path = "/"};
        for (auto left = rng.Below(20); left > 0; --left) {
          request.path.push_back(static_cast<char>('a' + rng.Below(4)));
        }
        const size_t d = request.path.find('d');
        const size_t expected = d != std::string::npos && d + 1 == request.path.size() ? 0 : 1;
        wrong[t] += router.Match(request.View(), scratch) != expected ? 1 : 0;
      }
    });
  }
  threads.clear();
  EXPECT_EQ(wrong, std::vector<size_t>(4, 0));
}

TEST(Explanation, SaysOfEachRouteWhatDoesNotHold) {
  const Router router({
      {.host = "api.example.com", .path = "", .path_prefix = "/v1"},
      {.host = "*.example.com", .path = "/ping", .path_prefix = "", .methods = {"GET", "HEAD"}},
      {.host = "",
       .path = "",
       .path_prefix = "",
       .path_regex = "/[0-9]+",
       .headers = {{"X-Env", Kind::kExact, "prod"}, {"X-None", Kind::kPresent}},
       .cookies = {{"a", Kind::kPrefix, "x"}},
       .query = {{"q", Kind::kAbsent}, {"r", Kind::kRegex, "[0-9]"}}},
      {},
      {},
  });
  Request request{.host = "WWW.example.com:8080",
                  .path = "/v2",
                  .method = "POST",
                  .query = "q=a%20b&q=c",
                  .fields = {{"X-Env", "dev"}, {"Cookie", "a=1; a=2"}}};
  const MatchExplanation explanation = router.Explain(request.View());
  EXPECT_EQ(explanation.route, 3u);
  ASSERT_EQ(explanation.tried.size(), 4u);
  std::vector<std::vector<std::string>> sentences;
  for (const RouteTried& tried : explanation.tried) {
    EXPECT_EQ(tried.route, sentences.size());
    sentences.emplace_back();
    for (const FailedPart& failed : tried.failed) sentences.back().push_back(failed.Sentence());
  }
  EXPECT_EQ(sentences[0], (std::vector<std::string>{
                              "the host is `www.example.com`, but must be `api.example.com`",
                              "the path is `/v2`, but must begin with `/v1`"}));
  EXPECT_EQ(sentences[1],
            (std::vector<std::string>{"the path is `/v2`, but must be `/ping`",
                                      "the method is `POST`, but must be `GET` or `HEAD`"}));
  EXPECT_EQ(
      sentences[2],
      (std::vector<std::string>{
          "the path is `/v2`, but must be taken by `/[0-9]+`",
          "the header `X-Env` is `dev`, but must be `prod`",
          "the header `X-None` is missing, but must be there, with any value",
          "the cookie `a` is `1` and `2`, but must be a value that begins with `x`",
          "the query parameter `q` is `a b` and `c`, but must be left out",
          "the query parameter `r` is missing, but must be a value that all of `[0-9]` takes"}));
  EXPECT_TRUE(explanation.tried[3].matched());
  EXPECT_EQ(router.Explain({.host = "h", .path = "/"}).route, 3u);
}

}  // namespace
}  // namespace rondo::route
