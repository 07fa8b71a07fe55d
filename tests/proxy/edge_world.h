// The real worker on the simulated network with TLS and PROXY headers on both sides, and the peers
// around it. Its backends answer every request with what they got, so that a test sees both.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "proxy/edge_peer.h"
#include "rondo/proxy/worker.h"
#include "rondo/tls/client_setup.h"
#include "rondo/tls/server_setup.h"
#include "sim/sim_world.h"
#include "tls/test_certificates.h"

namespace rondo::proxy::testing {

inline SocketAddress Address(std::string_view text) { return *SocketAddress::Parse(text); }

// Made once: keys take their time.
struct EdgeCertificates {
  tls::TestAuthority authority{"Edge Root"};
  tls::TestAuthority other{"Somebody Else"};
  tls::TestPair server = authority.Issue("edge.test");
  tls::TestPair backend = authority.Issue("backend.test");
  static const EdgeCertificates& Get() {
    static const EdgeCertificates certificates;
    return certificates;
  }
};

inline std::shared_ptr<const tls::KeyPair> Parse(const tls::TestPair& pair) {
  return *tls::KeyPair::Parse(pair.cert, pair.key);
}

inline std::shared_ptr<const tls::ServerSetup> ServerWith(const tls::TestPair& pair) {
  tls::ServerSettings settings;
  settings.certificates = {{Parse(pair), ""}};
  settings.alpn = {"http/1.1"};
  settings.ticket_scope = "web";
  return *tls::ServerSetup::Make(settings, 1, std::make_shared<const tls::TicketKeys>());
}

inline std::shared_ptr<const tls::ClientSetup> ClientTrusting(const std::string& ca) {
  tls::ClientSettings settings;
  settings.ca = ca;
  return *tls::ClientSetup::Make(settings, 1);
}

class EdgeWorld {
 public:
  static constexpr const char* kListen = "10.0.0.1:443";
  static constexpr const char* kBackend = "10.0.1.1:80";
  static constexpr const char* kClient = "192.0.2.7";

  explicit EdgeWorld(uint64_t seed = 1, const sim::FaultPlan& faults = {}) : world(seed) {
    config::Listener listener;
    listener.name = "web";
    listener.listen = {Address(kListen)};
    config::RouteConfig route;
    route.upstream = "pool";
    route.upgrades = {"websocket"};
    listener.routes = {route};
    config.listeners = {listener};
    config.timeouts.handshake = std::chrono::seconds(3);
    config::Upstream upstream;
    upstream.name = "pool";
    config::Backend backend;
    backend.id = kBackend;
    backend.address = Address(kBackend);
    upstream.backends = {backend};
    config.upstreams = {upstream};
    sim::SimEngineOptions options;
    options.process = "rondo";
    options.faults = faults;
    worker_engine = &world.AddEngine("worker", options);
    sim::SimEngineOptions client_options;
    client_options.source_v4 = *IpAddress::Parse(kClient);
    client_engine = &world.AddThread("clients", client_options);
    backend_engine = &world.AddThread("backends");
  }
  ~EdgeWorld() {
    if (worker == nullptr) return;
    clients.clear();
    End();
  }

  config::Listener& listener() { return config.listeners.front(); }
  config::Upstream& upstream() { return config.upstreams.front(); }
  void TrustClients() { listener().trusted_proxies = {*Network::Parse("192.0.2.0/24")}; }

  void Start() {
    backend_acceptor = std::make_unique<sim::SimAcceptor>(world, *backend_engine, Address(kBackend),
                                                          [this](int fd) { Serve(fd); });
    Build();
    const int fd = worker_engine->Listen(Address(kListen), io::ListenMode::kFirst);
    worker = std::make_unique<Worker>(*worker_engine, snapshot, std::vector<ListenFd>{{fd, 0, 0}},
                                      counters, &log, WorkerOptions{0, 1, 7, nullptr, 0});
    actor_ = world.AddActor(
        *worker_engine, [this] { worker->Tick(); }, [this] { return worker->NextDeadline(); });
    worker->Start();
  }

