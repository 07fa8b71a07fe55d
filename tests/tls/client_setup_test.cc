#include "rondo/tls/client_setup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "tls/session_store.h"
#include "tls/ssl_pair.h"
#include "tls/test_certificates.h"

namespace rondo::tls {
namespace {

using ::testing::HasSubstr;

std::shared_ptr<const ClientSetup> SetupOf(const ClientSettings& settings, size_t workers = 0) {
  absl::StatusOr<std::shared_ptr<const ClientSetup>> setup = ClientSetup::Make(settings, workers);
  EXPECT_TRUE(setup.ok()) << setup.status().message();
  return *setup;
}

class ClientSetupTest : public ::testing::Test {
 protected:
  ClientSettings Settings() const {
    ClientSettings settings;
    settings.ca = root_.pem();
    return settings;
  }
  static std::shared_ptr<const ServerSetup> Backend(const TestPair& leaf,
                                                    const std::string& client_ca = {}) {
    ServerSettings settings;
    settings.certificates = {{*KeyPair::Parse(leaf.cert, leaf.key), {}}};
    settings.alpn = {"http/1.1"};
    if (!client_ca.empty()) {
      settings.client_auth = ClientAuth::kRequired;
      settings.client_ca = client_ca;
    }
    return *ServerSetup::Make(settings, 1, std::make_shared<TicketKeys>());
  }
  struct Outcome {
    std::string error;  // the client's; empty: it worked
    bool resumed = false;
    std::string name;  // that the backend was asked for
  };
  static Outcome Connect(const ClientSetup& setup, const ServerSetup& backend,
                         std::string_view name, SessionStore* sessions = nullptr, uint64_t key = 0,
                         int version = TLS1_3_VERSION, size_t worker = 0) {
    UniqueSsl ssl = Openssl(setup.ForWorker(worker)).NewSsl(name, sessions, key);
    if (ssl == nullptr) return {"no SSL", false, ""};
    SSL_set_max_proto_version(ssl.get(), version);
    SslPair pair(std::move(ssl), Openssl(backend.ForWorker(0)).NewSsl());
    const bool worked = pair.Run();
    EXPECT_EQ(worked, pair.client_error().empty());
    return {pair.client_error(), pair.resumed(), RequestedName(pair.server())};
  }

  const TestAuthority root_{"Root"};
  const TestPair leaf_ = root_.Issue(LeafOptions{});  // localhost and 127.0.0.1
};

TEST_F(ClientSetupTest, VerifiesTheChainTheDatesAndTheName) {
  const TestAuthority other("Other");
  const TestAuthority between = root_.Intermediate("Between");
  LeafOptions expired;
  expired.not_before = -7200;
  expired.not_after = -3600;
  LeafOptions star;
  star.names = {"*.example.com", "2001:db8::1"};
  LeafOptions for_client;
  for_client.for_client = true;
  LeafOptions named;
  named.common_name = "named.example";
  named.alternative_names = false;
  const TestPair good = leaf_;
  constexpr const char* kRefused = "certificate verify failed";
  const struct {
    const char* what;
    TestPair leaf;
    const char* name;
    const char* error;
    const char* asked;
  } cases[] = {
      {"a name", good, "localhost", "", "localhost"},
      {"in capitals", good, "LocalHost", "", "localhost"},
      {"with a dot at its end", good, "localhost.", "", "localhost"},
      {"an address", good, "127.0.0.1", "", ""},
      {"another address", good, "127.0.0.2", kRefused, ""},
      {"an IPv6 address", root_.Issue(star), "2001:db8::1", "", ""},
      {"an IPv6 address in brackets", root_.Issue(star), "[2001:db8::1]", "", ""},
      {"another IPv6 address", root_.Issue(star), "2001:db8::2", kRefused, ""},
      {"another name", good, "example.com", kRefused, ""},
      {"a star", root_.Issue(star), "a.example.com", "", "a.example.com"},
      {"two labels for a star", root_.Issue(star), "a.b.example.com", kRefused, ""},
      {"none for a star", root_.Issue(star), "example.com", kRefused, ""},
      {"a common name", root_.Issue(named), "named.example", "", "named.example"},
      {"behind an intermediate", between.Issue(LeafOptions{}), "localhost", "", "localhost"},
      {"of another authority", other.Issue(LeafOptions{}), "localhost", kRefused, ""},
      {"expired", root_.Issue(expired), "localhost", kRefused, ""},
      {"a client's", root_.Issue(for_client), "localhost", kRefused, ""},
      {"no name", good, "", "", ""},
      {"no name, another authority", other.Issue(LeafOptions{}), "", kRefused, ""},
      {"a name that no host has", good, "a/b", "no SSL", ""},
  };
  const std::shared_ptr<const ClientSetup> setup = SetupOf(Settings());
  ClientSettings blind = Settings();
  blind.verify = false;
  const std::shared_ptr<const ClientSetup> unverified = SetupOf(blind);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const auto& c : cases) {
      const std::shared_ptr<const ServerSetup> backend = Backend(c.leaf);
      const Outcome outcome = Connect(*setup, *backend, c.name, nullptr, 0, version);
      EXPECT_EQ(outcome.error, c.error) << c.what;
      if (outcome.error.empty()) {
        EXPECT_EQ(outcome.name, c.asked) << c.what;
      }
      if (std::string_view(c.error) == "no SSL") continue;
      EXPECT_EQ(Connect(*unverified, *backend, c.name, nullptr, 0, version).error, "") << c.what;
    }
  }
}

