// What clients send and backends answer in a simulation of the proxy, written down before it runs,
// and what was seen of each request while it ran. Clients, backends and checkers all read the same
// plans; a request finds its own by the number it carries in X-Sim.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "proxy_wire.h"
#include "rondo/base/time.h"
#include "sim_peer.h"

namespace rondo::sim {

// How one attempt at a request ends on the backend's side.
enum class AnswerKind : uint8_t {
  kWhole,
  kCloseAtOnce,  // on the request's head
  kResetAtOnce,
  kNever,        // says nothing
  kGarbage,      // what is not HTTP
  kTruncated,    // closes behind `cut` bytes of the answer
  kResetInside,  // resets there
  kStallInside,  // says nothing more there
  kUnasked101,
};

struct AnswerPlan {
  AnswerKind kind = AnswerKind::kWhole;
  int status = 200;
  BodyPlan body{BodyMode::kLength};
  int minor_version = 1;
  size_t padding = 0;         // bytes of one more field of the head
  std::vector<int> interims;  // statuses sent before
  bool early = false;         // at the request's head, not at its end
  bool says_close = false;
  bool closes_silently = false;  // behind the answer, without a word
  bool extra_bytes = false;      // behind the answer
  int keepalive_hint = -1;
  size_t cut = 0;
  Duration delay{};
  size_t piece = 0;              // bytes at a time; 0: all at once
  Duration pause{};              // between pieces
  size_t tunnel_cut = SIZE_MAX;  // a tunnel: closes when that many bytes were echoed
  bool tunnel_reset = false;     // or resets
  bool tunnel_holds = false;     // or does nothing more
};

enum class RequestKind : uint8_t { kForward, kFixed, kNoRoute, kMalformed, kUpgrade };

// What a client does instead of sending and reading all.
enum class ClientFault : uint8_t {
  kNone,
  kCloseInside,  // behind `cut` bytes of the request
  kResetInside,
  kStallInside,
  kHalfClose,     // when the request is sent; still wants the answer
  kCloseReading,  // behind `cut` bytes of the answer
  kResetReading,
  kStopReading,
};

enum class TunnelEnd : uint8_t { kHalfClose, kCloseWhenEchoed, kReset };

// How it ended, as the client saw it.
enum class OutcomeKind : uint8_t { kNotSent, kUnanswered, kTruncated, kAnswered, kTunnelled };

struct Outcome {
  OutcomeKind kind = OutcomeKind::kNotSent;
  int status = 0;
  bool by_backend = false;
  int attempt = 0;  // whose answer it was
  std::string reason;
  Instant sent{};  // its first byte
  Instant ended{};
  size_t tunnel_echoed = 0;
};

struct RequestPlan {
  int number = 0;
  RequestKind kind = RequestKind::kForward;
  std::string method = "GET";
  std::string target;
  int minor_version = 1;
  bool wants_keep_alive = true;
  BodyPlan body;
  bool expects_continue = false;
  bool idempotency_key = false;
  size_t padding = 0;     // bytes of one more field of the head
  std::string fields;     // further lines of the head
  std::string malformed;  // kMalformed: sent as it is
  int malformed_status = 400;
  ClientFault fault = ClientFault::kNone;
  size_t cut = 0;
  Duration think{};  // before it
  size_t piece = 0;
  Duration pause{};
  std::vector<AnswerPlan> answers;  // by attempt; the last one also for later ones
  size_t tunnel_early = 0;          // bytes behind the head
  size_t tunnel_bytes = 0;          // in all
  TunnelEnd tunnel_end = TunnelEnd::kHalfClose;

  // -- seen --
  int heads_at_backends = 0;
  int wholes_at_backends = 0;
  std::vector<std::string> backends;  // where it came, by attempt
  Outcome outcome;

  const AnswerPlan& Answer(int attempt) const {
    const auto at = static_cast<size_t>(attempt);
    return answers[at < answers.size() ? at : answers.size() - 1];
  }
  bool idempotent() const;
  // No fault of the client's, and none of any attempt's answer.
  bool is_clean() const;
  std::string WriteHead() const;
  // One line on all that is not as usual.
  std::string ToString() const;
};

struct ConnectionPlan {
  SocketAddress address;
  Duration start{};
  std::vector<RequestPlan*> requests;
  size_t depth = 1;       // requests sent ahead of answers
  size_t read_bytes = 0;  // 0: at full speed
  Duration read_pause{};
};

// What all actors of a simulation share.
struct Scene {
  SimWorld& world;
  std::deque<RequestPlan> requests;
  std::vector<std::string> findings;  // what must not be; a line each
  bool verbose = false;
  bool storms = false;  // nobody knows how long bytes are on their way
  // Backends to which nothing more may be sent, and since when.
  std::map<std::string, Instant> closed_backends;

  void CloseBackend(const std::string& address) {
    closed_backends.try_emplace(address, world.now());
  }
  RequestPlan* Find(const std::string& number);
  void Report(std::string finding);
  void Note(const std::string& what);  // to stderr, where verbose
};

// Things that a peer sends and does, in order.
class Script {
 public:
  enum class Act : uint8_t { kSend, kPause, kHold, kHalfClose, kClose, kReset };
  struct Step {
    Act act;
    std::string bytes;
    Duration pause{};
  };
  Script(SimWorld& world, SimPeer& peer) : world_(world), peer_(peer) {}
  ~Script() { *alive_ = false; }
  // All is done, after a pause or a Release.
  std::function<void()> on_done;
  void Send(std::string bytes, size_t piece = 0, Duration pause = {});
  void Pause(Duration pause) {
    if (pause > Duration::zero()) steps_.push_back({Act::kPause, {}, pause});
  }
  void Add(Act act) { steps_.push_back({act, {}, {}}); }
  // Does what can be done now. kHold stops here until Release; a reset waits until all was taken.
  void Run();
  void Release();
  bool holding() const { return !steps_.empty() && steps_.front().act == Act::kHold; }
  bool done() const { return steps_.empty(); }
  void Drop() { steps_.clear(); }

 private:
  SimWorld& world_;
  SimPeer& peer_;
  std::deque<Step> steps_;
  bool pausing_ = false;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace rondo::sim
