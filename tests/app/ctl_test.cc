// rondo ctl: addresses, requests, tables and event streams.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "app/ctl_client.h"
#include "app/ctl_command.h"
#include "app/ctl_events.h"
#include "app/ctl_table.h"
#include "app/ctl_views.h"

namespace rondo::app {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(CtlAddress, IsAUrlAnAddressOrAUnixSocket) {
  struct Case {
    const char* text;
    const char* address;  // null: refused
    bool tls = false;
  };
  const Case cases[] = {
      {"http://127.0.0.1:9900", "127.0.0.1:9900"},
      {"http://127.0.0.1:9900/", "127.0.0.1:9900"},
      {"127.0.0.1:1234", "127.0.0.1:1234"},
      {"rondo.internal", "rondo.internal:9900"},
      {"http://[::1]:80", "[::1]:80"},
      {"[::1]", "[::1]:9900"},
      {"unix:/run/rondo/admin.sock", "unix:/run/rondo/admin.sock"},
      {"unix:///run/rondo/admin.sock", "unix:/run/rondo/admin.sock"},
      {"https://127.0.0.1:9901", "127.0.0.1:9901", true},
      {"https://rondo.internal", "rondo.internal:9900", true},
      {"https://", nullptr},
      {"ftp://127.0.0.1", nullptr},
      {"http://", nullptr},
      {"", nullptr},
      {"127.0.0.1:0", nullptr},
      {"127.0.0.1:99999", nullptr},
      {"127.0.0.1:80/v1", nullptr},
      {"user@host:80", nullptr},
      {"unix:", nullptr},
  };
  for (const Case& c : cases) {
    std::string problem;
    const auto address = ParseCtlAddress(c.text, problem);
    if (c.address == nullptr) {
      EXPECT_FALSE(address) << c.text;
      EXPECT_NE(problem, "") << c.text;
    } else {
      ASSERT_TRUE(address) << c.text << problem;
      EXPECT_EQ(address->ToString(), c.address);
      EXPECT_EQ(address->tls, c.tls) << c.text;
    }
  }
}

TEST(CtlRequest, AsksWhatTheArgumentsSay) {
  CtlArguments arguments;
  arguments.verb = CtlVerb::kAdd;
  arguments.upstream = "a/b";
  arguments.backend = "unix:/run/x.sock";
  arguments.weight = 2;
  arguments.wait = true;
  arguments.timeout = "5s";
  CtlRequest request = CtlRequestOf(arguments);
  EXPECT_EQ(request.method + " " + request.target,
            "POST /v1/upstreams/a%2Fb/backends?wait=up&timeout=5s");
  EXPECT_EQ(request.body, R"({"address":"unix:/run/x.sock","weight":2})");
  EXPECT_GT(request.timeout, std::chrono::seconds(5));
  arguments.verb = CtlVerb::kRemove;
  arguments.now = true;
  request = CtlRequestOf(arguments);
  EXPECT_EQ(
      request.method + " " + request.target,
      "DELETE /v1/upstreams/a%2Fb/backends/unix:%2Frun%2Fx.sock?drain=0s&wait=true&timeout=10m");
  arguments.verb = CtlVerb::kExplain;
  arguments.url = "http://x/?a=b&c";
  arguments.headers = {"X-A: b"};
  request = CtlRequestOf(arguments);
  EXPECT_EQ(request.target, "/v1/explain?url=http:%2F%2Fx%2F%3Fa%3Db%26c&header=X-A:%20b");
  EXPECT_EQ(request.accept, "text/plain");
}

TEST(CtlTable, AlignsColumns) {
  CtlTable table({{"NAME"}, {"COUNT", CtlTable::Align::kRight}, {"NOTE"}});
  table.Add({"a", "12345678", ""});
  table.Add({"\xc3\xa4\xc3\xb6", "1", "x\x1b[31m"});
  EXPECT_EQ(table.Text(),
            "NAME     COUNT  NOTE\n"
            "a     12345678  -\n"
            "\xc3\xa4\xc3\xb6           1  x?[31m\n");
}

TEST(CtlTable, ShowsTimesAsPeopleSayThem) {
  EXPECT_EQ(AgeText(0), "0s");
  EXPECT_EQ(AgeText(-5), "0s");
  EXPECT_EQ(AgeText(61), "1m1s");
  EXPECT_EQ(AgeText(7200), "2h");
  EXPECT_EQ(AgeText(90061), "1d1h");
  EXPECT_EQ(MillisecondsText(0.42), "0.42 ms");
  EXPECT_EQ(MillisecondsText(12.34), "12.3 ms");
  EXPECT_EQ(MillisecondsText(1234), "1.23 s");
}

TEST(CtlViews, ShowWhateverComes) {
  // Not ours, or of another version: nothing throws.
  for (const char* text : {"null", "[]", "{}", "3", R"({"backends": 3})",
                           R"({"backends": [3, {"id": 4, "latency": []}]})",
                           R"({"upstreams": {"a": 3, "b": {"backends": []}}})",
                           R"({"upstreams": [null, {"states": {"up": "x"}}]})"}) {
    const nlohmann::json json = nlohmann::json::parse(text);
    EXPECT_NE(StatusView(json, json), "");
    EXPECT_NE(BackendsView(json, WallTime{}), "");
    EXPECT_NE(DiffView(json), "");
    EXPECT_NE(BackendSentence("a", json), "");
    EXPECT_NE(EventLine("x", json), "");
  }
  const nlohmann::json list = nlohmann::json::parse(
      R"({"backends": [{"id": "b1", "address": "127.0.0.1:1", "state": "up", "since": "1970-01-01T00:00:10.000Z",
          "weight": 3, "latency": {"p50": 1.5, "p99": null}, "removing": true}]})");
  const std::string table = BackendsView(list, WallTime(std::chrono::seconds(75)));
  EXPECT_THAT(table, HasSubstr("up, leaving  1m5s"));
  EXPECT_THAT(table, HasSubstr("1.50 ms"));
}

