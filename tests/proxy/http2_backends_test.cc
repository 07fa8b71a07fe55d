// Backends that are spoken to over HTTP/2, as the clients of the real worker see it: what is asked
// again, what is refused, and what a connection's end leaves behind.
#include "http2/wire.h"
#include "proxy/edge_world.h"
#include "proxy/retry.h"
#include "rondo/metrics/backend_cell.h"
#include "sim/h2_backend.h"

namespace rondo::proxy::testing {
namespace {

using sim::SimH2Backend;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kH2 = "10.0.1.2:80";

class Http2Backends : public ::testing::Test {
 protected:
  void Start(SimH2Backend::Handler handler = {}, uint32_t streams_max = 128) {
    if (!handler) {
      handler = [](const SimH2Backend::Request&) { return SimH2Backend::Answer{}; };
    }
    Speak();
    backend = std::make_unique<SimH2Backend>(edge.world, Address(kH2), handler, streams_max);
    edge.Start();
  }
  // The one backend is another than that of the world.
  void Speak() {
    edge.upstream().protocol = config::Protocol::kH2c;
    edge.upstream().backends.front().address = Address(kH2);
    edge.upstream().backends.front().id = kH2;
  }
  ~Http2Backends() override {
    if (edge.worker != nullptr) {
      edge.clients.clear();
      if (backend != nullptr) backend->ReleaseAll();
      edge.End();
    }
    if (backend == nullptr) return;
    backend->Stop();
    EXPECT_TRUE(edge.RunUntil([&] { return backend->stopped(); }));
    backend.reset();
  }

  static std::string Post(const std::string& body) {
    return "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + body;
  }
  // Sends and waits for the answer's status.
  std::string StatusOf(EdgePeer& client, const std::string& request) {
    client.received.clear();
    client.Send(request);
    edge.RunUntil([&] { return client.received.find("\r\n\r\n") != std::string::npos; });
    return client.received.substr(0, 12);
  }

  EdgeWorld edge;
  std::unique_ptr<SimH2Backend> backend;
};

TEST_F(Http2Backends, AnswerOverOneConnection) {
  Start();
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(StatusOf(edge.Connect(), EdgeWorld::Get()), "HTTP/1.1 200");
    EXPECT_EQ(StatusOf(edge.Connect(), Post("body")), "HTTP/1.1 200");
  }
  EXPECT_EQ(backend->accepted(), 1u);
  EXPECT_TRUE(backend->requests()[1].text.ends_with("\r\n\r\nbody"));
}

TEST_F(Http2Backends, WhatTheyRefuseGoesOutAgainWhateverItIs) {
  // Only one stream at a time, which nobody knows before its settings have come.
  Start({}, 1);
  std::vector<EdgePeer*> clients;
  for (int i = 0; i < 20; ++i) clients.push_back(&edge.Connect());
  for (EdgePeer* client : clients) client->Send(Post("once"));
  for (EdgePeer* client : clients) {
    ASSERT_TRUE(edge.RunUntil([&] { return client->received.ends_with("ok"); }))
        << client->received;
  }
  size_t whole = 0;
  for (const SimH2Backend::Request& request : backend->requests()) whole += request.whole ? 1 : 0;
  EXPECT_EQ(whole, 20u);
}

TEST_F(Http2Backends, AGoawayLosesNoRequest) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    EdgeWorld own(seed);
    own.upstream() = edge.upstream();
    own.upstream().protocol = config::Protocol::kH2c;
    own.upstream().backends.front().address = Address(kH2);
    SimH2Backend leaving(own.world, Address(kH2), [](const SimH2Backend::Request&) {
      return SimH2Backend::Answer{.delay = milliseconds(3)};
    });
    own.Start();
    std::vector<EdgePeer*> clients;
    for (int i = 0; i < 8; ++i) clients.push_back(&own.Connect());
    size_t answered = 0;
    for (int round = 0; round < 30; ++round) {
      for (EdgePeer* client : clients) {
        client->received.clear();
        client->Send(Post("once"));
      }
      own.world.RunFor(milliseconds(round % 5));
      if (round % 3 == 0) leaving.DrainAll();
      for (EdgePeer* client : clients) {
        own.RunUntil([&] { return client->received.ends_with("ok"); }, seconds(10));
        answered += client->received.starts_with("HTTP/1.1 200") ? 1 : 0;
      }
    }
    EXPECT_EQ(answered, 240u);
    EXPECT_GT(leaving.accepted(), 5u);
    own.clients.clear();
    own.End();
    leaving.Stop();
    EXPECT_TRUE(own.RunUntil([&] { return leaving.stopped(); }));
  }
}

