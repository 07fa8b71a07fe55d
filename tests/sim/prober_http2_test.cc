// Checks and warm-ups over HTTP/2, and gRPC's health checks, against the real engine for streams in
// the place of a backend.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "h2_backend.h"
#include "prober_world.h"
#include "sim_peer.h"

namespace rondo::sim {
namespace {

using health::CheckOutcome;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::string_literals::operator""s;

// The prober goes first, since it is the client.
void End(ProberWorld& world, std::unique_ptr<SimH2Backend>& backend) {
  world.prober().Stop();
  world.engine().Wake();
  world.world().RunUntil([&] { return world.prober().stopped(); }, seconds(30));
  if (backend != nullptr) {
    world.world().RunFor(seconds(1));  // what was connected is accepted
    backend->Stop();
    world.world().RunUntil([&] { return backend->stopped(); }, seconds(30));
    backend.reset();
  }
  EXPECT_THAT(world.StopAndListLeaks(), ::testing::IsEmpty());
}

class ProberHttp2 : public ::testing::Test {
 protected:
  explicit ProberHttp2(uint64_t seed = 1) : world(seed) {}
  ~ProberHttp2() override { End(world, backend); }
  void Serve(std::string answer, Duration delay = {}) {
    backend = std::make_unique<SimH2Backend>(
        world.world(), ProberWorld::Address(1), [answer, delay](const SimH2Backend::Request&) {
          return SimH2Backend::Answer{.text = answer, .delay = delay};
        });
  }
  void Watch(config::HealthCheck check) {
    check.interval = seconds(5);
    world.prober().Add({.serial = 1,
                        .address = ProberWorld::Address(1),
                        .check = std::make_shared<const config::HealthCheck>(check),
                        .wire = {.http2 = true}});
    world.engine().Wake();
  }
  health::CheckResult First() {
    world.world().RunUntil([this] { return !world.checks.empty(); }, seconds(30));
    return world.checks.empty() ? health::CheckResult{.detail = "none"} : world.checks[0].result;
  }

