// Routes and balancing in full: what the keys mean, and what is wrong with them.
#include <chrono>

#include "config/parse_helpers.h"

namespace rondo::config {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::ElementsAreArray;
using Kind = route::ValueMatch::Kind;

// One route, its keys in line 1 from column 41, and two upstreams.
std::string InRoute(const std::string& keys) {
  return "listeners: {w: {listen: [':80'], routes: [{" + keys +
         "}]}}\nupstreams: {api: {backends: ['1.1.1.1:1']}, canary: {backends: ['1.1.1.1:2']}}\n";
}
std::string InMatch(const std::string& keys) {
  return InRoute("upstream: api, match: {" + keys + "}");
}
// The keys of an upstream, in line 1 from column 19.
std::string InUpstream(const std::string& keys) {
  return "upstreams: {api: {" + keys +
         "}}\nlisteners: {w: {listen: [':80'], routes: [{upstream: api}]}}\n";
}

RouteConfig RouteOf(const std::string& keys) {
  const Config config = ConfigOf(InRoute(keys));
  return config.listeners.empty() ? RouteConfig() : config.listeners[0].routes.at(0);
}
Upstream UpstreamOf(const std::string& keys) {
  const Config config = ConfigOf(InUpstream(keys));
  return config.upstreams.empty() ? Upstream() : config.upstreams[0];
}

// Without the place.
std::vector<std::string> Messages(const std::string& text) {
  std::vector<std::string> messages;
  for (const Error& error : ParseText(text).errors) messages.push_back(error.message);
  return messages;
}

TEST(Routes, MayAskForPatternMethodHeadersCookiesAndQuery) {
  const RouteConfig route = RouteOf(
      "upstream: api, match: {path_regex: '/users/[0-9]+', method: [GET, HEAD], headers: {X-Env: "
      "prod, X-A: {prefix: a}, X-B: {regex: '[0-9]+'}, X-C: {present: true}, X-D: {present: "
      "false}, X-E: {exact: e}}, cookies: {beta: '1'}, query: {'a b': {prefix: ' '}}}");
  EXPECT_EQ(route.match.path_regex, "/users/[0-9]+");
  EXPECT_THAT(route.match.methods, ElementsAre("GET", "HEAD"));
  EXPECT_THAT(route.match.headers, ElementsAre(route::ValueMatch{"X-Env", Kind::kExact, "prod"},
                                               route::ValueMatch{"X-A", Kind::kPrefix, "a"},
                                               route::ValueMatch{"X-B", Kind::kRegex, "[0-9]+"},
                                               route::ValueMatch{"X-C", Kind::kPresent, ""},
                                               route::ValueMatch{"X-D", Kind::kAbsent, ""},
                                               route::ValueMatch{"X-E", Kind::kExact, "e"}));
  EXPECT_THAT(route.match.cookies, ElementsAre(route::ValueMatch{"beta", Kind::kExact, "1"}));
  EXPECT_THAT(route.match.query, ElementsAre(route::ValueMatch{"a b", Kind::kPrefix, " "}));
  EXPECT_THAT(RouteOf("upstream: api, match: {method: PURGE}").match.methods, ElementsAre("PURGE"));
}

TEST(Routes, HaveNothingOfTheNewByDefault) {
  EXPECT_EQ(RouteOf("upstream: api").timeout, std::nullopt);
  const RouteConfig route = RouteOf("upstream: api");
  EXPECT_EQ(route.timeout_total, std::nullopt);
  EXPECT_EQ(route.body_bytes, std::nullopt);
  EXPECT_TRUE(route.request_headers.empty());
  EXPECT_TRUE(route.response_headers.empty());
  EXPECT_TRUE(route.rewrite_prefix.empty());
  EXPECT_TRUE(route.forwards());
  EXPECT_EQ(route.split_by, HashKey{.source = HashKey::Source::kRequestId});
  const Upstream upstream = UpstreamOf("backends: ['1.1.1.1:1']");
  EXPECT_EQ(upstream.queue, (Queue{.size = 1024, .timeout = 5s}));
  EXPECT_EQ(upstream.sticky, std::nullopt);
  EXPECT_EQ(upstream.hash_key, HashKey{.source = HashKey::Source::kClientIp});
  EXPECT_EQ(upstream.backends.at(0).max_connections, 0u);
}

TEST(Routes, MaySplitRedirectRewriteEditAndLimit) {
  const RouteConfig split =
      RouteOf("upstreams: {api: 90, canary: 0}, split_by: 'cookie:session', timeout_total: 1m");
  EXPECT_THAT(split.upstreams,
              ElementsAre(WeightedUpstream{"api", 90}, WeightedUpstream{"canary", 0}));
  EXPECT_EQ(split.split_by, (HashKey{.source = HashKey::Source::kCookie, .name = "session"}));
  EXPECT_EQ(split.timeout_total, 1min);
  EXPECT_EQ(RouteOf("redirect: {to: /new}").redirect, (Redirect{.status = 302, .to = "/new"}));
  const RouteConfig redirect = RouteOf(
      "redirect: {to: 'https://a.b/?x=1#y', status: 308}, body_bytes: 0, "
      "set_response_headers: {X-A: b}");
  EXPECT_EQ(redirect.redirect, (Redirect{.status = 308, .to = "https://a.b/?x=1#y"}));
  EXPECT_EQ(redirect.body_bytes, 0u);
  EXPECT_FALSE(redirect.forwards());
  const RouteConfig edited = RouteOf(
      "upstream: api, match: {path_prefix: /v1}, rewrite_prefix: /, timeout: 15s, "
      "set_request_headers: {X-Env: prod, X-None: ''}, remove_request_headers: [X-Debug], "
      "set_response_headers: {X-Env: prod}, remove_response_headers: [Server]");
  EXPECT_EQ(edited.rewrite_prefix, "/");
  EXPECT_EQ(edited.timeout, 15s);
  EXPECT_EQ(edited.request_headers,
            (http::HeaderEdits{.set = {{"X-Env", "prod"}, {"X-None", ""}}, .remove = {"X-Debug"}}));
  EXPECT_EQ(edited.response_headers,
            (http::HeaderEdits{.set = {{"X-Env", "prod"}}, .remove = {"Server"}}));
}

TEST(Upstreams, MayHashStickQueueAndLimit) {
  const Upstream upstream = UpstreamOf(
      "balance: consistent_hash, hash_key: 'header:X-User', sticky: {cookie: s, ttl: "
      "0s}, queue: {size: 0, timeout: 1s}, backends: [{address: '1.1.1.1:1', "
      "max_connections: 200}]");
  EXPECT_EQ(upstream.balance, balance::PolicyKind::kConsistentHash);
  EXPECT_EQ(upstream.hash_key, (HashKey{.source = HashKey::Source::kHeader, .name = "X-User"}));
  EXPECT_EQ(upstream.sticky, (Sticky{.cookie = "s", .ttl = 0s}));
  EXPECT_EQ(upstream.queue, (Queue{.size = 0, .timeout = 1s}));
  EXPECT_EQ(upstream.backends.at(0).max_connections, 200u);
  EXPECT_EQ(UpstreamOf("backends: ['1.1.1.1:1'], balance: ip_hash, sticky: {}").sticky, Sticky());
  for (const auto& [text, source] :
       {std::pair{"path", HashKey::Source::kPath}, std::pair{"uri", HashKey::Source::kUri}}) {
    EXPECT_EQ(
        UpstreamOf(std::string("backends: ['1.1.1.1:1'], balance: consistent_hash, hash_key: ") +
                   text)
            .hash_key,
        HashKey{.source = source});
  }
}

TEST(Routes, SayWhereAnErrorStands) {
  EXPECT_THAT(ErrorsOf(InMatch("path_regex: '/a('")),
              ElementsAre("1:79: `path_regex`: `/a(` is no regular expression: missing ): /a( at "
                          "character 1"));
  EXPECT_THAT(ErrorsOf(InMatch("headers: {X-A: {prefx: b}}")),
              ElementsAre("1:83: unknown key `prefx`; did you mean `prefix`?"));
}

TEST(Routes, RefuseAMatchThatCanNotHold) {
  const std::string value_forms =
      "the value, or one of {exact: ...}, {prefix: ...}, {regex: ...} and {present: true}";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"path_regex: '*'",
       "`path_regex`: `*` is no regular expression: no argument for repetition operator: * at "
       "character 1"},
      {"path_regex: '(a)\\1'",
       "`path_regex`: `(a)\\1` is no regular expression: invalid escape sequence: \\1 at character "
       "4"},
      {"path_regex: '((a{100}){100}){100}'",
       "`path_regex`: `((a{100}){100}){100}` is no regular expression: invalid repetition "
       "size: {100} at character 4"},
      {"path_regex: ''",
       "`path_regex`: `` is empty: write a regular expression, or remove the key"},
      {"method: get", "`method`: `get` is not `GET`: case counts in methods, write `GET`"},
      {"method: 'GET HEAD'", "`method`: `GET HEAD` is not a method, such as `GET`"},
      {"method: CONNECT", "`method`: `CONNECT` is answered with 501 before any route is asked"},
      {"method: [GET, GET]", "`method` has `GET` twice"},
      {"method: []", "`method` is empty: write at least one, or remove the key"},
      {"method: {}", "`method` must be text or a list, not a map"},
      {"headers: X-A", "`headers` must be a map of names and values, not a single value"},
      {"headers: {}", "`headers` is empty: write at least one name, or remove the key"},
      {"headers: {'X A': b}", "`headers`: `X A` is not the name of a header, such as `X-Env`"},
      {"headers: {Host: b}", "`headers`: `Host` is matched by `host`: write that in its place"},
      {"headers: {X-A: [b]}", "`headers`: `X-A` must be " + value_forms + ", not a list"},
      {"headers: {X-A: }", "`headers`: `X-A` must be " + value_forms + ", not nothing"},
      {"headers: {X-A: {}}", "`X-A` must be " + value_forms},
      {"headers: {X-A: {exact: a, prefix: b}}", "`X-A` has `exact` and `prefix`: keep one of them"},
      {"headers: {X-A: {present: yes}}",
       "`present` is `yes`, but must be true or false: write `true`"},
      {"headers: {X-A: {prefix: ''}}", "`prefix` is empty: write {present: true} for any value"},
      {"headers: {X-A: {regex: '['}}",
       "`regex`: `[` is no regular expression: missing ]: [ at character 1"},
      {"headers: {X-A: 'b '}",
       "`headers`: `X-A` asks for `b `, which no request has: values have no control characters "
       "and no spaces at their ends"},
      {"cookies: {'a;b': c}",
       "`cookies`: `a;b` is not the name of a cookie: letters, digits and some signs, without "
       "spaces"},
      {"query: {'': c}", "`query`: `` is not the name of a query parameter"},
  };
  for (const auto& [keys, message] : cases) {
    EXPECT_THAT(Messages(InMatch(keys)), ElementsAre(message)) << keys;
  }
}

