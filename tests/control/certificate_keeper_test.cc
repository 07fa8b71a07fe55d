#include "control/certificate_keeper.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "discovery_world.h"
#include "sim/sim_world.h"
#include "tls/test_certificates.h"

namespace rondo::control {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::milliseconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class CertificateKeeperTest : public ::testing::Test {
 protected:
  CertificateKeeperTest()
      : engine_(world_.MakeEngine("control")),
        loop_(*engine_),
        certificates_([this](const std::string& path) { return files_.Read(path); }, 1),
        keeper_(loop_, files_, certificates_, [this] { refreshed_.push_back(loop_.Now()); }) {
    actor_ = world_.AddActor(
        *engine_, [this] { loop_.Tick(); }, [this] { return loop_.wheel().NextDeadline(); });
    const tls::TestAuthority root;
    const tls::TestPair pair = root.Issue("web.example");
    files_.Put("/web.pem", pair.cert);
    files_.Put("/web.key", pair.key);
    config::Listener listener;
    listener.name = "web";
    listener.tls.emplace();
    listener.tls->certificates.push_back({"/web.pem", "/web.key", "", {}});
    config_.listeners.push_back(listener);
  }
  ~CertificateKeeperTest() override {
    keeper_.Stop();
    world_.RemoveActor(actor_);
  }
  // As the watcher does: while the loop runs.
  void Touch(const std::string& path) {
    engine_->Wake();
    world_.RunFor(Duration(1));
    files_.Touch(path);
  }
  void Load() {
    // The certificate is one of today, whatever the simulation's date.
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const WallTime today(std::chrono::duration_cast<Duration>(now));
    ASSERT_THAT(certificates_.Prepare(WantedBy(config_), today).errors, IsEmpty());
    certificates_.Commit();
    keeper_.Follow();
  }

  sim::SimWorld world_{1};
  testing::ScriptedFiles files_;
  std::unique_ptr<sim::SimEngine> engine_;
  rt::Loop loop_;
  config::Config config_;
  std::vector<Instant> refreshed_;
  Certificates certificates_;
  CertificateKeeper keeper_;
  int actor_ = 0;
};

TEST_F(CertificateKeeperTest, APairOfFilesThatChangesIsReadOnceItHasSettled) {
  Load();
  EXPECT_EQ(files_.watches(), 2U);
  keeper_.Start();
  const Instant first = loop_.Now();
  Touch("/web.pem");
  world_.RunFor(milliseconds(200));
  EXPECT_THAT(refreshed_, IsEmpty());
  Touch("/web.key");
  world_.RunFor(milliseconds(250));
  EXPECT_THAT(refreshed_, IsEmpty());
  world_.RunFor(milliseconds(100));
  ASSERT_EQ(refreshed_.size(), 1U);
  EXPECT_GE(refreshed_[0] - first, milliseconds(500));
}

TEST_F(CertificateKeeperTest, FilesThatNeverSettleAreReadNevertheless) {
  Load();
  keeper_.Start();
  for (int i = 0; i < 40; ++i) {
    Touch("/web.pem");
    world_.RunFor(milliseconds(100));
  }
  EXPECT_EQ(refreshed_.size(), 1U);
}

TEST_F(CertificateKeeperTest, FollowsTheFilesThatAreInForce) {
  Load();
  config_.listeners.clear();
  Load();
  EXPECT_EQ(files_.watches(), 0U);
  Touch("/web.pem");
  world_.RunFor(hours(9));
  EXPECT_THAT(refreshed_, IsEmpty());
}

TEST_F(CertificateKeeperTest, LooksEveryHourAlsoWithoutBeingTold) {
  files_.watchable = false;
  Load();
  keeper_.Start();
  world_.RunFor(hours(3) + milliseconds(10));
  EXPECT_EQ(refreshed_.size(), 3U);
}

std::vector<std::string> Texts(const std::vector<ExpiryWarnings::Warning>& warnings) {
  std::vector<std::string> texts;
  for (const auto& warning : warnings) texts.push_back(warning.text);
  return texts;
}

TEST(ExpiryWarnings, AreSaidOnceForAMonthAWeekAndTheEnd) {
  const WallTime end(std::chrono::seconds(1900000000));
  const std::vector<ServedCertificate> served = {{"web", "/web.pem", "CN=web", "ab", 1900000000}};
  ExpiryWarnings warnings;
  EXPECT_THAT(warnings.Due(served, end - days(31)), IsEmpty());
  EXPECT_THAT(Texts(warnings.Due(served, end - days(30))),
              ElementsAre("listener web: the certificate /web.pem ends in 30 days, at "
                          "2030-03-17T17:46:40.000Z"));
  EXPECT_THAT(warnings.Due(served, end - days(29)), IsEmpty());
  EXPECT_THAT(Texts(warnings.Due(served, end - days(7))), ElementsAre(HasSubstr("in 7 days")));
  EXPECT_THAT(warnings.Due(served, end - hours(30)), IsEmpty());
  const auto ended = warnings.Due(served, end);
  ASSERT_EQ(ended.size(), 1U);
  EXPECT_TRUE(ended[0].ended);
  EXPECT_THAT(ended[0].text, HasSubstr("has ended"));
  EXPECT_THAT(warnings.Due(served, end + days(1)), IsEmpty());
}

TEST(ExpiryWarnings, ANewOneInItsPlaceIsLookedAtAnew) {
  const WallTime now(std::chrono::seconds(1900000000));
  ExpiryWarnings warnings;
  const auto one = [&](std::string fingerprint, Duration left) {
    const auto end =
        std::chrono::duration_cast<std::chrono::seconds>((now + left).time_since_epoch());
    return std::vector<ServedCertificate>{
        {"(admin)", "/a.pem", "CN=a", std::move(fingerprint), end.count()}};
  };
  EXPECT_THAT(Texts(warnings.Due(one("a", days(5)), now)),
              ElementsAre(HasSubstr("the admin API: the certificate /a.pem ends in 5 days")));
  EXPECT_THAT(warnings.Due(one("b", days(90)), now), IsEmpty());
  EXPECT_EQ(warnings.Due(one("a", days(5)), now).size(), 1U);
}

}  // namespace
}  // namespace rondo::control