  ProberWorld world;
  std::unique_ptr<SimH2Backend> backend;
};

std::string GrpcAnswerText(const std::string& message, const std::string& trailers) {
  const std::string framed = "\0\0\0\0"s + static_cast<char>(message.size()) + message;
  return "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n" +
         std::to_string(framed.size()) + "\r\n" + framed + "\r\n0\r\n" + trailers + "\r\n";
}

TEST_F(ProberHttp2, ChecksHaveConnectionsOfTheirOwn) {
  Serve("HTTP/1.1 204 No Content\r\n\r\n");
  config::HealthCheck check;
  check.path = "/health";
  check.expect_status = {{204, 204}};
  Watch(check);
  world.world().RunFor(seconds(21));
  ASSERT_GE(world.checks.size(), 4u);
  for (const SeenCheck& seen : world.checks) EXPECT_TRUE(seen.result.passed());
  EXPECT_EQ(backend->accepted(), world.checks.size());
  EXPECT_TRUE(backend->requests()[0].text.starts_with("GET /health HTTP/1.1\r\n"));
  world.world().RunFor(seconds(3));
  EXPECT_EQ(backend->open_connections(), 0u);
  for (const std::string& ending : backend->endings()) EXPECT_EQ(ending, "");
}

TEST_F(ProberHttp2, ABodyIsSearched) {
  Serve("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nnot today");
  config::HealthCheck check;
  check.expect_body = "today";
  Watch(check);
  EXPECT_TRUE(First().passed());
}

TEST_F(ProberHttp2, AConnectionIsEnoughForTcp) {
  Serve("");
  Watch({.type = config::HealthCheck::Type::kTcp});
  EXPECT_TRUE(First().passed());
}

TEST_F(ProberHttp2, AnAnswerThatDoesNotComeIsATimeout) {
  Serve("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", seconds(20));
  Watch({.timeout = milliseconds(500)});
  EXPECT_EQ(First().outcome, CheckOutcome::kResponseTimeout);
}

TEST_F(ProberHttp2, ABackendThatSpeaksHttp1IsFoundOut) {
  SimEngine& engine = world.world().AddThread("HTTP/1.1");
  std::unique_ptr<SimPeer> peer;
  SimAcceptor acceptor(world.world(), engine, ProberWorld::Address(1), [&](int fd) {
    peer = std::make_unique<SimPeer>(world.world(), engine);
    peer->on_receive = [&peer](std::string_view) {
      peer->Send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    };
    peer->Adopt(fd);
  });
  Watch({});
  const health::CheckResult result = First();
  EXPECT_EQ(result.outcome, CheckOutcome::kBadResponse);
  EXPECT_EQ(result.detail, "bad_response: h2_not_http2");
  world.prober().Stop();
  world.engine().Wake();
  world.world().RunUntil([this] { return world.prober().stopped(); }, seconds(30));
}

TEST_F(ProberHttp2, AGrpcServiceIsAskedFor) {
  Serve(GrpcAnswerText("\x08\x01", "grpc-status: 0\r\n"));
  Watch({.type = config::HealthCheck::Type::kGrpc, .service = "shop.v1.Orders"});
  const health::CheckResult result = First();
  EXPECT_TRUE(result.passed());
  EXPECT_EQ(result.detail, "SERVING");
  const std::string& text = backend->requests()[0].text;
  EXPECT_TRUE(text.starts_with("POST /grpc.health.v1.Health/Check HTTP/1.1\r\n")) << text;
  EXPECT_NE(text.find("\x0a\x0eshop.v1.Orders"), std::string::npos) << text;
}

TEST_F(ProberHttp2, AGrpcServiceThatDoesNotServeFails) {
  Serve(GrpcAnswerText("\x08\x02", "grpc-status: 0\r\n"));
  Watch({.type = config::HealthCheck::Type::kGrpc});
  EXPECT_EQ(First().detail, "NOT_SERVING");
}

TEST_F(ProberHttp2, AServerWithoutGrpcsHealthSaysSo) {
  Serve(
      "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\ngrpc-status: 12\r\n"
      "Content-Length: 0\r\n\r\n");
  Watch({.type = config::HealthCheck::Type::kGrpc});
  EXPECT_EQ(First().detail, "grpc-status 12 UNIMPLEMENTED: it has no grpc.health.v1.Health");
}

TEST_F(ProberHttp2, AWarmUpKeepsItsConnections) {
  Serve("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready");
  world.prober().Add(
      {.serial = 1, .address = ProberWorld::Address(1), .check = nullptr, .wire = {.http2 = true}});
  world.prober().StartWarmUp(1, {.path = "/warm", .requests = 20, .concurrency = 2});
  world.engine().Wake();
  world.world().RunUntil([this] { return !world.warmed.empty(); }, seconds(30));
  ASSERT_EQ(world.warmed.size(), 1u);
  EXPECT_EQ(world.warmed[0].succeeded, 20u);
  EXPECT_EQ(backend->requests().size(), 20u);
  EXPECT_EQ(backend->accepted(), 2u);
}

TEST_F(ProberHttp2, AWarmUpGoesOnWhereAConnectionEnds) {
  Serve("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready", milliseconds(5));
  world.prober().Add(
      {.serial = 1, .address = ProberWorld::Address(1), .check = nullptr, .wire = {.http2 = true}});
  world.prober().StartWarmUp(1, {.path = "/warm", .requests = 50, .concurrency = 2});
  world.engine().Wake();
  world.world().RunFor(milliseconds(60));
  backend->DrainAll();
  world.world().RunUntil([this] { return !world.warmed.empty(); }, seconds(30));
  ASSERT_EQ(world.warmed.size(), 1u);
  EXPECT_GE(world.warmed[0].succeeded, 46u);
  EXPECT_GT(backend->accepted(), 2u);
}

// Whatever goes wrong below: one result for each check, and nothing is left.
TEST(ProberHttp2Seeds, FaultsLeaveNothingBehind) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    ProberWorld world(seed, FaultPlan::Draw(rng));
    auto backend = std::make_unique<SimH2Backend>(
        world.world(), ProberWorld::Address(1), [](const SimH2Backend::Request&) {
          return SimH2Backend::Answer{.text = GrpcAnswerText("\x08\x01", "grpc-status: 0\r\n"),
                                      .delay = milliseconds(20)};
        });
    auto check = std::make_shared<config::HealthCheck>();
    check->type = config::HealthCheck::Type::kGrpc;
    check->interval = seconds(1);
    check->timeout = milliseconds(900);
    world.prober().Add(
        {.serial = 1, .address = ProberWorld::Address(1), .check = check, .wire = {.http2 = true}});
    world.engine().Wake();
    for (int i = 0; i < 6; ++i) {
      world.world().RunFor(seconds(3));
      if (rng.Below(2) == 0) backend->DrainAll();
      if (rng.Below(3) == 0) backend->EndAll(http2::ErrorCode::kInternalError);
    }
    EXPECT_GE(world.checks.size(), 8u);
    End(world, backend);
  }
}

}  // namespace
}  // namespace rondo::sim
