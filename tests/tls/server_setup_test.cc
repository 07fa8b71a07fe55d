#include "rondo/tls/server_setup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <openssl/x509.h>

#include "tls/made_setups.h"
#include "tls/ssl_pair.h"
#include "tls/test_certificates.h"

namespace rondo::tls {
namespace {

using ::testing::HasSubstr;

std::string LeafName(const SSL* ssl) {
  X509* leaf = SSL_get0_peer_certificate(ssl);
  char name[256] = "";
  X509_NAME_get_text_by_NID(X509_get_subject_name(leaf), NID_commonName, name, sizeof(name));
  return name;
}

std::string LeafKind(const SSL* ssl) {
  return EVP_PKEY_get0_type_name(X509_get0_pubkey(SSL_get0_peer_certificate(ssl)));
}

class ServerSetupTest : public ::testing::Test {
 protected:
  ServerSettings Settings() const {
    ServerSettings settings;
    settings.certificates = {Served(root_.Issue("a.example"))};
    settings.alpn = {"http/1.1"};
    settings.ticket_scope = "web";
    return settings;
  }
  ServerSettings WithClients(ClientAuth auth) const {
    ServerSettings settings = Settings();
    settings.client_auth = auth;
    settings.client_ca = clients_.pem();
    return settings;
  }