TEST_F(ClientSetupTest, TrustsAnIntermediateOrALeafThatStandsInItsFile) {
  const TestAuthority between = root_.Intermediate("Between");
  ClientSettings settings;
  settings.ca = between.pem();
  EXPECT_EQ(Connect(*SetupOf(settings), *Backend(between.Issue(LeafOptions{})), "localhost").error,
            "");
  settings.ca = leaf_.cert;
  EXPECT_EQ(Connect(*SetupOf(settings), *Backend(leaf_), "localhost").error, "");
  EXPECT_NE(Connect(*SetupOf(settings), *Backend(root_.Issue(LeafOptions{})), "localhost").error,
            "");
}

TEST_F(ClientSetupTest, TakesTheSystemsAuthoritiesWhereNoneAreGiven) {
  const std::string path = ::testing::TempDir() + "/system_authorities.pem";
  const auto write = [&](const std::string& text) { std::ofstream(path) << text; };
  write(root_.pem());
  ASSERT_EQ(setenv("SSL_CERT_FILE", path.c_str(), 1), 0);
  const std::shared_ptr<const ClientSetup> setup = SetupOf({}, 2);
  const std::shared_ptr<const ClientSetup> another = SetupOf({}, 3);
  for (const size_t worker : {0, 1, 2}) {
    EXPECT_EQ(
        Connect(*setup, *Backend(leaf_), "localhost", nullptr, 0, TLS1_3_VERSION, worker).error,
        "");
    EXPECT_EQ(
        Connect(*another, *Backend(leaf_), "localhost", nullptr, 0, TLS1_3_VERSION, worker).error,
        "");
  }
  const TestAuthority other("Other");
  write(other.pem());
  EXPECT_NE(Connect(*SetupOf({}), *Backend(leaf_), "localhost").error, "");
  EXPECT_EQ(Connect(*SetupOf({}), *Backend(other.Issue(LeafOptions{})), "localhost").error, "");
  EXPECT_EQ(Connect(*setup, *Backend(leaf_), "localhost").error, "");
  write("");
  EXPECT_THAT(std::string(ClientSetup::Make({}, 0).status().message()),
              HasSubstr("authorities were not found"));
  unsetenv("SSL_CERT_FILE");
}

TEST_F(ClientSetupTest, ShowsItsOwnCertificate) {
  const TestAuthority clients("Clients");
  const TestAuthority between = clients.Intermediate("Between");
  const std::shared_ptr<const ServerSetup> backend = Backend(leaf_, clients.pem());
  ClientSettings settings = Settings();
  EXPECT_NE(Connect(*SetupOf(settings), *backend, "localhost").error, "");
  for (const TestPair& own : {clients.IssueForClient("us"), between.IssueForClient("us"),
                              clients.IssueForClient("us", TestKey::kRsa)}) {
    settings.certificate = *KeyPair::Parse(own.cert, own.key);
    EXPECT_EQ(Connect(*SetupOf(settings), *backend, "localhost").error, "");
  }
}

