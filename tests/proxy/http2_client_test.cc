// A client's HTTP/2 connection at the real worker: how it begins, how long it stays, how it ends,
// and what its streams count for.
#include "proxy/edge_world.h"
#include "proxy/http2_peer.h"

namespace rondo::proxy::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class Http2ClientTest : public ::testing::Test {
 protected:
  // A connection by prior knowledge, whose settings have been exchanged.
  Http2Peer& Connect() {
    Http2Peer& client = Raw();
    client.Begin();
    EXPECT_TRUE(edge.RunUntil([&] { return client.settings; }));
    return client;
  }
  Http2Peer& Raw() {
    peers.push_back(std::make_unique<Http2Peer>(edge.Connect()));
    return *peers.back();
  }
  // The answer to a whole request.
  Http2Peer::Answer& Ask(Http2Peer& client, const std::string& path = "/") {
    const uint32_t stream = client.Open(Http2Peer::Get(path));
    EXPECT_TRUE(edge.RunUntil([&] { return client.answers[stream].ended; }));
    return client.answers[stream];
  }
  bool Ended(Http2Peer& client, Duration max = seconds(60)) {
    return edge.RunUntil([&] { return client.peer().ended(); }, max);
  }
  // Backends take requests and never answer.
  void HoldBackends() {
    edge.on_backend = [](EdgePeer& peer) { peer.on_bytes = {}; };
  }
  ~Http2ClientTest() override { peers.clear(); }

  EdgeWorld edge;
  std::vector<std::unique_ptr<Http2Peer>> peers;
};

TEST_F(Http2ClientTest, ThePrefaceMayComeInPiecesOfAnySize) {
  edge.Start();
  const std::string all = Http2Peer::Preface();
  for (size_t cut = 1; cut < all.size(); ++cut) {
    SCOPED_TRACE(cut);
    Http2Peer& client = Raw();
    client.acknowledges = false;  // not between the pieces
    client.Send(all.substr(0, cut));
    edge.world.RunFor(milliseconds(20));
    client.Send(all.substr(cut));
    EXPECT_EQ(Ask(client).Field(":status"), "200");
    client.peer().Close();
  }
}

TEST_F(Http2ClientTest, WhatBeginsLikeThePrefaceMayBeAMethod) {
  edge.Start();
  for (const std::string method : {"P", "PR", "PRI", "PRIME", "PATCH"}) {
    for (size_t cut = 1; cut < 4; ++cut) {
      SCOPED_TRACE(method + " " + std::to_string(cut));
      const std::string request = method + " / HTTP/1.1\r\nHost: x\r\n\r\n";
      EdgePeer& client = edge.Connect();
      client.Send(request.substr(0, cut));
      edge.world.RunFor(milliseconds(20));
      client.Send(request.substr(cut));
      ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); }));
      EXPECT_NE(client.received.find(method + " / HTTP/1.1"), std::string::npos);
    }
  }
}

TEST_F(Http2ClientTest, BehindARequestThePrefaceIsARequestOfAVersionThatIsNotSpoken) {
  edge.Start();
  EdgePeer& client = edge.Connect();
  client.Send(EdgeWorld::Get());
  ASSERT_TRUE(edge.RunUntil([&] { return EdgeWorld::Answered(client); }));
  client.received.clear();
  client.Send(Http2Peer::Preface());
  ASSERT_TRUE(edge.RunUntil([&] { return client.ended(); }));
  EXPECT_TRUE(client.received.starts_with("HTTP/1.1 505 ")) << client.received;
}

TEST_F(Http2ClientTest, AClientMayGoAwayAtAnyByte) {
  edge.Start();
  const std::string all = Http2Peer::Preface() +
                          Http2Peer::Frame(Http2Peer::kHeaders, Http2Peer::kWhole, 1,
                                           Http2Peer::Block(Http2Peer::Post())) +
                          Http2Peer::Frame(Http2Peer::kData, 0, 1, "some of the body");
  for (size_t cut = 0; cut <= all.size(); ++cut) {
    for (const bool reset : {false, true}) {
      Http2Peer& client = Raw();
      client.Send(all.substr(0, cut));
      edge.world.RunFor(milliseconds(20));
      if (reset) {
        client.peer().peer.Reset();
      } else {
        client.peer().Close();
      }
    }
  }
  EXPECT_TRUE(edge.RunUntil([&] { return edge.counters.connections.load() == 0; }));
}

