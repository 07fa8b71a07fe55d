// Backends and where they come from: literal addresses, names, DNS, SRV and files.
#include "config/parse_helpers.h"
#include "rondo/config/edit.h"

namespace rondo::config {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;
using Kind = BackendSource::Kind;

constexpr std::string_view kListener =
    "listeners: {web: {listen: [':80'], routes: [{upstream: api}]}}\n";

Upstream UpstreamOf(const std::string& list) {
  const Config config =
      ConfigOf(std::string(kListener) + "upstreams: {api: {backends: " + list + "}}\n");
  return config.upstreams.empty() ? Upstream() : config.upstreams[0];
}

// Of a list that begins in line 1, column 29.
std::vector<std::string> ListErrors(const std::string& list) {
  return ErrorsOf("upstreams: {api: {backends: " + list + "}}\n" + std::string(kListener));
}

TEST(Backends, MayBeNoneYet) {
  const Upstream upstream = UpstreamOf("[]");
  EXPECT_THAT(upstream.backends, IsEmpty());
  EXPECT_THAT(upstream.sources, IsEmpty());
}

TEST(Backends, HaveTheirAddressAsIdWhereNoneIsGiven) {
  const Upstream upstream = UpstreamOf(
      "[10.0.0.1:1, {address: 10.0.0.2:1, id: blue}, {address: 10.0.0.3:1, id: 10.0.0.3:1}]");
  ASSERT_EQ(upstream.backends.size(), 3u);
  EXPECT_EQ(upstream.backends[0].id, "10.0.0.1:1");
  EXPECT_FALSE(upstream.backends[0].explicit_id);
  EXPECT_EQ(upstream.backends[1].id, "blue");
  EXPECT_TRUE(upstream.backends[1].explicit_id);
  EXPECT_EQ(upstream.backends[2].id, "10.0.0.3:1");
  EXPECT_FALSE(upstream.backends[2].explicit_id);
}

TEST(Backends, ComeFromSources) {
  const Upstream upstream = UpstreamOf(
      "[API.internal.:3000, {address: db:5432, id: main, weight: 2, backup: true, "
      "max_connections: 9}, {dns: Api, port: 80, weight: 3}, {srv: _http._tcp.Example.com, "
      "max_connections: 7}, {file: b.yaml}]");
  EXPECT_THAT(upstream.backends, IsEmpty());
  EXPECT_THAT(
      upstream.sources,
      ElementsAre(
          BackendSource{.name = "api.internal.", .port = 3000, .id = "api.internal.:3000"},
          BackendSource{.name = "db",
                        .port = 5432,
                        .id = "main",
                        .explicit_id = true,
                        .weight = 2,
                        .backup = true,
                        .max_connections = 9},
          BackendSource{.kind = Kind::kDns, .name = "api", .port = 80, .weight = 3},
          BackendSource{.kind = Kind::kSrv, .name = "_http._tcp.example.com", .max_connections = 7},
          BackendSource{.kind = Kind::kFile, .path = "conf/b.yaml"}));
  EXPECT_EQ(upstream.sources[1].where.line, 2);
}

TEST(Backends, SayWhatIsWrongWithThem) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {"[{address: 1.1.1.1:1, dns: a}]",
       {"1:30: this backend has `address` and `dns`: keep one of them"}},
      {"[{dns: api}]", {"1:30: `dns` needs a `port`: write both, such as {dns: api, port: 3000}"}},
      {"[{dns: api, prt: 3000}]", {"1:41: unknown key `prt`; did you mean `port`?"}},
      {"[{dns: 10.0.0.1, port: 1}]",
       {"1:36: `dns`: `10.0.0.1` is an address, not a name to be resolved: write it as a backend "
        "by itself"}},
      {"[{dns: 'api:80', port: 1}]",
       {"1:36: `dns`: `api:80` has a port: write the name alone, such as `api.internal`"}},
      {"[{dns: a..b, port: 1}]",
       {"1:36: `dns`: `a..b` is not a host name, such as `api.internal`: letters, digits, `-`, `_` "
        "and dots between (other scripts as xn--...)"}},
      {"[{srv: a, port: 1, weight: 2, backup: true, id: x}]",
       {"1:39: `port` has no meaning beside `srv`: the SRV records say it",
        "1:48: `weight` has no meaning beside `srv`: the SRV records say it",
        "1:59: `backup` has no meaning beside `srv`: the SRV records say it",
        "1:73: `id` has no meaning beside `srv`: each of its backends has its address as id"}},
      {"[{file: '', max_connections: 2}]",
       {"1:37: `file` is empty: write a path, such as backends.yaml",
        "1:41: `max_connections` has no meaning beside `file`: write it in the file"}},
      {"[{address: 1.1.1.1:1, port: 2}]",
       {"1:51: `port` has no meaning beside `address`: write it behind the address, such as "
        "10.0.1.10:3000"}},
      {"[{address: 1.1.1.1:1, id: 'a b'}]",
       {"1:55: `id`: `a b` is not an id: 1 to 128 letters, digits, `-`, `_`, `.`, `:` and `@`, "
        "beginning with a letter or digit"}},
      {"[{address: 1.1.1.1:1, id: x}, {address: 1.1.1.2:1, id: x}, {address: 1.1.1.1:1, id: y}]",
       {"1:59: the id `x` is in this list already, on line 1: give one of them another `id`",
        "1:88: backend `1.1.1.1:1` is in this list already, on line 1: to send it more requests, "
        "raise its `weight`"}},
      {"[a:1, A:1, {dns: a, port: 1}, {dns: a, port: 2}, {dns: a, port: 1}]",
       {"1:35: the id `a:1` is in this list already, on line 1: give one of them another `id`",
        "1:78: `dns`: `a` is in this list already, on line 1: remove one of them"}},
  };
  for (const auto& [list, errors] : cases) {
    EXPECT_THAT(ListErrors(list), ElementsAreArray(errors)) << list;
  }
}

