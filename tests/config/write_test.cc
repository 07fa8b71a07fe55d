// What is written is read back as the same.
#include "rondo/config/write.h"
#include "config/drawn_config.h"
#include "config/parse_helpers.h"
#include "rondo/config/edit.h"

namespace rondo::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr uint64_t kSeeds = 300;

std::string Problems(const std::vector<Error>& errors) {
  std::string text;
  for (const Error& error : errors) text += FormatFieldError(error) + "\n";
  return text;
}

TEST(WriteYaml, IsReadBackAsTheSame) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Config config = DrawConfig(seed);
    const std::string text = WriteYaml(config, Secrets::kShown);
    const LoadResult result = Parse(text, "t.yaml", &TestVariable);
    ASSERT_TRUE(result.config.has_value()) << seed << "\n" << Problems(result.errors) << text;
    ASSERT_TRUE(*result.config == config) << seed << "\n"
                                          << text << "\nread back as\n"
                                          << WriteYaml(*result.config, Secrets::kShown);
  }
}

TEST(WriteJson, IsReadBackAsTheSame) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    const Config config = DrawConfig(seed);
    const std::string text = WriteConfigJson(config);
    Parsed<Config> parsed = ParseConfigJson(text, "t.yaml");
    ASSERT_TRUE(parsed.value.has_value()) << seed << "\n" << Problems(parsed.errors) << text;
    ASSERT_THAT(KeepSecrets(config, *parsed.value), IsEmpty());
    ASSERT_TRUE(*parsed.value == config) << seed << "\n" << text;
    for (const Upstream& upstream : config.upstreams) {
      const std::string one = WriteUpstreamJson(upstream, Secrets::kShown);
      const Parsed<Upstream> again = ParseUpstreamJson(upstream.name, one, "t.yaml");
      ASSERT_TRUE(again.value == upstream) << seed << "\n" << Problems(again.errors) << one;
      for (const Backend& backend : upstream.backends) {
        ASSERT_EQ(ParseBackendJson(WriteBackendJson(backend)).value, backend) << seed;
      }
    }
  }
}

TEST(WriteYaml, LeavesOutWhatIsAtItsDefault) {
  const Config config = ConfigOf(R"(
limits: {header_count: 100}
listeners: {web: {listen: [":80"], routes: [{upstream: api, set_request_headers: {X-A: "$$ b"}}]}}
upstreams: {api: {backends: [10.0.0.1:1, {address: 10.0.0.2:1, weight: 2}, {dns: api, port: 80}], health_check: {}}}
)");
  EXPECT_EQ(WriteYaml(config, Secrets::kShown), R"(listeners:
  web:
    listen:
      - ":80"
    routes:
      - upstream: api
        set_request_headers:
          X-A: "$$ b"
upstreams:
  api:
    backends:
      - 10.0.0.1:1
      - address: 10.0.0.2:1
        weight: 2
      - dns: api
        port: 80
    health_check: {}
)");
}

TEST(WriteYaml, ShowsSecretsOnlyWhereItIsAskedTo) {
  Config config = DrawConfig(1);
  config.admin = Admin{.token = "s3cret"};
  EXPECT_THAT(WriteYaml(config, Secrets::kShown), HasSubstr("token: s3cret\n"));
  EXPECT_THAT(WriteYaml(config, Secrets::kHidden), HasSubstr("token: \"***\"\n"));
  EXPECT_THAT(WriteYaml(config, Secrets::kHidden), Not(HasSubstr("s3cret")));
  EXPECT_THAT(WriteConfigJson(config), HasSubstr("\"token\":\"***\""));
  EXPECT_THAT(WriteConfigJson(config), Not(HasSubstr("s3cret")));
}

TEST(WriteJson, HasEveryKey) {
  Upstream upstream;
  upstream.name = "api";
  EXPECT_EQ(
      WriteUpstreamJson(upstream, Secrets::kShown),
      R"({"balance":"round_robin","sticky":null,"backends":[],"health_check":null,)"
      R"("passive_health":{"max_fails":3,"fail_timeout":"30s"},"warm_up":null,)"
      R"("slow_start":"0s","panic_threshold":"0%","drain_timeout":"30s",)"
      R"("keepalive":{"idle":64,"idle_timeout":"4s","max_requests":0,"max_age":"0s"},)"
      R"("queue":{"size":1024,"timeout":"5s"},"retries":{"attempts":2,)"
      R"("on":["connect","reset_before_response"],"budget":"20%","body_buffer":"64KiB"},)"
      R"("protocol":"http1","send_proxy":"off","tls":null,"timeouts":{"connect":"3s","response":"1m","idle":"1m",)"
      R"("tunnel":"1h"}})");
}

TEST(UnreloadableChanges, AreNamed) {
  const Config old = DrawConfig(1);
  EXPECT_THAT(UnreloadableChanges(old, old), IsEmpty());
  Config now = old;
  now.process.lame_duck += std::chrono::seconds(1);
  now.process.shutdown_grace += std::chrono::seconds(1);
  now.upstreams.clear();
  now.resolver.attempts += 1;
  if (now.admin) now.admin->tls = AdminTls{.cert = "other", .key = "other"};
  EXPECT_THAT(UnreloadableChanges(old, now), IsEmpty());
  now.process.workers += 1;
  now.process.engine = "else";
  now.process.user += "x";
  now.process.pid_file += "x";
  now.process.state_file += "x";
  now.logging.access.path = "else";
  now.logging.access.format =
      old.logging.access.format == AccessLog::kJson ? AccessLog::kCombined : AccessLog::kJson;
  if (now.admin) {
    now.admin.reset();
  } else {
    now.admin.emplace();
  }
  EXPECT_THAT(UnreloadableChanges(old, now),
              ElementsAre("process.workers", "process.engine", "process.user", "process.pid_file",
                          "process.state_file", "logging.access.path", "logging.access.format",
                          "admin.listen"));
}

TEST(Equality, DoesNotCountThePlaceInTheFile) {
  const std::string text =
      "listeners: {w: {listen: [':80'], routes: [{upstream: a}]}}\n"
      "upstreams: {a: {backends: [api:80]}}\n";
  EXPECT_TRUE(ConfigOf(text) == ConfigOf("\n\n" + text));
}

}  // namespace
}  // namespace rondo::config
