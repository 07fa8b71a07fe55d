// What the admin API is sent: the same keys and checks, in JSON.
#include "rondo/config/edit.h"
#include "config/parse_helpers.h"
#include "rondo/config/write.h"

namespace rondo::config {
namespace {

using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::IsEmpty;
using testing::StartsWith;

template <class T>
std::vector<std::string> Lines(const Parsed<T>& parsed) {
  EXPECT_EQ(parsed.value.has_value(), parsed.errors.empty());
  std::vector<std::string> lines;
  for (const Error& error : parsed.errors) lines.push_back(FormatFieldError(error));
  return lines;
}

using Cases = std::vector<std::pair<std::string, std::vector<std::string>>>;

TEST(BackendJson, TakesTheKeysOfTheFile) {
  const Parsed<Backend> parsed = ParseBackendJson(
      R"({"address": "10.0.0.1:80", "id": "blue", "weight": 3, "backup": true, "max_connections": null})");
  EXPECT_THAT(Lines(parsed), IsEmpty());
  ASSERT_TRUE(parsed.value.has_value());
  EXPECT_EQ(*parsed.value, (Backend{.address = *SocketAddress::Parse("10.0.0.1:80"),
                                    .id = "blue",
                                    .weight = 3,
                                    .backup = true,
                                    .explicit_id = true}));
}

TEST(BackendsJson, TakesWhatWasShownAndRefusesPartsOfIt) {
  constexpr std::string_view kShown[] = {"state", "removing"};
  const Parsed<std::vector<Backend>> parsed = ParseBackendsJson(
      R"({"backends": [{"address": "10.0.0.1:80", "weight": 2, "state": "up", "removing": false},
                       {"address": "10.0.0.2:80", "state": "draining", "removing": true},
                       "10.0.0.3:80"]})",
      kShown);
  EXPECT_THAT(Lines(parsed), IsEmpty());
  ASSERT_TRUE(parsed.value.has_value());
  ASSERT_EQ(parsed.value->size(), 2u);
  EXPECT_EQ((*parsed.value)[0].weight, 2u);
  EXPECT_EQ((*parsed.value)[1].address.ToString(), "10.0.0.3:80");
  EXPECT_THAT(Lines(ParseBackendsJson(
                  R"({"backends": [{"address": "10.0.0.1:80", "state": "up"}]})", kShown)),
              ElementsAre(StartsWith("backends[0].state: unknown key `state`")));
  EXPECT_THAT(Lines(ParseBackendsJson(R"({"backends": [{"address": "10.0.0.1:80", "state": "up",
                                          "state": "down", "removing": false}]})",
                                      kShown)),
              ElementsAre("backends[0].state: `state` is written twice"));
}