  const TestAuthority root_{"Root"};
  const TestAuthority clients_{"Clients"};
};

TEST_F(ServerSetupTest, ServesBothVersionsAndNothingOlder) {
  const std::shared_ptr<const ServerSetup> setup = MadeSetup(Settings());
  const struct {
    int version;
    bool works;
  } cases[] = {{TLS1_VERSION, false},
               {TLS1_1_VERSION, false},
               {TLS1_2_VERSION, true},
               {TLS1_3_VERSION, true}};
  for (const auto& c : cases) {
    TestClient client;
    SSL_CTX_set_security_level(client.context(), 0);
    client.Only(c.version);
    SslPair pair(client.New("a.example"), ServerOf(*setup));
    EXPECT_EQ(pair.Run(), c.works) << c.version << pair.client_error() << pair.server_error();
    if (c.works) continue;
    // Refused by an alert that says why.
    EXPECT_EQ(pair.client_error(), "tlsv1 alert protocol version");
    EXPECT_EQ(pair.server_error(), "unsupported protocol");
  }
}

TEST_F(ServerSetupTest, ServesOnlyTls13WhereThatIsTheLeast) {
  ServerSettings settings = Settings();
  settings.min_version = Version::kTls13;
  const std::shared_ptr<const ServerSetup> setup = MadeSetup(settings);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TestClient client;
    client.Only(version);
    SslPair pair(client.New("a.example"), ServerOf(*setup));
    EXPECT_EQ(pair.Run(), version == TLS1_3_VERSION) << pair.server_error();
  }
}

TEST_F(ServerSetupTest, SpeaksTheIntermediateProfileAndNothingBesideIt) {
  ServerSettings settings = Settings();
  settings.certificates.push_back(Served(root_.Issue("a.example", TestKey::kRsa)));
  const std::shared_ptr<const ServerSetup> setup = MadeSetup(settings);
  const struct {
    const char* ciphers;
    const char* chosen;  // null: refused
  } cases[] = {
      {"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"},
      {"ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384"},
      {"ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"},
      {"ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-AES128-GCM-SHA256",
       "ECDHE-ECDSA-AES128-GCM-SHA256"},
      // Who puts ChaCha20 first has a reason.
      {"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256",
       "ECDHE-ECDSA-CHACHA20-POLY1305"},
      {"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305",
       "ECDHE-ECDSA-AES128-GCM-SHA256"},
      {"AES128-GCM-SHA256", nullptr},
      {"AES128-SHA", nullptr},
      {"ECDHE-RSA-AES128-SHA", nullptr},
      {"ECDHE-ECDSA-AES128-SHA256", nullptr},
      {"DHE-RSA-AES128-GCM-SHA256", nullptr},
      {"ECDHE-ECDSA-AES128-CCM", nullptr},
      {"aNULL", nullptr},
      {"NULL", nullptr},
  };
  for (const auto& c : cases) {
    TestClient client;
    SSL_CTX_set_security_level(client.context(), 0);
    client.Only(TLS1_2_VERSION);
    ASSERT_EQ(SSL_CTX_set_cipher_list(client.context(), c.ciphers), 1) << c.ciphers;
    SslPair pair(client.New("a.example"), ServerOf(*setup));
    EXPECT_EQ(pair.Run(), c.chosen != nullptr) << c.ciphers << pair.server_error();
    if (c.chosen == nullptr) {
      EXPECT_EQ(pair.server_error(), "no shared cipher") << c.ciphers;
    } else {
      EXPECT_STREQ(SSL_get_cipher_name(pair.server()), c.chosen);
      EXPECT_EQ(SSL_get_current_compression(pair.server()), nullptr);
      EXPECT_EQ(SSL_get_secure_renegotiation_support(pair.client()), 1);
    }
  }
}

TEST_F(ServerSetupTest, PicksTheCipherOfTls13ByItsOwnOrder) {
  const std::shared_ptr<const ServerSetup> setup = MadeSetup(Settings());
  const struct {
    const char* offered;
    const char* chosen;
  } cases[] = {
      {"TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256", "TLS_AES_128_GCM_SHA256"},
      {"TLS_AES_256_GCM_SHA384", "TLS_AES_256_GCM_SHA384"},
      {"TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256", "TLS_CHACHA20_POLY1305_SHA256"}};
  for (const auto& c : cases) {
    TestClient client;
    SSL_CTX_set_ciphersuites(client.context(), c.offered);
    SslPair pair(client.New("a.example"), ServerOf(*setup));
    ASSERT_TRUE(pair.Run());
    EXPECT_STREQ(SSL_get_cipher_name(pair.server()), c.chosen);
  }
}

TEST_F(ServerSetupTest, AgreesOnTheGroupsOfTheProfile) {
  const std::shared_ptr<const ServerSetup> setup = MadeSetup(Settings());
  const struct {
    const char* groups;
    bool works;
  } cases[] = {{"X25519", true}, {"P-256", true},       {"P-384", true},      {"P-521", false},
               {"X448", false},  {"P-521:P-384", true}, {"X448:X25519", true}};
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const auto& c : cases) {
      if (version == TLS1_2_VERSION && std::string_view(c.groups).starts_with("P-521:")) continue;
      TestClient client;
      client.Only(version);
      SSL_CTX_set1_groups_list(client.context(), c.groups);
      SslPair pair(client.New("a.example"), ServerOf(*setup));
      // With TLS 1.2 the certificate's curve is one of the client's groups too.
      const bool curve_fits = version == TLS1_3_VERSION || std::string_view(c.groups) == "P-256";
      EXPECT_EQ(pair.Run(), c.works && curve_fits) << c.groups << pair.server_error();
    }
  }
}

TEST_F(ServerSetupTest, MakesNoSignatureWithSha1) {
  ServerSettings settings = Settings();
  settings.certificates = {Served(root_.Issue("a.example", TestKey::kRsa))};
  const std::shared_ptr<const ServerSetup> setup = MadeSetup(settings);
  TestClient client;
  client.Only(TLS1_2_VERSION);
  SSL_CTX_set_security_level(client.context(), 0);
  ASSERT_EQ(SSL_CTX_set1_sigalgs_list(client.context(), "RSA+SHA1"), 1);
  SslPair pair(client.New("a.example"), ServerOf(*setup));
  EXPECT_FALSE(pair.Run());
}

TEST_F(ServerSetupTest, RefusesToRenegotiate) {
  const std::shared_ptr<const ServerSetup> setup = MadeSetup(Settings());
  TestClient client;
  client.Only(TLS1_2_VERSION);
  SslPair pair(client.New("a.example"), ServerOf(*setup));
  ASSERT_TRUE(pair.Run());
  EXPECT_EQ(SSL_renegotiate(pair.server()), 0);
  ASSERT_EQ(SSL_renegotiate(pair.client()), 1);
  SSL_do_handshake(pair.client());
  char byte = 0;
  EXPECT_LE(SSL_read(pair.server(), &byte, 1), 0);
  ERR_clear_error();
  EXPECT_LE(SSL_do_handshake(pair.client()), 0);
  EXPECT_STREQ(ERR_reason_error_string(ERR_peek_last_error()), "no renegotiation");
}

