// What is hidden where a configuration is shown, what is put back, and what a text that somebody
// sent can learn of the environment.
#include "config/parse_helpers.h"
#include "rondo/config/edit.h"
#include "rondo/config/write.h"

namespace rondo::config {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::string_view kText = R"(
admin: {token: 1-hidden}
listeners:
  web:
    listen: [":80"]
    routes:
      - match: {path_prefix: /a}
        upstream: api
        set_request_headers: {Authorization: "2-hidden", X-Env: shown-1, x_api_key: "3-hidden"}
        set_response_headers: {Set-Cookie: "4-hidden", X-Served-By: shown-2}
      - upstream: api
        set_request_headers: {X-Auth-Token: "5-hidden"}
upstreams:
  api:
    backends: [10.0.0.1:80]
    health_check: {headers: {Cookie: "6-hidden", X-Probe: shown-3}}
)";

std::vector<std::string> FieldsOf(const std::vector<Error>& errors) {
  std::vector<std::string> fields;
  for (const Error& error : errors) fields.push_back(error.field);
  return fields;
}

TEST(SecretHeaders, AreKnownByTheirNames) {
  for (const char* name :
       {"Authorization", "Proxy-Authorization", "cookie", "Set-Cookie", "X-Auth-Token", "X_API_KEY",
        "apikey", "X-Client-Secret", "X-Password", "X-Amz-Credential", "X-Access-Key"}) {
    EXPECT_TRUE(IsSecretHeader(name)) << name;
  }
  for (const char* name : {"X-Env", "Accept", "X-Key", "Cache-Control", "X-Author", ""}) {
    EXPECT_FALSE(IsSecretHeader(name)) << name;
  }
}

TEST(Secrets, AreHiddenWhereverAConfigurationIsShown) {
  const Config config = ConfigOf(kText);
  for (const std::string& shown : {WriteYaml(config, Secrets::kHidden), WriteConfigJson(config),
                                   WriteUpstreamJson(config.upstreams[0], Secrets::kHidden)}) {
    EXPECT_THAT(shown, Not(HasSubstr("hidden")));
    EXPECT_THAT(shown, HasSubstr("***"));
    EXPECT_THAT(shown, HasSubstr("shown-3"));
  }
  EXPECT_THAT(WriteYaml(config, Secrets::kHidden), HasSubstr("shown-2"));
  const std::string whole = WriteYaml(config, Secrets::kShown);
  for (int i = 1; i <= 6; ++i) EXPECT_THAT(whole, HasSubstr(std::to_string(i) + "-hidden"));
  EXPECT_THAT(WriteUpstreamJson(config.upstreams[0], Secrets::kShown), HasSubstr("6-hidden"));
}

TEST(Secrets, AreThereAgainWhenWhatWasShownComesBack) {
  const Config config = ConfigOf(kText);
  Parsed<Config> back = ParseConfigJson(WriteConfigJson(config), "conf/t.yaml");
  ASSERT_TRUE(back.value.has_value());
  EXPECT_FALSE(*back.value == config);
  EXPECT_THAT(KeepSecrets(config, *back.value), IsEmpty());
  EXPECT_TRUE(*back.value == config);
  Parsed<Upstream> api = ParseUpstreamJson(
      "api", WriteUpstreamJson(config.upstreams[0], Secrets::kHidden), "conf/t.yaml");
  ASSERT_TRUE(api.value.has_value());
  EXPECT_THAT(KeepSecrets(&config.upstreams[0], *api.value), IsEmpty());
  EXPECT_TRUE(*api.value == config.upstreams[0]);
}

TEST(Secrets, FollowTheirRouteByItsMatch) {
  const Config config = ConfigOf(kText);
  Config moved = config;
  HideSecrets(moved);
  std::swap(moved.listeners[0].routes[0], moved.listeners[0].routes[1]);
  EXPECT_THAT(KeepSecrets(config, moved), IsEmpty());
  std::swap(moved.listeners[0].routes[0], moved.listeners[0].routes[1]);
  EXPECT_TRUE(moved == config);
}

TEST(Secrets, AreNotTakenFromElsewhere) {
  const Config config = ConfigOf(kText);
  Config changed = config;
  HideSecrets(changed);
  changed.listeners[0].routes[0].match.path_prefix = "/b";
  changed.listeners[0].routes[1].request_headers.set.emplace_back("X-Secret", "***");
  changed.upstreams[0].name = "other";
  EXPECT_THAT(FieldsOf(KeepSecrets(config, changed)),
              ElementsAre("upstreams.other.health_check.headers.Cookie",
                          "listeners.web.routes[0].set_request_headers.Authorization",
                          "listeners.web.routes[0].set_request_headers.x_api_key",
                          "listeners.web.routes[0].set_response_headers.Set-Cookie",
                          "listeners.web.routes[1].set_request_headers.X-Secret"));
  Config listener = config;
  HideSecrets(listener);
  listener.listeners[0].name = "other";
  EXPECT_EQ(KeepSecrets(config, listener).size(), 4u);
  Upstream api = config.upstreams[0];
  HideSecrets(api);
  const std::vector<Error> errors = KeepSecrets(nullptr, api);
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(
      FormatFieldError(errors[0]),
      "health_check.headers.Cookie: `***` stands for a secret that is not shown, and there is "
      "none in force that could stay: write the value itself");
}

// The keys of a route stand in line 1 from column 61 on.
std::string InRoute(const std::string& keys) {
  return "listeners: {web: {listen: [':80'], routes: [{upstream: api, " + keys +
         "}]}}\nupstreams: {api: {backends: []}}\n";
}