TEST_F(Http2ClientTest, ItIsSpokenWhereTheHandshakeSaidSo) {
  tls::ServerSettings settings;
  settings.certificates = {{Parse(EdgeCertificates::Get().server), ""}};
  settings.alpn = {"h2", "http/1.1"};
  settings.ticket_scope = "web";
  edge.server_tls = *tls::ServerSetup::Make(settings, 1, std::make_shared<const tls::TicketKeys>());
  edge.listener().tls.emplace();
  tls::ClientSettings client_settings;
  client_settings.ca = EdgeCertificates::Get().authority.pem();
  client_settings.alpn = {"h2"};
  edge.client_tls = *tls::ClientSetup::Make(client_settings, 1);
  edge.sessions = tls::SessionStore::Make();
  edge.Start();
  Http2Peer client(edge.ConnectSecure());
  client.Begin();
  const Http2Peer::Answer& answer = Ask(client);
  EXPECT_NE(answer.body.find("X-Forwarded-Proto: https\r\n"), std::string::npos) << answer.body;
  edge.world.RunFor(seconds(1));
  EXPECT_NE(edge.log.text.find("\"protocol\":\"HTTP/2.0\""), std::string::npos) << edge.log.text;
  EXPECT_NE(edge.log.text.find("\"alpn\":\"h2\""), std::string::npos) << edge.log.text;
}

TEST_F(Http2ClientTest, StreamsAreNoConnections) {
  edge.config.limits.connections = 1;
  edge.listener().connections_total = 1;
  HoldBackends();
  edge.Start();
  Http2Peer& client = Connect();
  for (int i = 0; i < 10; ++i) client.Open(Http2Peer::Get());
  ASSERT_TRUE(edge.RunUntil([&] { return edge.Cell().http2_streams.value() == 10; }));
  EXPECT_EQ(edge.Cell().http2_connections.value(), 1);
  EXPECT_EQ(edge.Cell().connections.value(), 1);
  EXPECT_EQ(edge.counters.connections.load(), 1u);
  // Its place is taken.
  EdgePeer& second = edge.Connect();
  EXPECT_TRUE(edge.RunUntil([&] { return second.ended(); }));
  client.peer().Close();
  EXPECT_TRUE(edge.RunUntil([&] { return edge.Cell().http2_streams.value() == 0; }));
  EXPECT_TRUE(edge.RunUntil([&] { return edge.Cell().http2_connections.value() == 0; }));
  EXPECT_EQ(edge.counters.connections.load(), 0u);
}

TEST_F(Http2ClientTest, AResetEndsTheRequestAtTheBackendAtOnce) {
  HoldBackends();
  edge.Start();
  Http2Peer& client = Connect();
  for (const bool whole : {true, false}) {
    const size_t before = edge.backends.size();
    const uint32_t stream = client.Open(Http2Peer::Post(), whole);
    if (!whole) client.Data(stream, "some", false);
    ASSERT_TRUE(edge.RunUntil(
        [&] { return edge.backends.size() > before && !edge.backends.back()->received.empty(); }));
    client.Reset(stream);
    EXPECT_TRUE(edge.RunUntil([&] { return edge.backends.back()->ended(); }, seconds(1)));
  }
  EXPECT_EQ(edge.Rejected("client_gone"), 2u);
}

TEST_F(Http2ClientTest, ARefusedHeadIsAnsweredWithItsReason) {
  edge.Start();
  Http2Peer& client = Connect();
  Http2Peer::Fields fields = Http2Peer::Get();
  fields.emplace_back("connection", "close");
  const uint32_t stream = client.Open(fields);
  ASSERT_TRUE(edge.RunUntil([&] { return client.answers[stream].ended; }));
  EXPECT_EQ(client.answers[stream].Field(":status"), "400");
  EXPECT_NE(client.answers[stream].body.find("connection_header"), std::string::npos);
  EXPECT_EQ(edge.Rejected("connection_header"), 1u);
  EXPECT_EQ(Ask(client).Field(":status"), "200");
}

TEST_F(Http2ClientTest, AResetLeavesTheQueueAtOnce) {
  HoldBackends();
  edge.upstream().backends[0].max_connections = 1;
  edge.Start();
  Http2Peer& client = Connect();
  const uint32_t first = client.Open(Http2Peer::Get("/first"));
  ASSERT_TRUE(edge.RunUntil([&] { return edge.backends.size() == 1; }));
  const uint32_t second = client.Open(Http2Peer::Get("/second"));
  edge.world.RunFor(seconds(1));
  client.Reset(second);
  EXPECT_TRUE(edge.RunUntil([&] { return edge.Rejected("client_gone") == 1; }, seconds(1)));
  EXPECT_EQ(edge.backends.size(), 1u);
  EXPECT_FALSE(client.answers[first].ended);
}