TEST_F(ServerSetupTest, PicksTheCertificateByNameAndByTheClientsAlgorithms) {
  ServerSettings settings = Settings();
  settings.certificates = {
      Served(root_.Issue("a.example")), Served(root_.Issue("a.example", TestKey::kRsa)),
      Served(root_.Issue("*.b.example", TestKey::kRsa)), Served(root_.Issue("x.b.example")),
      Served(root_.Issue("ed.example", TestKey::kEd25519))};
  const std::shared_ptr<const ServerSetup> setup = MadeSetup(settings, 2);
  constexpr const char* kEcdsaOnly = "ECDSA+SHA256:ECDSA+SHA384";
  constexpr const char* kRsaOnly = "rsa_pss_rsae_sha256:RSA+SHA256";
  const struct {
    const char* name;
    const char* algorithms;  // null: OpenSSL's
    const char* leaf;        // null: refused
    const char* kind;
  } cases[] = {
      {"a.example", nullptr, "a.example", "EC"},
      {"a.example", kRsaOnly, "a.example", "RSA"},
      {"a.example", kEcdsaOnly, "a.example", "EC"},
      {"A.EXAMPLE", kRsaOnly, "a.example", "RSA"},
      {nullptr, nullptr, "a.example", "EC"},
      {nullptr, kRsaOnly, "a.example", "RSA"},
      {"unknown.example", nullptr, "a.example", "EC"},
      {"y.b.example", nullptr, "*.b.example", "RSA"},
      {"y.b.example", kEcdsaOnly, nullptr, nullptr},
      {"x.b.example", nullptr, "x.b.example", "EC"},
      {"x.b.example", kRsaOnly, nullptr, nullptr},
      {"z.y.b.example", nullptr, "a.example", "EC"},
      {"ed.example", nullptr, "ed.example", "ED25519"},
  };
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const auto& c : cases) {
      TestClient client;
      client.Only(version);
      if (c.algorithms != nullptr) SSL_CTX_set1_sigalgs_list(client.context(), c.algorithms);
      SslPair pair(client.New(c.name), ServerOf(*setup, 1));
      const std::string at = std::string(c.name == nullptr ? "no name" : c.name) + " " +
                             (c.algorithms == nullptr ? "" : c.algorithms);
      ASSERT_EQ(pair.Run(), c.leaf != nullptr) << at << pair.server_error() << pair.client_error();
      if (c.leaf == nullptr) continue;
      EXPECT_EQ(LeafName(pair.client()), c.leaf) << at;
      EXPECT_EQ(LeafKind(pair.client()), c.kind) << at;
    }
  }
}

TEST_F(ServerSetupTest, SendsItsIntermediates) {
  const TestAuthority between = root_.Intermediate("Between");
  ServerSettings settings = Settings();
  settings.certificates = {Served(between.Issue("a.example")), Served(between.Issue("b.example"))};
  const std::shared_ptr<const ServerSetup> setup = MadeSetup(settings);
  for (const char* name : {"a.example", "b.example"}) {
    TestClient client;
    SslPair pair(client.New(name), ServerOf(*setup));
    ASSERT_TRUE(pair.Run());
    EXPECT_EQ(sk_X509_num(SSL_get_peer_cert_chain(pair.client())), 2);
  }
}