TEST(Routes, RefuseActionsThatMakeNoSense) {
  const std::string framing =
      " can not be changed: it belongs to the connection or to how messages are framed";
  const std::string no_url =
      " is neither a URL nor a path: write it like `https://example.com/new` or `/new`";
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"upstream: api, redirect: {to: /}",
       "this route has both `upstream` and `redirect`: keep one of them"},
      {"upstream: api, upstreams: {api: 1}, respond: {}",
       "this route has `upstream`, `upstreams` and `respond`: keep one of them"},
      {"upstreams: {}", "`upstreams` is empty: write names and weights, such as {api: 90}"},
      {"upstreams: {api: 0, canary: 0}",
       "`upstreams` has only weights of 0: at least one must be more"},
      {"upstreams: {api: 1001}",
       "`upstreams`: the weight of `api` is `1001`, but must be a whole number from 0 to 1000"},
      {"upstreams: {api: 90%}",
       "`upstreams`: the weight of `api` is `90%`, but must be a whole number from 0 to 1000"},
      {"upstreams: {api: [1]}", "`upstreams`: `api` must be a weight from 0 to 1000, not a list"},
      {"upstreams: {canarry: 1}", "no upstream is named `canarry`; did you mean `canary`?"},
      {"upstreams: [api]", "`upstreams` must be a map of names and values, not a list"},
      {"upstreams: {api: 1}, split_by: path",
       "`split_by`: `path` must be `request_id`, `client_ip`, `header:NAME` or `cookie:NAME`"},
      {"upstreams: {api: 1}, split_by: 'cookie:'",
       "`split_by`: `cookie:` has no name of a cookie behind the colon: write it like "
       "`cookie:session`"},
      {"upstream: api, split_by: client_ip",
       "`split_by` has no meaning for a route with `upstream`: remove it, or write `upstreams`"},
      {"redirect: {}",
       "this redirect has no `to`: write where it leads, such as {to: \"https://example.com/\"}"},
      {"redirect: {to: new}", "`to`: `new`" + no_url},
      {"redirect: {to: //evil.example}", "`to`: `//evil.example`" + no_url},
      {"redirect: {to: 'https:///x'}", "`to`: `https:///x`" + no_url},
      {"redirect: {to: '/a b'}",
       "`to`: `/a b` has a space or a character that is not ASCII: write it escaped, as in `%20`"},
      {"redirect: {to: \"/a\\r\\nX: y\"}",
       "`to`: `/a??X: y` has a space or a character that is not ASCII: write it escaped, as in "
       "`%20`"},
      {"redirect: {to: /, status: 200}",
       "`status` is `200`, but must be `301`, `302`, `303`, `307` or `308`"},
      {"redirect: {to: /}, timeout: 1s",
       "`timeout` has no meaning for a route with `redirect`: remove it"},
      {"respond: {}, set_request_headers: {X-A: b}",
       "`set_request_headers` has no meaning for a route with `respond`: remove it"},
      {"upstream: api, rewrite_prefix: /",
       "`rewrite_prefix` replaces `path_prefix`: write that under `match`"},
      {"upstream: api, match: {path_prefix: /a}, rewrite_prefix: b",
       "`rewrite_prefix`: `b` must begin with `/`"},
      {"upstream: api, match: {path_prefix: /a}, rewrite_prefix: '/b?c'",
       "`rewrite_prefix`: `/b?c` has a query or fragment: only the path is rewritten"},
      {"upstream: api, match: {path_prefix: /a}, rewrite_prefix: /b/../c",
       "`rewrite_prefix`: `/b/../c` has a `.` or `..` segment: write the path that is meant"},
      {"upstream: api, set_request_headers: {Host: a}",
       "`set_request_headers`: `Host` can not be changed: Host passes as the client sent it"},
      {"upstream: api, set_request_headers: {content-length: '1'}",
       "`set_request_headers`: `content-length`" + framing},
      {"upstream: api, remove_request_headers: [Transfer-Encoding]",
       "`remove_request_headers`: `Transfer-Encoding`" + framing},
      {"upstream: api, remove_response_headers: [Connection]",
       "`remove_response_headers`: `Connection`" + framing},
      {"upstream: api, set_response_headers: {'X A': b}",
       "`set_response_headers`: `X A` is not the name of a header, such as `X-Env`"},
      {"upstream: api, set_response_headers: {X-A: \"b\\r\\nX-C: d\"}",
       "`set_response_headers`: `b??X-C: d` can not be the value of a header: it must have no "
       "control characters and no spaces at its ends"},
      {"upstream: api, set_response_headers: {X-A: b}, remove_response_headers: [x-a]",
       "`remove_response_headers`: `x-a` is set or removed already: a field that is set replaces "
       "all of its name, so write it once"},
      {"upstream: api, timeout: 0s",
       "`timeout` is `0s`, but must be a duration from 1ms to 365d, such as 250ms or 5s"},
  };
  for (const auto& [keys, message] : cases) {
    EXPECT_THAT(Messages(InRoute(keys)), ElementsAre(message)) << keys;
  }
}

