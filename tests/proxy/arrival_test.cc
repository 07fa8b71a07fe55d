// How connections are let in: PROXY headers and TLS handshakes, whole, in pieces, late, cut, and
// while the process ends.
#include "proxy/edge_world.h"

namespace rondo::proxy::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kHeader = "PROXY TCP4 198.51.100.9 203.0.113.1 5555 443\r\n";

class WithHeader : public ::testing::Test {
 protected:
  WithHeader() {
    edge.TrustClients();
    edge.listener().proxy_protocol = true;
  }
  EdgeWorld edge;
};

TEST_F(WithHeader, TheSourceIsTheClient) {
  edge.Start();
  EdgePeer& client = edge.Connect();
  client.Send(kHeader + EdgeWorld::Get());
  ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); }));
  EXPECT_NE(client.received.find("X-Forwarded-For: 198.51.100.9\r\n"), std::string::npos)
      << client.received;
  EXPECT_NE(client.received.find("X-Real-IP: 198.51.100.9\r\n"), std::string::npos);
}

TEST_F(WithHeader, ItMayComeInPiecesOfAnySize) {
  edge.Start();
  const std::string all = kHeader + EdgeWorld::Get();
  for (size_t cut = 1; cut < all.size(); ++cut) {
    SCOPED_TRACE(cut);
    EdgePeer& client = edge.Connect();
    client.Send(all.substr(0, cut));
    edge.world.RunFor(milliseconds(20));
    client.Send(all.substr(cut));
    ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); }));
    EXPECT_NE(client.received.find("198.51.100.9"), std::string::npos);
    client.Close();
  }
}

TEST_F(WithHeader, AClientMayGoAwayAtAnyByte) {
  edge.Start();
  const std::string all = kHeader;
  for (size_t cut = 0; cut <= all.size(); ++cut) {
    for (const bool reset : {false, true}) {
      EdgePeer& client = edge.Connect();
      client.Send(all.substr(0, cut));
      edge.world.RunFor(milliseconds(20));
      if (reset) {
        client.peer.Reset();
      } else {
        client.Close();
      }
    }
  }
  ASSERT_TRUE(edge.RunUntil([&] { return edge.counters.connections.load() == 0; }));
  // Who said nothing is no offence.
  EXPECT_EQ(edge.Rejected("proxy_header_malformed"), 2 * (all.size() - 1));
  EXPECT_EQ(edge.Rejected("proxy_header_timeout"), 0u);
}

TEST_F(WithHeader, ATrustedPeerThatSendsNoneIsClosed) {
  edge.Start();
  EdgePeer& client = edge.Connect();
  client.Send(EdgeWorld::Get());
  ASSERT_TRUE(edge.RunUntil([&] { return client.ended(); }));
  EXPECT_EQ(client.received, "");
  EXPECT_EQ(edge.Rejected("proxy_header_missing"), 1u);
  EXPECT_TRUE(edge.backends.empty());
}

TEST_F(WithHeader, OneThatIsLateIsClosedInTime) {
  edge.Start();
  EdgePeer& silent = edge.Connect();
  EdgePeer& slow = edge.Connect();
  const Instant began = edge.world.now();
  const std::string all = kHeader;
  for (size_t i = 0; i + 1 < all.size() && !slow.ended(); ++i) {
    slow.Send(all.substr(i, 1));
    edge.world.RunFor(milliseconds(100));
  }
  ASSERT_TRUE(edge.RunUntil([&] { return silent.ended() && slow.ended(); }));
  EXPECT_GE(edge.world.now() - began, seconds(3) - milliseconds(50));
  EXPECT_LE(edge.world.now() - began, seconds(5));
  EXPECT_EQ(edge.Rejected("proxy_header_timeout"), 2u);
}

TEST_F(WithHeader, OthersAreServedAsTheyAre) {
  edge.listener().trusted_proxies = {*Network::Parse("10.9.0.0/16")};
  edge.Start();
  EdgePeer& client = edge.Connect();
  client.Send(EdgeWorld::Get());
  ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); }));
  EXPECT_NE(client.received.find(std::string("X-Real-IP: ") + EdgeWorld::kClient),
            std::string::npos);
  // A header of theirs is no request.
  EdgePeer& liar = edge.Connect();
  liar.Send(kHeader + EdgeWorld::Get());
  ASSERT_TRUE(edge.RunUntil([&] { return liar.ended(); }));
  EXPECT_TRUE(liar.received.starts_with("HTTP/1.1 400 "));
}