TEST_F(Http2Backends, OneThatRefusesForEverIsGivenUp) {
  // A connection that ends before anything of it was looked at.
  Speak();
  edge.upstream().backends.front().address = Address(EdgeWorld::kBackend);
  edge.on_backend = [](EdgePeer& peer) {
    peer.on_bytes = [](EdgePeer& of) {
      if (of.received.size() < 60) return;
      // SETTINGS, and GOAWAY with no stream.
      of.Send(std::string("\0\0\0\4\0\0\0\0\0", 9));
      of.Send(std::string("\0\0\10\7\0\0\0\0\0\0\0\0\0\0\0\0\0", 17));
    };
  };
  edge.Start();
  EXPECT_EQ(StatusOf(edge.Connect(), Post("once")), "HTTP/1.1 503");
  EXPECT_NE(edge.clients.front()->received.find("stream_refused"), std::string::npos);
  EXPECT_EQ(edge.backends.size(), kUnprocessedMax + 1);
  // The log counts them as rondo_retries_total does.
  const std::string counted = "\"retries\":" + std::to_string(kUnprocessedMax) + ",";
  edge.RunUntil([&] { return edge.log.text.find(counted) != std::string::npos; }, seconds(5));
  EXPECT_NE(edge.log.text.find(counted), std::string::npos) << edge.log.text;
}

TEST_F(Http2Backends, AClientThatLeavesTakesItsStreamAlong) {
  Start([](const SimH2Backend::Request&) { return SimH2Backend::Answer{.hold = true}; });
  EdgePeer& gone = edge.Connect();
  EdgePeer& stays = edge.Connect();
  gone.Send(EdgeWorld::Get("/gone"));
  ASSERT_TRUE(edge.RunUntil([&] { return backend->serving() == 1; }));
  stays.Send(EdgeWorld::Get("/stays"));
  ASSERT_TRUE(edge.RunUntil([&] { return backend->serving() == 2; }));
  gone.peer.Reset();
  ASSERT_TRUE(edge.RunUntil([&] { return backend->serving() == 1; }));
  EXPECT_TRUE(backend->requests()[0].gave_up);
  backend->ReleaseAll();
  ASSERT_TRUE(edge.RunUntil([&] { return stays.received.ends_with("ok"); }));
  EXPECT_EQ(backend->accepted(), 1u);
}

// A backend made of frames that lets nothing of a body through before it says so. `on_head` is told
// of each request's stream.
class ClosedWindow : public std::enable_shared_from_this<ClosedWindow> {
 public:
  using OnHead = std::function<void(EdgePeer&, uint32_t stream)>;
  explicit ClosedWindow(OnHead on_head) : on_head_(std::move(on_head)) {}
  void Serve(EdgePeer& peer) {
    peer.on_bytes = [self = shared_from_this()](EdgePeer& of) { self->Read(of); };
  }
  std::string body;

 private:
  void Read(EdgePeer& of) {
    namespace wire = http2::wire;
    if (!begun_) {
      if (of.received.size() < http2::kPrefaceBytes) return;
      of.received.erase(0, http2::kPrefaceBytes);
      begun_ = true;
      of.Send(wire::Settings({{wire::kInitialWindowSize, 0}}));
    }
    while (of.received.size() >= 9) {
      const auto byte = [&of](size_t at) { return static_cast<uint8_t>(of.received[at]); };
      const size_t size = size_t{byte(0)} << 16 | size_t{byte(1)} << 8 | byte(2);
      if (of.received.size() < 9 + size) return;
      const uint8_t type = byte(3);
      const uint32_t stream = uint32_t{byte(7)} << 8 | byte(8);
      if (type == wire::kData) body += of.received.substr(9, size);
      if (type == wire::kSettings && size > 0) of.Send(wire::SettingsAck());
      of.received.erase(0, 9 + size);
      if (type == wire::kHeaders) on_head_(of, stream);
    }
  }
  OnHead on_head_;
  bool begun_ = false;
};