TEST(Upstreams, RefuseWhatMakesNoSense) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"hash_key: client_ip",
       {"`hash_key` has a meaning only with `balance: consistent_hash`: write that, or remove it"}},
      {"balance: consistent_hash, hash_key: cookie",
       {"`hash_key`: `cookie` must be `client_ip`, `path`, `uri`, `header:NAME` or `cookie:NAME`"}},
      {"balance: consistent_hash, hash_key: 'header:a b'",
       {"`hash_key`: `header:a b` has no name of a header behind the colon: write it like "
        "`header:X-User`"}},
      {"sticky: {cookie: 'a b'}",
       {"`cookie`: `a b` is not the name of a cookie: letters, digits and some signs, without "
        "spaces"}},
      {"sticky: {ttl: 1500ms}", {"`ttl` must be whole seconds: a cookie knows nothing finer"}},
      {"sticky: on", {"`sticky` must be a map of keys, not a single value"}},
      {"queue: {size: -1}", {"`size` is `-1`, but must be a whole number from 0 to 1000000"}},
  };
  for (const auto& [keys, messages] : cases) {
    EXPECT_THAT(Messages(InUpstream("backends: ['1.1.1.1:1'], " + keys)),
                ElementsAreArray(messages))
        << keys;
  }
}

}  // namespace
}  // namespace rondo::config