constexpr std::string_view kLocal("\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", 16);
constexpr std::string_view kUnspecified("\r\n\r\n\0\r\nQUIT\n\x21\0\0\0", 16);
constexpr std::string_view kUnknown = "PROXY UNKNOWN\r\n";

TEST_F(WithHeader, AConnectionOfTheProxysOwnIsThatPeers) {
  edge.Start();
  EdgePeer& client = edge.Connect();
  client.Send(kLocal);
  client.Send(EdgeWorld::Get());
  ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); }));
  EXPECT_NE(client.received.find(std::string("X-Real-IP: ") + EdgeWorld::kClient),
            std::string::npos);
}

TEST_F(WithHeader, AClientThatTheProxyDoesNotKnowIsNotTheProxy) {
  edge.Start();
  for (const std::string_view header : {kUnspecified, kUnknown}) {
    EdgePeer& client = edge.Connect();
    client.Send(header);
    client.Send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.77\r\n\r\n");
    ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); }));
    EXPECT_EQ(client.received.find("203.0.113.77"), std::string::npos) << client.received;
    EXPECT_EQ(client.received.find("X-Forwarded-For"), std::string::npos);
    EXPECT_EQ(client.received.find("X-Real-IP"), std::string::npos);
  }
  edge.world.RunFor(seconds(1));
  EXPECT_NE(edge.log.text.find("\"client\":\"unknown\""), std::string::npos) << edge.log.text;
}

TEST_F(WithHeader, AListOfThoseWhoMayComeDoesNotLetInWhomNobodyKnows) {
  edge.listener().allow = {*Network::Parse("192.0.2.0/24"), *Network::Parse("203.0.113.0/24")};
  edge.Start();
  for (const std::string_view header : {kLocal, kUnspecified, kUnknown}) {
    EdgePeer& client = edge.Connect();
    client.Send(header);
    client.Send("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.77\r\n\r\n");
    ASSERT_TRUE(edge.RunUntil([&] { return client.received.starts_with("HTTP/1.1 "); }));
    EXPECT_TRUE(client.received.starts_with(header == kLocal ? "HTTP/1.1 200" : "HTTP/1.1 403"))
        << client.received;
  }
}

TEST_F(WithHeader, TheSourceIsBelievedOnlyWhereItIsTrustedItself) {
  edge.Start();
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.77\r\n\r\n";
  EdgePeer& stranger = edge.Connect();
  stranger.Send(kHeader + request);
  EdgePeer& proxy = edge.Connect();
  proxy.Send("PROXY TCP4 192.0.2.99 203.0.113.1 5555 443\r\n" + request);
  ASSERT_TRUE(
      edge.RunUntil([&] { return EdgeWorld::Answered(stranger) && EdgeWorld::Answered(proxy); }));
  EXPECT_NE(stranger.received.find("X-Real-IP: 198.51.100.9"), std::string::npos);
  EXPECT_NE(proxy.received.find("X-Real-IP: 203.0.113.77"), std::string::npos);
}

TEST_F(WithHeader, TheSourceIsWhoIsDenied) {
  edge.listener().deny = {*Network::Parse("198.51.100.0/24")};
  edge.Start();
  EdgePeer& client = edge.Connect();
  client.Send(kHeader + EdgeWorld::Get());
  ASSERT_TRUE(edge.RunUntil([&] { return client.ended(); }));
  EXPECT_EQ(client.received, "");
  EXPECT_EQ(edge.Rejected("denied"), 1u);
}

TEST_F(WithHeader, AnEndingProcessServesWhoIsOnTheWayIn) {
  edge.Start();
  EdgePeer& client = edge.Connect();
  const std::string all = kHeader + EdgeWorld::Get();
  client.Send(all.substr(0, 20));
  edge.world.RunFor(milliseconds(50));
  edge.worker->RequestDrain();
  edge.world.RunFor(milliseconds(500));
  EXPECT_FALSE(edge.worker->finished());
  client.Send(all.substr(20));
  ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); }));
  EXPECT_NE(client.received.find("Connection: close"), std::string::npos);
  EXPECT_TRUE(edge.RunUntil([&] { return edge.worker->finished(); }));
}

