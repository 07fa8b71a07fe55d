// Exchanges that nobody waits for any more, because both sides have fallen silent or the client has
// given up: whatever they are in the middle of, they end, and at once.
#include "proxy/edge_world.h"
#include "proxy/http2_peer.h"

namespace rondo::proxy::testing {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint64_t kSeeds = 60;
constexpr char kStreamsUp[] =
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n";
constexpr char kPiece[] = "1\r\n.\r\n";

// -- both deadlines in one moment --

// A call that streams both ways, whose sides are waited for as long as each other.
struct CallWorld {
  explicit CallWorld(uint64_t seed, const sim::FaultPlan& faults = {}) : edge(seed, faults) {
    edge.config.timeouts.request_body = seconds(5);
    edge.upstream().timeouts.idle = seconds(5);
  }
  // A backend was asked once as many bytes have come.
  void Start(size_t least) {
    edge.on_backend = [this, least](EdgePeer& peer) {
      peer.on_bytes = [this, least](EdgePeer& of) {
        if (of.received.size() >= least) backend = &of;
      };
    };
    edge.Start();
  }
  bool Asked() {
    return edge.RunUntil([this] { return backend != nullptr; });
  }
  EdgeWorld edge;
  EdgePeer* backend = nullptr;
};

TEST(GivingUp, WhenBothSidesFallSilentAtOnceTheCallEnds) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    CallWorld world(seed);
    world.Start(1);
    EdgePeer& client = world.edge.Connect();
    client.Send(kStreamsUp);
    ASSERT_TRUE(world.Asked());
    world.backend->Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n.\r\n");
    world.edge.world.RunFor(seconds(1));
    client.Send("1\r\nx\r\n");
    world.backend->Send(kPiece);
    EXPECT_TRUE(world.edge.RunUntil([&] { return client.ended(); }, seconds(12)));
  }
}

TEST(GivingUp, WhenBothSidesFallSilentAtOnceTheStreamEnds) {
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    CallWorld world(seed);
    world.edge.upstream().protocol = config::Protocol::kH2c;
    world.Start(http2::kPrefaceBytes + 40);
    Http2Peer client(world.edge.Connect());
    client.Begin();
    ASSERT_TRUE(world.edge.RunUntil([&] { return client.settings; }));
    const uint32_t stream = client.Open(Http2Peer::Post(), false);
    client.Data(stream, "first", false);
    ASSERT_TRUE(world.Asked());
    world.backend->Send(Http2Peer::Frame(Http2Peer::kSettings, 0, 0) +
                        Http2Peer::Frame(Http2Peer::kHeaders, Http2Peer::kWhole, 1,
                                         Http2Peer::Block({{":status", "200"}})));
    world.edge.world.RunFor(seconds(1));
    client.Data(stream, "last", false);
    world.backend->Send(Http2Peer::Frame(Http2Peer::kData, 0, 1, "x"));
    EXPECT_TRUE(
        world.edge.RunUntil([&] { return client.answers[stream].reset >= 0; }, seconds(12)));
  }
}

// Bytes may be quicker than the cancel of the wait for them.
TEST(GivingUp, WhatComesInTheMomentOfItsDeadlineIsInTimeOrLateAndNobodyElsesFault) {
  sim::FaultPlan faults;
  faults.late_cancel = 1;
  size_t in_time = 0;
  for (uint64_t seed = 1; seed <= kSeeds; ++seed) {
    SCOPED_TRACE(seed);
    CallWorld world(seed, faults);
    world.Start(1);
    EdgePeer& client = world.edge.Connect();
    client.Send(kStreamsUp);
    ASSERT_TRUE(world.Asked());
    world.edge.world.RunFor(seconds(5) - milliseconds(1) + microseconds(seed * 50));
    client.Send("1\r\ny\r\n0\r\n\r\n");
    const auto passed_on = [&] { return world.backend->received.ends_with("0\r\n\r\n"); };
    const auto told = [&] { return client.received.find("\r\n\r\n") != std::string::npos; };
    ASSERT_TRUE(world.edge.RunUntil([&] { return passed_on() || told(); }, seconds(12)));
    const bool late = !passed_on();
    if (!late) world.backend->Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    ASSERT_TRUE(world.edge.RunUntil(told, seconds(12)));
    EXPECT_TRUE(client.received.starts_with(late ? "HTTP/1.1 408 " : "HTTP/1.1 200 "))
        << client.received;
    in_time += late ? 0 : 1;
  }
  EXPECT_GT(in_time, 0u);
  EXPECT_LT(in_time, kSeeds);
}

// -- streams that are given up while a piece of their body is held --

enum class Way : uint8_t { kReset, kLost };

class HeldPiece : public ::testing::TestWithParam<Way> {
 protected:
  Http2Peer& Connect() {
    peers.push_back(std::make_unique<Http2Peer>(edge.Connect()));
    Http2Peer& client = *peers.back();
    client.Begin();
    EXPECT_TRUE(edge.RunUntil([&] { return client.settings; }));
    return client;
  }
  void GiveUp(Http2Peer& client, uint32_t stream) {
    switch (GetParam()) {
      case Way::kReset:
        return client.Reset(stream);
      case Way::kLost:
        return client.peer().peer.Reset();
    }
  }
  // More than anybody buffers for a backend that reads nothing.
  void SendMuch(Http2Peer& client, uint32_t stream) {
    for (int i = 0; i < 200; ++i) client.Data(stream, std::string(16 * 1024, 'x'), false);
  }
  void OpenWindows() {
    edge.listener().http2.stream_window = edge.listener().http2.connection_window = 8 << 20;
  }
  bool HeardOf(std::string_view reason) {
    return edge.RunUntil([&] { return edge.Rejected(reason) == 1; }, seconds(1));
  }
  ~HeldPiece() override { peers.clear(); }

