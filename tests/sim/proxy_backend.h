// A backend of the simulated proxy: answers each request as its plan says, checks what arrives byte
// by byte, and counts how often each request came.
#pragma once

#include <list>
#include <memory>
#include <string>

#include "proxy_plan.h"
#include "securing_engine.h"

namespace rondo::sim {

struct BackendOptions {
  Duration idle_close{};  // closes connections that were idle so long; zero: never
};

class ProxyBackend {
 public:
  ProxyBackend(Scene& scene, SimEngine& engine, const SocketAddress& address,
               const BackendOptions& options);
  ~ProxyBackend();

  void Secure(const Secures& secures) { secures_ = secures; }
  const SocketAddress& address() const { return address_; }
  // Connections that came, and those there are.
  size_t accepted() const { return accepted_; }
  size_t open() const;
  // Ends listening and all connections.
  void Stop();

 private:
  struct Connection {
    Connection(ProxyBackend& owner, int fd);
    WireReader::Then TakeHead(const WireHead& head);
    void CheckHead(const WireHead& head);
    void TakeBody(std::string_view bytes);
    void TakeMessage(std::string_view trailers);
    void Answer();
    void SendAnswer(const AnswerPlan& answer);
    void AnswerUpgrade(const AnswerPlan& answer);
    std::string WriteAnswer(const AnswerPlan& answer) const;
    void TakeTunnel(std::string_view bytes);
    void TakeEnd();
    void WatchIdle();
    void Report(const std::string& what);

    ProxyBackend& backend;
    SimPeer peer;
    Script script;
    WireReader reader{WireReader::Role::kRequests};
    RequestPlan* request = nullptr;  // being read or answered
    int attempt = 0;
    size_t body_bytes = 0;
    bool read_whole = false;
    bool answered = false;
    bool said_close = false;
    bool tunnel = false;
    bool ignoring = false;
    size_t received = 0;  // through the tunnel
    size_t echoed = 0;
    Instant idle_since;
    Instant head_began;  // its first byte
    bool closed = false;
    std::shared_ptr<bool> alive = std::make_shared<bool>(true);
  };

  Scene& scene_;
  SimEngine& engine_;
  SocketAddress address_;
  BackendOptions options_;
  Secures secures_;
  size_t accepted_ = 0;
  std::list<std::unique_ptr<Connection>> connections_;
  SimAcceptor acceptor_;
};

}  // namespace rondo::sim
