// Sessions that are taken up again: over workers, key rotations, setups and machines, and where
// they must not be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <thread>
#include <vector>

#include "tls/ssl_pair.h"
#include "tls/test_certificates.h"

namespace rondo::tls {
namespace {

class TicketResumptionTest : public ::testing::TestWithParam<int> {
 protected:
  ServerSettings Settings() const {
    ServerSettings settings;
    settings.certificates = {{*KeyPair::Parse(leaf_.cert, leaf_.key), {}}};
    settings.ticket_scope = "web";
    return settings;
  }
  ServerSettings WithClients(ClientAuth auth) const {
    ServerSettings settings = Settings();
    settings.client_auth = auth;
    settings.client_ca = clients_.pem();
    return settings;
  }
  static std::shared_ptr<const ServerSetup> SetupOf(const ServerSettings& settings,
                                                    std::shared_ptr<const TicketKeys> tickets,
                                                    size_t workers = 1) {
    absl::StatusOr<std::shared_ptr<const ServerSetup>> setup =
        ServerSetup::Make(settings, workers, std::move(tickets));
    EXPECT_TRUE(setup.ok()) << setup.status().message();
    return *setup;
  }
  // A connection with the client's last session; whether that was resumed. Failures fail the test.
  static bool Resumes(TestClient& client, const ServerSetup& setup, size_t worker = 0,
                      const char* name = "a.example") {
    SslPair pair(client.New(name, true), Openssl(setup.ForWorker(worker)).NewSsl());
    EXPECT_TRUE(pair.Run()) << pair.server_error() << pair.client_error();
    client.NoteReplaced(pair.client());
    EXPECT_EQ(RequestedName(pair.server()), name == nullptr ? "" : name);
    return pair.resumed();
  }