TEST_F(ClientSetupTest, OffersProtocols) {
  ClientSettings settings = Settings();
  settings.alpn = {"http/1.1"};
  EXPECT_EQ(Connect(*SetupOf(settings), *Backend(leaf_), "localhost").error, "");
  settings.alpn = {"h3"};
  EXPECT_EQ(Connect(*SetupOf(settings), *Backend(leaf_), "localhost").error,
            "tlsv1 alert no application protocol");
}

TEST_F(ClientSetupTest, ResumesByBackendAndOnlyWhereTheSameWasVerified) {
  const std::shared_ptr<const ServerSetup> backend = Backend(leaf_);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const std::shared_ptr<const ClientSetup> setup = SetupOf(Settings(), 1);
    const std::shared_ptr<const ClientSetup> reloaded = SetupOf(Settings());
    const std::unique_ptr<SessionStore> store = SessionStore::Make();
    const struct {
      const char* what;
      const ClientSetup& setup;
      size_t worker;
      const char* name;
      uint64_t key;
      bool resumed;
    } steps[] = {
        {"the first", *setup, 0, "localhost", 1, false},
        {"the second", *setup, 0, "localhost", 1, true},
        {"another context of the setup", *setup, 1, "localhost", 1, true},
        {"another backend", *setup, 0, "localhost", 2, false},
        {"another backend again", *setup, 0, "localhost", 2, true},
        {"the first backend still", *setup, 0, "localhost", 1, true},
        {"by its address", *setup, 0, "127.0.0.1", 1, false},
        {"by its address again", *setup, 0, "127.0.0.1", 1, true},
        {"after a reload", *reloaded, 0, "127.0.0.1", 1, false},
        {"after it again", *reloaded, 0, "127.0.0.1", 1, true},
    };
    for (const auto& step : steps) {
      const Outcome outcome =
          Connect(step.setup, *backend, step.name, store.get(), step.key, version, step.worker);
      EXPECT_EQ(outcome.error, "") << step.what;
      EXPECT_EQ(outcome.resumed, step.resumed) << step.what << version;
    }
  }
}

TEST_F(ClientSetupTest, UsesATicketOfTls13Once) {
  const std::shared_ptr<const ServerSetup> backend = Backend(leaf_);
  const std::shared_ptr<const ClientSetup> setup = SetupOf(Settings());
  const OpensslClientContext& context = Openssl(setup->ForWorker(0));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    const std::unique_ptr<SessionStore> store = SessionStore::Make();
    Connect(*setup, *backend, "localhost", store.get(), 1, version);
    const UniqueSsl first = context.NewSsl("localhost", store.get(), 1);
    const UniqueSsl second = context.NewSsl("localhost", store.get(), 1);
    EXPECT_NE(SSL_get0_session(first.get()), nullptr);
    EXPECT_EQ(SSL_get0_session(second.get()) != nullptr, version == TLS1_2_VERSION);
    ForgetSession(first.get());
    EXPECT_EQ(SSL_get0_session(context.NewSsl("localhost", store.get(), 1).get()), nullptr);
  }
}

TEST_F(ClientSetupTest, KeepsABoundedNumberOfSessions) {
  const std::shared_ptr<const ServerSetup> backend = Backend(leaf_);
  const std::shared_ptr<const ClientSetup> setup = SetupOf(Settings());
  const std::unique_ptr<SessionStore> made = SessionStore::Make();
  OpensslSessionStore& store = Openssl(*made);
  const UniqueSession session(SSL_SESSION_new());
  for (uint64_t key = 0; key < SessionStore::kMax + 10; ++key) {
    store.Put(key, "scope", session.get());
  }
  EXPECT_EQ(store.size(), SessionStore::kMax);
  Connect(*setup, *backend, "localhost", made.get(), 7);
  EXPECT_EQ(store.size(), SessionStore::kMax);
  EXPECT_TRUE(Connect(*setup, *backend, "localhost", made.get(), 7).resumed);
}

TEST_F(ClientSetupTest, SaysWhatIsWrongWithItsSettings) {
  ClientSettings bad_authorities;
  bad_authorities.ca = "nothing";
  ClientSettings bad_alpn = Settings();
  bad_alpn.alpn = {std::string(256, 'a')};
  EXPECT_THAT(std::string(ClientSetup::Make(bad_authorities, 1).status().message()),
              HasSubstr("no certificate was found"));
  EXPECT_THAT(std::string(ClientSetup::Make(bad_alpn, 1).status().message()),
              HasSubstr("1 to 255 bytes"));
}

}  // namespace
}  // namespace rondo::tls
