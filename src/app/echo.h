// `rondo echo`: a small HTTP/1.1 and WebSocket responder for trying things out, for the tests and
// as the origin of the benches. One thread, plain epoll, and none of the proxy's own code, so that
// a fault of the proxy cannot hide behind the same fault here.
#pragma once

#include <cstdint>
#include <string>

#include "rondo/base/address.h"
#include "rondo/base/time.h"

namespace rondo::app {

struct EchoOptions {
  SocketAddress listen;  // port 0: the kernel chooses; the line "listening on ..." on stderr tells
  std::string name;      // sent as X-Backend; empty: the address it listens on
  Duration delay{};      // before each answer but /health
  int status = 200;      // of answers whose path names no other, 200 to 599
  int64_t body_bytes =
      -1;  // of the same answers: that many bytes of pattern; negative: a line of JSON
  bool leaving =
      false;  // set by the server once it was told to stop: answers end their connections
};

// Serves until SIGTERM or SIGINT, whose handling it takes over (a signalfd). Then it leaves as a
// good service does: new connections are refused, what was asked is answered with `Connection:
// close`, WebSockets get close 1001, idle connections end after 1.5 s, and all of it after 10 s or
// at a second signal. Returns the exit status: 0 after a signal, 1 where it could not listen (the
// reason is on stderr).
//
// Paths: /health, /headers (the request as it came), /bytes/N and /chunked/N (N bytes of pattern:
// byte i is (i ^ i>>8) & 255), /upload (JSON with the count and the FNV-1a 64 hash of the body),
// /status/CODE, /delay/MS, /close (closes after the answer), /ws. A request with `Upgrade:
// websocket` is answered on any path.
int RunEcho(const EchoOptions& options);

}  // namespace rondo::app