  EdgeWorld edge;
  std::vector<std::unique_ptr<Http2Peer>> peers;
};

TEST_P(HeldPiece, LeavesTheQueueAtOnce) {
  edge.on_backend = [](EdgePeer& peer) { peer.on_bytes = {}; };
  edge.upstream().backends[0].max_connections = 1;
  edge.Start();
  Http2Peer& first = Connect();
  const uint32_t held = first.Open(Http2Peer::Get("/first"));
  ASSERT_TRUE(edge.RunUntil([&] { return edge.backends.size() == 1; }));
  Http2Peer& second = Connect();
  const uint32_t stream = second.Open(Http2Peer::Post("/second"), false);
  edge.world.RunFor(milliseconds(100));
  second.Data(stream, "a piece", false);
  edge.world.RunFor(milliseconds(100));
  GiveUp(second, stream);
  EXPECT_TRUE(HeardOf("client_gone"));
  EXPECT_EQ(edge.backends.size(), 1u);
  EXPECT_FALSE(first.answers[held].ended);
}

TEST_P(HeldPiece, LeavesABackendThatReadsNothingAtOnce) {
  edge.on_backend = [](EdgePeer& peer) { peer.peer.PauseReading(); };
  OpenWindows();
  edge.Start();
  Http2Peer& client = Connect();
  const uint32_t stream = client.Open(Http2Peer::Post(), false);
  SendMuch(client, stream);
  edge.world.RunFor(seconds(2));
  EXPECT_EQ(edge.Rejected("client_gone"), 0u);
  GiveUp(client, stream);
  EXPECT_TRUE(HeardOf("client_gone"));
}

TEST_P(HeldPiece, LeavesAWebSocketWhoseBackendReadsNothingAtOnce) {
  edge.on_backend = [](EdgePeer& peer) {
    peer.on_bytes = [](EdgePeer& of) {
      of.on_bytes = {};
      of.Send(
          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
      of.peer.PauseReading();
    };
  };
  OpenWindows();
  edge.Start();
  Http2Peer& client = Connect();
  Http2Peer::Fields fields = Http2Peer::Get("/ws");
  fields[0].second = "CONNECT";
  fields.insert(fields.begin() + 1, {":protocol", "websocket"});
  fields.emplace_back("sec-websocket-version", "13");
  const uint32_t stream = client.Open(fields, false);
  ASSERT_TRUE(edge.RunUntil([&] { return client.answers[stream].Field(":status") == "200"; }));
  // One frame without an end, as far as anybody can see.
  client.Data(stream, std::string("\x82\xff\0\0\0\0\0\x80\0\0mask", 14), false);
  SendMuch(client, stream);
  edge.world.RunFor(seconds(2));
  GiveUp(client, stream);
  const auto logged = [&] { return edge.log.text.find("client_gone") != std::string::npos; };
  EXPECT_TRUE(edge.RunUntil(logged, seconds(3))) << edge.log.text;
}

// Its body is not wanted any more: that is what the client is told, and no reason to blame it.
TEST_P(HeldPiece, OfARequestThatWasAnsweredMattersToNobody) {
  edge.on_backend = [](EdgePeer& peer) {
    peer.on_bytes = [](EdgePeer& of) {
      of.on_bytes = {};
      of.peer.PauseReading();
      of.Send("HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno");
    };
  };
  OpenWindows();
  edge.Start();
  Http2Peer& client = Connect();
  const uint32_t stream = client.Open(Http2Peer::Post(), false);
  SendMuch(client, stream);
  ASSERT_TRUE(edge.RunUntil([&] { return client.answers[stream].ended; }));
  GiveUp(client, stream);
  edge.world.RunFor(seconds(2));
  EXPECT_EQ(edge.Rejected("client_gone"), 0u);
  EXPECT_EQ(client.answers[stream].Field(":status"), "413");
  EXPECT_EQ(edge.Cell().http2_streams.value(), 0);
}

INSTANTIATE_TEST_SUITE_P(GivingUp, HeldPiece, ::testing::Values(Way::kReset, Way::kLost),
                         [](const ::testing::TestParamInfo<Way>& way) {
                           return way.param == Way::kReset ? "Reset" : "Lost";
                         });

// -- heads --

// Bytes that may begin HTTP/2 are bytes of a head.
TEST(GivingUp, AHeadThatBeginsLikeThePrefaceHasNoMoreTimeThanOthers) {
  EdgeWorld edge;
  edge.config.timeouts.request_header = seconds(10);
  edge.Start();
  EdgePeer& client = edge.Connect();
  const Instant began = edge.world.now();
  client.Send("PRI");
  edge.world.RunFor(seconds(9));
  client.Send("ME / HTTP/1.1\r\n");
  ASSERT_TRUE(edge.RunUntil([&] { return client.ended(); }));
  EXPECT_TRUE(client.received.starts_with("HTTP/1.1 408 ")) << client.received;
  EXPECT_LE(edge.world.now() - began, seconds(11));
}

TEST(GivingUp, AHeadThatBeginsLikeThePrefaceComesAsFastAsOthers) {
  EdgeWorld edge;
  edge.config.timeouts.request_header = seconds(60);
  edge.listener().min_rate_request = 10;
  edge.Start();
  EdgePeer& client = edge.Connect();
  const Instant began = edge.world.now();
  client.Send("PRI");
  ASSERT_TRUE(edge.RunUntil([&] { return client.ended(); }));
  EXPECT_NE(client.received.find("request_too_slow"), std::string::npos) << client.received;
  EXPECT_LE(edge.world.now() - began, seconds(11));
}

}  // namespace
}  // namespace rondo::proxy::testing
