// Certificates as part of the model: what a reload, the API and changed files make of them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster_world.h"
#include "control/certificates.h"
#include "rondo/config/write.h"
#include "tls/test_certificates.h"

namespace rondo::control {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr std::string_view kFile =
    "listeners:\n"
    "  web:\n"
    "    listen: [127.0.0.1:8443]\n"
    "    tls: {certificates: [{cert: /web.pem, key: /web.key}]}\n"
    "    routes: [{upstream: api}]\n"
    "  plain:\n"
    "    listen: [127.0.0.1:8080]\n"
    "    routes: [{upstream: api}]\n"
    "upstreams:\n"
    "  api:\n"
    "    backends: [10.0.0.1:443]\n"
    "    health_check: {}\n"
    "    tls: {ca: /ca.pem, sni: api.internal}\n";

class ClusterTlsTest : public ::testing::Test {
 protected:
  ClusterTlsTest() {
    PutPair("web", "first.example");
    machine_.tls_files["/ca.pem"] = root_.pem();
    machine_.WriteFile(kFile);
    process_ = std::make_unique<ClusterProcess>(machine_);
    process_->NewEvents();
  }
  void PutPair(const std::string& name, std::string_view host) {
    const tls::TestPair pair = root_.Issue(host);
    machine_.tls_files["/" + name + ".pem"] = pair.cert;
    machine_.tls_files["/" + name + ".key"] = pair.key;
  }
  Cluster& cluster() { return **process_; }
  const upstream::Snapshot& snapshot() { return *process_->publisher().current(); }
  const upstream::ListenerSnapshot& Listener(size_t i) { return *snapshot().listeners[i]; }
  std::shared_ptr<const upstream::UpstreamConfig> Upstream() {
    return snapshot().upstreams[snapshot().FindUpstream("api")];
  }
  static config::Upstream Parsed(std::string_view json) {
    auto parsed = config::ParseUpstreamJson("api", json, "/rondo.yaml");
    RONDO_CHECK(parsed.value.has_value());
    return *std::move(parsed.value);
  }