TEST_F(ServerSetupTest, AgreesOnAProtocolByItsOwnOrderOrRefuses) {
  ServerSettings settings = Settings();
  settings.alpn = {"h2", "http/1.1"};
  const std::shared_ptr<const ServerSetup> setup = MadeSetup(settings);
  const struct {
    std::string offered;  // empty: nothing
    const char* chosen;   // null: refused
  } cases[] = {
      {"", ""},
      {std::string("\x08http/1.1", 9), "http/1.1"},
      {std::string("\x08http/1.1\x02h2", 12), "h2"},
      {std::string("\x0a"
                   "acme-tls/1",
                   11),
       nullptr},
  };
  for (const auto& c : cases) {
    TestClient client;
    UniqueSsl ssl = client.New("a.example");
    if (!c.offered.empty()) {
      SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(c.offered.data()),
                          static_cast<unsigned>(c.offered.size()));
    }
    SslPair pair(std::move(ssl), ServerOf(*setup));
    EXPECT_EQ(pair.Run(), c.chosen != nullptr);
    if (c.chosen == nullptr) {
      EXPECT_EQ(pair.client_error(), "tlsv1 alert no application protocol");
      continue;
    }
    const unsigned char* chosen = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(pair.server(), &chosen, &size);
    EXPECT_EQ(std::string(reinterpret_cast<const char*>(chosen), size), c.chosen);
  }
}

TEST_F(ServerSetupTest, StaplesTheAnswerOfTheCertificateThatIsServed) {
  const TestPair a = root_.Issue("a.example");
  const TestPair b = root_.Issue("b.example");
  const TestPair old = root_.Issue("old.example");
  const std::string answer_a = root_.Ocsp(a);
  const std::string answer_b = root_.Ocsp(b, TestOcsp::kGood, 0);
  ServerSettings settings = Settings();
  settings.certificates = {Served(a, answer_a), Served(b, answer_b),
                           Served(old, root_.Ocsp(old, TestOcsp::kGood, -60)),
                           Served(root_.Issue("none.example"))};
  const std::shared_ptr<const ServerSetup> setup = MadeSetup(settings);
  const struct {
    const char* name;
    std::string answer;
  } cases[] = {
      {"a.example", answer_a}, {"b.example", answer_b}, {"old.example", ""}, {"none.example", ""}};
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const auto& c : cases) {
      TestClient client;
      client.Only(version);
      UniqueSsl ssl = client.New(c.name);
      SSL_set_tlsext_status_type(ssl.get(), TLSEXT_STATUSTYPE_ocsp);
      SslPair pair(std::move(ssl), ServerOf(*setup));
      ASSERT_TRUE(pair.Run()) << pair.client_error();
      const unsigned char* got = nullptr;
      const long size = SSL_get_tlsext_status_ocsp_resp(pair.client(), &got);
      const std::string answer =
          size <= 0 ? ""
                    : std::string(reinterpret_cast<const char*>(got), static_cast<size_t>(size));
      EXPECT_EQ(answer, c.answer) << c.name;
    }
  }
}

TEST_F(ServerSetupTest, SaysWhatIsWrongWithItsSettings) {
  const TestPair pair = root_.Issue("a.example");
  ServerSettings none;
  ServerSettings bad_ocsp = Settings();
  bad_ocsp.certificates = {Served(pair, root_.Ocsp(root_.Issue("b.example")))};
  ServerSettings no_authorities = Settings();
  no_authorities.client_auth = ClientAuth::kRequired;
  ServerSettings bad_authorities = no_authorities;
  bad_authorities.client_ca = "nothing";
  ServerSettings bad_list = WithClients(ClientAuth::kOptional);
  bad_list.crl = clients_.pem();
  ServerSettings bad_alpn = Settings();
  bad_alpn.alpn = {""};
  const struct {
    const ServerSettings& settings;
    const char* says;
  } cases[] = {{none, "needs a certificate"},
               {bad_ocsp, "about another certificate"},
               {no_authorities, "client_ca"},
               {bad_authorities, "no certificate was found"},
               {bad_list, "no revocation list was found"},
               {bad_alpn, "1 to 255 bytes"}};
  for (const auto& c : cases) {
    const auto setup = ServerSetup::Make(c.settings, 1, std::make_shared<TicketKeys>());
    ASSERT_FALSE(setup.ok()) << c.says;
    EXPECT_THAT(std::string(setup.status().message()), HasSubstr(c.says));
  }
}

}  // namespace
}  // namespace rondo::tls