// A backend with an answer of `size` bytes.
std::function<void(EdgePeer&)> Answering(size_t size) {
  return [size](EdgePeer& peer) {
    peer.on_bytes = [size](EdgePeer& of) {
      of.Send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n" +
              std::string(size, 'x'));
    };
  };
}

TEST_F(Http2ClientTest, WhoTakesItsAnswerTooSlowlyIsCutAndOthersAreNot) {
  edge.listener().min_rate_response = 1000;
  edge.on_backend = Answering(200'000);
  edge.Start();
  Http2Peer& client = Connect();
  client.acknowledges = false;
  const uint32_t slow = client.Open(Http2Peer::Get());
  const uint32_t even = client.Open(Http2Peer::Get());
  // All of the connection's window is not to be used up by who does not read.
  client.Send(http2::wire::WindowUpdate(0, 1 << 20));
  for (int i = 0; i < 60; ++i) {
    client.Send(http2::wire::WindowUpdate(even, 2000));
    edge.world.RunFor(seconds(1));
  }
  EXPECT_EQ(client.answers[slow].reset, static_cast<int>(http2::ErrorCode::kInternalError));
  EXPECT_EQ(edge.Rejected("client_too_slow"), 1u);
  EXPECT_EQ(client.answers[even].reset, -1);
  EXPECT_GT(client.answers[even].body.size(), 150'000u);
}

TEST_F(Http2ClientTest, WhoSendsItsRequestTooSlowlyIsTold) {
  edge.listener().min_rate_request = 1000;
  edge.Start();
  Http2Peer& client = Connect();
  const uint32_t stream = client.Open(Http2Peer::Post(), false);
  for (int i = 0; i < 15; ++i) {
    client.Data(stream, "too little", false);
    edge.world.RunFor(seconds(1));
  }
  EXPECT_TRUE(client.answers[stream].ended);
  EXPECT_EQ(client.answers[stream].Field(":status"), "408");
  EXPECT_NE(client.answers[stream].body.find("request_too_slow"), std::string::npos);
}

// What both have to say may come at any time, as long as somebody says something.
TEST_F(Http2ClientTest, ACallThatStreamsBothWaysMayBeSilentOnOneSide) {
  EdgePeer* backend = nullptr;
  edge.on_backend = [&backend](EdgePeer& peer) {
    peer.on_bytes = [&backend](EdgePeer& of) { backend = &of; };
  };
  edge.config.timeouts.request_body = seconds(5);
  edge.Start();
  Http2Peer& client = Connect();
  const uint32_t stream = client.Open(Http2Peer::Post(), false);
  client.Data(stream, "first", false);
  ASSERT_TRUE(edge.RunUntil([&] { return backend != nullptr; }));
  backend->Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 20; ++i) {
    edge.world.RunFor(seconds(2));
    backend->Send("1\r\n.\r\n");
  }
  client.Data(stream, "last", true);
  ASSERT_TRUE(edge.RunUntil([&] { return backend->received.ends_with("4\r\nlast\r\n0\r\n\r\n"); }))
      << backend->received;
  backend->Send("0\r\n\r\n");
  ASSERT_TRUE(edge.RunUntil([&] { return client.answers[stream].ended; }));
  EXPECT_EQ(client.answers[stream].body, std::string(20, '.'));
}

// -- its time --

TEST_F(Http2ClientTest, WithoutStreamsItIsClosedAfterKeepalive) {
  edge.config.timeouts.keepalive = seconds(7);
  edge.Start();
  Http2Peer& client = Connect();
  edge.world.RunFor(seconds(6));
  Ask(client);
  const Instant asked = edge.world.now();
  ASSERT_TRUE(edge.RunUntil([&] { return !client.goaways.empty(); }));
  EXPECT_GE(edge.world.now() - asked, seconds(7) - milliseconds(10));
  EXPECT_LE(edge.world.now() - asked, seconds(7) + milliseconds(50));
  ASSERT_TRUE(Ended(client, seconds(2)));
  EXPECT_EQ(client.goaways.back(), std::make_pair(1u, 0u));
}

TEST_F(Http2ClientTest, AStreamKeepsItWhileItTakes) {
  edge.config.timeouts.keepalive = seconds(2);
  HoldBackends();
  edge.Start();
  Http2Peer& client = Connect();
  const uint32_t stream = client.Open(Http2Peer::Get());
  edge.world.RunFor(seconds(30));
  EXPECT_TRUE(client.goaways.empty());
  EXPECT_FALSE(client.answers[stream].ended);
  client.Reset(stream);
  ASSERT_TRUE(Ended(client, seconds(4)));
}

TEST_F(Http2ClientTest, WhoSaysNothingBehindThePrefaceIsNotWaitedForLong) {
  edge.config.timeouts.request_header = seconds(3);
  edge.Start();
  Http2Peer& client = Raw();
  client.acknowledges = false;
  client.Send(http2::kPreface);
  EXPECT_FALSE(Ended(client, milliseconds(2900)));
  EXPECT_TRUE(Ended(client, seconds(3)));
}

TEST_F(Http2ClientTest, AHeadThatDoesNotEndEndsTheConnection) {
  edge.config.timeouts.request_header = seconds(3);
  HoldBackends();
  edge.Start();
  for (const bool leaving : {false, true}) {
    SCOPED_TRACE(leaving);
    Http2Peer& client = Connect();
    const uint32_t held = client.Open(Http2Peer::Get());
    edge.world.RunFor(seconds(1));
    if (leaving) edge.worker->RequestDrain(edge.world.now() + seconds(30));
    ASSERT_TRUE(edge.RunUntil([&] { return client.goaways.size() == (leaving ? 2u : 0u); }));
    client.Send(Http2Peer::Frame(Http2Peer::kHeaders, Http2Peer::kEnd, 3,
                                 Http2Peer::Block(Http2Peer::Get())));
    ASSERT_TRUE(Ended(client, seconds(5)));
    EXPECT_EQ(edge.Rejected("request_header_timeout"), leaving ? 2u : 1u);
    EXPECT_EQ(client.goaways.back().second,
              static_cast<uint32_t>(http2::ErrorCode::kEnhanceYourCalm));
    EXPECT_EQ(client.goaways.size(), leaving ? 3u : 1u);
    EXPECT_FALSE(client.answers[held].ended);
  }
}

TEST_F(Http2ClientTest, WhoReadsNothingIsNotWaitedForLong) {
  edge.config.timeouts.request_body = seconds(3);
  edge.config.timeouts.keepalive = seconds(600);
  edge.Start();
  Http2Peer& client = Connect();
  // Open windows, but nobody takes what comes.
  client.Send(Http2Peer::Frame(Http2Peer::kSettings, 0, 0,
                               std::string("\0\4", 2) + Http2Peer::Number(1 << 30)));
  client.Send(http2::wire::WindowUpdate(0, 1 << 30));
  client.peer().peer.PauseReading();
  edge.on_backend = [](EdgePeer& peer) {
    peer.on_bytes = [](EdgePeer& of) {
      const std::string body(8 << 20, 'x');
      of.Send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
              body);
    };
  };
  client.Open(Http2Peer::Get());
  EXPECT_TRUE(edge.RunUntil([&] { return edge.counters.connections.load() == 0; }, seconds(90)));
}