TEST_F(Http2Backends, AnswersThatComeWholeWhileABodyWaitsForTheWindowArePassedOn) {
  namespace wire = http2::wire;
  const auto strict = std::make_shared<ClosedWindow>([](EdgePeer& of, uint32_t stream) {
    const char* status = stream == 1 ? "204" : "413";
    of.Send(wire::Headers(stream, wire::Block({{":status", status}})));
  });
  Speak();
  edge.upstream().backends.front().address = Address(EdgeWorld::kBackend);
  edge.on_backend = [strict](EdgePeer& peer) { strict->Serve(peer); };
  edge.Start();
  EXPECT_EQ(StatusOf(edge.Connect(), EdgeWorld::Get()), "HTTP/1.1 204");
  const Instant began = edge.world.now();
  for (const char* framing : {"Content-Length: 5000", "Content-Length: 9000",
                              "Transfer-Encoding: chunked\r\nTrailer: a"}) {
    SCOPED_TRACE(framing);
    const bool chunked = framing[0] == 'T';
    const std::string body = std::string(5000, 'p');
    EXPECT_EQ(StatusOf(edge.Connect(), std::string("POST / HTTP/1.1\r\nHost: a\r\n") + framing +
                                           "\r\n\r\n" + (chunked ? "1388\r\n" : "") + body +
                                           (chunked ? "\r\n0\r\na: b\r\n\r\n" : "")),
              "HTTP/1.1 413");
  }
  EXPECT_LT(edge.world.now() - began, seconds(1));
  EXPECT_EQ(strict->body, "");
  uint64_t failures = 0;
  edge.snapshot->upstreams[0]->backends[0]->cell(0)->failures.ForEach(
      [&failures](std::string_view, uint64_t count) { failures += count; });
  EXPECT_EQ(failures, 0u);
  EXPECT_EQ(edge.backends.size(), 1u);
}

