// A scripted HTTP/1.1 backend for proxy simulations: it records every request, and answers as a
// handler says, rightly or wrongly. Each answer repeats the request's x-sim-id, and says how its
// body was made (x-sim-seed, x-sim-bytes) and what the request's body hashed to (x-sim-hash), so
// that a client can check what it got without asking the backend.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "http_reader.h"
#include "sim_peer.h"

namespace rondo::sim {

struct BackendRequest {
  size_t connection = 0;  // number of the connection it came on, from 0
  HttpHead head;
  std::string id;  // x-sim-id
  uint64_t body_bytes = 0;
  uint64_t body_hash = 0;
  bool complete = false;
  Instant began{};
};

// How an answer goes wrong, once `after_bytes` of it have been queued.
enum class Misbehaviour : uint8_t { kNone, kClose, kReset, kStall };
enum class BodyFraming : uint8_t { kNone, kLength, kChunked, kUntilClose };

struct BackendAnswer {
  Duration delay{};
  int informational = 0;  // 103 answers before it
  int status = 200;
  std::vector<std::pair<std::string, std::string>> fields;
  BodyFraming framing = BodyFraming::kLength;
  uint64_t body_seed = 1;
  size_t body_bytes = 0;
  bool early = false;         // does not wait for the request's body
  bool close = false;         // says Connection: close, and does
  bool close_unsaid = false;  // closes without having said so
  bool upgrade = false;       // 101, then every byte comes back
  size_t drip_bytes = 0;      // this many at a time...
  Duration drip_pause{};      // ...and so long between; 0: all at once
  std::string garbage;        // sent in place of the answer
  Misbehaviour misbehaviour = Misbehaviour::kNone;
  size_t after_bytes = 0;

  // A mix of right answers of all shapes; `wrong` is the rate of misbehaving ones.
  static BackendAnswer Draw(Rng& rng, double wrong);
};

class SimHttpBackend {
 public:
  using Handler = std::function<BackendAnswer(const BackendRequest&)>;
  // Listens at once. The handler is asked when a request's head has come.
  SimHttpBackend(SimWorld& world, SimEngine& engine, const SocketAddress& address, Handler handler);
  SimHttpBackend(const SimHttpBackend&) = delete;
  SimHttpBackend& operator=(const SimHttpBackend&) = delete;
  ~SimHttpBackend();

  // In the order in which they began.
  const std::deque<BackendRequest>& requests() const { return requests_; }
  // What was not HTTP of what came in, a line each.
  const std::vector<std::string>& errors() const { return errors_; }
  size_t connections() const { return connections_.size(); }
  size_t open_connections() const;
  SocketAddress address() const { return acceptor_.address(); }
  // Stops listening; what is connected stays.
  void StopListening() { acceptor_.Stop(); }
  void CloseAll();
  void ResetAll();

 private:
  struct Exchange {
    size_t request;  // index into requests_
    BackendAnswer answer;
    bool started = false;
    bool answered = false;
  };
  struct Connection {
    Connection(SimWorld& world, SimEngine& engine)
        : peer(world, engine), reader(HttpReader::Kind::kRequest) {}
    SimPeer peer;
    HttpReader reader;
    std::deque<Exchange> exchanges;  // in the order of the requests
    BodyHash hash;
    bool raw = false;
    size_t number = 0;
  };
  void OnAccept(int fd);
  void OnHead(Connection& connection, const HttpHead& head);
  void OnComplete(Connection& connection);
  void StartNext(Connection& connection);
  void Answer(Connection& connection);
  std::string Wire(const Exchange& exchange) const;
  void Drip(Connection& connection, std::string wire, size_t from);
  void Answered(Connection& connection);
  void FinishFront(Connection& connection);
  void After(Duration delay, Connection& connection, std::function<void()> then);

  SimWorld& world_;
  SimEngine& engine_;
  Handler handler_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::deque<BackendRequest> requests_;
  std::vector<std::string> errors_;
  std::vector<std::unique_ptr<Connection>> connections_;
  SimAcceptor acceptor_;
};

}  // namespace rondo::sim