std::vector<std::string> FileErrors(std::string_view text) {
  std::vector<std::string> lines;
  for (const Error& error : ParseBackendsFile(text, "conf/b.yaml", &TestVariable).errors) {
    lines.push_back(FormatError("b", error));
  }
  return lines;
}

TEST(BackendsFile, HoldsAddressesAndNames) {
  const Parsed<BackendList> parsed = ParseBackendsFile(
      "- 10.0.0.1:${PORT}\n- {address: 10.0.0.2:1, weight: 3}\n- api:80\n- unix:x.sock\n",
      "conf/b.yaml", &TestVariable);
  EXPECT_THAT(parsed.errors, IsEmpty());
  ASSERT_TRUE(parsed.value.has_value());
  ASSERT_EQ(parsed.value->backends.size(), 3u);
  EXPECT_EQ(parsed.value->backends[0].id, "10.0.0.1:8080");
  EXPECT_EQ(parsed.value->backends[1].weight, 3u);
  EXPECT_EQ(parsed.value->backends[2].id, "unix:conf/x.sock");
  EXPECT_THAT(parsed.value->sources,
              ElementsAre(BackendSource{.name = "api", .port = 80, .id = "api:80"}));
}

TEST(BackendsFile, MayBeJson) {
  const Parsed<BackendList> parsed = ParseBackendsFile(
      R"([{"address": "10.0.0.2:1", "weight": 3}, "10.0.0.3:1"])", "b.json", &TestVariable);
  ASSERT_TRUE(parsed.value.has_value());
  EXPECT_EQ(parsed.value->backends.size(), 2u);
}

TEST(BackendsFile, MayHoldNoneButIsAList) {
  EXPECT_EQ(ParseBackendsFile("[]", "b", &TestVariable).value, BackendList());
  const std::string problem =
      "the file must be a list of backends, such as [10.0.1.10:3000]; [] for none";
  EXPECT_THAT(FileErrors(""), ElementsAre("b: " + problem));
  EXPECT_THAT(FileErrors("backends: [10.0.0.1:1]"), ElementsAre("b:1:1: " + problem));
}

TEST(BackendsFile, RefusesOtherSourcesByName) {
  EXPECT_THAT(FileErrors("- {dns: a, port: 1}\n- {file: b}\n- 10.0.0.1\n"),
              ElementsAre("b:1:4: `dns` can not stand here: it belongs in the upstream's own list; "
                          "write an `address`",
                          "b:2:4: `file` can not stand here: it belongs in the upstream's own "
                          "list; write an `address`",
                          "b:3:3: `address`: `10.0.0.1` has no port: write address and port, such "
                          "as `10.0.1.10:3000`"));
  EXPECT_THAT(FileErrors("- [\n"), testing::SizeIs(1));
}

}  // namespace
}  // namespace rondo::config