TEST_F(Http2Backends, AnswersThatBeginWhileABodyWaitsForTheWindowArePassedOn) {
  namespace wire = http2::wire;
  EdgePeer* backend_end = nullptr;
  uint32_t last = 0;
  const auto strict = std::make_shared<ClosedWindow>([&](EdgePeer& of, uint32_t stream) {
    backend_end = &of;
    last = stream;
    of.Send(wire::Headers(stream, wire::Block({{":status", "200"}}), wire::kEndHeaders) +
            wire::Data(stream, "hello", stream == 1 ? wire::kEndStream : 0));
  });
  Speak();
  edge.upstream().backends.front().address = Address(EdgeWorld::kBackend);
  edge.on_backend = [strict](EdgePeer& peer) { strict->Serve(peer); };
  edge.Start();
  EXPECT_EQ(StatusOf(edge.Connect(), EdgeWorld::Get()), "HTTP/1.1 200");
  const std::string body = std::string(3000, 'p');
  // All of the body, or the beginning of it.
  for (const size_t more : {size_t{0}, size_t{500}}) {
    SCOPED_TRACE(more);
    strict->body.clear();
    EdgePeer& client = edge.Connect();
    std::string head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ";
    head += std::to_string(body.size() + more) + "\r\n\r\n";
    client.Send(head + body);
    ASSERT_TRUE(edge.RunUntil([&] { return client.received.ends_with("hello\r\n"); }, seconds(2)))
        << client.received;
    EXPECT_EQ(strict->body, "");
    backend_end->Send(wire::WindowUpdate(last, 10'000));
    ASSERT_TRUE(edge.RunUntil([&] { return strict->body == body; }, seconds(2)));
    client.Send(std::string(more, 'q'));
    ASSERT_TRUE(
        edge.RunUntil([&] { return strict->body == body + std::string(more, 'q'); }, seconds(2)));
    backend_end->Send(wire::Data(last, "done", wire::kEndStream));
    ASSERT_TRUE(edge.RunUntil(
        [&] { return client.received.ends_with("hello\r\n4\r\ndone\r\n0\r\n\r\n"); }, seconds(2)))
        << client.received;
  }
}

TEST_F(Http2Backends, TakeWebSockets) {
  Start([](const SimH2Backend::Request&) {
    return SimH2Backend::Answer{
        .text =
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
            "Upgrade\r\n\r\n\x81\x02hi"};
  });
  EdgePeer& client = edge.Connect();
  client.Send(
      "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
  ASSERT_TRUE(edge.RunUntil([&] { return client.received.ends_with("\x81\x02hi"); }))
      << client.received;
  EXPECT_TRUE(client.received.starts_with("HTTP/1.1 101"));
  EXPECT_NE(client.received.find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos);
  // Its end is the client's.
  EXPECT_TRUE(edge.RunUntil([&] { return client.ended(); }));
}

TEST_F(Http2Backends, TakeNoOtherUpgrade) {
  edge.listener().routes.front().upgrades = {"websocket", "chat"};
  Start();
  EdgePeer& client = edge.Connect();
  EXPECT_EQ(
      StatusOf(client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: chat\r\n\r\n"),
      "HTTP/1.1 502");
  EXPECT_NE(client.received.find("upgrade_not_supported"), std::string::npos);
}

TEST_F(Http2Backends, OneThatSpeaksHttp1IsFoundOut) {
  Speak();
  edge.upstream().backends.front().address = Address(EdgeWorld::kBackend);
  edge.on_backend = [](EdgePeer& peer) {
    peer.on_bytes = [](EdgePeer& of) {
      of.Send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
      of.on_bytes = {};
    };
  };
  edge.Start();
  EdgePeer& client = edge.Connect();
  EXPECT_EQ(StatusOf(client, EdgeWorld::Get()), "HTTP/1.1 502");
  EXPECT_NE(client.received.find("bad_response"), std::string::npos);
  edge.RunUntil([&] { return edge.log.text.find("h2_not_http2") != std::string::npos; },
                seconds(5));
  EXPECT_NE(edge.log.text.find("h2_not_http2"), std::string::npos) << edge.log.text;
}

// Nothing of an upgrade is sent before such a backend is found out, which is no reason to go on
// asking.
TEST_F(Http2Backends, OneThatSpeaksHttp1IsFoundOutByAnUpgradeToo) {
  const std::string upgrade =
      "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  Speak();
  edge.upstream().backends.front().address = Address(EdgeWorld::kBackend);
  edge.upstream().retries.attempts = 0;
  for (const bool answers : {true, false}) {
    SCOPED_TRACE(answers);
    EdgeWorld own;
    own.listener() = edge.listener();
    own.upstream() = edge.upstream();
    own.on_backend = [answers](EdgePeer& peer) {
      peer.on_bytes = [answers](EdgePeer& of) {
        of.on_bytes = {};
        if (answers) of.Send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        of.peer.CloseWhenSent();
      };
    };
    own.Start();
    EdgePeer& client = own.Connect();
    client.Send(upgrade);
    ASSERT_TRUE(
        own.RunUntil([&] { return client.received.find("\r\n\r\n") != std::string::npos; }));
    EXPECT_TRUE(client.received.starts_with("HTTP/1.1 502 ")) << client.received;
    EXPECT_NE(client.received.find(answers ? "bad_response" : "backend_reset"), std::string::npos)
        << client.received;
    EXPECT_EQ(own.backends.size(), 1u);
    uint64_t failures = 0;
    own.snapshot->upstreams[0]->backends[0]->cell(0)->failures.ForEach(
        [&failures](std::string_view, uint64_t count) { failures += count; });
    EXPECT_EQ(failures, 1u);
  }
}

TEST_F(Http2Backends, ThatDoNotAgreeOnItOverTlsFailTheHandshake) {
  const EdgeCertificates& certificates = EdgeCertificates::Get();
  edge.upstream().protocol = config::Protocol::kH2;
  edge.backend_tls = ServerWith(certificates.backend);
  tls::ClientSettings settings;
  settings.ca = certificates.authority.pem();
  settings.alpn = {"h2"};
  edge.upstream_tls = *tls::ClientSetup::Make(settings, 1);
  edge.upstream().tls = config::UpstreamTls{};
  edge.upstream().tls->sni = "backend.test";
  edge.Start();
  EdgePeer& client = edge.Connect();
  EXPECT_EQ(StatusOf(client, EdgeWorld::Get()), "HTTP/1.1 502");
  EXPECT_NE(client.received.find("tls_failed"), std::string::npos);
  edge.RunUntil([&] { return edge.log.text.find("tls_failed") != std::string::npos; }, seconds(5));
  EXPECT_TRUE(edge.log.text.find("no_h2") != std::string::npos ||
              edge.log.text.find("peer_alert") != std::string::npos)
      << edge.log.text;
}

TEST_F(Http2Backends, OneThatHasFallenSilentIsConnectedToAnew) {
  edge.upstream().timeouts.response = seconds(2);
  Start();
  EXPECT_EQ(StatusOf(edge.Connect(), EdgeWorld::Get()), "HTTP/1.1 200");
  backend->Pause();
  EXPECT_EQ(StatusOf(edge.Connect(), EdgeWorld::Get()), "HTTP/1.1 504");
  backend->Resume();
  EXPECT_EQ(StatusOf(edge.Connect(), EdgeWorld::Get()), "HTTP/1.1 200");
  EXPECT_EQ(backend->accepted(), 2u);
}

TEST_F(Http2Backends, AreLeftInPeaceByAProcessThatEnds) {
  Start();
  EXPECT_EQ(StatusOf(edge.Connect(), EdgeWorld::Get()), "HTTP/1.1 200");
  edge.clients.clear();
  edge.End();
  EXPECT_TRUE(edge.RunUntil([&] { return backend->open_connections() == 0; }, seconds(2)));
  EXPECT_EQ(backend->endings(), std::vector<std::string>{""});
}

}  // namespace
}  // namespace rondo::proxy::testing
