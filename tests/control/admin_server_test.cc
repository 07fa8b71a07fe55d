// The admin API's server on the simulated network: well-meaning, slow and hostile clients.
#include "control/admin_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "control/admin_world.h"
#include "sim/sim_peer.h"

namespace rondo::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

const SocketAddress kAdmin = *SocketAddress::Parse("127.0.0.1:9900");

class Client {
 public:
  Client(sim::SimWorld& world, sim::SimEngine& engine) : peer_(world, engine) {
    peer_.on_receive = [this](std::string_view bytes) { text_ += bytes; };
    peer_.on_closed = [this] { closed_ = true; };
    peer_.Connect(kAdmin);
  }
  sim::SimPeer& peer() { return peer_; }
  const std::string& text() const { return text_; }
  bool closed() const { return closed_; }
  std::string Take() { return std::exchange(text_, {}); }

 private:
  sim::SimPeer peer_;
  std::string text_;
  bool closed_ = false;
};

class AdminServerTest : public ::testing::Test {
 protected:
  void StartServer(const std::string& token = "") {
    AdminAccess access;
    access.listen = kAdmin;
    access.token = token;
    server_ = std::make_unique<AdminServer>(admin_.loop(), admin_.api().context(), access);
    server_->Start(admin_.engine().Listen(kAdmin));
    clients_ = &admin_.world().AddThread("clients", Options());
  }
  void TearDown() override {
    if (server_ == nullptr) return;
    server_->Stop();
    admin_.engine().Wake();
    Pass(seconds(5));
    EXPECT_TRUE(server_->finished());
  }
  static sim::SimEngineOptions Options() {
    sim::SimEngineOptions options;
    options.buffers_max = 1000;
    return options;
  }
  std::unique_ptr<Client> Connect() { return std::make_unique<Client>(admin_.world(), *clients_); }
  void Pass(Duration duration) { admin_.Pass(duration); }
  // Sends on a connection of its own and returns what came within a second.
  std::string Ask(const std::string& text) {
    auto client = Connect();
    client->peer().Send(text);
    Pass(seconds(1));
    return client->Take();
  }

  AdminWorld admin_;
  std::unique_ptr<AdminServer> server_;
  sim::SimEngine* clients_ = nullptr;
};

std::string Get(const std::string& target, const std::string& fields = "") {
  return "GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n";
}

std::string Post(const std::string& body, const std::string& query = "") {
  return "POST /v1/upstreams/api/backends" + query +
         " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++count;
  return count;
}