TEST_F(Http2ClientTest, AnOldOneIsDrained) {
  edge.listener().http2.max_age = seconds(100);
  edge.config.timeouts.keepalive = seconds(600);
  edge.Start();
  Http2Peer& client = Connect();
  const Instant began = edge.world.now();
  ASSERT_TRUE(edge.RunUntil([&] { return !client.goaways.empty(); }, seconds(200)));
  EXPECT_GE(edge.world.now() - began, seconds(89));
  EXPECT_LE(edge.world.now() - began, seconds(101));
  EXPECT_TRUE(Ended(client, seconds(2)));
}

// -- drains --

TEST_F(Http2ClientTest, ADrainLetsStreamsEnd) {
  std::vector<EdgePeer*> held;
  edge.on_backend = [&held](EdgePeer& peer) {
    peer.on_bytes = [&held](EdgePeer& of) { held.push_back(&of); };
  };
  edge.Start();
  Http2Peer& client = Connect();
  const uint32_t first = client.Open(Http2Peer::Get());
  ASSERT_TRUE(edge.RunUntil([&] { return held.size() == 1; }));
  edge.worker->RequestDrain(edge.world.now() + seconds(30));
  ASSERT_TRUE(edge.RunUntil([&] { return !client.goaways.empty(); }));
  EXPECT_EQ(client.goaways[0], std::make_pair(0x7fffffffu, 0u));
  EXPECT_FALSE(client.peer().ended());
  ASSERT_TRUE(edge.RunUntil([&] { return client.goaways.size() > 1; }));
  EXPECT_EQ(client.goaways[1], std::make_pair(first, 0u));
  edge.world.RunFor(seconds(20));
  EXPECT_FALSE(edge.worker->finished());
  held[0]->Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
  ASSERT_TRUE(Ended(client, seconds(3)));
  EXPECT_EQ(client.answers[first].body, "hi");
  EXPECT_TRUE(edge.RunUntil([&] { return edge.worker->finished(); }, seconds(3)));
}

