// A client's HTTP/2 connection: each of its streams becomes a ClientConnection of its own, and it
// ends when its time has come. The frames are the StreamEngine's affair. It is what the limits and
// counts of connections know; streams are not among these. Owned by the worker; frees itself when
// its connection has ended.
#pragma once

#include "proxy/facts.h"
#include "rondo/io/stream_engine.h"
#include "rondo/proxy/worker.h"

namespace rondo::proxy {

class Http2Client final : public ListHook<>, private io::Http2Owner {
 public:
  // `fd`, where a client is to speak HTTP/2 or has begun to, is its own from here on.
  static void Begin(Worker& worker, int fd, uint32_t slot, Origin origin);

  uint32_t slot() const { return slot_; }
  // The process ends, or the listener is gone: what has begun comes to its end, and nothing begins.
  // Who has asked for nothing so far may have a request on its way, and has a while for it.
  void Drain();
  // The grace is over.
  void Cancel();

  // How long one that drains may have no stream.
  static constexpr Duration kDrainIdle = std::chrono::seconds(5);

 private:
  struct LookTimer : io::Timer {
    LookTimer(Fire fire, Http2Client& of) : io::Timer(fire), client(of) {}
    Http2Client& client;
  };

  Http2Client(Worker& worker, uint32_t slot, Origin& origin);
  void Start(int fd, io::BufferRef early);
  void OnStream(io::Http2Connection& connection, int fd) override;
  void OnChange(io::Http2Connection& connection) override;
  void OnEnded(io::Http2Connection& connection, const char* reason) override;
  static void OnTimer(io::Timer& timer);
  void Look();
  // Null, or what ends it now.
  const char* Overdue(Instant now) const;
  Duration Patience() const;
  void Arm();
  void Leave();
  void End(http2::ErrorCode code);
  void CountStreams(size_t streams);
  metrics::TrafficCell& traffic() { return worker_.traffic_table().Known(slot_); }

  Worker& worker_;
  io::Http2Connection* connection_ = nullptr;
  FactsPtr facts_;  // shared with the streams
  LookTimer timer_;
  Instant age_until_ = kNever;
  Instant quiet_since_;  // where it has no stream
  size_t streams_ = 0;   // that are counted
  uint32_t slot_;
  IpAddress peer_;
  uint16_t peer_port_;
  bool has_peer_;
  bool unknown_;
  bool asked_ = false;     // a stream has begun
  bool draining_ = false;  // from outside
  bool leaving_ = false;   // GOAWAY was said
  bool ended_ = false;
};

}  // namespace rondo::proxy
