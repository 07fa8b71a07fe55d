#include "rondo/route/router.h"

#include <gtest/gtest.h>

#include "rondo/base/rng.h"
#include "route/naive_router.h"

namespace rondo::route {
namespace {

constexpr size_t kNone = Router::kNone;

TEST(Router, MatchesNothingWithoutRoutes) {
  EXPECT_EQ(Router().Match("example.com", "/"), kNone);
  EXPECT_EQ(Router(std::vector<RouteMatch>{}).Match("example.com", "/"), kNone);
}

TEST(Router, HoldsEachRuleOfOneRoute) {
  const struct {
    RouteMatch match;
    const char* host;
    const char* path;
    bool holds;
  } cases[] = {
      {{}, "", "/", true},
      {{}, "anything:80", "*", true},
      {{"example.com", "", ""}, "example.com", "/x", true},
      {{"example.com", "", ""}, "EXAMPLE.Com:8080", "/x", true},
      {{"example.com", "", ""}, "example.com.", "/x", true},
      {{"example.com", "", ""}, "example.com.:80", "/x", true},
      {{"example.com", "", ""}, "example.com..", "/x", false},
      {{"example.com", "", ""}, "example.com:", "/x", true},
      {{"example.com", "", ""}, "", "/x", false},
      {{"example.com", "", ""}, "a.example.com", "/x", false},
      {{"example.com", "", ""}, "example.comx", "/x", false},
      {{"Example.COM.", "", ""}, "example.com", "/x", true},
      {{"*.example.com", "", ""}, "a.example.com", "/x", true},
      {{"*.example.com", "", ""}, "A.b.Example.com.:443", "/x", true},
      {{"*.example.com", "", ""}, "example.com", "/x", false},
      {{"*.example.com", "", ""}, ".example.com", "/x", false},
      {{"*.example.com", "", ""}, "aexample.com", "/x", false},
      {{"*.example.com", "", ""}, "a.example.com.evil", "/x", false},
      {{"*.example.com", "", ""}, "*.example.com", "/x", true},
      {{"10.0.0.1", "", ""}, "10.0.0.1:80", "/", true},
      {{"[::1]", "", ""}, "[::1]", "/", true},
      {{"[::1]", "", ""}, "[0:0:0:0:0:0:0:1]:8080", "/", true},
      {{"[2001:DB8::A]", "", ""}, "[2001:db8:0::a]:8080", "/", true},
      {{"[::1]", "", ""}, "[::2]", "/", false},
      {{"[::1]", "", ""}, "[::1", "/", false},
      {{"", "/ping", ""}, "h", "/ping", true},
      {{"", "/ping", ""}, "h", "/ping/", false},
      {{"", "/ping", ""}, "h", "/pin", false},
      {{"", "/ping/", ""}, "h", "/ping/", true},
      {{"", "/ping/", ""}, "h", "/ping", false},
      {{"", "/", ""}, "h", "/", true},
      {{"", "/", ""}, "h", "/x", false},
      {{"", "/", ""}, "h", "*", false},
      {{"", "/a//b/../%63", ""}, "h", "/a/c", true},
      {{"", "/caf\xc3\xa9", ""}, "h", "/caf%C3%A9", true},
      {{"", "", "/v1"}, "h", "/v1", true},
      {{"", "", "/v1"}, "h", "/v1/", true},
      {{"", "", "/v1"}, "h", "/v1/x/y", true},
      {{"", "", "/v1"}, "h", "/v1foo", false},
      {{"", "", "/v1"}, "h", "/v", false},
      {{"", "", "/v1"}, "h", "/V1", false},
      {{"", "", "/v1"}, "h", "/", false},
      {{"", "", "/v1"}, "h", "*", false},
      {{"", "", "/v1/"}, "h", "/v1/x", true},
      {{"", "", "/v1/"}, "h", "/v1/", true},
      {{"", "", "/v1/"}, "h", "/v1", false},
      {{"", "", "/v1/"}, "h", "/v1x/", false},
      {{"", "", "/"}, "h", "/", true},
      {{"", "", "/"}, "h", "/x/y", true},
      {{"", "", "/"}, "h", "*", true},
      {{"", "/v1/x", "/v1"}, "h", "/v1/x", true},
      {{"", "/v1/x", "/v1"}, "h", "/v1/y", false},
      {{"", "/v1", "/v1"}, "h", "/v1", true},
      {{"", "/v1", "/v1/"}, "h", "/v1", false},
      {{"", "/v1foo", "/v1"}, "h", "/v1foo", false},
      {{"", "/x", "/"}, "h", "/x", true},
      {{"example.com", "", "/v1"}, "example.com", "/v1/a", true},
      {{"example.com", "", "/v1"}, "example.org", "/v1/a", false},
      {{"example.com", "", "/v1"}, "example.com", "/v2", false},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(Router({each.match}).Match(each.host, each.path), each.holds ? 0 : kNone)
        << each.match.host << " " << each.match.path << " " << each.match.path_prefix << " ~ "
        << each.host << " " << each.path;
  }
}

TEST(Router, TakesTheFirstRouteInOrderWhicheverWayItIsFound) {
  const Router router({
      {"", "/ping", ""},
      {"*.example.com", "", "/v1"},
      {"api.example.com", "", "/v1/users"},
      {"api.example.com", "", ""},
      {"", "", "/v1"},
      {"*.com", "", ""},
      {"", "", ""},
  });
  EXPECT_EQ(router.size(), 7u);
  const auto all = [&](const char* host, const char* path) {
    std::vector<size_t> found;
    for (size_t i = 0; (i = router.Match(host, path, i)) != kNone; ++i) found.push_back(i);
    return found;
  };
  using Indices = std::vector<size_t>;
  EXPECT_EQ(all("api.example.com", "/v1/users/7"), Indices({1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(all("api.example.com", "/ping"), Indices({0, 3, 5, 6}));
  EXPECT_EQ(all("www.example.com", "/v1"), Indices({1, 4, 5, 6}));
  EXPECT_EQ(all("example.com", "/v2"), Indices({5, 6}));
  EXPECT_EQ(all("localhost", "/v2"), Indices({6}));
}

TEST(Router, NeverMatchesWhatCanNotBeCompiledAndSaysWhy) {
  const struct {
    RouteMatch match;
    const char* problem;
  } cases[] = {
      {{"a.*.com", "", ""},
       "`*` may only stand for the first labels of a host, as in `*.example.com`"},
      {{"*", "", ""}, "`*` may only stand for the first labels of a host, as in `*.example.com`"},
      {{"*.", "", ""}, "a host must be a name of 1 to 255 bytes"},
      {{std::string(256, 'a'), "", ""}, "a host must be a name of 1 to 255 bytes"},
      {{"[::1", "", ""}, "a host must be a name of 1 to 255 bytes"},
      {{"", "ping", ""}, "a path must begin with `/`"},
      {{"", "", "v1"}, "a path must begin with `/`"},
      {{"", "/a?b", ""}, "a path can not hold `?`: the query is not part of it"},
      {{"", "/..", ""}, "no request can have this path, it would be refused: path_above_root"},
      {{"", "", "/%zz"}, "no request can have this path, it would be refused: path_bad_escape"},
  };
  for (const auto& each : cases) {
    EXPECT_EQ(CheckMatch(each.match), each.problem);
    const Router router({each.match, {}});
    EXPECT_EQ(router.Match("", "*"), 1u);
  }
  EXPECT_EQ(CheckMatch({"*.example.com", "/v1/x", "/v1"}), "");
}

TEST(Router, BoundsWhatLongHostsAndPathsCost) {
  const Router router({{"*.example.com", "", "/v1"}, {"", "/x", ""}});
  std::string dots;
  for (int i = 0; i < 16000; ++i) dots += "a.";
  EXPECT_EQ(router.Match(dots + "example.com", "/v1"), kNone);  // longer than a name can be
  EXPECT_EQ(router.Match(dots.substr(0, 240) + "example.com", "/v1"), 0u);
  std::string slashes = "/v1";
  for (int i = 0; i < 16000; ++i) slashes += "/a";
  EXPECT_EQ(router.Match("a.example.com", slashes), 0u);
  EXPECT_EQ(router.Match("h", "/" + std::string(32000, 'x')), kNone);
}

TEST(Router, AgreesWithAskingEachRouteInTurn) {
  const char* hosts[] = {"", "a.com", "b.a.com", "c.b.a.com", "*.com", "*.a.com", "*.b.a.com"};
  const char* asked[] = {"",    "a.com", "B.a.com:80", "c.b.a.com.",
                         "com", "x.com", ".com",       "d.c.b.a.com"};
  const char* segments[] = {"", "a", "b", "aa"};
  Rng rng(11);
  const auto path = [&] {
    std::string text;
    for (auto left = rng.Below(4); left > 0; --left)
      text += std::string("/") + segments[1 + rng.Below(3)];
    if (text.empty() || rng.Chance(0.3)) text += "/";
    return text;
  };
  for (int round = 0; round < 400; ++round) {
    std::vector<RouteMatch> routes(rng.Below(30));
    for (RouteMatch& route : routes) {
      route.host = hosts[rng.Below(std::size(hosts))];
      if (rng.Chance(0.3)) route.path = path();
      if (rng.Chance(0.6)) route.path_prefix = path();
    }
    const Router router(routes);
    const NaiveRouter naive(routes);
    for (int i = 0; i < 200; ++i) {
      const std::string host = asked[rng.Below(std::size(asked))];
      const std::string target = rng.Chance(0.02) ? "*" : path();
      const size_t from = rng.Below(routes.size() + 1);
      ASSERT_EQ(router.Match(host, target, from), naive.Match(host, target, from))
          << host << target << " from " << from;
    }
  }
}

TEST(Router, CanBeMoved) {
  Router router({{"a.com", "", "/x"}});
  const Router moved = std::move(router);
  EXPECT_EQ(moved.Match("a.com", "/x/y"), 0u);
}

}  // namespace
}  // namespace rondo::route
