#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tls/made_setups.h"
#include "tls/ssl_pair.h"
#include "tls/test_certificates.h"

namespace rondo::tls {
namespace {

class ClientAuthTest : public ::testing::Test {
 protected:
  ServerSettings WithClients(ClientAuth auth) const {
    ServerSettings settings;
    settings.certificates = {Served(root_.Issue("a.example"))};
    settings.ticket_scope = "web";
    settings.client_auth = auth;
    settings.client_ca = clients_.pem();
    return settings;
  }

  const TestAuthority root_{"Root"};
  const TestAuthority clients_{"Clients"};
};

TEST_F(ClientAuthTest, JudgesClientCertificates) {
  const TestAuthority others("Others");
  const TestAuthority between = clients_.Intermediate("Between");
  const TestPair good = clients_.IssueForClient("alice");
  LeafOptions expired;
  expired.names.clear();
  expired.common_name = "late";
  expired.for_client = true;
  expired.not_before = -7200;
  expired.not_after = -3600;
  LeafOptions not_yet = expired;
  not_yet.not_before = 3600;
  not_yet.not_after = 7200;
  const struct {
    const char* what;
    TestPair shown;
    bool optional_works;
    bool required_works;
    const char* server_says;
  } cases[] = {
      {"none", {}, true, false, "peer did not return a certificate"},
      {"good", good, true, true, ""},
      {"rsa", clients_.IssueForClient("rsa", TestKey::kRsa), true, true, ""},
      {"ed25519", clients_.IssueForClient("ed", TestKey::kEd25519), true, true, ""},
      {"behind an intermediate", between.IssueForClient("deep"), true, true, ""},
      {"of another authority", others.IssueForClient("eve"), false, false,
       "certificate verify failed"},
      {"expired", clients_.Issue(expired), false, false, "certificate verify failed"},
      {"not yet", clients_.Issue(not_yet), false, false, "certificate verify failed"},
      {"a server's", clients_.Issue("server.example"), false, false, "certificate verify failed"},
  };
  const std::shared_ptr<const ServerSetup> optional = MadeSetup(WithClients(ClientAuth::kOptional));
  const std::shared_ptr<const ServerSetup> required = MadeSetup(WithClients(ClientAuth::kRequired));
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    for (const auto& c : cases) {
      for (const bool must : {false, true}) {
        TestClient client;
        client.Only(version);
        if (!c.shown.cert.empty()) client.Show(c.shown.cert, c.shown.key);
        SslPair pair(client.New("a.example"), ServerOf(must ? *required : *optional));
        const bool works = must ? c.required_works : c.optional_works;
        EXPECT_EQ(pair.Run(), works) << c.what << must << pair.server_error();
        if (!works) {
          EXPECT_EQ(pair.server_error(), c.server_says) << c.what;
          continue;
        }
        const std::unique_ptr<ClientCertificate> said = DescribeClient(pair.server());
        EXPECT_EQ(said != nullptr, !c.shown.cert.empty()) << c.what;
        EXPECT_EQ(RequestedName(pair.server()), "a.example");
        // Whom we take is sent, so that browsers offer the right one.
        EXPECT_EQ(sk_X509_NAME_num(SSL_get0_peer_CA_list(pair.client())), 1) << c.what;
      }
    }
  }
}

TEST_F(ClientAuthTest, DescribesTheClientsCertificate) {
  const std::shared_ptr<const ServerSetup> setup = MadeSetup(WithClients(ClientAuth::kRequired));
  const TestPair alice = clients_.IssueForClient("Alice, \x01\xc3\xa4");
  TestClient client;
  client.Show(alice.cert, alice.key);
  SslPair pair(client.New(nullptr), ServerOf(*setup));
  ASSERT_TRUE(pair.Run()) << pair.server_error();
  const std::unique_ptr<ClientCertificate> said = DescribeClient(pair.server());
  ASSERT_NE(said, nullptr);
  EXPECT_EQ(said->subject, "CN=Alice\\, \\01\\C3\\A4");
  EXPECT_EQ(said->issuer, "CN=Clients");
  EXPECT_THAT(said->serial, ::testing::MatchesRegex("[0-9A-F]+"));
  EXPECT_THAT(said->not_after, ::testing::MatchesRegex("20..-..-..T..:..:..Z"));
  // The client's was never parsed by us: its fingerprint is that of the same bytes.
  const absl::StatusOr<std::shared_ptr<const KeyPair>> own = KeyPair::Parse(alice.cert, alice.key);
  EXPECT_EQ(said->fingerprint, (*own)->fingerprint());
  EXPECT_EQ(RequestedName(pair.server()), "");
}

TEST_F(ClientAuthTest, LooksIntoRevocationLists) {
  const TestAuthority between = clients_.Intermediate("Between");
  const TestPair alice = clients_.IssueForClient("alice");
  const TestPair bob = clients_.IssueForClient("bob");
  const TestPair deep = between.IssueForClient("deep");
  const std::string root_list = clients_.Crl({bob.cert});
  const struct {
    const char* what;
    std::string ca;
    std::string crl;
    const TestPair& shown;
    bool works;
  } cases[] = {
      {"not revoked", clients_.pem(), root_list, alice, true},
      {"revoked", clients_.pem(), root_list, bob, false},
      {"a list that is out of date", clients_.pem(), clients_.Crl({}, -60), alice, false},
      {"a list of another authority", clients_.pem(), root_.Crl({}), alice, false},
      {"no list for the intermediate", clients_.pem(), root_list, deep, false},
      {"lists for both", clients_.pem(), root_list + between.Crl({}), deep, true},
      {"revoked by the intermediate", clients_.pem(), root_list + between.Crl({deep.cert}), deep,
       false},
      {"the intermediate is revoked", clients_.pem() + between.pem(),
       clients_.Crl({between.pem()}) + between.Crl({}), deep, false},
      {"the intermediate alone is trusted", between.pem(), between.Crl({}), deep, true},
      {"and revokes", between.pem(), between.Crl({deep.cert}), deep, false},
  };
  for (const auto& c : cases) {
    ServerSettings settings = WithClients(ClientAuth::kRequired);
    settings.client_ca = c.ca;
    settings.crl = c.crl;
    const std::shared_ptr<const ServerSetup> setup = MadeSetup(settings);
    TestClient client;
    client.Show(c.shown.cert, c.shown.key);
    SslPair pair(client.New("a.example"), ServerOf(*setup));
    EXPECT_EQ(pair.Run(), c.works) << c.what << pair.server_error();
  }
}

TEST_F(ClientAuthTest, BoundsTheChainThatAClientShows) {
  std::vector<TestAuthority> authorities{clients_};
  for (int i = 0; i < 12; ++i) {
    authorities.push_back(authorities.back().Intermediate("Between " + std::to_string(i)));
  }
  const std::shared_ptr<const ServerSetup> setup = MadeSetup(WithClients(ClientAuth::kRequired));
  const struct {
    size_t between;
    bool works;
  } cases[] = {{7, true}, {12, false}};
  for (const auto& c : cases) {
    const TestPair leaf = authorities[c.between].IssueForClient("deep");
    TestClient client;
    client.Show(leaf.cert, leaf.key);
    SslPair pair(client.New("a.example"), ServerOf(*setup));
    EXPECT_EQ(pair.Run(), c.works) << c.between << pair.server_error();
  }
}

}  // namespace
}  // namespace rondo::tls