TEST_F(AdminServerTest, AnswersOneRequestAfterAnotherOnAConnection) {
  StartServer();
  auto client = Connect();
  client->peer().Send(Get("/healthz") + Get("/v1/status") +
                      Post(R"({"address": "127.0.0.1:3003"})") + Get("/v1/upstreams/api/backends"));
  Pass(seconds(1));
  EXPECT_EQ(Count(client->text(), "HTTP/1.1 200 OK\r\n"), 3u);
  EXPECT_EQ(Count(client->text(), "HTTP/1.1 201 Created\r\n"), 1u);
  EXPECT_FALSE(client->closed());
  EXPECT_EQ(server_->connections(), 1u);
  client->peer().Send(Get("/healthz", "Connection: close\r\n"));
  Pass(seconds(1));
  EXPECT_THAT(client->text(), HasSubstr("Connection: close\r\n"));
  EXPECT_TRUE(client->closed());
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(AdminServerTest, ReadsBodiesThatComeInPieces) {
  StartServer();
  const std::string request = Post(R"({"address": "127.0.0.1:3003"})");
  auto client = Connect();
  for (const char c : request) {
    client->peer().Send(std::string_view(&c, 1));
    Pass(milliseconds(10));
  }
  Pass(seconds(1));
  EXPECT_THAT(client->text(), StartsWith("HTTP/1.1 201 Created\r\n"));
  auto chunked = Connect();
  chunked->peer().Send(
      "POST /v1/upstreams/api/backends HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n4\r\n{\"ad\r\n");
  Pass(milliseconds(100));
  chunked->peer().Send("1c\r\ndress\": \"127.0.0.1:3004\"}   \r\n0\r\n\r\n" + Get("/healthz"));
  Pass(seconds(1));
  EXPECT_THAT(chunked->text(), StartsWith("HTTP/1.1 201 Created\r\n"));
  EXPECT_THAT(chunked->text(), EndsWith("{\"ok\":true}\n"));
}

TEST_F(AdminServerTest, SaysContinueToWhoWaitsForIt) {
  StartServer();
  auto client = Connect();
  client->peer().Send(
      "POST /v1/upstreams/api/backends HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
      "application/json\r\n"
      "Expect: 100-continue\r\nContent-Length: 29\r\n\r\n");
  Pass(seconds(1));
  EXPECT_EQ(client->Take(), "HTTP/1.1 100 Continue\r\n\r\n");
  client->peer().Send(R"({"address": "127.0.0.1:3003"})");
  Pass(seconds(1));
  EXPECT_THAT(client->text(), StartsWith("HTTP/1.1 201 Created\r\n"));
}

TEST_F(AdminServerTest, RefusesLargeBodies) {
  StartServer();
  const std::string head =
      "PUT /v1/config HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
  EXPECT_THAT(Ask(head + "Content-Length: 1048577\r\n\r\n"), StartsWith("HTTP/1.1 413 "));
  auto client = Connect();
  client->peer().Send(head + "Transfer-Encoding: chunked\r\n\r\n100001\r\n" +
                      std::string(0x100001, ' ') + "\r\n");
  Pass(seconds(20));
  EXPECT_THAT(client->text(), StartsWith("HTTP/1.1 413 "));
  // Within the limit it is only nonsense.
  auto other = Connect();
  other->peer().Send(head + "Content-Length: 1048576\r\n\r\n" + std::string(1048576, ' '));
  Pass(seconds(20));
  EXPECT_THAT(other->text(), StartsWith("HTTP/1.1 400 "));
}

TEST_F(AdminServerTest, AsksForTheToken) {
  StartServer("sesame");
  EXPECT_THAT(Ask(Get("/healthz")), StartsWith("HTTP/1.1 200 "));
  EXPECT_THAT(Ask(Get("/readyz")), StartsWith("HTTP/1.1 200 "));
  const std::string refused = Ask(Get("/v1/status"));
  EXPECT_THAT(refused, StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(refused, HasSubstr("WWW-Authenticate: Bearer"));
  EXPECT_THAT(Ask(Get("/metrics")), StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(Ask(Get("/nothing")), StartsWith("HTTP/1.1 401 ")) << "nothing is told to strangers";
  EXPECT_THAT(Ask(Get("/v1/status", "Authorization: Bearer wrong\r\n")),
              StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(Ask(Get("/v1/status", "Authorization: Bearer sesame\r\n")),
              StartsWith("HTTP/1.1 200 "));
  const std::string post = Ask(Post(R"({"address": "127.0.0.1:3003"})"));
  EXPECT_THAT(post, StartsWith("HTTP/1.1 401 "));
  EXPECT_THAT(post, HasSubstr("Connection: close")) << "its body was not read";
}

TEST_F(AdminServerTest, ForeignPagesAreRefused) {
  StartServer();
  EXPECT_THAT(Ask("GET /v1/status HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
              StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(Ask(Get("/v1/status", "Origin: http://evil.example\r\n")),
              StartsWith("HTTP/1.1 403 "));
  EXPECT_THAT(Ask(Get("/v1/status", "Origin: http://localhost\r\n")), StartsWith("HTTP/1.1 200 "));
}

TEST_F(AdminServerTest, RefusesWhatIsNotHttp) {
  StartServer();
  EXPECT_THAT(Ask("\x16\x03\x01\x02\x00\x01 nonsense\r\n\r\n"), StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(
      Ask("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
      StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(
      Ask("GET / HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n"),
      StartsWith("HTTP/1.1 431 "));
}

TEST_F(AdminServerTest, HeadAndOldClientsAreServed) {
  StartServer();
  const std::string head = Ask("HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  EXPECT_THAT(head, HasSubstr("Content-Length: 12\r\n"));
  EXPECT_THAT(head, EndsWith("\r\n\r\n"));
  auto old = Connect();
  old->peer().Send("GET /healthz HTTP/1.0\r\n\r\n");
  Pass(seconds(1));
  EXPECT_THAT(old->text(), EndsWith("{\"ok\":true}\n"));
  EXPECT_TRUE(old->closed());
}

TEST_F(AdminServerTest, DoesNotWaitForSlowClients) {
  StartServer();
  auto idle = Connect();
  auto slow = Connect();
  auto body = Connect();
  slow->peer().Send("GET /healthz HTTP/1.1\r\n");
  body->peer().Send("POST /v1/reload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n");
  Pass(seconds(9));
  slow->peer().Send("Host: localhost\r\n");
  EXPECT_EQ(server_->connections(), 3u);
  Pass(seconds(4));
  EXPECT_THAT(slow->text(), StartsWith("HTTP/1.1 408 "));
  EXPECT_TRUE(slow->closed());
  EXPECT_EQ(server_->connections(), 1u);
  Pass(seconds(55));
  EXPECT_TRUE(idle->closed());
  EXPECT_EQ(idle->text(), "");
  EXPECT_THAT(body->text(), StartsWith("HTTP/1.1 408 "));
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(AdminServerTest, WhoDoesNotReadIsCutOff) {
  StartServer();
  admin_.process.metrics = std::string(8 << 20, 'x');
  auto client = Connect();
  client->peer().PauseReading();
  client->peer().Send(Get("/metrics"));
  Pass(seconds(25));
  EXPECT_EQ(server_->connections(), 1u);
  Pass(seconds(15));
  EXPECT_EQ(server_->connections(), 0u);
  // A slow one that reads on gets all of it.
  admin_.process.metrics.resize(2 << 20);
  auto slow = Connect();
  slow->peer().ReadSlowly(64 * 1024, milliseconds(500));
  slow->peer().Send(Get("/metrics", "Connection: close\r\n"));
  Pass(seconds(115));
  EXPECT_GT(slow->text().size(), size_t{2} << 20);
}

TEST_F(AdminServerTest, ClientsThatAskNothingGiveWayToOneThatDoes) {
  StartServer();
  std::vector<std::unique_ptr<Client>> clients;
  for (size_t i = 0; i < AdminServer::kConnectionsMax; ++i) clients.push_back(Connect());
  Pass(seconds(2));
  EXPECT_EQ(server_->connections(), AdminServer::kConnectionsMax);
  for (int i = 0; i < 5; ++i)
    EXPECT_THAT(Ask(Get("/healthz")), StartsWith("HTTP/1.1 200 ")) << "request " << i;
  // One for each at most: who asked and went has left his place.
  const auto gone =
      std::ranges::count_if(clients, [](const auto& each) { return each->closed(); });
  EXPECT_TRUE(gone >= 1 && gone <= 5) << gone;
  // Who never asks is not waited for long.
  Pass(seconds(11));
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(AdminServerTest, TurnsAwayWhoeverIsTooMany) {
  StartServer();
  std::vector<std::unique_ptr<Client>> clients;
  for (size_t i = 0; i < AdminServer::kConnectionsMax; ++i) {
    clients.push_back(Connect());
    clients.back()->peer().Send(Get("/v1/events"));
  }
  Pass(seconds(2));
  EXPECT_EQ(server_->connections(), AdminServer::kConnectionsMax);
  EXPECT_THAT(Ask(Get("/healthz")), StartsWith("HTTP/1.1 503 "));
  // Those beyond the ones who are being told wait their turn, and are told then.
  std::vector<std::unique_ptr<Client>> more;
  for (int i = 0; i < 100; ++i) {
    more.push_back(Connect());
    more.back()->peer().Send(Get("/healthz"));
  }
  Pass(seconds(15));
  for (const auto& each : more) EXPECT_THAT(each->text(), StartsWith("HTTP/1.1 503 "));
  EXPECT_EQ(server_->connections(), AdminServer::kConnectionsMax);
  clients.clear();
  Pass(seconds(5));
  EXPECT_THAT(Ask(Get("/healthz")), StartsWith("HTTP/1.1 200 "));
}

TEST_F(AdminServerTest, WhoReadsAByteNowAndThenHoldsItsPlaceTwoMinutes) {
  StartServer();
  admin_.process.metrics = std::string(8 << 20, 'x');
  auto client = Connect();
  client->peer().ReadSlowly(1024, seconds(1));
  client->peer().Send(Get("/metrics"));
  Pass(seconds(115));
  EXPECT_EQ(server_->connections(), 1u);
  Pass(seconds(10));
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(AdminServerTest, AWaitIsAnsweredWhenItsTimeComes) {
  StartServer();
  auto client = Connect();
  client->peer().Send(Post(R"({"address": "127.0.0.1:3003"})", "?wait=up&timeout=60s"));
  Pass(seconds(50));
  EXPECT_EQ(client->text(), "");
  admin_.Check("api", "127.0.0.1:3003", true);
  admin_.engine().Wake();
  Pass(milliseconds(100));
  EXPECT_THAT(client->text(), StartsWith("HTTP/1.1 201 Created\r\n"));
  EXPECT_THAT(client->Take(), HasSubstr("\"state\":\"up\""));
  client->peer().Send(Post(R"({"address": "127.0.0.1:3004"})", "?wait=up&timeout=2s"));
  Pass(seconds(1));
  EXPECT_EQ(client->text(), "");
  Pass(milliseconds(1100));
  EXPECT_THAT(client->Take(), StartsWith("HTTP/1.1 504 "));
  client->peer().Send(Get("/healthz"));
  Pass(seconds(1));
  EXPECT_THAT(client->text(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(AdminServerTest, AWaitEndsWithItsClient) {
  StartServer();
  auto client = Connect();
  client->peer().Send(Post(R"({"address": "127.0.0.1:3003"})", "?wait=up&timeout=10m"));
  Pass(seconds(1));
  EXPECT_EQ(server_->connections(), 1u);
  client->peer().Close();
  Pass(seconds(1));
  EXPECT_EQ(server_->connections(), 0u);
  EXPECT_NE(admin_.cluster().FindBackend("api", "127.0.0.1:3003"), nullptr);
}

TEST_F(AdminServerTest, StreamsEventsAsTheyHappen) {
  StartServer();
  auto client = Connect();
  client->peer().Send(Get("/v1/events"));
  Pass(seconds(1));
  EXPECT_THAT(client->text(), HasSubstr("Content-Type: text/event-stream\r\n"));
  EXPECT_THAT(client->Take(), HasSubstr(": rondo\n\n"));
  admin_.Check("api", "127.0.0.1:3001", true);
  admin_.engine().Wake();
  Pass(milliseconds(100));
  EXPECT_THAT(client->text(), HasSubstr("event: backend_state\ndata: {"));
  EXPECT_THAT(client->Take(), HasSubstr("127.0.0.1:3001"));
  Pass(seconds(16));
  EXPECT_EQ(client->Take(), "d\r\n: keepalive\n\n\r\n");
  client->peer().Close();
  Pass(seconds(1));
  EXPECT_EQ(server_->connections(), 0u);
}

TEST_F(AdminServerTest, AStreamGoesOnWhereItWasLeft) {
  StartServer();
  admin_.AllUp();
  const uint64_t seen = admin_.events().last();
  for (int i = 0; i < 3; ++i)
    admin_.events().Append(EventType::kConfig, "{\"n\":" + std::to_string(i) + "}");
  auto client = Connect();
  client->peer().Send(Get("/v1/events", "Last-Event-ID: " + std::to_string(seen + 1) + "\r\n"));
  Pass(seconds(1));
  EXPECT_THAT(client->text(), Not(HasSubstr("\"n\":0")));
  EXPECT_THAT(client->text(), HasSubstr("\"n\":1"));
  EXPECT_THAT(client->text(), HasSubstr("id: " + std::to_string(seen + 3) + "\n"));
  auto lost = Connect();
  lost->peer().Send(Get("/v1/events?after=1"));
  Pass(seconds(1));
  EXPECT_THAT(lost->text(), HasSubstr("event: reset\n"));
  EXPECT_THAT(lost->text(), Not(HasSubstr("\"n\"")));
}

TEST_F(AdminServerTest, AReaderOfEventsThatFallsBehindIsToldSo) {
  StartServer();
  auto client = Connect();
  client->peer().Send(Get("/v1/events"));
  Pass(seconds(1));
  client->peer().PauseReading();
  const std::string filler(1000, 'x');
  for (int i = 0; i < 3000; ++i) {
    admin_.events().Append(EventType::kConfig, "{\"x\":\"" + filler + "\"}");
    if (i % 100 == 0) Pass(milliseconds(50));
  }
  client->peer().ResumeReading();
  Pass(seconds(20));
  EXPECT_THAT(client->text(), HasSubstr("event: reset\n"));
  EXPECT_FALSE(client->closed());
}

TEST_F(AdminServerTest, StopEndsEverything) {
  StartServer();
  auto idle = Connect();
  auto waits = Connect();
  auto follows = Connect();
  waits->peer().Send(Post(R"({"address": "127.0.0.1:3003"})", "?wait=up&timeout=10m"));
  follows->peer().Send(Get("/v1/events"));
  Pass(seconds(1));
  EXPECT_EQ(server_->connections(), 3u);
  server_->Stop();
  admin_.engine().Wake();
  Pass(seconds(1));
  EXPECT_TRUE(server_->finished());
  EXPECT_TRUE(idle->closed() && waits->closed() && follows->closed());
}

TEST(AdminServerSocket, AUnixSocketIsForItsOwnerAndGroup) {
  const std::string path =
      ::testing::TempDir() + "rondo_admin_" + std::to_string(getpid()) + ".sock";
  const SocketAddress address = *SocketAddress::Parse("unix:" + path);
  const absl::StatusOr<int> fd = AdminServer::Listen(address);
  ASSERT_TRUE(fd.ok()) << fd.status();
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0660u);
  const absl::StatusOr<int> second = AdminServer::Listen(address);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("already in use"));
  close(*fd);
  const absl::StatusOr<int> third = AdminServer::Listen(address);
  EXPECT_TRUE(third.ok()) << "the file of one that has gone is replaced";
  if (third.ok()) close(*third);
  unlink(path.c_str());
}

}  // namespace
}  // namespace rondo::control
