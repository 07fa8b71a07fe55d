// What is wrong, where, and what would be right: a text and the exact lines a user sees.
#include "config/parse_helpers.h"

namespace rondo::config {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;

struct Case {
  std::string text;
  std::vector<std::string> errors;
};

void Check(const std::vector<Case>& cases) {
  for (const Case& c : cases) EXPECT_THAT(ErrorsOf(c.text), ElementsAreArray(c.errors)) << c.text;
}

// A right configuration around one line, which is line 1.
std::string WithLine(const std::string& line) {
  return line +
         "\nlisteners: {web: {listen: [':80'], routes: [{upstream: api}]}}\n"
         "upstreams: {api: {backends: [10.0.0.1:3000]}}\n";
}
// The line stands in the upstream, as line 2.
std::string InUpstream(const std::string& line) {
  return "upstreams:\n  api: {" + line +
         "}\nlisteners: {web: {listen: [':80'], routes: [{upstream: api}]}}\n";
}
// The line stands in the listener, as line 2.
std::string InListener(const std::string& line) {
  return "listeners:\n  web: {" + line + "}\nupstreams: {api: {backends: [10.0.0.1:3000]}}\n";
}
// The keys of the only route, in line 2 from column 36.
std::string InRoute(const std::string& line) {
  return InListener("listen: [':80'], routes: [{" + line + "}]");
}

TEST(ConfigErrors, NameAnUnknownKeyAndTheNearest) {
  Check({
      {WithLine("process: {worker: 2}"), {"1:11: unknown key `worker`; did you mean `workers`?"}},
      {WithLine("proces: {}"), {"1:1: unknown key `proces`; did you mean `process`?"}},
      {WithLine("Limits: {}"), {"1:1: unknown key `Limits`; did you mean `limits`?"}},
      {WithLine("limits: {header-bytes: 1KiB}"),
       {"1:10: unknown key `header-bytes`; did you mean `header_bytes`?"}},
      {WithLine("timeouts: {connect: 3s}"),
       {"1:12: unknown key `connect` here; it belongs in `upstreams.*.timeouts`"}},
      {InUpstream("backends: [1.1.1.1:1], timeouts: {limits: 1}"),
       {"2:43: unknown key `limits` here; it belongs at the top level of the file"}},
      {WithLine("foo: 1"),
       {"1:1: unknown key `foo`; known here: `process`, `logging`, `listeners`, `upstreams`, "
        "`admin`, `resolver`, `timeouts` and `limits`"}},
      {InRoute("upstrem: api"), {"2:36: unknown key `upstrem`; did you mean `upstream`?"}},
  });
}

TEST(ConfigErrors, RefuseByNameWhatIsNotAvailableYet) {
  const auto message = [](const std::string& place, const std::string& key) {
    return place + ": `" + key +
           "` is part of Rondo's configuration but not available in this version";
  };
  Check({
      {WithLine("process: {user: rondo, upgrade_grace: 1h}"), {message("1:24", "upgrade_grace")}},
      {InListener("listen: [':80'], tcp: {upstream: api}"), {message("2:26", "tcp")}},
      {InRoute("upstream: api, jwt: {jwks: keys.json}"), {message("2:51", "jwt")}},
      {InRoute("upstream: api, basic_auth: {}"), {message("2:51", "basic_auth")}},
      {InRoute("upstream: api, compress: {}"), {message("2:51", "compress")}},
      {InUpstream("backends: [1.1.1.1:1], protocol: tcp"),
       {"2:42: `protocol: tcp` is part of Rondo's configuration but not available in this version: "
        "use `http1`, `h2c` or `h2`"}},
  });
}

TEST(ConfigErrors, GiveBothLinesOfADuplicateKey) {
  Check({
      {WithLine("limits: {}\nlimits: {}"),
       {"2:1: `limits` is written twice: first on line 1; remove one of them"}},
      {InUpstream("backends: [1.1.1.1:1],\n   backends: [1.1.1.1:2]"),
       {"3:4: `backends` is written twice: first on line 2; remove one of them"}},
      {"upstreams:\n  a: {backends: [1.1.1.1:1]}\n  a: {backends: [1.1.1.1:1]}\n"
       "listeners: {w: {listen: [':80'], routes: [{upstream: a}]}}",
       {"3:3: `a` is written twice: first on line 2; remove one of them"}},
  });
}

TEST(ConfigErrors, RefuseScalarsThatOnlyLookRight) {
  Check({
      {WithLine("process: {workers: 010}"),
       {"1:20: `workers` is `010`, but must be `auto` or a whole number from 1 to 1024: write "
        "`10`"}},
      {WithLine("limits: {header_count: 1e3}"),
       {"1:24: `header_count` is `1e3`, but must be a whole number from 1 to 10000"}},
      {WithLine("limits: {header_count: 10001}"),
       {"1:24: `header_count` is `10001`, but must be a whole number from 1 to 10000"}},
      {WithLine("limits: {header_bytes: 64KB}"),
       {"1:24: `header_bytes` is `64KB`, but must be a size from 1KiB to 1MiB, such as 64KiB: "
        "write `64KiB`"}},
      {WithLine("limits: {header_bytes: 512}"),
       {"1:24: `header_bytes` is `512`, but must be a size from 1KiB to 1MiB, such as 64KiB"}},
      {WithLine("timeouts: {keepalive: 60}"),
       {"1:23: `keepalive` is `60`, but must be a duration from 1ms to 365d, such as 250ms or 5s: "
        "write `60s`"}},
      {WithLine("timeouts: {keepalive: -1s}"),
       {"1:23: `keepalive` is `-1s`, but must be a duration from 1ms to 365d, such as 250ms or "
        "5s"}},
      {WithLine("timeouts: {keepalive: 0s}"),
       {"1:23: `keepalive` is `0s`, but must be a duration from 1ms to 365d, such as 250ms or 5s"}},
      {WithLine("logging: {level: warning}"),
       {"1:18: `level` is `warning`, but must be `debug`, `info`, `warn` or `error`: write "
        "`warn`"}},
      {WithLine("process: {engine: null}"),
       {"1:19: `engine` has no value: write `auto`, `io_uring` or `epoll`, or remove the key"}},
      {WithLine("process: {engine: [epoll]}"),
       {"1:19: `engine` must be `auto`, `io_uring` or `epoll`, not a list"}},
      {WithLine("process: 5"), {"1:10: `process` must be a map of keys, not a single value"}},
      {WithLine("process: {pid_file: ''}"),
       {"1:21: `pid_file` is empty: write a path, or remove the key"}},
      {WithLine("logging: {access: {path: ''}}"),
       {"1:26: `path` is empty: write `stdout`, `stderr`, `off` or a file"}},
      {InUpstream("backends: [{address: 1.1.1.1:1, weight: 0, backup: yes}]"),
       {"2:49: `weight` is `0`, but must be a whole number from 1 to 65535",
        "2:60: `backup` is `yes`, but must be true or false: write `true`"}},
      {InUpstream("backends: [1.1.1.1:1], retries: {budget: 20, attempts: 17}"),
       {"2:50: `budget` is `20`, but must be a percentage from 0% to 100%: write `20%`",
        "2:64: `attempts` is `17`, but must be a whole number from 0 to 16"}},
      {InUpstream("backends: [1.1.1.1:1], retries: {budget: 101%}"),
       {"2:50: `budget` is `101%`, but must be a percentage from 0% to 100%"}},
      {InUpstream("backends: [1.1.1.1:1], retries: {on: [conect, 500, 503, 503, [x]]}"),
       {"2:47: `on` has `conect`, but takes `connect`, `reset_before_response`, `502`, `503` or "
        "`504`: write `connect`",
        "2:55: `on` has `500`, but takes `connect`, `reset_before_response`, `502`, `503` or `504`",
        "2:65: `on` has `503` twice",
        "2:70: an element of `on` must be `connect`, `reset_before_response`, `502`, `503` or "
        "`504`, not a list"}},
  });
}

TEST(ConfigErrors, SayWhatIsWrongWithAnAddress) {
  const auto backend = [](const std::string& value, const std::string& problem) {
    return Case{InUpstream("backends: ['" + value + "']"),
                {"2:20: `address`: `" + value + "` " + problem}};
  };
  const auto listen = [](const std::string& value, const std::string& problem) {
    return Case{InListener("listen: ['" + value + "'], routes: [{upstream: api}]"),
                {"2:18: `listen`: `" + value + "` " + problem}};
  };
  Check({
      backend("", "has no port: write address and port, such as `10.0.1.10:3000`"),
      backend("10.0.0.1", "has no port: write address and port, such as `10.0.1.10:3000`"),
      backend("10.0.0.1:", "has no port behind the colon: it must be a number from 1 to 65535"),
      backend("10.0.0.1:0", "has the port `0`: it must be a number from 1 to 65535"),
      backend("10.0.0.1:65536", "has the port `65536`: it must be a number from 1 to 65535"),
      backend("10.0.0.256:80",
              "is not an IPv4 address: four numbers from 0 to 255, without leading zeros"),
      backend("010.0.0.1:80",
              "is not an IPv4 address: four numbers from 0 to 255, without leading zeros"),
      backend(":80", "has no address before the port: write both, such as `127.0.0.1:80`"),
      backend("3000", "is a number: write address and port, such as `127.0.0.1:3000`"),
      backend("::1:80", "is not an address and port: write IPv6 in brackets, like `[::1]:8080`"),
      backend("[::1]", "is not an IPv6 address with a port: write it like `[::1]:8080`"),
      backend("[::g]:80", "has no IPv6 address between the brackets: write it like `[::1]:8080`"),
      backend("[::1]:x", "has the port `x`: it must be a number from 1 to 65535"),
      backend("http://10.0.0.1:80",
              "is a URL: write address and port alone, such as `10.0.1.10:3000`"),
      backend("unix:", "must have a path of 1 to 107 bytes behind `unix:`"),
      backend("a b:80", "is not an address and port: write it like `10.0.1.10:3000`"),
      backend("api", "has no port: write address and port, such as `10.0.1.10:3000`"),
      backend("api:0", "has the port `0`: it must be a number from 1 to 65535"),
      backend("api:", "has no port behind the colon: it must be a number from 1 to 65535"),
      backend("-api:80", "is not an address and port: write it like `10.0.1.10:3000`"),
      listen("8080", "is a number: write `:8080` to listen on a port"),
      listen(":65536", "has the port `65536`: it must be a number from 0 to 65535"),
      listen("localhost:80",
             "is a host name, which is part of Rondo's configuration but not available in this "
             "version: write an "
             "address such as `0.0.0.0:8080`"),
      {InUpstream("backends: [{address: {a: b}}]"), {"2:30: `address` must be text, not a map"}},
      {InUpstream("backends: [~]"),
       {"2:20: an element of `backends` must be an address such as 10.0.1.10:3000 or, in quotes, "
        "\"[::1]:3000\", not "
        "nothing"}},
  });
}

TEST(ConfigErrors, RefuseAnAddressThatIsTakenAlready) {
  const auto taken = [](const std::string& first, const std::string& second) {
    return ErrorsOf("listeners:\n  a: {listen: ['" + first +
                    "'], routes: [{respond: {}}]}\n  b: {listen: ['" + second +
                    "'], routes: [{respond: {}}]}\n");
  };
  const auto conflict = [](const std::string& second) {
    return "3:16: `listen`: `" + second +
           "` is taken already on line 2: an address belongs to one listener, once";
  };
  for (const auto& [first, second] :
       std::vector<std::pair<std::string, std::string>>{{"10.0.0.1:80", "10.0.0.1:80"},
                                                        {":80", ":80"},
                                                        {":80", "0.0.0.0:80"},
                                                        {"[::]:80", ":80"},
                                                        {"0.0.0.0:80", ":80"},
                                                        {"unix:/a", "unix:/a"},
                                                        {"[::1]:80", "[0::1]:80"}}) {
    EXPECT_THAT(taken(first, second), ElementsAre(conflict(second))) << first;
  }
  for (const auto& [first, second] :
       std::vector<std::pair<std::string, std::string>>{{"10.0.0.1:80", "10.0.0.1:81"},
                                                        {"0.0.0.0:80", "[::]:80"},
                                                        {":0", ":0"},
                                                        {"unix:/a", "unix:/b"}}) {
    EXPECT_THAT(taken(first, second), ElementsAre()) << first << " " << second;
  }
}

TEST(ConfigErrors, SayWhatAListenerOrAnUpstreamLacks) {
  Check({
      {InListener(""),
       {"2:3: listener `web` has no `listen`: write a list, such as [\":8080\"]",
        "2:3: listener `web` has no `routes`: write a list, such as [{upstream: NAME}]"}},
      {InListener("listen: [], routes: []"),
       {"2:17: `listen` is empty: write at least one address",
        "2:29: `routes` is empty: write at least one, such as {upstream: NAME}"}},
      {InListener("listen: ':80', routes: [{upstream: api}]"),
       {"2:17: `listen` must be a list, such as [\":80\"], not a single value"}},
      {InListener("listen: [':80'], routes: [x]"),
       {"2:35: a route must be a map of keys, such as {upstream: NAME}"}},
      {InUpstream(""),
       {"2:3: upstream `api` has no `backends`: write a list, such as [10.0.1.10:3000]"}},
      {InUpstream("backends: [{weight: 2}]"),
       {"2:20: this backend has no `address`: write one, such as {address: 10.0.1.10:3000}"}},
      {InUpstream("backends: [1.1.1.1:1, {address: 1.1.1.1:1, weight: 2}]"),
       {"2:31: backend `1.1.1.1:1` is in this list already, on line 2: to send it more requests, "
        "raise its `weight`"}},
      {"upstreams: {api: [1.1.1.1:1]}\nlisteners: [x]\n",
       {"1:18: `api` must be a map of keys",
        "2:12: `listeners` must be a map of names, each with its keys, not a list"}},
      {"listeners: {}\n", {"1:12: `listeners` is empty: write at least one"}},
      {"limits: {}\n",
       {"1:1: there are no `listeners`: write at least one, with `listen` and `routes`"}},
      {"listeners: {'a b': {listen: [':80'], routes: [{respond: {}}]}}",
       {"1:13: `a b` is not a name: 1 to 64 letters, digits, `-`, `_` and `.`, beginning with a "
        "letter or digit"}},
  });
}

TEST(ConfigErrors, SayWhatIsWrongWithARoute) {
  const auto match = [](const std::string& key, const std::string& value,
                        const std::string& problem) {
    return Case{
        InRoute("upstream: api, match: {\"" + key + "\": '" + value + "'}"),
        {"2:" + std::to_string(63 + key.size()) + ": `" + key + "`: `" + value + "` " + problem}};
  };
  Check({
      {InRoute("match: {}"),
       {"2:35: this route goes nowhere: write `upstream`, `upstreams`, `redirect` or `respond`"}},
      {InRoute("upstream: api, respond: {}"),
       {"2:35: this route has both `upstream` and `respond`: keep one of them"}},
      {InRoute("upstream: apj"), {"2:46: no upstream is named `apj`; did you mean `api`?"}},
      {InRoute("upstream: other"),
       {"2:46: no upstream is named `other`: add it under `upstreams`"}},
      {InRoute("respond: {status: 100}"),
       {"2:54: `status` is `100`, but must be a whole number from 200 to 599"}},
      {InRoute("respond: {status: 204, body: x}"),
       {"2:65: `body` must be left out: a 204 response has none"}},
      {InRoute("respond: {body: " + std::string(65537, 'x') + "}"),
       {"2:52: `body` has 65537 bytes, but must have at most 64KiB"}},
      {InRoute("respond: {}, upgrades: [websocket]"),
       {"2:49: `upgrades` has no meaning for a route with `respond`: remove it"}},
      {InRoute("upstream: api, upgrades: [h2c, 'a b', x, X]"),
       {"2:62: `upgrades`: `h2c` is never forwarded: HTTP/2 over cleartext cannot be upgraded to",
        "2:67: `upgrades`: `a b` is not an Upgrade token, such as `websocket`",
        "2:77: `upgrades` has `x` twice"}},
      match("path", "ping", "must begin with `/`"),
      match("path", "/a?b", "has a query or fragment: only the path is matched"),
      match("path", "/a\\b", "has a backslash, which every request is refused for"),
      match("path", "/a b",
            "has a space or a character that is not ASCII: write it escaped, as in `%20`"),
      match("path", "/%61", "has the escape `%61`, but paths are matched decoded: write `a`"),
      match("path", "/%2f", "has the escape `%2f`, but paths are matched with upper-case digits"),
      match("path", "/%00", "has `%00`, which every request is refused for"),
      match("path", "/100%", "has a `%` without two hexadecimal digits: a percent sign is `%25`"),
      match("path_prefix", "//a", "has `//`, but paths are matched with slashes merged: write one"),
      match("path_prefix", "/a/..",
            "has a `.` or `..` segment, but paths are matched with those resolved"),
      match("host", "*", "matches every host: leave `host` out for that"),
      match(
          "host", "a.*.b",
          "has `*` in the wrong place: only a whole first part can be `*`, as in `*.example.com`"),
      match("host", "a.b:80",
            "has a port or a scheme: hosts are matched without, as in `api.example.com`"),
      match("host", "a.b.", "ends with a dot: write the name without it"),
      match("host", "[::x]", "has no IPv6 address between the brackets"),
      match("host", "a..b",
            "is not a host name: letters, digits, `-` and `.` (other scripts as xn--...)"),
      match("host", "",
            "is not a host name: letters, digits, `-` and `.` (other scripts as xn--...)"),
  });
}

TEST(ConfigErrors, SayWhatIsWrongWithAPeersNetworkOrAViaName) {
  const auto network = [](const std::string& value, const std::string& problem) {
    return Case{InListener("listen: [':80'], routes: [{upstream: api}], trusted_proxies: ['" +
                           value + "']"),
                {"2:71: `trusted_proxies`: `" + value + "` " + problem}};
  };
  Check({
      network("10.0.0.1/8", "has bits set behind its prefix: write the network's first address"),
      network("10.0.0.0/33", "has no prefix length from 0 to 32 behind the slash"),
      network("10.0.0.0/", "has no prefix length from 0 to 32 behind the slash"),
      network("::/129", "has no prefix length from 0 to 128 behind the slash"),
      network("lan", "is not a network: write it like `10.0.0.0/8`, `2001:db8::/32` or `10.0.0.1`"),
      {InListener("listen: [':80'], routes: [{upstream: api}], via: 'a b'"),
       {"2:58: `via`: `a b` is no name for a Via header: write one without spaces, such as "
        "`edge-1`, or `off`"}},
  });
}

TEST(ConfigErrors, NameAVariableThatIsNotSet) {
  Check({
      {InRoute("upstream: \"${MISSING}\""),
       {"2:46: environment variable `MISSING` is not set: set it, or write ${MISSING:-default}"}},
      {InRoute("upstream: \"${A} ${B:-x} ${C}\""),
       {"2:46: environment variable `A` is not set: set it, or write ${A:-default}",
        "2:46: environment variable `C` is not set: set it, or write ${C:-default}"}},
      {InRoute("upstream: \"${NAME\""),
       {"2:46: `${` without `}`: write ${NAME}, or $$ for a dollar sign"}},
      {InRoute("upstream: \"${1X}\""),
       {"2:46: `${1X}` names no environment variable: write ${NAME} or ${NAME:-default}"}},
      {InRoute("upstream: \"${LATIN}\""), {"2:46: environment variable `LATIN` is not UTF-8"}},
      {InRoute("respond: {status: \"${NAME}\"}"),
       {"2:54: `status` is `api`, but must be a whole number from 200 to 599"}},
  });
}

TEST(ConfigErrors, AreAllReportedInTheOrderOfTheFile) {
  EXPECT_THAT(
      ErrorsOf("limits: {header_count: 0}\n"
               "listeners: {web: {listen: [':80'], routes: [{upstream: x}]}}\n"
               "upstreams: {api: {backends: [1]}}\n"
               "process: {workers: no}\n"),
      ElementsAre(HasSubstr("1:24: `header_count`"), HasSubstr("2:56: no upstream is named `x`"),
                  HasSubstr("3:30: `address`: `1`"), HasSubstr("4:20: `workers`")));
}

TEST(ConfigErrors, BehindAnAliasAreReportedOnce) {
  EXPECT_THAT(
      ErrorsOf(
          "x-r: &r [{upstream: nobody}]\n"
          "listeners:\n  a: {listen: [':80'], routes: *r}\n  b: {listen: [':81'], routes: *r}\n"),
      ElementsAre("1:21: no upstream is named `nobody`: add it under `upstreams`"));
}

TEST(ConfigErrors, AreFormattedWithTheirPlace) {
  EXPECT_EQ(FormatError("a.yaml", {.line = 3, .col = 5, .message = "wrong"}), "a.yaml:3:5: wrong");
  EXPECT_EQ(FormatError("a.yaml", {.message = "wrong"}), "a.yaml: wrong");
}

}  // namespace
}  // namespace rondo::config