TEST_F(WithHeader, TheEndOfTheGraceCutsWhoIsOnTheWayIn) {
  edge.Start();
  EdgePeer& client = edge.Connect();
  client.Send("PROXY TCP4 ");
  edge.world.RunFor(milliseconds(50));
  edge.worker->RequestDrain();
  edge.world.RunFor(milliseconds(50));
  edge.worker->RequestCancel();
  EXPECT_TRUE(edge.RunUntil([&] { return edge.worker->finished(); }, seconds(1)));
}

class WithTls : public ::testing::Test {
 protected:
  WithTls() { edge.server_tls = ServerWith(EdgeCertificates::Get().server); }
  EdgeWorld edge;
};

TEST_F(WithTls, RequestsComeAndAnswersGo) {
  edge.Start();
  EdgePeer& client = edge.ConnectSecure();
  client.Send(EdgeWorld::Get());
  ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); }));
  EXPECT_TRUE(client.secured());
  EXPECT_TRUE(client.received.starts_with("HTTP/1.1 200 OK\r\n"));
  EXPECT_EQ(edge.Cell().handshakes.value(), 1u);
  EXPECT_EQ(edge.Cell().handshakes_under_way.value(), 0);
  // One more on the same connection, and a second connection that resumes.
  client.received.clear();
  client.Send(EdgeWorld::Get("/2"));
  ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); }));
  EdgePeer& again = edge.ConnectSecure();
  again.Send(EdgeWorld::Get());
  ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(again); }));
  EXPECT_TRUE(again.result().resumed);
  EXPECT_EQ(edge.Cell().resumed_handshakes.value(), 1u);
  edge.world.RunFor(seconds(1));
  EXPECT_NE(edge.log.text.find("\"tls\":{\"version\":\"1.3\",\"cipher\":\""), std::string::npos)
      << edge.log.text;
  EXPECT_NE(edge.log.text.find("\"sni\":\"edge.test\""), std::string::npos);
  EXPECT_NE(edge.log.text.find("\"resumed\":true"), std::string::npos);
}

TEST_F(WithTls, AHeaderMayComeInFrontOfIt) {
  edge.TrustClients();
  edge.listener().proxy_protocol = true;
  edge.Start();
  for (const bool together : {true, false}) {
    EdgePeer& client = edge.Connect();
    client.Send(kHeader);
    if (!together) edge.world.RunFor(milliseconds(50));
    client.Shake(edge.ClientHandshake());
    client.Send(EdgeWorld::Get());
    ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); }));
    EXPECT_NE(client.received.find("X-Real-IP: 198.51.100.9"), std::string::npos);
    // It keeps both: who it is from, and how it is protected.
    edge.world.RunFor(seconds(1));
    EXPECT_NE(edge.log.text.find("\"client\":\"198.51.100.9\""), std::string::npos);
  }
}

// Sends only the first `bytes` of what a client says in its first flight.
std::string FirstFlight(EdgeWorld& edge) {
  const auto handshake = edge.ClientHandshake();
  size_t consumed = 0;
  EXPECT_EQ(handshake->Advance({}, &consumed), tls::Handshake::Step::kNeedMore);
  return std::string(handshake->output());
}

TEST_F(WithTls, AClientMayGoAwayAtAnyByte) {
  edge.Start();
  const std::string hello = FirstFlight(edge);
  ASSERT_GT(hello.size(), 100u);
  size_t tried = 0;
  for (size_t cut = 0; cut <= hello.size(); cut += cut < 12 ? 1 : 13) {
    for (const bool reset : {false, true}) {
      EdgePeer& client = edge.Connect();
      client.Send(hello.substr(0, cut));
      edge.world.RunFor(milliseconds(5));
      if (reset) {
        client.peer.Reset();
      } else {
        client.Close();
      }
      ++tried;
    }
  }
  ASSERT_TRUE(edge.RunUntil([&] { return edge.counters.connections.load() == 0; }));
  EXPECT_EQ(edge.HandshakeFailures("client_gone"), tried);
  // And who stays is served.
  EdgePeer& client = edge.ConnectSecure();
  client.Send(EdgeWorld::Get());
  EXPECT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); }));
}

