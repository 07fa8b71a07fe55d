// What becomes of tunnels and requests when their backend or the whole process is on its way out,
// in virtual time.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "rondo/balance/stable_hash.h"
#include "rondo/metrics/backend_cell.h"
#include "sim/proxy_case.h"

namespace rondo::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kFirst = "10.0.1.1:80";
constexpr const char* kSecond = "10.0.1.2:80";
const std::string kGoingAway = "\x03\xe9";
constexpr Duration kSlack = milliseconds(30);  // network, timers

class ProxyDrain : public ProxyCase {
 protected:
  // Upstream "a" with backends that agree to upgrades.
  void BuildSockets(size_t backends) {
    config_.upstreams = {ProxyWorld::MakeUpstream("a", backends), ProxyWorld::MakeUpstream("b", 1)};
    config_.upstreams[0].timeouts.tunnel = std::chrono::hours(1);
    config_.listeners[0].routes[0].upgrades = {"websocket", "echo"};
    if (tune_) tune_(config_);
    world_ = std::make_unique<ProxyWorld>(seed_, config_, ProxyWorldOptions{});
    for (const config::Backend& backend : config_.upstreams[0].backends) {
      backends_.push_back(&world_->AddSocketBackend(backend.address));
    }
  }
  SocketEnd& Connect(const std::string& fields = "") {
    SocketEnd& client = world_->AddSocketClient("/a/socket", fields);
    Pass(milliseconds(20));
    EXPECT_TRUE(client.open());
    return client;
  }
  void Pass(Duration time) { (void)world_->world().RunFor(time); }
  Instant now() { return world_->world().now(); }
  void Drain(const std::string& id, Duration timeout) {
    world_->control().Drain("a", id, timeout, false);
  }
  void ExpectWentAway(const SocketEnd& end, Instant from, Instant to) {
    ASSERT_NE(end.close(), nullptr);
    EXPECT_EQ(end.close()->payload, kGoingAway);
    EXPECT_GE(end.close()->at, from);
    EXPECT_LE(end.close()->at, to + kSlack);
  }
  bool LogSays(const std::string& text) {
    Pass(seconds(1));  // it is offered from time to time
    return world_->log().lines().find(text) != std::string::npos;
  }
  std::vector<SocketBackend*> backends_;
};

TEST_F(ProxyDrain, AWebSocketIsToldInTheSecondHalfOfTheDrainAndOthersAreLeftAlone) {
  BuildSockets(2);
  SocketEnd& drained = Connect();
  SocketEnd& other = Connect();
  ASSERT_EQ(backends_[0]->ends().size(), 1u);
  ASSERT_EQ(backends_[1]->ends().size(), 1u);
  const Instant began = now();
  Drain(kFirst, seconds(20));
  // As long as nobody has to go, all goes on as before.
  Pass(seconds(9));
  drained.Say(0x81, "still here");
  Pass(milliseconds(20));
  ASSERT_EQ(backends_[0]->end(0).frames().size(), 1u);
  EXPECT_EQ(backends_[0]->end(0).frames()[0].payload, "still here");
  Pass(seconds(20));
  for (SocketEnd* end : {&drained, &backends_[0]->end(0)}) {
    ExpectWentAway(*end, began + seconds(10), began + seconds(18));
    EXPECT_TRUE(end->ended());
    EXPECT_FALSE(end->broken());
    EXPECT_LE(end->ended_at() - end->close()->at, kSlack);  // as soon as both have answered
  }
  EXPECT_TRUE(LogSays("\"reason\":\"drained\""));
  EXPECT_FALSE(other.ended());
  other.Say(0x81, "me too");
  Pass(milliseconds(20));
  ASSERT_EQ(backends_[1]->end(0).frames().size(), 1u);
  EXPECT_EQ(backends_[1]->end(0).frames()[0].payload, "me too");
  other.Close();
  Finish();
}

