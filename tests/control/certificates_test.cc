#include "control/certificates.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tls/test_certificates.h"

namespace rondo::control {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

WallTime Now() {
  return WallTime(
      std::chrono::duration_cast<Duration>(std::chrono::system_clock::now().time_since_epoch()));
}

// Files that are strings, and a configuration that names them.
class CertificatesTest : public ::testing::Test {
 protected:
  CertificatesTest()
      : certificates_(
            [this](const std::string& path) -> absl::StatusOr<std::string> {
              ++reads_[path];
              const auto found = files_.find(path);
              if (found == files_.end()) return absl::UnavailableError("No such file or directory");
              return found->second;
            },
            2) {}

  void PutPair(const std::string& name, const tls::TestPair& pair) {
    files_["/" + name + ".pem"] = pair.cert;
    files_["/" + name + ".key"] = pair.key;
  }
  // A listener with the pairs of these names.
  config::ListenerTls& Listen(const std::string& listener, std::vector<std::string> pairs) {
    config::Listener added;
    added.name = listener;
    added.tls.emplace();
    added.tls->where.line = 10;
    added.tls->where.col = 3;
    for (const std::string& pair : pairs) {
      config::CertificateFiles files;
      files.cert = "/" + pair + ".pem";
      files.key = "/" + pair + ".key";
      files.where.line = 12;
      files.where.col = 9;
      added.tls->certificates.push_back(files);
    }
    config_.listeners.push_back(added);
    return *config_.listeners.back().tls;
  }
  config::UpstreamTls& Connect(const std::string& upstream) {
    config::Upstream added;
    added.name = upstream;
    added.tls.emplace();
    config_.upstreams.push_back(added);
    return *config_.upstreams.back().tls;
  }
  TlsProblems Prepare() { return certificates_.Prepare(WantedBy(config_), Now()); }
  std::vector<std::string> Errors() { return Texts(Prepare().errors); }
  bool Load() { return Errors().empty() && certificates_.Commit(); }
  static std::vector<std::string> Texts(const std::vector<config::Error>& errors) {
    std::vector<std::string> texts;
    for (const config::Error& error : errors)
      texts.push_back(config::FormatError("rondo.yaml", error));
    return texts;
  }