TEST_F(Http2ClientTest, WhoHasAskedNothingMayAskOnceWhileItDrains) {
  edge.Start();
  Http2Peer& asks = Connect();
  Http2Peer& silent = Connect();
  edge.worker->RequestDrain(edge.world.now() + seconds(30));
  edge.world.RunFor(seconds(2));
  EXPECT_TRUE(asks.goaways.empty());
  EXPECT_EQ(Ask(asks).Field(":status"), "200");
  EXPECT_TRUE(Ended(asks, seconds(2)));
  EXPECT_FALSE(silent.peer().ended());
  EXPECT_TRUE(Ended(silent, seconds(6)));
  EXPECT_TRUE(edge.RunUntil([&] { return edge.worker->finished(); }, seconds(3)));
}

TEST_F(Http2ClientTest, WhoDoesNotAnswerAGoawayIsNotWaitedFor) {
  edge.Start();
  Http2Peer& client = Connect();
  Ask(client);
  client.acknowledges = false;
  client.peer().peer.PauseReading();
  edge.worker->RequestDrain(edge.world.now() + seconds(30));
  EXPECT_TRUE(edge.RunUntil([&] { return edge.worker->finished(); }, seconds(15)));
}

TEST_F(Http2ClientTest, TheEndOfTheGraceCutsWhatIsLeft) {
  HoldBackends();
  edge.Start();
  Http2Peer& client = Connect();
  const uint32_t stream = client.Open(Http2Peer::Get());
  edge.world.RunFor(seconds(1));
  edge.worker->RequestDrain(edge.world.now() + seconds(5));
  edge.world.RunFor(seconds(5));
  EXPECT_FALSE(edge.worker->finished());
  edge.worker->RequestCancel();
  EXPECT_TRUE(edge.RunUntil([&] { return edge.worker->finished(); }, seconds(3)));
  EXPECT_FALSE(client.answers[stream].ended);
}

// -- gRPC --

TEST_F(Http2ClientTest, FailuresOfCallsAreToldAsGrpcTellsThem) {
  edge.listener().routes[0].match.path_prefix = "/known";
  edge.Start();
  Http2Peer& client = Connect();
  Http2Peer::Fields call = Http2Peer::Post("/pkg.Service/Call");
  call.emplace_back("content-type", "application/grpc");
  const uint32_t stream = client.Open(call, false);
  ASSERT_TRUE(edge.RunUntil([&] { return client.answers[stream].ended; }));
  const Http2Peer::Answer& answer = client.answers[stream];
  EXPECT_EQ(answer.Field(":status"), "200");
  EXPECT_EQ(answer.Field("content-type"), "application/grpc");
  EXPECT_EQ(answer.Field("grpc-status"), "12");
  EXPECT_TRUE(answer.Field("grpc-message").starts_with("no_route: "));
  EXPECT_EQ(answer.body, "");
  EXPECT_EQ(edge.Rejected("no_route"), 1u);
  edge.world.RunFor(seconds(1));
  EXPECT_NE(edge.log.text.find("\"status\":404"), std::string::npos) << edge.log.text;
}

TEST_F(Http2ClientTest, ACallIsGivenUpWhenItsClientHasGivenItUp) {
  HoldBackends();
  edge.listener().routes[0].timeout_total = seconds(20);
  edge.Start();
  Http2Peer& client = Connect();
  const struct {
    std::string timeout;
    Duration least;
    const char* reason;
  } cases[] = {{"2S", seconds(2), "grpc_timeout"},
               {"1M", seconds(20), "total_timeout"},
               {"soon", seconds(20), "total_timeout"}};
  for (const auto& [timeout, least, reason] : cases) {
    SCOPED_TRACE(timeout);
    Http2Peer::Fields call = Http2Peer::Post();
    call.emplace_back("content-type", "application/grpc+proto");
    call.emplace_back("grpc-timeout", timeout);
    const Instant began = edge.world.now();
    const uint32_t stream = client.Open(call);
    ASSERT_TRUE(edge.RunUntil([&] { return client.answers[stream].ended; }));
    EXPECT_EQ(client.answers[stream].Field("grpc-status"), "4");
    EXPECT_TRUE(client.answers[stream].Field("grpc-message").starts_with(reason));
    EXPECT_GE(edge.world.now() - began, least);
    EXPECT_LE(edge.world.now() - began, least + milliseconds(200));
  }
}

}  // namespace
}  // namespace rondo::proxy::testing
