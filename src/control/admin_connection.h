// One client of the admin API: reads requests, has them answered, sends the answers, waits where a
// call waits.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "control/admin_server.h"
#include "rondo/base/intrusive_list.h"
#include "rondo/http/body.h"
#include "rondo/http/h1_parser.h"
#include "rondo/http/message.h"
#include "rondo/rt/cancel.h"
#include "rondo/rt/receiver.h"
#include "rondo/rt/sender.h"

namespace rondo::control {

class AdminConnection : public ListHook<> {
 public:
  AdminConnection(AdminServer& server, int fd);
  ~AdminConnection() = default;
  Freelist& frames() { return server_.frames(); }

  // Until the connection is over; the descriptor is closed then.
  rt::Task<> Run();
  // The same for one client too many: it is told so.
  rt::Task<> TurnAway();
  void Cancel(rt::CancelReason reason) { token_.Cancel(reason); }
  // Since when it has had no request to serve; kNever: it has one, or was asked to go.
  Instant idle_since() const { return idle_since_; }
  // Its place is somebody else's.
  void GiveWay() {
    idle_since_ = kNever;
    Cancel(rt::CancelReason::kClientGone);
  }

 private:
  enum class Next : uint8_t { kRequest, kClose };

  static void OnUnawaited(rt::Receiver& receiver);
  // TLS, where the server has it; false where it did not come about.
  rt::Task<bool> Secure();
  // Fills head_; false where the connection is over.
  rt::Task<bool> ReadHead();
  rt::Task<Next> ServeRequest();
  // Fills body_. A refusal where it is too large, malformed or too slow; its status 0: nobody is
  // left.
  rt::Task<http::Refusal> ReadBody();
  rt::Task<> Wait(AdminReply& reply);
  rt::Task<> StreamEvents(uint64_t after);
  // Sends the answer; false where that failed.
  rt::Task<bool> SendReply(const AdminReply& reply, bool keep);
  // Sends `bytes`, which stay in place: false where the client does not take them, or has gone.
  rt::Task<bool> SendBytes(std::string_view bytes, std::string_view more);
  rt::Task<> Finish();

  bool Verified() const;
  Access MayCall() const;
  AdminRequest RequestOf() const;
  AdminReply RefuseAccess(Access access) const;
  AdminMoment Moment() const;
  Instant Now() const { return server_.loop().Now(); }
  // Takes the deadline's cancel back; true where there was one, and nothing final.
  bool TakeTimeout();

  AdminServer& server_;
  const std::shared_ptr<const tls::ServerSetup> tls_;  // null: plain
  bool verified_ = false;                              // the client has shown a good certificate
  int fd_;
  rt::Receiver receiver_;
  rt::Sender sender_;
  rt::CancelToken token_;
  rt::Deadline deadline_;
  http::RequestParser parser_;
  http::RequestHead head_;
  http::BodyDecoder decoder_;
  std::string input_;   // received; the head stands at its beginning while its request is served
  std::string behind_;  // what came behind a request whose body did not fit into input_
  std::string body_;
  Instant idle_since_ = kNever;
  bool served_ = false;  // a request
  size_t used_ = 0;  // bytes of input_ that belong to this request
};

}  // namespace rondo::control
