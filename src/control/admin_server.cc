#include "control/admin_server.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "control/admin_connection.h"
#include "rondo/base/log.h"

namespace rondo::control {
namespace {

// How many clients beyond kConnectionsMax are told so at a time; the rest is closed without a word.
constexpr size_t kTurnedAwayMax = 32;

}  // namespace

AdminServer::AdminServer(rt::Loop& loop, const AdminContext& context, AdminAccess access)
    : loop_(loop),
      api_(context),
      access_(std::move(access)),
      accept_(&OnAccepted, *this),
      pause_(&OnPauseOver, *this) {}

AdminServer::~AdminServer() { RONDO_CHECK(finished()); }

absl::StatusOr<int> AdminServer::Listen(const SocketAddress& address) {
  // The file must not be open to everybody even for a moment, so its mode comes with it and is not
  // set afterwards.
  const mode_t before = umask(0117);
  absl::StatusOr<int> fd = io::OpenListener(address, io::ListenMode::kAlone);
  umask(before);
  return fd;
}

void AdminServer::Start(int listen_fd) {
  RONDO_CHECK(listen_fd_ < 0 && !stopping_);
  listen_fd_ = listen_fd;
  accept_.kind = io::Op::Kind::kAccept;
  accept_.fd = listen_fd;
  Accept();
}

void AdminServer::Stop() {
  if (stopping_) return;
  stopping_ = true;
  pause_.Cancel();
  if (accept_.in_flight()) {
    loop_.engine().Cancel(accept_);
  } else {
    CloseListener();
  }
  connections_.ForEach(
      [](AdminConnection& connection) { connection.Cancel(rt::CancelReason::kShutdown); });
}

void AdminServer::Accept() { loop_.engine().Submit(accept_); }

void AdminServer::OnAccepted(io::Op& op) {
  AdminServer& self = static_cast<AcceptOp&>(op).server;
  const int32_t result = op.result;
  if (result >= 0) self.Accepted(result);
  if (op.more) return;
  if (self.stopping_) {
    self.CloseListener();
    return;
  }
  const bool exhausted =
      result == -EMFILE || result == -ENFILE || result == -ENOBUFS || result == -ENOMEM;
  if (!exhausted) {
    self.Accept();
    return;
  }
  LogWarn(std::string("the admin API pauses accepting: ") + std::strerror(-result));
  self.loop_.wheel().Arm(self.pause_, self.loop_.Now() + kAcceptPause);
}

void AdminServer::OnPauseOver(io::Timer& timer) { static_cast<PauseTimer&>(timer).server.Accept(); }

void AdminServer::Accepted(int fd) {
  if (stopping_ || count_ >= kConnectionsMax + kTurnedAwayMax) {
    loop_.engine().Close(fd);
    return;
  }
  scope_.Spawn(Serve(fd));
}

rt::Task<> AdminServer::Serve(int fd) {
  AdminConnection connection(*this, fd);
  const bool too_many = ++count_ > kConnectionsMax;
  connections_.PushBack(connection);
  if (too_many) {
    co_await connection.TurnAway();
  } else {
    co_await connection.Run();
  }
  connection.Unlink();
  --count_;
}

void AdminServer::CloseListener() {
  if (listen_fd_ >= 0) loop_.engine().Close(std::exchange(listen_fd_, -1));
}

}  // namespace rondo::control