  const tls::TestAuthority root_;
  Machine machine_;
  std::unique_ptr<ClusterProcess> process_;
};

TEST_F(ClusterTlsTest, TheFirstSnapshotHasTheSetups) {
  ASSERT_NE(Listener(0).tls, nullptr);
  EXPECT_EQ(Listener(1).tls, nullptr);
  EXPECT_NE(Upstream()->tls, nullptr);
}

TEST_F(ClusterTlsTest, AReloadWithTheSameFilesKeepsEveryObject) {
  const auto web = snapshot().listeners[0];
  const auto api = Upstream();
  EXPECT_TRUE(cluster().Reload().ok());
  EXPECT_EQ(snapshot().listeners[0], web);
  EXPECT_EQ(Upstream(), api);
}

TEST_F(ClusterTlsTest, AReloadReadsTheFilesAnew) {
  const auto plain = snapshot().listeners[1];
  const auto web = snapshot().listeners[0];
  PutPair("web", "second.example");
  EXPECT_TRUE(cluster().Reload().ok());
  EXPECT_NE(snapshot().listeners[0], web);
  EXPECT_EQ(Listener(0).tls->settings().certificates[0].pair->names()[0], "second.example");
  EXPECT_EQ(snapshot().listeners[1], plain);
}

TEST_F(ClusterTlsTest, AReloadWithABrokenFileChangesNothing) {
  const uint64_t revision = cluster().revision();
  const auto before = process_->publisher().current();
  machine_.tls_files["/web.key"] = root_.Issue("other.example").key;
  std::string text(kFile);
  text.replace(text.find("10.0.0.1"), 8, "10.0.0.2");
  machine_.WriteFile(text);
  const Result result = cluster().Reload();
  EXPECT_EQ(result.status, 400);
  EXPECT_THAT(result.message, HasSubstr(":4:"));
  EXPECT_THAT(result.message, HasSubstr("certificate /web.pem with key /web.key: "));
  EXPECT_EQ(cluster().revision(), revision);
  EXPECT_EQ(process_->publisher().current(), before);
  EXPECT_THAT(process_->Published(), ::testing::ElementsAre("10.0.0.1:443"));
}

TEST_F(ClusterTlsTest, CheckingAConfigurationReadsItsFilesAndChangesNothing) {
  const auto before = process_->publisher().current();
  std::string text(kFile);
  EXPECT_TRUE(cluster().CheckConfig(text).ok());
  text.replace(text.find("/web.pem"), 8, "/wex.pem");
  const Result result = cluster().CheckConfig(text);
  EXPECT_EQ(result.status, 400);
  EXPECT_THAT(result.message, HasSubstr("/wex.pem: no such file"));
  EXPECT_EQ(process_->publisher().current(), before);
  EXPECT_FALSE(process_->links.certificates->Commit()) << "something was left prepared";
}

TEST_F(ClusterTlsTest, ChangedFilesAreUsedWithoutARevision) {
  const uint64_t revision = cluster().revision();
  const auto plain = snapshot().listeners[1];
  const auto api = Upstream();
  PutPair("web", "second.example");
  EXPECT_TRUE(cluster().RefreshTls().ok());
  EXPECT_EQ(Listener(0).tls->settings().certificates[0].pair->names()[0], "second.example");
  EXPECT_EQ(cluster().revision(), revision);
  EXPECT_EQ(snapshot().listeners[1], plain);
  EXPECT_EQ(Upstream(), api);
  EXPECT_THAT(process_->NewEvents(), ::testing::ElementsAre("certificates"));
  EXPECT_THAT(process_->LastEvent(), HasSubstr("\"result\":\"ok\""));
}

TEST_F(ClusterTlsTest, ABrokenFileIsToldOnceAndTheOldOneStays) {
  const auto before = process_->publisher().current();
  machine_.tls_files["/web.pem"] = "rubbish";
  EXPECT_FALSE(cluster().RefreshTls().ok());
  EXPECT_FALSE(cluster().RefreshTls().ok());
  EXPECT_EQ(process_->publisher().current(), before);
  EXPECT_THAT(process_->LastEvent(), HasSubstr("\"result\":\"failed\""));
  EXPECT_THAT(process_->LastEvent(), HasSubstr("/web.pem"));
  EXPECT_THAT(process_->NewEvents(), ::testing::ElementsAre("certificates"));
  PutPair("web", "second.example");
  EXPECT_TRUE(cluster().RefreshTls().ok());
  EXPECT_THAT(process_->LastEvent(), HasSubstr("\"result\":\"ok\""));
}

TEST_F(ClusterTlsTest, WhatDidNotChangeIsNoEventAndNoPublication) {
  const uint64_t epoch = process_->publisher().epoch();
  EXPECT_TRUE(cluster().RefreshTls().ok());
  EXPECT_EQ(process_->publisher().epoch(), epoch);
  EXPECT_THAT(process_->NewEvents(), IsEmpty());
}

TEST_F(ClusterTlsTest, ANewAuthorityOfAnUpstreamReachesItsChecksToo) {
  const auto before = Upstream();
  process_->links.watched.clear();
  machine_.tls_files["/ca.pem"] = root_.pem() + tls::TestAuthority("Another").pem();
  EXPECT_TRUE(cluster().RefreshTls().ok());
  EXPECT_NE(Upstream()->tls, before->tls);
  EXPECT_EQ(Upstream()->backends, before->backends);
  EXPECT_THAT(process_->links.watched, Contains(process_->Find("10.0.0.1:443")->serial()));
}

TEST_F(ClusterTlsTest, AnUpstreamOfTheApiIsRefusedWithABrokenFileAndTakenWithAGoodOne) {
  constexpr std::string_view kJson = R"({"backends": ["10.0.0.1:443"], "tls": {"ca": "/new.pem"}})";
  const auto before = Upstream();
  const Result refused = cluster().PutUpstream(Parsed(kJson));
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.field, "tls");
  EXPECT_THAT(refused.message, HasSubstr("/new.pem: no such file"));
  EXPECT_EQ(Upstream(), before);
  machine_.tls_files["/new.pem"] = tls::TestAuthority("Another").pem();
  // The others' files are not looked at.
  machine_.tls_files["/web.pem"] = "rubbish";
  EXPECT_EQ(cluster().PutUpstream(Parsed(kJson)).status, 200);
  EXPECT_NE(Upstream()->tls, nullptr);
  EXPECT_NE(Upstream()->tls, before->tls);
  EXPECT_NE(Listener(0).tls, nullptr);
  EXPECT_TRUE(cluster().DropOverlay().ok());
  EXPECT_EQ(Upstream()->tls, before->tls);
}

TEST_F(ClusterTlsTest, AnUpstreamOfTheApiHasItsTlsAfterARestartToo) {
  machine_.tls_files["/new.pem"] = tls::TestAuthority("Another").pem();
  const Result put = cluster().PutUpstream(
      Parsed(R"({"backends": ["10.0.0.1:443"], "tls": {"ca": "/new.pem", "sni": "x.internal"}})"));
  ASSERT_TRUE(put.ok()) << put.message;
  process_.reset();
  machine_.disk.Restart(FakeDisk::Loss::kLosesUnsynced);
  process_ = std::make_unique<ClusterProcess>(machine_);
  EXPECT_EQ(Upstream()->settings.tls->sni, "x.internal");
  EXPECT_NE(Upstream()->tls, nullptr);
}

TEST_F(ClusterTlsTest, TlsThatIsTakenAwayIsGone) {
  std::string text(kFile);
  const size_t line = text.find("    tls: {ca");
  text.erase(line, text.find('\n', line) - line + 1);
  machine_.WriteFile(text);
  EXPECT_TRUE(cluster().Reload().ok());
  EXPECT_EQ(Upstream()->tls, nullptr);
  EXPECT_NE(Listener(0).tls, nullptr);
}

TEST_F(ClusterTlsTest, WhatIsShownNamesFilesAndNoKeys) {
  const std::string shown = config::WriteConfigJson(cluster().Exported());
  EXPECT_THAT(shown, HasSubstr("/web.key"));
  EXPECT_THAT(shown, Not(HasSubstr("PRIVATE")));
}

}  // namespace
}  // namespace rondo::control
