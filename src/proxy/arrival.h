// How a client's connection is let in where more is asked than that it connects: a PROXY header
// from the proxies that are trusted with it, then the TLS handshake; then it is a ClientConnection.
// All of it has one deadline, timeouts.handshake. It counts as a connection from the beginning: a
// process that ends waits for it, and serves it.
#pragma once

#include "proxy/block.h"
#include "proxy/facts.h"
#include "proxy/versions.h"
#include "rondo/proxy/worker.h"
#include "rondo/rt/receiver.h"
#include "rondo/rt/secure.h"
#include "rondo/rt/task.h"

namespace rondo::proxy {

class Arrival : public ListHook<> {
 public:
  // Whether connections of this listener have to go this way.
  static bool IsAskedBy(const upstream::ListenerSnapshot& listener) {
    return listener.tls != nullptr || listener.settings.proxy_protocol;
  }
  // `fd` is its own from here on. Frees itself.
  static void Begin(Worker& worker, int fd, uint32_t slot, Origin origin);

  Freelist& frames() { return worker_.frames(); }
  // The grace is over.
  void Cancel() { token_.Cancel(rt::CancelReason::kShutdown); }

  // How long a client that was told why its handshake failed may take to read that.
  static constexpr Duration kLingerMax = std::chrono::seconds(1);
  static constexpr size_t kLingerBytesMax = 64 * 1024;

 private:
  Arrival(Worker& worker, int fd, uint32_t slot, Origin origin);
  static rt::Task<> Run(Arrival& arrival);
  bool OwesHeader() const;
  rt::Task<bool> ReadHeader();
  bool TakeHeader(size_t received, bool* more);
  bool Admit();
  rt::Task<bool> Secure();
  rt::Task<int32_t> Hear(Block& hello);
  rt::Task<rt::Secured> ShakeHands(std::string_view hello);
  void CountFailure(int error, const tls::Handshake* handshake);
  rt::Task<> Linger();
  void Reject(const char* reason);
  metrics::TrafficCell& traffic();
  // Ends it: the connection goes on as a client's, or is closed.
  void LetIn();
  void TurnAway();

  Worker& worker_;
  int fd_;
  uint32_t slot_;
  Pin version_;  // what it goes by, to its end
  const upstream::ListenerSnapshot& listener_;
  Origin origin_;
  rt::CancelToken token_;
  rt::Deadline deadline_;
  rt::Receiver receiver_;
};

}  // namespace rondo::proxy
