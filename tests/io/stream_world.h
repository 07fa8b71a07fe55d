// The suite's world on a StreamEngine, whatever engine is below. Its connections are tunnels in
// streams of HTTP/2 connections, one in each, where the world is asked for that; or what tests make
// of them.
#pragma once

#include <deque>
#include <memory>
#include <utility>

#include "io/engine_world.h"
#include "rondo/base/freelist.h"
#include "rondo/io/stream_engine.h"

namespace rondo::io::testing {

// An owner that keeps what it is told.
class TestOwner final : public Http2Owner {
 public:
  void OnStream(Http2Connection&, int fd) override {
    fresh.push_back(fd);
    ++streams_told;
  }
  void OnChange(Http2Connection&) override { ++changes; }
  void OnEnded(Http2Connection& ended, const char* why) override {
    EXPECT_EQ(&ended, connection);
    EXPECT_EQ(ended.streams(), 0u);
    connection = nullptr;
    reason = why == nullptr ? "" : why;
  }

  bool ended() const { return connection == nullptr; }

  Http2Connection* connection = nullptr;
  std::deque<int> fresh;
  size_t streams_told = 0;
  int changes = 0;
  std::string reason = "not ended";
};

class StreamWorld final : public EngineWorld {
 public:
  StreamWorld(std::unique_ptr<EngineWorld> below, bool tunnels_all)
      : below_(std::move(below)), tunnels_all_(tunnels_all), engine_(below_->engine(), frames_) {}
  ~StreamWorld() override { Settle(); }

  Engine& engine() override { return engine_; }
  StreamEngine& streams() { return engine_; }
  const Freelist& frames() const { return frames_; }
  int Listen(const SocketAddress& address) override { return below_->Listen(address); }
  SocketAddress AddressOf(int listener) override { return below_->AddressOf(listener); }
  SocketAddress UnusedAddress(SocketAddress::Kind kind) override {
    return below_->UnusedAddress(kind);
  }
  bool is_real() const override { return below_->is_real(); }

  struct Owners {
    TestOwner client;
    TestOwner server;
  };
  // Both ends of a kernel's connection begin to speak HTTP/2.
  Owners& Join(int client, int server, http2::SessionOptions client_options = {},
               http2::SessionOptions server_options = {}) {
    Owners& owners = *owners_.emplace_back(std::make_unique<Owners>());
    below_->Connected(client, server);
    client_options.role = http2::Role::kClient;
    server_options.role = http2::Role::kServer;
    owners.client.connection = &engine_.Start(client, client_options, {}, owners.client);
    owners.server.connection = &engine_.Start(server, server_options, {}, owners.server);
    return owners;
  }

  void Connected(int& client, int& server) override {
    if (!tunnels_all_) return;
    Owners& owners = Join(client, server);
    while (!owners.client.connection->settings_received()) Run();
    client = owners.client.connection->OpenStream();
    EXPECT_GE(client, 0);
    SendAll(client,
            "GET /tunnel HTTP/1.1\r\nHost: world\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n");
    while (owners.server.fresh.empty()) Run();
    server = owners.server.fresh.front();
    EXPECT_TRUE(engine_.IsTunnelRequest(server));
    ReceiveHead(server);
    SendAll(
        server,
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    EXPECT_EQ(ReceiveHead(client).substr(0, 12), "HTTP/1.1 101");
  }

  // All connections end.
  void Settle() override {
    for (const auto& owners : owners_) {
      for (TestOwner* owner : {&owners->client, &owners->server}) {
        if (!owner->ended()) owner->connection->End(http2::ErrorCode::kNoError);
      }
    }
    for (int i = 0; engine_.connections() > 0; ++i) {
      Run();
      if (i > 100'000) {
        ADD_FAILURE() << "connections do not end";
        abort();
      }
    }
    below_->Settle();
  }

 private:
  void Run() { engine_.Run(engine_.Now() + std::chrono::milliseconds(1)); }
  void SendAll(int fd, std::string_view text) {
    while (!text.empty()) {
      TestOp op;
      op.kind = Op::Kind::kSend;
      op.fd = fd;
      op.data = const_cast<char*>(text.data());
      op.size = text.size();
      engine_.Submit(op);
      while (!op.done()) Run();
      ASSERT_GT(op.last(), 0);
      text.remove_prefix(static_cast<size_t>(op.last()));
    }
  }
  std::string ReceiveHead(int fd) {
    TestOp op;
    while (!op.bytes.ends_with("\r\n\r\n")) {
      op.results.clear();
      op.kind = Op::Kind::kReceiveProvided;
      op.fd = fd;
      engine_.Submit(op);
      while (!op.done()) Run();
      EXPECT_GT(op.last(), 0);
      if (op.last() <= 0) break;
    }
    return op.bytes;
  }

  std::unique_ptr<EngineWorld> below_;
  const bool tunnels_all_;
  Freelist frames_;
  StreamEngine engine_;
  std::vector<std::unique_ptr<Owners>> owners_;
};

// `kMake` makes the world below.
template <std::unique_ptr<EngineWorld> (*kMake)(const EngineOptions&), bool kTunnelsAll>
std::unique_ptr<EngineWorld> MakeStreams(const EngineOptions& options) {
  std::unique_ptr<EngineWorld> below = kMake(options);
  if (below == nullptr) return nullptr;
  return std::make_unique<StreamWorld>(std::move(below), kTunnelsAll);
}

}  // namespace rondo::io::testing
