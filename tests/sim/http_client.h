// A scripted HTTP/1.1 client for proxy simulations: sends its requests over one connection after
// another, one at a time or pipelined, and judges every answer: that it is HTTP, that it belongs to
// its request, that its body is what the backend says it made. Works against SimHttpBackend
// directly or through a proxy.
#pragma once

#include <deque>
#include <memory>

#include "http_backend.h"
#include "http_reader.h"
#include "sim_peer.h"

namespace rondo::sim {

// What a client does in the middle of a request, once `after_bytes` of it have been queued.
enum class ClientStop : uint8_t { kNone, kClose, kReset, kHalfClose };

struct ClientRequest {
  std::string method = "GET";
  std::string target = "/";
  std::string host = "example.test";
  std::vector<std::pair<std::string, std::string>> fields;
  BodyFraming framing = BodyFraming::kNone;  // kNone, kLength or kChunked
  uint64_t body_seed = 1;
  size_t body_bytes = 0;
  bool close = false;            // says Connection: close
  bool expect_continue = false;  // the body waits for a 100, or a second
  size_t drip_bytes = 0;         // this many at a time...
  Duration drip_pause{};         // ...and so long between; 0: all at once
  ClientStop stop = ClientStop::kNone;
  size_t after_bytes = 0;
  Duration timeout = std::chrono::seconds(300);  // for the whole answer; then the client resets
};

enum class ClientOutcome : uint8_t {
  kNotSent,  // not begun: the run ended, or its connection could not be made
  kPending,  // begun, nothing decided yet
  kAnswered,
  kTruncated,  // the connection ended within the answer
  kClosed,     // the connection ended before the answer
  kTimeout,
  kStopped,  // by this client's own doing
};

struct ClientResult {
  ClientOutcome outcome = ClientOutcome::kNotSent;
  std::string id;
  int status = 0;
  bool from_backend =
      false;              // the answer says that it is this request's; else it is the proxy's own
  int informational = 0;  // 1xx answers before it
  uint64_t answer_bytes = 0;  // of its body
  HttpHead head;
  size_t request_bytes = 0;  // of the whole request...
  size_t sent_bytes = 0;     // ...and how many of them had been taken when this was decided
  Instant began{}, ended{};
};

struct ClientOptions {
  size_t pipeline = 1;    // unanswered requests at a time
  bool reconnect = true;  // go on with what was not begun on a new connection
  size_t read_bytes = 0;  // slow reading: at a time, and...
  Duration read_pause{};  // ...between; 0: as fast as it comes
};

class SimHttpClient {
 public:
  // `name` makes the ids of its requests: "name-0" and on.
  SimHttpClient(SimWorld& world, SimEngine& engine, std::string name, const SocketAddress& address,
                ClientOptions options = {});
  SimHttpClient(const SimHttpClient&) = delete;
  SimHttpClient& operator=(const SimHttpClient&) = delete;
  ~SimHttpClient();

  // Before Start.
  void Add(ClientRequest request);
  void Start();
  // All is decided, and no connection is open.
  bool done() const;
  const std::vector<ClientResult>& results() const { return results_; }
  // What must not happen, whatever fails: an answer that is not HTTP, or another request's, or with
  // a wrong body, or without a request. A line each.
  const std::vector<std::string>& errors() const { return errors_; }

 private:
  struct Connection {
    Connection(SimWorld& world, SimEngine& engine)
        : peer(world, engine), reader(HttpReader::Kind::kResponse) {}
    SimPeer peer;
    HttpReader reader;
    std::deque<size_t> pending;       // requests begun here and not answered
    std::vector<uint64_t> begins_at;  // stream offset of each request begun here, by order
    size_t first = 0;                 // the first request begun here
    uint64_t queued = 0;
    bool sending = false;  // a request is not completely queued
    bool no_more = false;  // nothing further may be sent
    bool over = false;
  };
  void Open();
  void Proceed();
  void Begin();
  std::string Head(size_t index) const;
  std::string Body(size_t index) const;
  void Push(size_t index, std::string wire, size_t from);
  void Queue(std::string_view bytes);
  void StopAs(size_t index);
  void OnHead(const HttpHead& head);
  void OnBody(std::string_view bytes);
  void OnEnd();
  void Over(bool orderly);
  void Decide(size_t index, ClientOutcome outcome);
  void Wrong(size_t index, const std::string& what);
  void After(Duration delay, std::function<void()> then);

  SimWorld& world_;
  SimEngine& engine_;
  std::string name_;
  SocketAddress address_;
  ClientOptions options_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  std::vector<ClientRequest> requests_;
  std::vector<ClientResult> results_;
  std::vector<std::string> errors_;
  std::vector<std::unique_ptr<Connection>> connections_;  // the last one is in use
  size_t next_ = 0;
  std::string waiting_body_;  // for a 100
  bool waits_ = false;
  bool reopens_ = false;    // another connection follows
  bool head_seen_ = false;  // of the answer to the first pending request
};

}  // namespace rondo::sim