TEST_F(ProxyDrain, TheWebSocketsOfABackendAreToldOneAfterTheOther) {
  BuildSockets(1);
  constexpr int kCount = 20;
  std::vector<SocketEnd*> clients;
  for (int i = 0; i < kCount; ++i) clients.push_back(&Connect());
  const Instant began = now();
  Drain(kFirst, seconds(44));
  Pass(seconds(60));
  std::vector<Instant> told;
  for (const SocketEnd* client : clients) {
    ExpectWentAway(*client, began + seconds(22), began + seconds(42));
    if (client->close() != nullptr) told.push_back(client->close()->at);
  }
  std::sort(told.begin(), told.end());
  ASSERT_EQ(told.size(), static_cast<size_t>(kCount));
  for (size_t i = 1; i < told.size(); ++i) {
    EXPECT_NEAR(std::chrono::duration<double>(told[i] - told[i - 1]).count(), 1.0, 0.02);
  }
  Finish();
}

TEST_F(ProxyDrain, ABackendThatIsRemovedOutOfMaintenanceTellsItsWebSocketsToo) {
  BuildSockets(1);
  SocketEnd& client = Connect();
  // As long as it is only held they stay.
  world_->control().SetState("a", kFirst, health::State::kMaintenance);
  Pass(seconds(60));
  EXPECT_EQ(client.close(), nullptr);
  const Instant began = now();
  world_->control().SetState("a", kFirst, health::State::kMaintenance, began + seconds(20));
  Pass(seconds(19));
  ExpectWentAway(client, began + seconds(10), began + seconds(18));
  EXPECT_TRUE(LogSays("\"reason\":\"drained\""));
  Finish();
}

TEST_F(ProxyDrain, ADrainThatIsGivenMoreTimeTellsItsWebSocketsLater) {
  BuildSockets(1);
  SocketEnd& client = Connect();
  const Instant began = now();
  world_->control().SetState("a", kFirst, health::State::kDraining, began + seconds(10));
  Pass(seconds(1));
  world_->control().SetState("a", kFirst, health::State::kDraining, began + seconds(61));
  Pass(seconds(60));
  ExpectWentAway(client, began + seconds(31), began + seconds(59));
  Finish();
}

