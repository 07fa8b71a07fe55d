#include "proxy/listener.h"

#include <cerrno>
#include <cstring>
#include <string>

#include "rondo/base/log.h"

namespace rondo::proxy {

ListenerSocket::ListenerSocket(Worker& worker, const ListenFd& socket)
    : worker_(worker), socket_(socket), accept_(&OnAccepted, *this), pause_(&OnPauseOver, *this) {
  accept_.kind = io::Op::Kind::kAccept;
  accept_.fd = socket.fd;
}

ListenerSocket::~ListenerSocket() { RONDO_CHECK(closed_ && !accept_.in_flight()); }

void ListenerSocket::Start() { worker_.engine().Submit(accept_); }

void ListenerSocket::Stop() {
  if (stopping_) return;
  stopping_ = true;
  pause_.Cancel();
  if (accept_.in_flight()) {
    worker_.engine().Cancel(accept_);
  } else {
    Close();
  }
}

void ListenerSocket::OnAccepted(io::Op& op) {
  ListenerSocket& self = static_cast<AcceptOp&>(op).listener;
  const int32_t result = op.result;
  if (result >= 0) {
    self.failed_ = self.warned_ = false;
    // Also while stopping: who got through the door is served.
    self.worker_.Accepted(result, self.socket_.slot);
  }
  if (op.more) return;
  if (self.stopping_) {
    self.Close();
    return;
  }
  // A connection that was gone before it was accepted concerns nobody else. Whatever else there is,
  // or comes at once again, may be there to stay: no descriptors, no memory, no room for a watch.
  const bool again = result >= 0 || (result == -ECONNABORTED && !self.failed_);
  self.failed_ = result < 0;
  if (again) {
    self.Start();
    return;
  }
  if (!self.warned_) {
    self.warned_ = true;
    LogWarn(std::string("accepting pauses: ") + std::strerror(-result) +
            "; connections wait in the backlog (raise the limit of open files?)");
  }
  self.worker_.loop().wheel().Arm(self.pause_, self.worker_.loop().Now() + kPause);
}

void ListenerSocket::OnPauseOver(io::Timer& timer) {
  static_cast<PauseTimer&>(timer).listener.Start();
}

void ListenerSocket::Close() {
  worker_.engine().Close(socket_.fd);
  closed_ = true;
}

}  // namespace rondo::proxy
