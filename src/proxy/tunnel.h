// Two connections whose bytes go through unread, after a 101: a small record on bare ops, since there may be
// very many of them idle. Owned by the worker; frees itself when both directions have ended.
#pragma once

#include "proxy/block.h"
#include "proxy/input.h"
#include "rondo/http/forwarding.h"
#include "rondo/proxy/worker.h"
#include "rondo/upstream/worker_upstream.h"

namespace rondo::proxy {

// What the access log will say once the tunnel has ended; its texts stand behind it in the same block.
struct TunnelLog {
  Block texts;
  http::ForwardedRequest spans;
  const upstream::ListenerSnapshot* listener = nullptr;
  std::string_view backend_id;
  std::string_view upstream_name;
  IpAddress client;
  bool has_client = false;
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
  TunnelLog* log = nullptr;  // from the worker's freelist; null: nothing is logged
};

class Tunnel : public ListHook<> {
 public:
  static void Start(Worker& worker, TunnelParts parts);
  // Ends both directions at once.
  void Cut(const char* reason);

 private:
  // One direction: what is received at one descriptor is sent to the other.
  struct Direction {
    Direction(Tunnel& owner, int from, int to);
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
    bool ended = false;
  };

  Tunnel(Worker& worker, TunnelParts& parts);
  ~Tunnel();
  void Begin(Direction& direction, Input input);
  static void OnReceived(io::Op& op);
  static void OnSent(io::Op& op);
  static void OnIdle(io::Timer& timer);
  void Receive(Direction& direction);
  void Send(Direction& direction, char* data, size_t size);
  void EndDirection(Direction& direction);
  // The first reason stays.
  void GiveReason(const char* reason) {
    if (*reason_ == '\0') reason_ = reason;
  }
  void FreeIfOver();
  void Touch();
  void WriteLog();

  struct IdleTimer : io::Timer {
    IdleTimer(Fire fire, Tunnel& of) : io::Timer(fire), tunnel(of) {}
    Tunnel& tunnel;
  };

  Worker& worker_;
  upstream::Lease lease_;
  Direction up_;
  Direction down_;
  IdleTimer idle_timer_;
  Duration idle_;
  Instant touched_;
  TunnelLog* log_;
  const char* reason_ = "";
  bool cut_ = false;
};

}  // namespace rondo::proxy
