// One connection to a backend, for a check or a row of warm-up requests: connect, ask, read. Over
// HTTP/2 each request has a stream of its own. Control thread.
#pragma once

#include <array>
#include <string>

#include "control/probe_http.h"
#include "control/probe_wire.h"
#include "rondo/io/socket_address.h"
#include "rondo/rt/cancel.h"
#include "rondo/rt/loop.h"
#include "rondo/rt/receiver.h"
#include "rondo/rt/sender.h"
#include "rondo/rt/task.h"

namespace rondo::control {

class ProbeConnection {
 public:
  // All waits end with `token`.
  ProbeConnection(rt::Loop& loop, rt::CancelToken& token);
  ProbeConnection(const ProbeConnection&) = delete;
  ProbeConnection& operator=(const ProbeConnection&) = delete;
  ~ProbeConnection();

  struct Connected {
    int error = 0;       // an errno; 0: connected
    bool local = false;  // the error is ours: no descriptor, port or memory was left
    // The connection came about, but TLS did not: why. `error` is not 0 then.
    std::string tls_problem = {};
  };
  // Once only. `wire` outlives the connection.
  rt::Task<Connected> Connect(const SocketAddress& to, const ProbeWire& wire);

  // Sends `request` and reads until the answer is decided: 0, and what came of it is in `answer`;
  // or the errno that ended it (ECANCELED: the token; ECONNREFUSED: the backend refused the
  // stream).
  rt::Task<int> Ask(const std::string& request, ProbeAnswer& answer);
  // Reads on until the answer's body has ended, so that the backend need not write to a closed
  // connection.
  rt::Task<> ReadRest(ProbeAnswer& answer);

  bool open() const { return fd_ >= 0 || http2_ != nullptr; }
  // What the backend did against HTTP/2; null: nothing.
  const char* failure() const;
  void Close();
  Freelist& frames() { return loop_.frames(); }

 private:
  class Http2;
  rt::Task<Connected> Handshake(const ProbeWire& wire);
  int OpenStream();
  // Gives what was received to the answer; 0, or the errno that ended it.
  int Take(int32_t received, ProbeAnswer& answer);

  rt::Loop& loop_;
  rt::CancelToken& token_;
  int fd_ = -1;  // over HTTP/2, once that began: of the stream; -1: none is open
  bool speaks_http2_ = false;
  Http2* http2_ = nullptr;  // frees itself
  io::RawAddress to_;
  std::array<char, proxyproto::kWrittenMax> header_;
  rt::Sender sender_;
  rt::Receiver receiver_;
};

}  // namespace rondo::control
