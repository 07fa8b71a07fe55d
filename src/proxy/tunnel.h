// Two connections whose bytes go through after a 101: a small record on bare ops, since there may be very many of
// them idle. Of WebSockets the frames' boundaries are followed, so that both sides can be told when the backend or
// this process goes. Owned by the worker; frees itself when both directions have ended.
#pragma once

#include "proxy/block.h"
#include "proxy/facts.h"
#include "proxy/input.h"
#include "rondo/http/forwarding.h"
#include "rondo/http/websocket.h"
#include "rondo/io/stream_engine.h"
#include "rondo/proxy/worker.h"
#include "rondo/upstream/worker_upstream.h"

namespace rondo::proxy {

// What the access log will say once the tunnel has ended. It has copies of all texts: a tunnel outlives snapshots.
struct TunnelLog {
  Block texts;
  http::ForwardedRequest spans;
  http::TextSpan listener;
  http::TextSpan upstream;
  http::TextSpan backend;
  IpAddress client;
  bool has_client = false;
  std::string_view nameless;  // without one
  uint32_t retries = 0;
  uint64_t head_bytes = 0;
  Instant began;
  Duration connect;
  Duration first_byte;
};

// What a tunnel is made of. The descriptors are the tunnel's from here on; no op of theirs is in flight.
struct TunnelParts {
  TunnelParts(Input client_bytes, Input backend_bytes)
      : from_client(std::move(client_bytes)), from_backend(std::move(backend_bytes)) {}

  int client_fd = -1;
  int backend_fd = -1;
  upstream::Lease lease;
  Input from_client;   // bytes already received, which go first
  Input from_backend;
  Duration idle;       // between bytes, in either direction
  bool websocket = false;
  metrics::TrafficCell* traffic = nullptr;  // where it is counted
  TunnelLog* log = nullptr;  // from the worker's freelist; null: nothing is logged
  FactsPtr facts;            // of the client's connection
};

class Tunnel : public ListHook<> {
 public:
  static void Start(Worker& worker, TunnelParts parts);
  // Ends both directions at once.
  void Cut(const char* reason);

  // Tells both sides at `at` that this end goes away: close 1001 between two frames of a WebSocket,
  // which is cut when both have answered, or kCloseMax after both were told. What is no WebSocket
  // is cut then. Of the two appointments the earlier one counts. That with the backend, whose drain
  // ends at `until`, takes the place of an earlier such one, and is dropped where it is due while
  // the backend no longer leaves.
  void CloseWithBackend(Instant at, Instant until);
  void CloseWithProcess(Instant at);
  // Of the appointment with the backend; kNever: none.
  Instant leaves_by() const { return leaves_by_; }
  // Its client's side is a stream of an HTTP/2 connection (RFC 8441).
  bool on_stream() const { return io::StreamEngine::is_stream(up_.receive.fd); }
  bool shares_backend() const { return io::StreamEngine::is_stream(down_.receive.fd); }
  const upstream::BackendShared& backend() const { return *lease_.backend()->shared; }

  static constexpr Duration kCloseMax = std::chrono::seconds(2);
  // How long half a WebSocket between streams may stay.
  static constexpr Duration kHalfMax = std::chrono::seconds(10);

 private:
  // How far a direction is with its good-bye.
  enum class Goodbye : uint8_t {
    kNone,
    kWanted,   // at the next end of a frame
    kReady,    // there, but what came before is still being sent
    kSending,
    kSaid,     // or cannot be said any more: nothing further goes this way
  };
  // One direction: what is received at one descriptor is sent to the other.
  struct Direction {
    Direction(Tunnel& owner, int from, int to, http::FrameCursor::From sender);
    Tunnel& tunnel;
    struct Half : io::Op {
      Half(Deliver on_deliver, Direction& of) : io::Op(on_deliver), direction(of) {}
      Direction& direction;
    };
    Half receive;
    Half send;
    io::BufferRef piece;
    Block early;  // instead, where more than a buffer had come before the tunnel began
    uint64_t bytes = 0;
    http::FrameCursor cursor;  // behind what was received; WebSockets only
    Goodbye goodbye = Goodbye::kNone;
    bool over = false;   // nothing more is to come
    bool ended = false;  // and no op is in flight
    char goodbye_frame[http::kCloseFrameMax];
  };

  Tunnel(Worker& worker, TunnelParts& parts);
  ~Tunnel();
  void Begin(Direction& direction, Input input);
  static void OnReceived(io::Op& op);
  static void OnSent(io::Op& op);
  static void OnTimer(io::Timer& timer);
  static void OnClientGone(void* tunnel);
  void Receive(Direction& direction);
  void Count(Direction& direction, size_t bytes);
  void Send(Direction& direction, char* data, size_t size);
  void PieceSent(Direction& direction);
  void EndDirection(Direction& direction);
  // The first reason stays.
  void GiveReason(const char* reason) {
    if (*reason_ == '\0') reason_ = reason;
  }
  void Free();
  void Touch();
  void Arm();
  void WriteLog();

  // -- tunnel_close.cc --
  size_t Follow(Direction& direction, std::string_view bytes);
  void Appoint();
  void BeginClosing();
  void WantGoodbye(Direction& direction);
  void SayGoodbye(Direction& direction);
  void GoodbyeSaid(Direction& direction);
  void CutIfAnswered();

  struct TunnelTimer : io::Timer {
    TunnelTimer(Fire fire, Tunnel& of) : io::Timer(fire), tunnel(of) {}
    Tunnel& tunnel;
  };

  Worker& worker_;
  upstream::Lease lease_;
  Direction up_;
  Direction down_;
  TunnelTimer timer_;
  Duration idle_;
  Instant touched_;
  Instant close_at_ = kNever;  // while closing: when it is cut
  Instant backend_close_at_ = kNever;
  Instant process_close_at_ = kNever;
  Instant leaves_by_ = kNever;
  metrics::TrafficCell& traffic_;
  TunnelLog* log_;
  FactsPtr facts_;
  const char* reason_ = "";
  bool websocket_;
  bool closing_ = false;
  bool cut_ = false;
};

}  // namespace rondo::proxy