TEST(BackendsJson, WhatIsNestedDeeplyOrHasVeryManyKeysCostsLittle) {
  constexpr std::string_view kShown[] = {"state", "history"};
  const std::string deep = R"({"history": )" + std::string(500'000, '[');
  EXPECT_FALSE(ParseBackendsJson(deep + std::string(500'000, ']') + "}", kShown).value.has_value());
  std::string wide = R"({"backends": [{"address": "10.0.0.1:80", "state": 1, "history": 2)";
  for (int i = 0; i < 100'000; ++i) wide += ",\"k" + std::to_string(i) + "\":1";
  EXPECT_FALSE(ParseBackendsJson(wide + "}]}", kShown).value.has_value());
}

TEST(BackendJson, RefusesByNameWhatIsWrong) {
  const Cases cases = {
      {R"({"address": "10.0.0.1:80", "weight": "3"})",
       {"weight: `weight` must be a whole number from 1 to 65535, not text in quotes"}},
      {R"({"address": "10.0.0.1:80", "weight": 3.5})",
       {"weight: `weight` is `3.5`, but must be a whole number from 1 to 65535"}},
      {R"({"address": "10.0.0.1:80", "weight": -1})",
       {"weight: `weight` is `-1`, but must be a whole number from 1 to 65535"}},
      {R"({"address": "10.0.0.1:80", "backup": "true"})",
       {"backup: `backup` must be true or false, not text in quotes"}},
      {R"({"address": "10.0.0.1:80", "backup": 1})",
       {"backup: `backup` must be true or false, not a number"}},
      {R"({"address": 80})", {"address: `address` must be text, not a number"}},
      {R"({"address": ["10.0.0.1:80"]})", {"address: `address` must be text, not a list"}},
      {R"({"address": "10.0.0.1:80", "wieght": 1})",
       {"wieght: unknown key `wieght`; did you mean `weight`?"}},
      {R"({"weight": 1})",
       {"this backend has no `address`: write one, such as {address: 10.0.1.10:3000}"}},
      {R"({"address": "10.0.0.1:80", "address": "10.0.0.2:80"})",
       {"address: `address` is written twice"}},
      {R"({"address": "api:80"})",
       {"address: `address`: `api:80` is a host name, whose backends come and go with its "
        "addresses: it belongs in the upstream's own list; write an address here"}},
      {R"({"dns": "api", "port": 80})",
       {"dns: `dns` can not stand here: it belongs in the upstream's own list; write an "
        "`address`"}},
      {R"({"address": "${HOME}:80"})",
       {"address: `address`: `${HOME}:80` is not an address and port: write it like "
        "`10.0.1.10:3000`"}},
      {R"("10.0.0.1:80")", {"must be an object, such as {\"address\": \"10.0.1.10:3000\"}"}},
      {R"([])", {"must be an object, such as {\"address\": \"10.0.1.10:3000\"}"}},
      {R"({"<<": {"weight": 1}, "address": "10.0.0.1:80"})",
       {"<<: unknown key `<<`; known here: `address`, `dns`, `port`, `srv`, `file`, `id`, "
        "`weight`, `backup` and `max_connections`"}},
  };
  for (const auto& [text, errors] : cases) {
    EXPECT_THAT(Lines(ParseBackendJson(text)), ElementsAreArray(errors)) << text;
  }
}

TEST(BackendJson, RefusesWhatIsNoJson) {
  const std::vector<std::string> texts = {"",      "{",           "{address: 1.1.1.1:1}",
                                          "{} {}", "\xff",        "{\"a\": 01}",
                                          "nul",   "{\"a\": 1,}", "{\"address\": \"\xff\"}"};
  for (const std::string& text : texts) {
    const std::vector<std::string> lines = Lines(ParseBackendJson(text));
    ASSERT_EQ(lines.size(), 1u) << text;
    EXPECT_THAT(lines[0], StartsWith("line 1, column ")) << text;
    EXPECT_THAT(lines[0], testing::HasSubstr(": not valid JSON")) << text;
  }
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  EXPECT_THAT(Lines(ParseBackendJson(deep)), ElementsAre("nested more than 32 levels deep"));
}

TEST(BackendsJson, TakesTheWholeList) {
  const Parsed<std::vector<Backend>> parsed = ParseBackendsJson(
      R"({"backends": ["10.0.0.1:80", {"address": "10.0.0.2:80", "weight": 2}]})");
  ASSERT_TRUE(parsed.value.has_value());
  ASSERT_EQ(parsed.value->size(), 2u);
  EXPECT_EQ((*parsed.value)[1].weight, 2u);
  EXPECT_TRUE(ParseBackendsJson(R"({"backends": []})").value.has_value());
}

TEST(BackendsJson, NamesTheElementThatIsWrong) {
  const Cases cases = {
      {R"({"backends": ["10.0.0.1:80", {"address": "10.0.0.2:80", "weight": 0}]})",
       {"backends[1].weight: `weight` is `0`, but must be a whole number from 1 to 65535"}},
      {R"({"backends": [5, "a:1"]})",
       {"backends[0]: an element of `backends` must be an address such as 10.0.1.10:3000 or, in "
        "quotes, \"[::1]:3000\", not a number",
        "backends[1]: `address`: `a:1` is a host name, whose backends come and go with its "
        "addresses: it belongs in the upstream's own list; write an address here"}},
      {R"({"backends": ["10.0.0.1:80", "10.0.0.1:80"]})",
       {"backends[1]: backend `10.0.0.1:80` is in this list already: to send it more requests, "
        "raise its `weight`"}},
      {R"({"backends": {}})", {"backends: `backends` must be a list, not a map"}},
      {R"({})", {"has no `backends`: write the whole list, which may be []"}},
      {R"({"backends": null})", {"has no `backends`: write the whole list, which may be []"}},
      {R"({"backends": [], "balance": "ip_hash"})",
       {"balance: unknown key `balance`; known here: `backends`"}},
  };
  for (const auto& [text, errors] : cases) {
    EXPECT_THAT(Lines(ParseBackendsJson(text)), ElementsAreArray(errors)) << text;
  }
}

TEST(BackendPatchJson, TakesOneKeyOrMore) {
  EXPECT_EQ(ParseBackendPatchJson(R"({"weight": 3})").value, BackendPatch{.weight = 3});
  EXPECT_EQ(
      ParseBackendPatchJson(R"({"max_connections": 0, "backup": false, "state": "up"})").value,
      (BackendPatch{.max_connections = 0, .backup = false, .state = WantedState::kUp}));
  EXPECT_EQ(ParseBackendPatchJson(R"({"state": "draining"})").value,
            BackendPatch{.state = WantedState::kDraining});
  EXPECT_EQ(ParseBackendPatchJson(R"({"state": "maintenance", "weight": null})").value,
            BackendPatch{.state = WantedState::kMaintenance});
}

TEST(BackendPatchJson, RefusesByNameWhatIsWrong) {
  const std::string nothing =
      "changes nothing: write `weight`, `max_connections`, `backup` or `state`";
  const Cases cases = {
      {R"({})", {nothing}},
      {R"({"weight": null})", {nothing}},
      {R"({"state": "down"})",
       {"state: `state` is `down`, but must be `up`, `draining` or `maintenance`"}},
      {R"({"state": 1})", {"state: `state` must be `up`, `draining` or `maintenance`"}},
      {R"({"weight": 0})", {"weight: `weight` is `0`, but must be a whole number from 1 to 65535"}},
      {R"({"address": "10.0.0.1:80"})",
       {"address: unknown key `address`; known here: `weight`, `max_connections`, `backup` and "
        "`state`"}},
      {R"({"wait": 1})",
       {"wait: unknown key `wait`; known here: `weight`, `max_connections`, `backup` and "
        "`state`"}},
  };
  for (const auto& [text, errors] : cases) {
    EXPECT_THAT(Lines(ParseBackendPatchJson(text)), ElementsAreArray(errors)) << text;
  }
}

TEST(UpstreamJson, TakesTheKeysOfTheFile) {
  const Parsed<Upstream> parsed = ParseUpstreamJson("api", R"({
    "balance": "consistent_hash", "hash_key": "header:X-User",
    "backends": [{"address": "10.0.0.1:80"}, {"dns": "api", "port": 80}, {"file": "b.yaml"}],
    "health_check": {"path": "/h", "expect_status": [200, "300-304"], "interval": "1s"},
    "warm_up": null, "panic_threshold": "30%",
    "retries": {"on": ["connect", 502, "503"], "body_buffer": 1024}})",
                                                    "/etc/rondo/r.yaml");
  EXPECT_THAT(Lines(parsed), IsEmpty());
  ASSERT_TRUE(parsed.value.has_value());
  EXPECT_EQ(parsed.value->name, "api");
  EXPECT_EQ(parsed.value->sources.at(1).path, "/etc/rondo/b.yaml");
  EXPECT_THAT(parsed.value->health_check->expect_status,
              ElementsAre(StatusRange{200, 200}, StatusRange{300, 304}));
  EXPECT_EQ(parsed.value->warm_up, std::nullopt);
  EXPECT_TRUE(parsed.value->retries.on.status_502);
}

TEST(UpstreamJson, NamesTheFieldThatIsWrong) {
  const Cases cases = {
      {R"({"backends": [], "health_check": {"interval": 5, "timeout": "5", "path": true}})",
       {"health_check.interval: `interval` is `5`, but must be a duration from 10ms to 1d, such as "
        "250ms or 5s: write `5s`",
        "health_check.timeout: `timeout` is `5`, but must be a duration from 1ms to 1h, such as "
        "250ms or 5s: write `5s`",
        "health_check.path: `path` must be text, not true or false"}},
      {R"({"backends": [], "panic_threshold": 30, "balance": 5})",
       {"panic_threshold: `panic_threshold` is `30`, but must be a percentage from 0% to 100%: "
        "write `30%`",
        "balance: `balance` is `5`, but must be `round_robin`, `least_connections`, `ip_hash`, "
        "`consistent_hash`, `random_two` or `peak_ewma`"}},
      {R"({"backends": [], "health_check": {"headers": {"X-A": 1}, "expect_body": 1}})",
       {"health_check.headers.X-A: `headers`: `X-A` must be text, not a number",
        "health_check.expect_body: `expect_body` must be text, not a number"}},
      {R"({"balance": "ip_hash"})",
       {"upstream `api` has no `backends`: write a list, such as [10.0.1.10:3000]"}},
  };
  for (const auto& [text, errors] : cases) {
    EXPECT_THAT(Lines(ParseUpstreamJson("api", text, "r.yaml")), ElementsAreArray(errors)) << text;
  }
  EXPECT_THAT(Lines(ParseUpstreamJson("a b", R"({"backends": []})", "r.yaml")),
              ElementsAre(StartsWith("the name `a b` is not a name")));
}

TEST(ConfigJson, IsTakenAsItIsWritten) {
  const Parsed<Config> parsed = ParseConfigJson(R"({"x-note": 1,
    "listeners": {"w": {"listen": [":80"], "routes": [
      {"match": {"headers": {"X-A": "1"}}, "respond": {"status": 200, "body": "${HOME} $$"}},
      {"upstreams": {"a": 1, "b": 0}}]}},
    "upstreams": {"a": {"backends": []}, "b": {"backends": []}},
    "process": {"workers": "auto"}, "limits": {"body_bytes": "1MiB"}})",
                                                "r.yaml");
  EXPECT_THAT(Lines(parsed), IsEmpty());
  ASSERT_TRUE(parsed.value.has_value());
  EXPECT_EQ(parsed.value->listeners[0].routes[0].respond->body, "${HOME} $$");
  EXPECT_EQ(parsed.value->limits.body_bytes, 1u << 20);
  EXPECT_THAT(Lines(ParseConfigJson(R"({"process": {"workers": "4"},
    "listeners": {"w": {"listen": [":80"], "routes": [{"upstreams": {"a": "1"}}, 5]}},
    "upstreams": {"a": {"backends": []}}})",
                                    "r.yaml")),
              ElementsAre("process.workers: `workers` must be `auto` or a whole number from 1 to "
                          "1024, not text in quotes",
                          "listeners.w.routes[0].upstreams.a: `upstreams`: `a` must be a weight "
                          "from 0 to 1000, not text in quotes",
                          "listeners.w.routes[1]: a route must be a map of keys, such as "
                          "{upstream: NAME}"));
}

std::vector<std::string> FieldsOf(const std::vector<Error>& errors) {
  std::vector<std::string> fields;
  for (const Error& error : errors) fields.push_back(error.field);
  return fields;
}

TEST(ConfigJson, KeepsTheTokenThatIsNotShown) {
  const std::string text = R"({"admin": {"listen": "0.0.0.0:1", "token": "***"},
    "listeners": {"w": {"listen": [":80"], "routes": [{"respond": {}}]}}})";
  Parsed<Config> parsed = ParseConfigJson(text, "r.yaml");
  ASSERT_TRUE(parsed.value.has_value());
  Config current;
  EXPECT_THAT(FieldsOf(KeepSecrets(current, *parsed.value)), ElementsAre("admin.token"));
  current.admin->token = "s3cret";
  EXPECT_THAT(KeepSecrets(current, *parsed.value), IsEmpty());
  EXPECT_EQ(parsed.value->admin->token, "s3cret");
  EXPECT_THAT(KeepSecrets(Config(), *parsed.value), IsEmpty());
}

}  // namespace
}  // namespace rondo::config