TEST_F(WithTls, OneThatIsLateIsClosedInTime) {
  edge.Start();
  const std::string hello = FirstFlight(edge);
  const Instant began = edge.world.now();
  std::vector<EdgePeer*> late;
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{50}, hello.size() - 1, hello.size()}) {
    late.push_back(&edge.Connect());
    late.back()->Send(hello.substr(0, bytes));
  }
  ASSERT_TRUE(edge.RunUntil([&] {
    for (const EdgePeer* each : late) {
      if (!each->ended()) return false;
    }
    return true;
  }));
  EXPECT_GE(edge.world.now() - began, seconds(3));
  EXPECT_LE(edge.world.now() - began, seconds(4));
  EXPECT_EQ(edge.HandshakeFailures("handshake_timeout"), late.size());
}

TEST_F(WithTls, WhatIsNoTlsIsToldSoAndClosed) {
  edge.Start();
  EdgePeer& client = edge.Connect();
  client.Send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  ASSERT_TRUE(edge.RunUntil([&] { return client.ended(); }));
  EXPECT_FALSE(client.reset());
  EXPECT_EQ(edge.HandshakeFailures("not_tls"), 1u);
}

TEST_F(WithTls, AClientThatDoesNotTrustUsSaysSo) {
  edge.Start();
  edge.client_tls = ClientTrusting(EdgeCertificates::Get().other.pem());
  edge.sessions = tls::SessionStore::Make();
  EdgePeer& client = edge.ConnectSecure();
  ASSERT_TRUE(
      edge.RunUntil([&] { return client.failure != "" && edge.counters.connections == 0; }));
  EXPECT_EQ(edge.HandshakeFailures("peer_alert"), 1u);
}

TEST_F(WithTls, MoreThanTheLimitAtOnceAreClosedAtOnce) {
  edge.config.limits.handshakes = 2;
  edge.Start();
  EdgePeer& first = edge.Connect();
  EdgePeer& second = edge.Connect();
  for (EdgePeer* each : {&first, &second}) each->BeginShake(edge.ClientHandshake(), 9);
  edge.world.RunFor(milliseconds(50));
  EXPECT_EQ(edge.Cell().handshakes_under_way.value(), 2);
  EdgePeer& third = edge.Connect();
  third.Send(FirstFlight(edge).substr(0, 1));
  ASSERT_TRUE(edge.RunUntil([&] { return third.ended(); }, seconds(1)));
  EXPECT_EQ(edge.Rejected("handshake_limit"), 1u);
  // Those under way are not harmed, and when they are through there is room again.
  for (EdgePeer* each : {&first, &second}) {
    each->FinishShake();
    each->Send(EdgeWorld::Get());
    ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(*each); }));
  }
  EdgePeer& fourth = edge.ConnectSecure();
  fourth.Send(EdgeWorld::Get());
  EXPECT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(fourth); }));
}

TEST_F(WithTls, ThoseThatSayNothingTakeNoPlaceOfIt) {
  edge.config.limits.handshakes = 1;
  edge.Start();
  std::vector<EdgePeer*> silent;
  for (int i = 0; i < 5; ++i) silent.push_back(&edge.Connect());
  edge.world.RunFor(milliseconds(50));
  EXPECT_EQ(edge.Cell().handshakes_under_way.value(), 0);
  EdgePeer& client = edge.ConnectSecure();
  client.Send(EdgeWorld::Get());
  ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); }, seconds(1)));
  EXPECT_EQ(edge.Rejected("handshake_limit"), 0u);
  // They have the same time as all.
  for (const EdgePeer* each : silent) EXPECT_FALSE(each->ended());
  ASSERT_TRUE(
      edge.RunUntil([&] { return edge.HandshakeFailures("handshake_timeout") == 5; }, seconds(4)));
}