TEST(Secrets, StandForNothingInAFile) {
  EXPECT_THAT(
      ErrorsOf(InRoute("set_request_headers: {X-Token: '***', X-Stars: '***'}")),
      ElementsAre("1:92: `set_request_headers`: `***` for `X-Token` stands for a value that "
                  "is not shown: write the value itself"));
  EXPECT_THAT(ErrorsOf(WriteYaml(ConfigOf(kText), Secrets::kHidden)), testing::SizeIs(6));
}

TEST(Secrets, AreQuotedInNoError) {
  const std::string problem =
      "can not be the value of a header: it must have no control characters and no spaces at its "
      "ends";
  EXPECT_THAT(ErrorsOf(InRoute("set_request_headers: {X-Token: 'a ', X-Env: 'b '}")),
              ElementsAre("1:92: `set_request_headers`: the value of `X-Token` " + problem,
                          "1:105: `set_request_headers`: `b ` " + problem));
}

std::optional<std::string> Variable(std::string_view name) {
  if (name == "NAMED") return "s3cret.Example:80";
  if (name == "OTHER") return "an0ther.example:80";
  if (name == "EMPTY") return "";
  return std::nullopt;
}

LoadResult Sent(const std::string& text, const VariableNames& named = {"NAMED", "EMPTY"}) {
  return ParseSent(text, "conf/t.yaml", &Variable, named);
}
std::vector<std::string> SentErrors(const std::string& text) {
  std::vector<std::string> lines;
  for (const Error& error : Sent(text).errors) lines.push_back(FormatError("", error).substr(1));
  return lines;
}

TEST(SentText, TakesOnlyTheVariablesThatTheFileNames) {
  const LoadResult result =
      Sent(InRoute("set_request_headers: {X-A: '${NAMED}', X-B: "
                   "'${EMPTY:-none}', X-C: '$${OTHER}'}"));
  ASSERT_TRUE(result.config.has_value());
  EXPECT_THAT(result.config->listeners[0].routes[0].request_headers.set,
              ElementsAre(std::pair("X-A", "s3cret.Example:80"), std::pair("X-B", "none"),
                          std::pair("X-C", "${OTHER}")));
  for (const std::string variable : {"${OTHER}", "${OTHER:-x}", "${MISSING:-x}"}) {
    const std::string name = variable.substr(2, variable.find_first_of(":}") - 2);
    EXPECT_THAT(SentErrors(InRoute("set_request_headers: {X-A: '" + variable + "'}")),
                ElementsAre("1:88: environment variable `" + name +
                            "` can be used here only where the configuration file uses it: write "
                            "the value itself"));
  }
  EXPECT_THAT(Sent(InRoute("set_request_headers: {X-A: '${NAMED}'}"), {}).errors,
              testing::SizeIs(1));
}

TEST(SentText, LearnsNoValueFromErrors) {
  const auto wrong = [](const std::string& key, const std::string& written) {
    return "`" + key + "`: `" + written + "` is not right once its variables have their values";
  };
  EXPECT_THAT(SentErrors(InRoute("timeout: '${NAMED}'")),
              ElementsAre("1:70: " + wrong("timeout", "${NAMED}")));
  EXPECT_THAT(SentErrors(InRoute("rewrite_prefix: '${NAMED}', upgrades: ['a b', 'x${NAMED} ']")),
              Contains("1:107: " + wrong("upgrades", "x${NAMED} ")));
  EXPECT_THAT(SentErrors("listeners: {web: {listen: [':80'], routes: [{upstream: '${NAMED}'}]}}\n"),
              ElementsAre("1:56: `${NAMED}` is not right once its variables have their values"));
  for (const std::string keys :
       {"redirect: {to: '${NAMED}'}", "split_by: '${NAMED}'", "upgrades: ['${NAMED}', '${NAMED}']",
        "set_request_headers: {X-A: '${NAMED} '}", "rate_limit: {rate: '${NAMED}'}",
        "body_bytes: '${NAMED}'", "allow: ['${NAMED}']", "remove_request_headers: ['${NAMED}']"}) {
    for (const std::string& error : SentErrors(InRoute(keys))) {
      EXPECT_THAT(error, Not(HasSubstr("s3cret"))) << keys;
      EXPECT_THAT(error, Not(HasSubstr("S3cret"))) << keys;
    }
    EXPECT_THAT(SentErrors(InRoute(keys)), Not(IsEmpty())) << keys;
  }
}

TEST(SentText, LearnsNoValueFromAnErrorElsewhere) {
  // What stands in one place is named by an error about another one.
  const std::vector<std::string> errors = SentErrors(
      "listeners:\n  a: {listen: ['unix:${NAMED}'], routes: [{respond: {}}]}\n"
      "  b: {listen: ['unix:s3cret.Example:80'], routes: [{respond: {}}]}\n");
  EXPECT_THAT(errors, ElementsAre("3:16: this is not right once its variables have their values"));
}

TEST(SentText, SaysAllElseAsAFileDoes) {
  EXPECT_EQ(SentErrors(InRoute("timeout: 5, set_request_headers: {X-A: '${NAMED}'}")),
            ErrorsOf(InRoute("timeout: 5, set_request_headers: {X-A: b}")));
}

TEST(Variables, AreThoseThatValuesName) {
  const LoadResult result = ParseText(
      "# ${COMMENT}\nlisteners: {web: {listen: [':${PORT}'], routes: [{respond: {body: '$${NOT} "
      "${EMPTY:-x} ${LATER:-y}'}}]}}\n");
  EXPECT_THAT(result.variables, ElementsAre("EMPTY", "LATER", "PORT"));
}

}  // namespace
}  // namespace rondo::config
