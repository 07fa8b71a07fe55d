// An HTTP/2 connection to a backend, whose streams are what requests lease. Made by WorkerUpstream,
// which frees it when the engine says that it is over.
#pragma once

#include <chrono>
#include <cstdint>

#include "rondo/base/intrusive_list.h"
#include "rondo/io/stream_engine.h"
#include "rondo/io/timer_wheel.h"
#include "rondo/rt/notice.h"

namespace rondo::upstream {

class WorkerUpstream;
struct WorkerBackend;

class Trunk final : public io::Http2Owner, public ListHook<> {
 public:
  // Streams at once, where the backend allows as many.
  static constexpr uint32_t kStreamsMax = 128;
  // What a backend may send ahead of its client. A connection's window is that of all its streams,
  // so that slow clients never hold up the others.
  static constexpr uint32_t kStreamWindow = 128 * 1024;
  // Who was silent, or took nothing, for less long than this may well be there.
  static constexpr Duration kSilenceMin = std::chrono::seconds(1);

  Trunk(WorkerBackend& of, io::Engine& engine, Instant now);

  // No stream begins here any more.
  bool closing() const { return draining || connection->ending(); }

  void OnStream(io::Http2Connection& of, int fd) override;
  void OnChange(io::Http2Connection& of) override;
  void OnEnded(io::Http2Connection& of, const char* reason) override;

  struct IdleTimer : io::Timer {
    IdleTimer(Fire fire, Trunk& of) : io::Timer(fire), trunk(of) {}
    Trunk& trunk;
  };

  WorkerBackend& backend;
  io::Http2Connection* connection = nullptr;
  IdleTimer idle_timer;
  rt::Notice changed;  // whenever the connection is said to have
  const Instant opened_at;
  uint64_t requests = 0;
  uint32_t way = 0;  // as of BackendConnection
  bool idle = false;
  bool draining = false;
  bool settled = false;  // its backend's settings have come
};

}  // namespace rondo::upstream
