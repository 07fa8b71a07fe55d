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

// How many clients beyond kConnectionsMax are told so at a time; the rest waits in the backlog.
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
  if (result >= 0) {
    self.accept_failed_ = self.warned_ = false;
    self.Accepted(result);
  }
  if (op.more) return;
  if (self.stopping_) {
    self.CloseListener();
    return;
  }
  if (self.full_) return;
  // A client that was gone before it was accepted concerns nobody else; anything else may stay.
  const bool again =
      result >= 0 || result == -ECANCELED || (result == -ECONNABORTED && !self.accept_failed_);
  self.accept_failed_ = result < 0;
  if (again) {
    self.Accept();
    return;
  }
  if (!self.warned_) {
    self.warned_ = true;
    LogWarn(std::string("the admin API pauses accepting: ") + std::strerror(-result));
  }
  self.loop_.wheel().Arm(self.pause_, self.loop_.Now() + kAcceptPause);
}

void AdminServer::OnPauseOver(io::Timer& timer) { static_cast<PauseTimer&>(timer).server.Accept(); }

void AdminServer::Accepted(int fd) {
  // Some may have been accepted before the accept was taken back.
  if (stopping_ || count_ >= kConnectionsMax + 2 * kTurnedAwayMax) {
    loop_.engine().Close(fd);
    return;
  }
  scope_.Spawn(Serve(fd));
  if (full_ || count_ < kConnectionsMax + kTurnedAwayMax) return;
  full_ = true;
  if (accept_.in_flight()) loop_.engine().Cancel(accept_);
}

void AdminServer::GoOnAccepting() {
  if (!full_ || count_ >= kConnectionsMax + kTurnedAwayMax) return;
  full_ = false;
  if (!stopping_ && !accept_.in_flight()) Accept();
}

// The client that has asked nothing for longest gives its place up; false where all have a request.
bool AdminServer::MakeRoom() {
  AdminConnection* longest = nullptr;
  connections_.ForEach([&](AdminConnection& each) {
    if (each.idle_since() < (longest == nullptr ? kNever : longest->idle_since())) longest = &each;
  });
  if (longest != nullptr) longest->GiveWay();
  return longest != nullptr;
}

rt::Task<> AdminServer::Serve(int fd) {
  AdminConnection connection(*this, fd);
  const bool has_place = ++count_ <= kConnectionsMax || MakeRoom();
  connections_.PushBack(connection);
  if (has_place) {
    co_await connection.Run();
  } else {
    co_await connection.TurnAway();
  }
  connection.Unlink();
  --count_;
  GoOnAccepting();
}

void AdminServer::CloseListener() {
  if (listen_fd_ >= 0) loop_.engine().Close(std::exchange(listen_fd_, -1));
}

}  // namespace rondo::control