TEST_F(WithTls, AFloodOfThemIsWorkedOff) {
  edge.Start();
  std::vector<EdgePeer*> flood;
  for (int i = 0; i < 40; ++i) {
    edge.clients.push_back(std::make_unique<EdgePeer>(edge.world, *edge.client_engine));
    EdgePeer* client = edge.clients.back().get();
    client->peer.on_connected = [this, client] { client->Shake(edge.ClientHandshake()); };
    client->peer.Connect(Address(EdgeWorld::kListen));
    client->on_bytes = nullptr;
    flood.push_back(client);
  }
  ASSERT_TRUE(edge.RunUntil([&] {
    for (const EdgePeer* each : flood) {
      if (!each->secured()) return false;
    }
    return true;
  }));
  for (EdgePeer* each : flood) each->Send(EdgeWorld::Get());
  ASSERT_TRUE(edge.RunUntil([&] {
    for (const EdgePeer* each : flood) {
      if (!EdgeWorld::Answered(*each)) return false;
    }
    return true;
  }));
}

TEST_F(WithTls, AnEndingProcessServesWhoShakesHands) {
  edge.Start();
  EdgePeer& client = edge.Connect();
  edge.world.RunFor(milliseconds(50));
  edge.worker->RequestDrain();
  edge.world.RunFor(milliseconds(200));
  EXPECT_FALSE(edge.worker->finished());
  client.Shake(edge.ClientHandshake());
  client.Send(EdgeWorld::Get());
  ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); }));
  EXPECT_NE(client.received.find("Connection: close"), std::string::npos);
  ASSERT_TRUE(edge.RunUntil([&] { return edge.worker->finished(); }));
  EXPECT_TRUE(client.said_close);
}

TEST_F(WithTls, TheEndOfTheGraceCutsWhoShakesHands) {
  edge.Start();
  const std::string hello = FirstFlight(edge);
  for (const size_t bytes : {size_t{0}, size_t{7}, hello.size()}) {
    edge.Connect().Send(hello.substr(0, bytes));
  }
  edge.world.RunFor(milliseconds(50));
  edge.worker->RequestDrain();
  edge.world.RunFor(milliseconds(50));
  EXPECT_FALSE(edge.worker->finished());
  edge.worker->RequestCancel();
  EXPECT_TRUE(edge.RunUntil([&] { return edge.worker->finished(); }, seconds(1)));
  EXPECT_EQ(edge.HandshakeFailures("shutdown"), 3u);
}

TEST_F(WithTls, TunnelsKeepWhatIsKnownOfTheirClients) {
  edge.on_backend = [](EdgePeer& backend) {
    backend.on_bytes = [](EdgePeer& of) {
      if (of.received.ends_with("\r\n\r\n")) {
        of.Send(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
            "Upgrade\r\n\r\n");
      }
    };
  };
  edge.Start();
  EdgePeer& client = edge.ConnectSecure();
  client.Send(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
  ASSERT_TRUE(edge.RunUntil([&] { return client.received.starts_with("HTTP/1.1 101"); }));
  client.Close();
  ASSERT_TRUE(edge.RunUntil([&] { return edge.counters.connections.load() == 0; }));
  edge.world.RunFor(seconds(1));
  EXPECT_NE(edge.log.text.find("\"tls\":{\"version\":\"1.3\""), std::string::npos) << edge.log.text;
}

TEST(Arrival, HoldsUnderEveryKindOfTrouble) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    SCOPED_TRACE(seed);
    Rng rng(seed);
    sim::FaultPlan faults = sim::FaultPlan::Draw(rng);
    // Connections have to be made for the rest to be seen.
    faults.refuse_connect = faults.lose_connect = faults.reset_connection = 0;
    faults.accept_fails = faults.open_fails = 0;
    EdgeWorld edge(seed, faults);
    edge.TrustClients();
    edge.listener().proxy_protocol = true;
    edge.config.timeouts.handshake = seconds(60);
    edge.server_tls = ServerWith(EdgeCertificates::Get().server);
    edge.Start();
    EdgePeer& client = edge.Connect();
    client.Send(kHeader);
    client.Shake(edge.ClientHandshake());
    client.Send(EdgeWorld::Get());
    EXPECT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); }, seconds(120)))
        << faults.ToString() << client.received;
  }
}

}  // namespace
}  // namespace rondo::proxy::testing
