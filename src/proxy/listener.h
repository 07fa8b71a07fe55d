// A worker's listening socket: accepts until the worker drains; pauses when accepting fails, rather
// than spinning on the error.
#pragma once

#include "rondo/proxy/worker.h"

namespace rondo::proxy {

class ListenerSocket {
 public:
  ListenerSocket(Worker& worker, const ListenFd& socket);
  ~ListenerSocket();

  void Start();
  // Stops accepting and closes the socket once the accept has ended.
  void Stop();
  bool stopping() const { return stopping_; }
  bool closed() const { return closed_; }
  uint32_t slot() const { return socket_.slot; }
  uint32_t id() const { return socket_.id; }

  static constexpr Duration kPause = std::chrono::milliseconds(100);

 private:
  struct AcceptOp : io::Op {
    AcceptOp(Deliver on_deliver, ListenerSocket& of) : io::Op(on_deliver), listener(of) {}
    ListenerSocket& listener;
  };
  struct PauseTimer : io::Timer {
    PauseTimer(Fire fire, ListenerSocket& of) : io::Timer(fire), listener(of) {}
    ListenerSocket& listener;
  };
  static void OnAccepted(io::Op& op);
  static void OnPauseOver(io::Timer& timer);
  void Close();

  Worker& worker_;
  ListenFd socket_;
  AcceptOp accept_;
  PauseTimer pause_;
  bool stopping_ = false;
  bool closed_ = false;
  bool failed_ = false;  // the accept before this one
  bool warned_ = false;
};

}  // namespace rondo::proxy
