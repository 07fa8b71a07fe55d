// The admin API's HTTP/1.1 server: accepts, serves at most kConnectionsMax connections, each a
// coroutine on the control thread's loop. A slow or hostile client holds one of these places and
// nothing else, and while it has no request that one only until another client wants it. What the
// calls mean is in admin_api.h; who may make them in admin_access.h.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "control/admin_access.h"
#include "control/admin_api.h"
#include "control/admin_context.h"
#include "rondo/base/address.h"
#include "rondo/base/intrusive_list.h"
#include "rondo/rt/loop.h"
#include "rondo/rt/task.h"
#include "rondo/tls/server_setup.h"

namespace rondo::control {

class AdminConnection;

class AdminServer {
 public:
  static constexpr size_t kConnectionsMax = 256;
  static constexpr size_t kBodyBytesMax = 1024 * 1024;
  static constexpr Duration kHeadTimeout = std::chrono::seconds(10);
  static constexpr Duration kBodyTimeout = std::chrono::seconds(60);
  static constexpr Duration kIdleTimeout = std::chrono::seconds(60);
  static constexpr Duration kAnswerTimeout = std::chrono::minutes(2);  // for one to be taken whole
  static constexpr Duration kSendTimeout = std::chrono::seconds(30);  // without progress
  static constexpr Duration kAcceptPause = std::chrono::milliseconds(100);

  // `access.listen` is where it will listen; `loop` and what `context` refers to outlive the
  // server.
  AdminServer(rt::Loop& loop, const AdminContext& context, AdminAccess access);
  AdminServer(const AdminServer&) = delete;
  AdminServer& operator=(const AdminServer&) = delete;
  ~AdminServer();  // finished(), or never started

  // Opens the socket, before anything is served, so that a busy address is a plain error at start.
  // A unix socket gets mode 0660; a stale file of its name is replaced. The caller owns the
  // descriptor until Start.
  static absl::StatusOr<int> Listen(const SocketAddress& address);

  // Accepts from now on; takes the descriptor over.
  void Start(int listen_fd);
  // Who may call from the next request on (a reload changed the token).
  void SetAccess(AdminAccess access) { access_ = std::move(access); }
  // Connections that come from now on are secured by this one's first context; null: they are
  // plain.
  void SetTls(std::shared_ptr<const tls::ServerSetup> setup) { tls_ = std::move(setup); }
  // Stops accepting and ends every connection; waits and event streams too. Tick the loop until
  // finished().
  void Stop();
  bool finished() const { return listen_fd_ < 0 && scope_.count() == 0; }

  size_t connections() const { return count_; }
  rt::Loop& loop() { return loop_; }
  Freelist& frames() { return loop_.frames(); }
  AdminApi& api() { return api_; }
  const AdminAccess& access() const { return access_; }
  const std::shared_ptr<const tls::ServerSetup>& tls() const { return tls_; }
  bool stopping() const { return stopping_; }

 private:
  friend class AdminConnection;
  struct AcceptOp : io::Op {
    AcceptOp(Deliver on_deliver, AdminServer& of) : io::Op(on_deliver), server(of) {}
    AdminServer& server;
  };
  struct PauseTimer : io::Timer {
    PauseTimer(Fire fire, AdminServer& of) : io::Timer(fire), server(of) {}
    AdminServer& server;
  };
  static void OnAccepted(io::Op& op);
  static void OnPauseOver(io::Timer& timer);
  void Accept();
  void Accepted(int fd);
  bool MakeRoom();
  void GoOnAccepting();
  void CloseListener();
  rt::Task<> Serve(int fd);

  rt::Loop& loop_;
  AdminApi api_;
  AdminAccess access_;
  std::shared_ptr<const tls::ServerSetup> tls_;
  AcceptOp accept_;
  PauseTimer pause_;
  int listen_fd_ = -1;
  bool stopping_ = false;
  bool accept_failed_ = false;  // the accept before this one
  bool warned_ = false;
  bool full_ = false;  // who comes now waits in the backlog
  size_t count_ = 0;
  IntrusiveList<AdminConnection> connections_;
  rt::Scope scope_;
};

}  // namespace rondo::control