TEST(CtlViews, ShowChangesLineByLine) {
  const nlohmann::json diff = nlohmann::json::parse(
      R"({"upstreams": {"api": {"backends": {"a:1": {"kind": "added", "address": "a:1", "weight": 2},
          "b:1": {"kind": "removed"}, "c:1": {"kind": "changed", "weight": 5}}},
          "new": {"created": true, "written": {}}, "old": {"deleted": true}}})");
  EXPECT_EQ(DiffView(diff),
            "+ api/a:1 weight=2\n- api/b:1\n~ api/c:1 weight=5\n+ new (a new upstream)\n- old (the "
            "whole upstream)\n");
}

TEST(CtlEvents, AreReadInPiecesOfAnySize) {
  const std::string text =
      ": hello\n\nid: 7\nevent: reload\ndata: {\"a\":1}\n\n: keepalive\n\nid: 8\r\nevent: "
      "config\r\ndata: x\r\n\r\nid: 9\ndata: cut";
  for (size_t step = 1; step < text.size(); ++step) {
    std::vector<std::string> seen;
    CtlEventReader reader([&](const CtlEvent& event) {
      seen.push_back(event.id + " " + event.type + " " + event.data);
      return true;
    });
    for (size_t at = 0; at < text.size(); at += step)
      EXPECT_TRUE(reader.Feed(text.substr(at, step)));
    EXPECT_THAT(seen, ElementsAre("7 reload {\"a\":1}", "8 config x"));
    EXPECT_EQ(reader.last_id(), "8") << "what was cut is asked for again";
  }
}

TEST(CtlEvents, EndWhenThereIsEnough) {
  int left = 2;
  CtlEventReader reader([&](const CtlEvent&) { return --left > 0; });
  EXPECT_FALSE(reader.Feed("data: 1\n\ndata: 2\n\ndata: 3\n\n"));
  EXPECT_EQ(left, 0);
}

}  // namespace
}  // namespace rondo::app