  const TestAuthority root_{"Root"};
  const TestAuthority clients_{"Clients"};
  const TestPair leaf_ = root_.Issue("a.example");
  const std::shared_ptr<TicketKeys> keys_ = std::make_shared<TicketKeys>();
};

INSTANTIATE_TEST_SUITE_P(Versions, TicketResumptionTest,
                         ::testing::Values(TLS1_2_VERSION, TLS1_3_VERSION), [](const auto& info) {
                           return info.param == TLS1_2_VERSION ? "Tls12" : "Tls13";
                         });

TEST_P(TicketResumptionTest, HoldsOnEveryWorker) {
  const std::shared_ptr<const ServerSetup> setup = SetupOf(Settings(), keys_, 4);
  TestClient client;
  client.Only(GetParam());
  EXPECT_FALSE(Resumes(client, *setup));
  for (int round = 0; round < 12; ++round) {
    EXPECT_TRUE(Resumes(client, *setup, static_cast<size_t>(round) % 4)) << round;
  }
}

TEST_P(TicketResumptionTest, GivesOneTicketForEachHandshake) {
  const std::shared_ptr<const ServerSetup> setup = SetupOf(Settings(), keys_);
  TestClient client;
  client.Only(GetParam());
  EXPECT_FALSE(Resumes(client, *setup));
  EXPECT_EQ(client.sessions(), 1);
  EXPECT_EQ(SSL_SESSION_get_ticket_lifetime_hint(client.session()), 8U * 3600);
  EXPECT_TRUE(Resumes(client, *setup));
  // With TLS 1.2 a ticket is good until its key is old.
  EXPECT_EQ(client.sessions(), GetParam() == TLS1_3_VERSION ? 2 : 1);
}

TEST_P(TicketResumptionTest, HoldsOverTwoRotationsAndNotOverThree) {
  const std::shared_ptr<const ServerSetup> setup = SetupOf(Settings(), keys_, 2);
  for (int rotations = 0; rotations <= 3; ++rotations) {
    TestClient client;
    client.Only(GetParam());
    EXPECT_FALSE(Resumes(client, *setup));
    for (int i = 0; i < rotations; ++i) keys_->Rotate();
    EXPECT_EQ(Resumes(client, *setup, 1), rotations < 3) << rotations;
    // Who came with an old one has a new one now.
    EXPECT_EQ(client.sessions(), GetParam() == TLS1_3_VERSION || rotations > 0 ? 2 : 1);
    keys_->Rotate();
    keys_->Rotate();
    EXPECT_EQ(Resumes(client, *setup), true);
  }
}

TEST_P(TicketResumptionTest, HoldsOnMachinesThatShareAKeyFile) {
  const std::string text = std::string(80, 'k') + std::string(80, '\x01');
  size_t count = 0;
  const TicketKeys::Keys keys = *TicketKeys::ParseFile(text, &count);
  const auto here = std::make_shared<TicketKeys>();
  const auto there = std::make_shared<TicketKeys>();
  here->Set(keys.data(), count);
  const TicketKeys::Keys other_way_round{keys[1], keys[0]};
  there->Set(other_way_round.data(), count);
  const std::shared_ptr<const ServerSetup> one = SetupOf(Settings(), here);
  const std::shared_ptr<const ServerSetup> other = SetupOf(Settings(), there);
  TestClient client;
  client.Only(GetParam());
  EXPECT_FALSE(Resumes(client, *one));
  EXPECT_TRUE(Resumes(client, *other));
  EXPECT_TRUE(Resumes(client, *one));
}

TEST_P(TicketResumptionTest, HoldsOverANewCertificate) {
  TestClient client;
  client.Only(GetParam());
  EXPECT_FALSE(Resumes(client, *SetupOf(Settings(), keys_)));
  ServerSettings renewed = Settings();
  const TestPair leaf = root_.Issue("a.example", TestKey::kRsa);
  renewed.certificates = {{*KeyPair::Parse(leaf.cert, leaf.key), {}}};
  EXPECT_TRUE(Resumes(client, *SetupOf(renewed, keys_)));
}

TEST_P(TicketResumptionTest, IsRefusedWhereSomethingElseIsAskedOfClients) {
  ServerSettings other_scope = Settings();
  other_scope.ticket_scope = "other";
  ServerSettings with_list = WithClients(ClientAuth::kOptional);
  with_list.crl = clients_.Crl({});
  ServerSettings other_authorities = WithClients(ClientAuth::kOptional);
  other_authorities.client_ca = root_.pem();
  const struct {
    const char* what;
    ServerSettings from;
    ServerSettings to;
    bool resumed;
  } cases[] = {
      {"the same", Settings(), Settings(), true},
      {"another listener", Settings(), other_scope, false},
      {"the same with clients", WithClients(ClientAuth::kOptional),
       WithClients(ClientAuth::kOptional), true},
      {"clients are asked now", Settings(), WithClients(ClientAuth::kOptional), false},
      {"clients are not asked any more", WithClients(ClientAuth::kOptional), Settings(), false},
      {"a revocation list", WithClients(ClientAuth::kOptional), with_list, false},
      {"other authorities", WithClients(ClientAuth::kOptional), other_authorities, false},
  };
  for (const auto& c : cases) {
    TestClient client;
    client.Only(GetParam());
    EXPECT_FALSE(Resumes(client, *SetupOf(c.from, keys_)));
    EXPECT_EQ(Resumes(client, *SetupOf(c.to, keys_)), c.resumed) << c.what;
  }
}

TEST_P(TicketResumptionTest, CannotGetPastARequiredCertificate) {
  ServerSettings required = WithClients(ClientAuth::kRequired);
  TestClient client;
  client.Only(GetParam());
  EXPECT_FALSE(Resumes(client, *SetupOf(WithClients(ClientAuth::kOptional), keys_)));
  const std::shared_ptr<const ServerSetup> setup = SetupOf(required, keys_);
  SslPair pair(client.New("a.example", true), Openssl(setup->ForWorker(0)).NewSsl());
  EXPECT_FALSE(pair.Run());
  EXPECT_EQ(pair.server_error(), "peer did not return a certificate");
}

TEST_P(TicketResumptionTest, KeepsTheClientsCertificate) {
  const std::shared_ptr<const ServerSetup> setup =
      SetupOf(WithClients(ClientAuth::kRequired), keys_, 2);
  const TestPair alice = clients_.IssueForClient("alice");
  TestClient client;
  client.Only(GetParam());
  client.Show(alice.cert, alice.key);
  EXPECT_FALSE(Resumes(client, *setup));
  SslPair pair(client.New("a.example", true), Openssl(setup->ForWorker(1)).NewSsl());
  ASSERT_TRUE(pair.Run());
  EXPECT_TRUE(pair.resumed());
  const std::unique_ptr<ClientCertificate> said = DescribeClient(pair.server());
  ASSERT_NE(said, nullptr);
  EXPECT_EQ(said->subject, "CN=alice");
}

TEST_P(TicketResumptionTest, EndsWithTheClientsCertificate) {
  const std::shared_ptr<const ServerSetup> setup =
      SetupOf(WithClients(ClientAuth::kRequired), keys_);
  LeafOptions options;
  options.names.clear();
  options.common_name = "short";
  options.for_client = true;
  options.not_after = 2;
  const TestPair leaf = clients_.Issue(options);
  TestClient client;
  client.Only(GetParam());
  client.Show(leaf.cert, leaf.key);
  EXPECT_FALSE(Resumes(client, *setup));
  const time_t end = time(nullptr) + 3;
  while (time(nullptr) <= end) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  SslPair pair(client.New("a.example", true), Openssl(setup->ForWorker(0)).NewSsl());
  EXPECT_FALSE(pair.Run());
  EXPECT_EQ(pair.server_error(), "certificate verify failed");
}

int AgeIndex() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

// As if the full handshake of `ssl`'s session had been so many seconds ago.
void AgeSession(SSL* ssl, int64_t seconds) {
  SSL_set_ex_data(ssl, AgeIndex(), reinterpret_cast<void*>(static_cast<intptr_t>(seconds)));
  SSL_set_info_callback(ssl, [](const SSL* each, int, int) {
    SSL_SESSION* session = SSL_get_session(each);
    if (session == nullptr) return;
    const auto age = reinterpret_cast<intptr_t>(SSL_get_ex_data(each, AgeIndex()));
    const auto then = static_cast<uint64_t>(time(nullptr) - age);
    unsigned char bytes[8];
    for (size_t i = 0; i < 8; ++i) bytes[i] = static_cast<unsigned char>(then >> (8 * i));
    SSL_SESSION_set1_ticket_appdata(session, bytes, sizeof(bytes));
  });
}

TEST_P(TicketResumptionTest, EndsSoLongAfterTheFullHandshake) {
  constexpr int64_t kHour = 3600;
  const std::shared_ptr<const ServerSetup> setup =
      SetupOf(WithClients(ClientAuth::kOptional), keys_);
  const TestPair alice = clients_.IssueForClient("alice");
  const struct {
    int64_t age;
    bool with_certificate;
    bool resumed;
  } cases[] = {{0, true, true},
               {8 * kHour - 30, true, true},
               {8 * kHour + 30, true, false},
               {8 * kHour + 30, false, true},
               {7 * 24 * kHour - 30, false, true},
               {7 * 24 * kHour + 30, false, false},
               {-60, false, true},
               {-kHour, false, false}};
  for (const auto& c : cases) {
    TestClient client;
    client.Only(GetParam());
    if (c.with_certificate) client.Show(alice.cert, alice.key);
    SslPair pair(client.New("a.example"), Openssl(setup->ForWorker(0)).NewSsl());
    AgeSession(pair.server(), c.age);
    ASSERT_TRUE(pair.Run());
    EXPECT_EQ(Resumes(client, *setup), c.resumed) << c.age << ' ' << c.with_certificate;
  }
}

TEST_P(TicketResumptionTest, CannotBeProlongedByResumptions) {
  const std::shared_ptr<const ServerSetup> setup =
      SetupOf(WithClients(ClientAuth::kRequired), keys_);
  const TestPair alice = clients_.IssueForClient("alice");
  TestClient client;
  client.Only(GetParam());
  client.Show(alice.cert, alice.key);
  const time_t end = time(nullptr) + 3;
  SslPair pair(client.New("a.example"), Openssl(setup->ForWorker(0)).NewSsl());
  AgeSession(pair.server(), 8 * 3600 - 3);
  ASSERT_TRUE(pair.Run());
  EXPECT_TRUE(Resumes(client, *setup));
  keys_->Rotate();  // with TLS 1.2 there is another ticket for this alone
  EXPECT_TRUE(Resumes(client, *setup));
  EXPECT_GE(client.sessions(), 2);
  while (time(nullptr) <= end) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(Resumes(client, *setup));
  EXPECT_TRUE(Resumes(client, *setup)) << "a full handshake begins anew";
}

TEST_P(TicketResumptionTest, EndsWithTheFirstRevocationList) {
  ServerSettings settings = WithClients(ClientAuth::kOptional);
  settings.client_ca += root_.pem();
  settings.crl = root_.Crl({}) + clients_.Crl({}, 2);
  const std::shared_ptr<const ServerSetup> setup = SetupOf(settings, keys_);
  const TestPair alice = clients_.IssueForClient("alice");
  TestClient known;
  TestClient unknown;
  known.Only(GetParam());
  unknown.Only(GetParam());
  known.Show(alice.cert, alice.key);
  const time_t end = time(nullptr) + 2;
  EXPECT_FALSE(Resumes(known, *setup));
  EXPECT_FALSE(Resumes(unknown, *setup));
  while (time(nullptr) <= end) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_TRUE(Resumes(unknown, *setup)) << "nothing was looked up for it";
  SslPair pair(known.New("a.example", true), Openssl(setup->ForWorker(0)).NewSsl());
  EXPECT_FALSE(pair.Run());
  EXPECT_EQ(pair.server_error(), "certificate verify failed");
}

TEST_P(TicketResumptionTest, IsOnlyOfTheNameItWasMadeUnder) {
  const std::shared_ptr<const ServerSetup> setup = SetupOf(Settings(), keys_);
  const struct {
    const char* from;
    const char* to;
    bool resumed;
  } cases[] = {{"a.example", "a.example", true}, {"unknown.example", "unknown.example", true},
               {nullptr, nullptr, true},         {"a.example", "b.example", false},
               {"a.example", nullptr, false},    {nullptr, "a.example", false}};
  for (const auto& c : cases) {
    TestClient client;
    client.Only(GetParam());
    EXPECT_FALSE(Resumes(client, *setup, 0, c.from));
    EXPECT_EQ(Resumes(client, *setup, 0, c.to), c.resumed)
        << (c.from == nullptr ? "none" : c.from) << " to " << (c.to == nullptr ? "none" : c.to);
  }
}

TEST_P(TicketResumptionTest, TakesNothingForgedOrUnderAnUnknownKey) {
  const std::shared_ptr<const ServerSetup> setup = SetupOf(Settings(), keys_);
  const auto other_keys = std::make_shared<TicketKeys>();
  TestClient client;
  client.Only(GetParam());
  EXPECT_FALSE(Resumes(client, *SetupOf(Settings(), other_keys)));
  EXPECT_FALSE(Resumes(client, *setup));
  EXPECT_TRUE(Resumes(client, *setup));
  // The same key's name, and another key.
  TicketKey forged = keys_->Sealing();
  forged.mac[0] ^= 1;
  other_keys->Set(&forged, 1);
  EXPECT_FALSE(Resumes(client, *SetupOf(Settings(), other_keys)));
}

TEST_P(TicketResumptionTest, HoldsWhereTheFirstHelloIsAnsweredByAnotherGroup) {
  if (GetParam() != TLS1_3_VERSION) GTEST_SKIP() << "a matter of TLS 1.3";
  const std::shared_ptr<const ServerSetup> setup = SetupOf(Settings(), keys_);
  TestClient client;
  client.Only(GetParam());
  ASSERT_EQ(SSL_CTX_set1_groups_list(client.context(), "P-521:P-384"), 1);
  EXPECT_FALSE(Resumes(client, *setup, 0, "other.example"));
  EXPECT_TRUE(Resumes(client, *setup, 0, "other.example"));
  EXPECT_FALSE(Resumes(client, *setup, 0, "a.example"));
}

TEST_P(TicketResumptionTest, GoesOnInAllWorkersWhileKeysRotate) {
  constexpr size_t kWorkers = 3;
  const std::shared_ptr<const ServerSetup> setup = SetupOf(Settings(), keys_, kWorkers);
  std::atomic<size_t> running = kWorkers;
  std::vector<std::thread> workers;
  for (size_t worker = 0; worker < kWorkers; ++worker) {
    workers.emplace_back([&, worker] {
      TestClient client;
      client.Only(GetParam());
      for (int i = 0; i < 20; ++i) Resumes(client, *setup, worker);
      --running;
    });
  }
  while (running > 0) {
    keys_->Rotate();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (std::thread& worker : workers) worker.join();
}

TEST_P(TicketResumptionTest, IsNotOfferedWithoutKeys) {
  const std::shared_ptr<const ServerSetup> setup = SetupOf(Settings(), nullptr);
  TestClient client;
  client.Only(GetParam());
  EXPECT_FALSE(Resumes(client, *setup));
  EXPECT_FALSE(Resumes(client, *setup));
}

}  // namespace
}  // namespace rondo::tls
