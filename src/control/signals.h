// Signals as values on the control thread's loop: a signalfd that is waited for like any other
// descriptor.
#pragma once

#include "absl/status/status.h"
#include "rondo/io/op.h"
#include "rondo/rt/loop.h"

namespace rondo::control {

class SignalListener {
 public:
  // SIGTERM, SIGINT, SIGHUP, SIGUSR1 or SIGUSR2 came. Called from the loop.
  virtual void OnSignal(int signal) = 0;

 protected:
  ~SignalListener() = default;
};

// Blocks those signals, for this thread and all it starts from now on, and ignores SIGPIPE.
// REQUIRES: no other thread.
void BlockSignals();

class Signals {
 public:
  Signals(rt::Loop& loop, SignalListener& listener)
      : loop_(loop), listener_(listener), ready_(*this) {}
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;
  ~Signals();  // REQUIRES: stopped()

  // After BlockSignals.
  absl::Status Start();
  void Stop();
  // Some ticks after Stop.
  bool stopped() const { return !ready_.in_flight(); }

 private:
  struct Ready : io::Op {
    explicit Ready(Signals& of) : io::Op(&Signals::OnReady), signals(of) {}
    Signals& signals;
  };
  static void OnReady(io::Op& op);

  rt::Loop& loop_;
  SignalListener& listener_;
  Ready ready_;
  int fd_ = -1;
  bool stopping_ = false;
};

}  // namespace rondo::control