  const tls::TestAuthority root_;
  std::map<std::string, std::string> files_;
  std::map<std::string, int> reads_;
  config::Config config_;
  Certificates certificates_;
};

TEST_F(CertificatesTest, MakesSetupsForListenersUpstreamsAndTheAdminApi) {
  PutPair("web", root_.Issue("web.example"));
  PutPair("admin", root_.Issue("admin.example"));
  files_["/ca.pem"] = root_.pem();
  Listen("web", {"web"});
  Connect("api").ca = "/ca.pem";
  config_.admin.emplace();
  config_.admin->tls = config::AdminTls{"/admin.pem", "/admin.key", "/ca.pem", {}};
  EXPECT_TRUE(Load());
  ASSERT_NE(certificates_.Listener("web"), nullptr);
  EXPECT_EQ(certificates_.Listener("plain"), nullptr);
  ASSERT_NE(certificates_.Admin(), nullptr);
  EXPECT_EQ(certificates_.Admin()->settings().client_auth, tls::ClientAuth::kOptional);
  EXPECT_NE(certificates_.Upstream(config_.upstreams[0]), nullptr);
  EXPECT_THAT(certificates_.paths(),
              ElementsAre("/admin.key", "/admin.pem", "/ca.pem", "/web.key", "/web.pem"));
  ASSERT_EQ(certificates_.served().size(), 2U);
  EXPECT_EQ(certificates_.served()[0].listener, "(admin)");
  EXPECT_EQ(certificates_.served()[1].listener, "web");
  EXPECT_EQ(certificates_.served()[1].file, "/web.pem");
}

TEST_F(CertificatesTest, WhatDidNotChangeIsTheSameObject) {
  PutPair("web", root_.Issue("web.example"));
  PutPair("other", root_.Issue("other.example"));
  files_["/ca.pem"] = root_.pem();
  Listen("web", {"web"});
  Listen("other", {"other"});
  Connect("api").ca = "/ca.pem";
  ASSERT_TRUE(Load());
  const auto web = certificates_.Listener("web");
  const auto other = certificates_.Listener("other");
  const auto api = certificates_.Upstream(config_.upstreams[0]);
  EXPECT_FALSE(Load()) << "nothing is another one";
  EXPECT_EQ(certificates_.Listener("web"), web);
  PutPair("web", root_.Issue("web.example"));
  EXPECT_TRUE(Load());
  EXPECT_NE(certificates_.Listener("web"), web);
  EXPECT_EQ(certificates_.Listener("other"), other);
  EXPECT_EQ(certificates_.Upstream(config_.upstreams[0]), api);
  const auto newer = certificates_.Listener("web");
  config_.listeners[0].tls->tls13_only = true;
  EXPECT_TRUE(Load());
  EXPECT_NE(certificates_.Listener("web"), newer);
  EXPECT_EQ(certificates_.Listener("other"), other);
}

TEST_F(CertificatesTest, UpstreamsThatSayTheSameShareOneSetup) {
  files_["/ca.pem"] = root_.pem();
  files_["/copy.pem"] = root_.pem();
  Connect("a").ca = "/ca.pem";
  Connect("b").ca = "/copy.pem";
  Connect("c").verify = false;
  config_.upstreams[1].tls->sni = "b.example";
  ASSERT_TRUE(Load());
  const auto of = [&](size_t i) { return certificates_.Upstream(config_.upstreams[i]); };
  EXPECT_EQ(of(0), of(1));
  EXPECT_NE(of(0), of(2));
  EXPECT_NE(of(2), nullptr);
}

TEST_F(CertificatesTest, BackendsAreOfferedWhatTheirUpstreamSpeaks) {
  files_["/ca.pem"] = root_.pem();
  Connect("old").ca = "/ca.pem";
  Connect("new").ca = "/ca.pem";
  config_.upstreams[1].protocol = config::Protocol::kH2;
  ASSERT_TRUE(Load());
  const auto of = [&](size_t i) { return certificates_.Upstream(config_.upstreams[i]); };
  const auto http1 = of(0);
  const auto h2 = of(1);
  ASSERT_NE(http1, nullptr);
  ASSERT_NE(h2, nullptr);
  EXPECT_NE(http1, h2);
  const auto offered = [&](size_t i) {
    TlsProblems problems;
    const FileReader read = [&](const std::string& path) { return files_.at(path); };
    return TlsFiles(read, Now(), problems).Upstream(config_.upstreams[i])->settings.alpn;
  };
  EXPECT_THAT(offered(0), ElementsAre("http/1.1"));
  EXPECT_THAT(offered(1), ElementsAre("h2"));
  config_.upstreams[0].protocol = config::Protocol::kH2;
  EXPECT_TRUE(Load());
  EXPECT_EQ(of(0), h2) << "what says the same is shared";
}

TEST_F(CertificatesTest, ListenersOfferWhatTheyAreToldAndTheAdminApiHttp1Alone) {
  PutPair("web", root_.Issue("web.example"));
  Listen("web", {"web"});
  config_.admin.emplace();
  config_.admin->tls = config::AdminTls{"/web.pem", "/web.key", "", {}};
  ASSERT_TRUE(Load());
  EXPECT_THAT(certificates_.Listener("web")->settings().alpn, ElementsAre("h2", "http/1.1"));
  EXPECT_THAT(certificates_.Admin()->settings().alpn, ElementsAre("http/1.1"));
  const auto before = certificates_.Listener("web");
  config_.listeners[0].tls->alpn = {"http/1.1"};
  EXPECT_TRUE(Load());
  EXPECT_NE(certificates_.Listener("web"), before);
}

TEST_F(CertificatesTest, AReloadTakesTheSystemsAuthoritiesAnew) {
  const std::string path = ::testing::TempDir() + "rondo_system_" + std::to_string(getpid());
  const auto install = [&](const std::string& text) { std::ofstream(path) << text; };
  install(root_.pem());
  ASSERT_EQ(setenv("SSL_CERT_FILE", path.c_str(), 1), 0);
  files_["/ca.pem"] = root_.pem();
  Connect("system");
  Connect("unverified").verify = false;
  Connect("own").ca = "/ca.pem";
  const auto of = [&](size_t i) { return certificates_.Upstream(config_.upstreams[i]); };
  EXPECT_TRUE(Load());
  const auto system = of(0);
  const auto unverified = of(1);
  const auto own = of(2);
  EXPECT_FALSE(Load()) << "nothing is another one";
  EXPECT_EQ(of(0), system);
  install(tls::TestAuthority("Newer").pem());
  EXPECT_TRUE(Load());
  EXPECT_NE(of(0), system);
  EXPECT_EQ(of(1), unverified);
  EXPECT_EQ(of(2), own);
  unsetenv("SSL_CERT_FILE");
  std::remove(path.c_str());
}

TEST_F(CertificatesTest, AnErrorLeavesAllAsItWas) {
  PutPair("web", root_.Issue("web.example"));
  Listen("web", {"web"});
  ASSERT_TRUE(Load());
  const auto before = certificates_.Listener("web");
  files_["/web.pem"] = "rubbish";
  EXPECT_THAT(Errors(), ElementsAre(AllOf(HasSubstr("rondo.yaml:12:9: listeners.web.tls: "),
                                          HasSubstr("/web.pem"))));
  EXPECT_FALSE(certificates_.Commit());
  EXPECT_EQ(certificates_.Listener("web"), before);
}

TEST_F(CertificatesTest, SaysWhatIsWrongWithWhichFileAllAtOnce) {
  PutPair("mixed", {root_.Issue("a.example").cert, root_.Issue("a.example").key});
  PutPair("weak", root_.Issue("weak.example", tls::TestKey::kRsa1024));
  const tls::TestPair locked = root_.Issue("locked.example");
  PutPair("locked", {locked.cert, tls::EncryptedKey(locked, "secret")});
  PutPair("good", root_.Issue("good.example"));
  files_["/revoked.der"] = root_.Ocsp({files_["/good.pem"], ""}, tls::TestOcsp::kRevoked);
  files_["/tickets"] = "too short";
  files_["/ca.pem"] = "no authority";
  config::ListenerTls& web = Listen("web", {"mixed", "weak", "locked", "missing", "good"});
  web.certificates.back().ocsp = "/revoked.der";
  web.client_ca = "/ca.pem";
  web.client_auth = config::ClientAuth::kRequired;
  web.crl = "/none.crl";
  web.ticket_keys = "/tickets";
  const std::vector<std::string> errors = Errors();
  const auto about = [](const char* place, const char* file) {
    return AllOf(HasSubstr(place), HasSubstr("listeners.web.tls: "), HasSubstr(file));
  };
  EXPECT_THAT(
      errors,
      ElementsAre(about(":12:9: ", "/mixed.key"), about(":12:9: ", "/weak.key"),
                  about(":12:9: ", "/locked.key"), about(":12:9: ", "/missing.pem: No such"),
                  about(":12:9: ", "/missing.key: No such"), about(":12:9: ", "/revoked.der"),
                  about(":10:3: ", "/ca.pem"), about(":10:3: ", "/none.crl: No such"),
                  about(":10:3: ", "/tickets")));
  for (const std::string& error : errors) EXPECT_THAT(error, Not(HasSubstr("-----BEGIN")));
}

TEST_F(CertificatesTest, EachFileIsReadOnce) {
  PutPair("web", root_.Issue("web.example"));
  Listen("web", {"web"});
  Listen("also", {"web"});
  ASSERT_TRUE(Load());
  EXPECT_EQ(reads_["/web.pem"], 1);
  EXPECT_EQ(reads_["/web.key"], 1);
}

TEST_F(CertificatesTest, WarnsOfWhatIsNotValidNow) {
  tls::LeafOptions options;
  options.not_before = -7200;
  options.not_after = -3600;
  PutPair("ended", root_.Issue(options));
  options.not_before = 3600;
  options.not_after = 7200;
  PutPair("early", root_.Issue(options));
  const tls::TestPair good = root_.Issue("good.example");
  PutPair("good", good);
  files_["/old.der"] = root_.Ocsp(good, tls::TestOcsp::kGood, -60);
  Listen("web", {"ended", "early", "good"}).certificates.back().ocsp = "/old.der";
  const TlsProblems problems = Prepare();
  EXPECT_THAT(Texts(problems.errors), IsEmpty());
  EXPECT_THAT(Texts(problems.warnings),
              ElementsAre(HasSubstr("certificate /ended.pem: it ended at "),
                          HasSubstr("certificate /early.pem: it is not valid before "),
                          HasSubstr("OCSP answer /old.der: its time ended at ")));
  ASSERT_TRUE(certificates_.Commit());
  EXPECT_EQ(certificates_.Listener("web")->settings().certificates[2].ocsp, "");
}

TEST_F(CertificatesTest, AStapledAnswerIsLeftOutOnceItsTimeIsOver) {
  const tls::TestPair pair = root_.Issue("web.example");
  PutPair("web", pair);
  files_["/web.der"] = root_.Ocsp(pair);
  Listen("web", {"web"}).certificates.back().ocsp = "/web.der";
  ASSERT_TRUE(Load());
  EXPECT_EQ(certificates_.Listener("web")->settings().certificates[0].ocsp, files_["/web.der"]);
  const auto later = Now() + std::chrono::hours(2);
  EXPECT_THAT(certificates_.Prepare(WantedBy(config_), later).errors, IsEmpty());
  EXPECT_TRUE(certificates_.Commit());
  EXPECT_EQ(certificates_.Listener("web")->settings().certificates[0].ocsp, "");
}

TEST_F(CertificatesTest, TicketKeysOfAFileChangeWithoutAnotherSetup) {
  PutPair("web", root_.Issue("web.example"));
  files_["/tickets"] = std::string(80, '\x01');
  Listen("web", {"web"}).ticket_keys = "/tickets";
  ASSERT_TRUE(Load());
  const auto before = certificates_.Listener("web");
  files_["/tickets"] = std::string(80, '\x02') + std::string(80, '\x01');
  EXPECT_FALSE(Load());
  EXPECT_EQ(certificates_.Listener("web"), before);
  files_["/tickets"] = std::string(79, '\x02');
  EXPECT_THAT(Errors(), ElementsAre(HasSubstr("ticket_keys /tickets: ")));
}

TEST_F(CertificatesTest, OneUpstreamMoreLeavesTheRestUnread) {
  PutPair("web", root_.Issue("web.example"));
  Listen("web", {"web"});
  ASSERT_TRUE(Load());
  const auto web = certificates_.Listener("web");
  files_["/web.pem"] = "broken meanwhile";
  config::Upstream added;
  added.name = "api";
  added.tls = config::UpstreamTls{.ca = "/nowhere.pem"};
  TlsWanted wanted;
  wanted.adds = true;
  wanted.upstreams.push_back(&added);
  EXPECT_THAT(Texts(certificates_.Prepare(wanted, Now()).errors),
              ElementsAre(HasSubstr("upstreams.api.tls: ca /nowhere.pem: No such file")));
  files_["/nowhere.pem"] = root_.pem();
  EXPECT_THAT(certificates_.Prepare(wanted, Now()).errors, IsEmpty());
  EXPECT_TRUE(certificates_.Commit());
  EXPECT_EQ(certificates_.Listener("web"), web);
  EXPECT_NE(certificates_.Upstream(added), nullptr);
  EXPECT_THAT(certificates_.paths(), ElementsAre("/nowhere.pem", "/web.key", "/web.pem"));
}

TEST_F(CertificatesTest, WhatIsNotWantedAnyMoreIsGone) {
  PutPair("web", root_.Issue("web.example"));
  Listen("web", {"web"});
  ASSERT_TRUE(Load());
  config_.listeners.clear();
  EXPECT_TRUE(Load());
  EXPECT_EQ(certificates_.Listener("web"), nullptr);
  EXPECT_THAT(certificates_.paths(), IsEmpty());
  EXPECT_THAT(certificates_.served(), IsEmpty());
}

}  // namespace
}  // namespace rondo::control
