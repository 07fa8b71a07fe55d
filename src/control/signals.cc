#include "control/signals.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace rondo::control {
namespace {

sigset_t OurSignals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2}) sigaddset(&set, signal);
  return set;
}

}  // namespace

void BlockSignals() {
  const sigset_t set = OurSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

Signals::~Signals() {
  if (fd_ >= 0) close(fd_);
}

absl::Status Signals::Start() {
  const sigset_t set = OurSignals();
  fd_ = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd_ < 0) return absl::ResourceExhaustedError(std::strerror(errno));
  ready_.kind = io::Op::Kind::kWaitReadable;
  ready_.fd = fd_;
  loop_.engine().Submit(ready_);
  return absl::OkStatus();
}

void Signals::Stop() {
  stopping_ = true;
  if (ready_.in_flight()) loop_.engine().Cancel(ready_);
}

void Signals::OnReady(io::Op& op) {
  Signals& self = static_cast<Ready&>(op).signals;
  signalfd_siginfo info{};
  while (read(self.fd_, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
    self.listener_.OnSignal(static_cast<int>(info.ssi_signo));
  }
  if (!self.stopping_) self.loop_.engine().Submit(op);
}

}  // namespace rondo::control