  // A connected client that has said nothing yet.
  EdgePeer& Connect() {
    clients.push_back(std::make_unique<EdgePeer>(world, *client_engine));
    EdgePeer& client = *clients.back();
    client.peer.Connect(Address(kListen));
    RunUntil([&] { return client.peer.connected() || client.peer.error() != 0; });
    return client;
  }
  // With TLS; its first message is on the way.
  EdgePeer& ConnectSecure() {
    EdgePeer& client = Connect();
    client.Shake(ClientHandshake());
    return client;
  }
  std::unique_ptr<tls::Handshake> ClientHandshake() {
    if (client_tls == nullptr) {
      client_tls = ClientTrusting(EdgeCertificates::Get().authority.pem());
      sessions = tls::SessionStore::Make();
    }
    return tls::MakeClientHandshake(client_tls->ForWorker(0), "edge.test", sessions.get(), 1);
  }
  static std::string Get(const std::string& path = "/") {
    return "GET " + path + " HTTP/1.1\r\nHost: edge.test\r\n\r\n";
  }
  // An answer with all that the backend got, whole.
  static bool Answered(const EdgePeer& client) {
    return client.received.find("\r\n\r\n") != std::string::npos &&
           client.received.ends_with("END");
  }
  bool RunUntil(const std::function<bool()>& predicate, Duration max = std::chrono::seconds(60)) {
    return world.RunUntil(predicate, max).stop == sim::Stop::kPredicate;
  }
  uint64_t Rejected(std::string_view reason) const {
    uint64_t sum = 0;
    worker->traffic().ForEach([&](const metrics::TrafficCells::Entry& entry) {
      entry.cell.rejected.ForEach([&](std::string_view text, uint64_t count) {
        if (text == reason) sum += count;
      });
    });
    return sum;
  }
  uint64_t HandshakeFailures(std::string_view reason) const {
    uint64_t sum = 0;
    worker->traffic().ForEach([&](const metrics::TrafficCells::Entry& entry) {
      entry.cell.handshake_failures.ForEach([&](std::string_view text, uint64_t count) {
        if (text == reason) sum += count;
      });
    });
    return sum;
  }
  const metrics::TrafficCell& Cell() const {
    const metrics::TrafficCell* found = nullptr;
    worker->traffic().ForEach([&](const metrics::TrafficCells::Entry& entry) {
      if (entry.upstream.empty()) found = &entry.cell;
    });
    return *found;
  }

  // Drains, and checks that nothing is left.
  void End() {
    worker->RequestDrain(world.now());
    if (!RunUntil([this] { return worker->finished(); })) {
      ADD_FAILURE() << "the worker does not finish";
      worker->RequestCancel();
      RunUntil([this] { return worker->finished(); });
    }
    EXPECT_EQ(counters.connections.load(), 0u);
    EXPECT_EQ(counters.handshakes.load(), 0u);
    EXPECT_EQ(Cell().connections.value(), 0);
    EXPECT_EQ(Cell().handshakes_under_way.value(), 0);
    world.RemoveActor(actor_);
    EXPECT_EQ(worker->frames().blocks_out(), 0u);
    EXPECT_EQ(worker_engine->in_flight(), 0u);
    EXPECT_EQ(worker_engine->buffers().buffers_out(), 0u);
    worker.reset();
    backend_acceptor->Stop();
    for (auto& backend : backends) backend->Close();
    world.RunUntilQuiet(std::chrono::seconds(600));
    clients.clear();
    backends.clear();
  }

  struct Log : AccessLogSink {
    bool Offer(size_t, std::string& lines) override {
      text += lines;
      lines.clear();
      return true;
    }
    std::string text;
  };

  sim::SimWorld world;
  config::Config config;
  std::shared_ptr<const tls::ServerSetup> server_tls;  // of the listener
  std::shared_ptr<const tls::ClientSetup> upstream_tls;
  std::shared_ptr<const tls::ServerSetup> backend_tls;  // what backends speak
  std::shared_ptr<const tls::ClientSetup> client_tls;
  std::unique_ptr<tls::SessionStore> sessions;
  std::function<void(EdgePeer&)> on_backend;  // instead of serving
  ProcessCounters counters;
  Log log;
  sim::SimEngine* worker_engine;
  sim::SimEngine* client_engine;
  sim::SimEngine* backend_engine;
  std::shared_ptr<const upstream::Snapshot> snapshot;
  std::unique_ptr<Worker> worker;
  std::unique_ptr<sim::SimAcceptor> backend_acceptor;
  std::vector<std::unique_ptr<EdgePeer>> clients;
  std::vector<std::unique_ptr<EdgePeer>> backends;

 private:
  void Build() {
    upstream::SnapshotParts parts;
    parts.revision = 1;
    parts.config = &config;
    for (const config::Upstream& each : config.upstreams) {
      auto shared = std::make_shared<upstream::UpstreamShared>(each.name, 1);
      std::vector<std::shared_ptr<upstream::BackendShared>> list;
      for (const config::Backend& backend : each.backends) {
        list.push_back(std::make_shared<upstream::BackendShared>(
            backend.id, backend.address, upstream::BackendShared::NextSerial(), 1));
      }
      parts.upstreams.push_back(std::make_shared<const upstream::UpstreamConfig>(
          each, shared, std::move(list), upstream_tls));
    }
    if (server_tls != nullptr) parts.listener_tls = {{"web", server_tls}};
    snapshot = std::make_shared<const upstream::Snapshot>(std::move(parts), nullptr);
  }
  void Serve(int fd) {
    backends.push_back(std::make_unique<EdgePeer>(world, *backend_engine));
    EdgePeer& peer = *backends.back();
    peer.on_bytes = [this](EdgePeer& of) { Answer(of); };
    if (on_backend) {
      on_backend(peer);
    } else if (backend_tls != nullptr && upstream().send_proxy == config::SendProxy::kOff) {
      peer.Shake(tls::MakeServerHandshake(backend_tls->ForWorker(0)));
    }
    peer.peer.Adopt(fd);
  }
  // With all that has come on this connection so far.
  void Answer(EdgePeer& peer) {
    if (!peer.received.ends_with("\r\n\r\n")) return;
    const std::string body = peer.received + "END";
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
              body);
  }
  int actor_ = 0;
};

}  // namespace rondo::proxy::testing