TEST_F(ProxyDrain, ASlowReaderGetsTheFrameThatItIsReadingWhole) {
  BuildSockets(1);
  SocketEnd& client = Connect();
  const Instant began = now();
  Drain(kFirst, seconds(200));
  Pass(seconds(95));
  world_->world().network().Slow(*SocketAddress::Parse(kFirst), 2000);
  client.Say(0x82, std::string(150'000, 'x'));
  Pass(seconds(105));
  const SocketEnd& backend = backends_[0]->end(0);
  ASSERT_EQ(backend.frames().size(), 2u);
  EXPECT_EQ(backend.frames()[0].payload, std::string(150'000, 'x'));
  ExpectWentAway(backend, began + seconds(100), began + seconds(199));
  Finish();
}

TEST_F(ProxyDrain, AConnectionThatHasBecomeATunnelIsStillInUse) {
  BuildSockets(1);
  SocketEnd& client = Connect();
  const metrics::BackendCell* cell = world_->control().backend("a", kFirst).cell(0);
  ASSERT_NE(cell, nullptr);
  EXPECT_EQ(cell->active.value(), 1);
  client.Close();
  Pass(seconds(1));
  EXPECT_EQ(cell->active.value(), 0);
  Finish();
}

TEST_F(ProxyDrain, AFrameThatIsCutInTheMiddleIsFinishedFirst) {
  BuildSockets(1);
  SocketEnd& client = Connect();
  const std::string frame = WriteFrame(true, 0x82, std::string(1000, 'x'));
  client.SendRaw(frame.substr(0, 300));
  const Instant began = now();
  client.answers_close = false;
  Drain(kFirst, seconds(20));
  Pass(seconds(19));
  // Nothing has begun in the other direction: it is told in time.
  ExpectWentAway(client, began + seconds(10), began + seconds(18));
  SocketEnd& backend = backends_[0]->end(0);
  EXPECT_TRUE(backend.frames().empty());
  EXPECT_FALSE(client.ended());
  // The rest of it, and what nobody wants to hear any more.
  client.SendRaw(frame.substr(300) + WriteFrame(true, 0x81, "too late"));
  Pass(milliseconds(30));
  ASSERT_EQ(backend.frames().size(), 2u);
  EXPECT_EQ(backend.frames()[0].payload, std::string(1000, 'x'));
  EXPECT_TRUE(backend.frames()[1].is_close());
  // This one answered; the other has its while, which begins when both were told, and the drain's
  // end.
  Pass(seconds(3));
  EXPECT_TRUE(client.ended());
  Finish();
}

TEST_F(ProxyDrain, WhoDoesNotAnswerIsCutAfterTwoSeconds) {
  BuildSockets(1);
  SocketEnd& client = Connect();
  backends_[0]->end(0).answers_close = client.answers_close = false;
  Drain(kFirst, seconds(20));
  Pass(seconds(21));
  for (const SocketEnd* end : {&client, &backends_[0]->end(0)}) {
    ASSERT_NE(end->close(), nullptr);
    ASSERT_TRUE(end->ended());
    EXPECT_GE(end->ended_at() - end->close()->at, seconds(2) - milliseconds(10));
    EXPECT_LE(end->ended_at() - end->close()->at, seconds(2) + kSlack);
  }
  Finish();
}

TEST_F(ProxyDrain, DataBehindTheGoodbyeIsDroppedUntilTheAnswer) {
  BuildSockets(1);
  SocketEnd& client = Connect();
  client.answers_close = false;
  const Instant began = now();
  Drain(kFirst, seconds(8));  // told between the fourth and the sixth second
  for (int i = 0; i < 80; ++i) {
    client.Say(0x82, std::string(10'000, 'y'));
    Pass(milliseconds(100));
    if (client.close() != nullptr) break;
  }
  ASSERT_NE(client.close(), nullptr);
  client.Say(0x81, "one more");
  client.Say(0x88, kGoingAway);
  Pass(milliseconds(50));
  // The backend got whole frames and the Close, and nothing behind it (its reader would say so).
  const SocketEnd& backend = backends_[0]->end(0);
  ExpectWentAway(backend, began + seconds(4), began + seconds(6));
  EXPECT_FALSE(backend.inside());
  EXPECT_TRUE(client.ended());
  EXPECT_TRUE(backend.ended());
  Finish();
}

TEST_F(ProxyDrain, WhatIsNoWebSocketIsCutAtItsMoment) {
  BuildSockets(1);
  SocketEnd& raw = world_->AddSocketClient("/a/none");
  raw.protocol = "echo";
  raw.speaks_frames = false;
  raw.Close();
  Pass(milliseconds(50));
  auto other = std::make_unique<SocketEnd>(world_->scene(), world_->client_engine(),
                                           SocketEnd::Role::kClient);
  other->protocol = "echo";
  other->speaks_frames = false;
  backends_[0]->on_accept = [](SocketEnd& end) {
    end.protocol = "echo";
    end.speaks_frames = false;
  };
  other->Connect(*SocketAddress::Parse(ProxyWorld::kAddress), "/a/other");
  Pass(milliseconds(50));
  ASSERT_TRUE(other->open());
  // And a WebSocket that speaks something else.
  SocketEnd& babbler = Connect();
  babbler.speaks_frames = false;
  babbler.SendRaw("\x83 no frame at all");
  const Instant began = now();
  Drain(kFirst, seconds(20));
  Pass(seconds(20));
  for (const SocketEnd* end : {other.get(), &babbler}) {
    ASSERT_TRUE(end->ended());
    EXPECT_GE(end->ended_at(), began + seconds(10));
    EXPECT_LE(end->ended_at(), began + seconds(18) + kSlack);
    EXPECT_EQ(end->raw(), "");
  }
  other.reset();
  Finish();
}

TEST_F(ProxyDrain, ABackendThatIsTakenBackKeepsItsWebSockets) {
  BuildSockets(1);
  SocketEnd& client = Connect();
  world_->control().SetState("a", kFirst, health::State::kDraining, now() + seconds(20));
  Pass(seconds(5));
  world_->control().Flip("a", kFirst, health::State::kUp);
  Pass(seconds(60));
  EXPECT_FALSE(client.ended());
  EXPECT_EQ(client.close(), nullptr);
  // Another drain has its own time.
  const Instant began = now();
  Drain(kFirst, seconds(20));
  Pass(seconds(25));
  ExpectWentAway(client, began + seconds(10), began + seconds(18));
  Finish();
}

TEST_F(ProxyDrain, OtherPublicationsDoNotMoveTheMoment) {
  BuildSockets(2);
  SocketEnd& client = Connect();
  const Instant began = now();
  Drain(kFirst, seconds(20));
  for (int i = 0; i < 100; ++i) {
    Pass(milliseconds(200));
    (void)world_->control().Change([](config::Config& config) { ++config.limits.header_count; });
    world_->control().Flip("a", kSecond, i % 2 == 0 ? health::State::kDown : health::State::kUp);
  }
  Pass(seconds(3));
  ExpectWentAway(client, began + seconds(10), began + seconds(18));
  EXPECT_EQ(world_->control().snapshots_held(), 1u);  // a tunnel uses none
  Finish();
}

TEST_F(ProxyDrain, AWebSocketThatBeginsWhileItsBackendDrainsIsToldInTime) {
  tune_ = [](config::Config& config) {
    config.upstreams[0].sticky = config::Sticky{"to", std::chrono::hours(1)};
  };
  BuildSockets(2);
  SocketEnd& first = Connect();
  const size_t at = first.head().find("Set-Cookie: to=");
  ASSERT_NE(at, std::string::npos) << first.head();
  const std::string cookie = first.head().substr(at + 12, 19);
  const Instant began = now();
  Drain(kFirst, seconds(20));
  Pass(seconds(5));
  SocketEnd& second = Connect(absl::StrCat("Cookie: ", cookie, "\r\n"));
  EXPECT_EQ(backends_[0]->ends().size(), 2u);
  Pass(seconds(20));
  ExpectWentAway(first, began + seconds(10), began + seconds(18));
  ExpectWentAway(second, began + seconds(5), began + seconds(18));
  Finish();
}

TEST_F(ProxyDrain, AProcessThatEndsTellsItsWebSocketsOneAfterTheOther) {
  BuildSockets(2);
  constexpr int kCount = 10;
  std::vector<SocketEnd*> clients;
  for (int i = 0; i < kCount; ++i) clients.push_back(&Connect());
  const Instant began = now();
  world_->Drain(began + seconds(12));
  Pass(seconds(11));
  std::vector<Instant> told;
  for (const SocketEnd* client : clients) {
    ExpectWentAway(*client, began, began + seconds(10));
    if (client->close() != nullptr) told.push_back(client->close()->at);
  }
  std::sort(told.begin(), told.end());
  ASSERT_EQ(told.size(), static_cast<size_t>(kCount));
  EXPECT_LE(told.front() - began, seconds(1) + kSlack);
  EXPECT_GE(told.back() - began, seconds(9) - kSlack);
  EXPECT_TRUE(world_->workers_finished());
  Finish();
}

TEST_F(ProxyDrain, WhenTheDrainIsOverWhatIsLeftIsCutAndWhatHasNoAnswerIsTold) {
  Build(1);
  const Instant began = now();
  RequestPlan& unanswered = Request();
  unanswered.answers[0].kind = AnswerKind::kNever;
  world_->AddClient({&unanswered});
  RequestPlan& inside = Request();
  inside.answers[0] = Answer(AnswerKind::kWhole, Length(20'000));
  inside.answers[0].piece = 1000;
  inside.answers[0].pause = milliseconds(200);
  world_->AddClient({&inside});
  RequestPlan& tunnel = Request();
  tunnel.kind = RequestKind::kUpgrade;
  tunnel.tunnel_bytes = 100;
  tunnel.answers[0].tunnel_cut = 50;
  tunnel.answers[0].tunnel_holds = true;
  tunnel.tunnel_end = TunnelEnd::kCloseWhenEchoed;
  world_->AddClient({&tunnel});
  RequestPlan& passed = Request();
  passed.answers[0].delay = seconds(1);
  world_->AddClient({&passed});
  world_->world().After(milliseconds(500),
                        [this] { world_->control().Drain("a", kFirst, seconds(2), true); });
  Finish();
  ExpectAnswer(unanswered, 503, "drained");
  ExpectTook(unanswered, milliseconds(2480), milliseconds(60));
  EXPECT_EQ(inside.outcome.kind, OutcomeKind::kTruncated);
  EXPECT_EQ(tunnel.outcome.kind, OutcomeKind::kTunnelled);
  EXPECT_LE(tunnel.outcome.ended - began, milliseconds(2600));
  ExpectAnswer(passed, 200);
}

TEST_F(ProxyDrain, ARequestWhoseBackendIsDrainedWhileItConnectsGoesElsewhereWithAllOfItsBody) {
  Build(2);
  world_->world().network().BlackHole(config_.upstreams[0].backends[0].address);
  std::vector<RequestPlan*> requests;
  for (int i = 0; i < 4; ++i) {
    RequestPlan& request = *requests.emplace_back(&Request());
    request.method = "POST";
    request.body = Length(10'000);
    request.piece = 1000;
    request.pause = milliseconds(100);
    world_->AddClient({&request});
  }
  world_->world().After(milliseconds(100),
                        [this] { world_->control().Drain("a", kFirst, milliseconds(300), true); });
  Finish();
  for (const RequestPlan* request : requests) {
    ExpectAnswer(*request, 200);
    EXPECT_EQ(request->backends, std::vector<std::string>{kSecond});
  }
  EXPECT_TRUE(world_->log().lines().find("\"retries\":1") != std::string::npos);
}

TEST_F(ProxyDrain, StickyRequestsGoOnUntilTheDrainIsOver) {
  tune_ = [](config::Config& config) {
    config.upstreams[0].sticky = config::Sticky{"to", std::chrono::hours(1)};
  };
  Build(2);
  const uint64_t hash = balance::StickyHash("a", kFirst);
  const auto request_at = [this](Duration at, const std::string& fields) -> RequestPlan& {
    RequestPlan& request = Request();
    request.fields = fields;
    ConnectionPlan plan;
    plan.start = at;
    plan.requests = {&request};
    world_->AddClient(std::move(plan));
    return request;
  };
  const std::string cookie = absl::StrCat("Cookie: to=", absl::Hex(hash, absl::kZeroPad16), "\r\n");
  // A request that stays, so that the drain does not end before its time.
  RequestPlan& stays = request_at(milliseconds(10), cookie);
  stays.answers[0].delay = milliseconds(2500);
  world_->world().After(milliseconds(500),
                        [this] { world_->control().Drain("a", kFirst, seconds(5), false); });
  RequestPlan& keeps = request_at(seconds(1), cookie);
  RequestPlan& others = request_at(seconds(1), "");
  RequestPlan& too_late = request_at(seconds(7), cookie);
  Finish();
  ExpectAnswer(stays, 200);
  ExpectAnswer(keeps, 200);
  EXPECT_EQ(keeps.backends, std::vector<std::string>{kFirst});
  ExpectAnswer(others, 200);
  EXPECT_EQ(others.backends, std::vector<std::string>{kSecond});
  ExpectAnswer(too_late, 200);
  EXPECT_EQ(too_late.backends, std::vector<std::string>{kSecond});
}

}  // namespace
}  // namespace rondo::sim
