// WebSockets on streams of an HTTP/2 connection (RFC 8441) at the real worker: what they count for,
// and how they end.
#include "proxy/edge_world.h"
#include "proxy/http2_peer.h"

namespace rondo::proxy::testing {
namespace {

using std::chrono::seconds;

class Http2WebSocketTest : public ::testing::Test {
 protected:
  // With a backend that makes a WebSocket of what it is sent, and says nothing in it.
  Http2WebSocketTest() {
    edge.on_backend = [](EdgePeer& peer) {
      peer.on_bytes = [](EdgePeer& of) {
        of.on_bytes = {};
        of.Send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
            "websocket\r\n\r\n");
      };
    };
    edge.Start();
    client = std::make_unique<Http2Peer>(edge.Connect());
    client->Begin();
    EXPECT_TRUE(edge.RunUntil([&] { return client->settings; }));
  }
  ~Http2WebSocketTest() override { client.reset(); }

  // One that its backend has agreed to; returns the stream.
  uint32_t Open() {
    Http2Peer::Fields fields = Http2Peer::Get("/ws");
    fields[0].second = "CONNECT";
    fields.insert(fields.begin() + 1, {":protocol", "websocket"});
    fields.emplace_back("sec-websocket-version", "13");
    const uint32_t stream = client->Open(fields, false);
    EXPECT_TRUE(edge.RunUntil([&] { return client->answers[stream].Field(":status") == "200"; }));
    return stream;
  }
  // As they are shown: those of the listener, and tunnels, which are counted with their upstream.
  int64_t Connections() const {
    int64_t sum = 0;
    edge.worker->traffic().ForEach([&sum](const metrics::TrafficCells::Entry& entry) {
      sum += entry.cell.connections.value();
    });
    return sum;
  }

  EdgeWorld edge;
  std::unique_ptr<Http2Peer> client;
};

TEST_F(Http2WebSocketTest, ThoseOnStreamsAreNoConnections) {
  for (int i = 0; i < 5; ++i) Open();
  EXPECT_EQ(Connections(), 1);
  // One of its own is one.
  EdgePeer& other = edge.Connect();
  other.Send(
      "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  ASSERT_TRUE(edge.RunUntil([&] { return other.received.starts_with("HTTP/1.1 101 "); }));
  edge.world.RunFor(seconds(1));
  EXPECT_EQ(Connections(), 2);
  EXPECT_EQ(edge.counters.connections.load(), 2u);
  client->peer().Close();
  ASSERT_TRUE(edge.RunUntil([&] { return edge.Cell().http2_streams.value() == 0; }));
  ASSERT_TRUE(edge.RunUntil([&] { return edge.counters.connections.load() == 1; }));
  EXPECT_EQ(Connections(), 1);
  other.Close();
  ASSERT_TRUE(edge.RunUntil([&] { return edge.counters.connections.load() == 0; }));
  EXPECT_EQ(Connections(), 0);
}

TEST_F(Http2WebSocketTest, OneWhoseBackendEndsIsNotKeptByAClientThatDoesNotNotice) {
  const uint32_t stream = Open();
  edge.world.RunFor(seconds(20));
  EXPECT_FALSE(client->answers[stream].ended);
  edge.backends.back()->Close();
  ASSERT_TRUE(edge.RunUntil([&] { return client->answers[stream].ended; }));
  EXPECT_EQ(edge.Cell().http2_streams.value(), 1);
  edge.world.RunFor(seconds(11));
  EXPECT_EQ(edge.Cell().http2_streams.value(), 0);
}

}  // namespace
}  // namespace rondo::proxy::testing
