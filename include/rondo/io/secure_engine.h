// An engine over an engine, in which some descriptors carry protected bytes: what is received at
// them comes out plain, what is sent to them goes out sealed, and nobody above knows the
// difference. Ops on ordinary descriptors go straight to the engine below. One thread, like every
// engine.
//
// A secured descriptor is a number of its own (from kSecuredBase on) which stands for the kernel's;
// all of the contract of Engine and Op holds for it. kReceive* give at most what one buffer of the
// pool holds at a time. The end of the stream: 0 after the peer's close_notify; without one 0 where
// `truncation_ends` says that ends are framed above, else -ECONNRESET. A forged or malformed record
// is -EPROTO. A cancelled send leaves a record half sent: after it sends fail with -EPIPE.
// Shutdown(kWrite) says close_notify first, and the kernel's shutdown follows when that has gone.
// Close says it as well, where the socket takes it at once, unless ResetOnClose was called or kBoth
// was shut; the kernel's descriptor is closed soon after, without the caller: see busy().
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "rondo/base/freelist.h"
#include "rondo/io/engine.h"
#include "rondo/tls/channel.h"

namespace rondo::io {

class SecureEngine final : public Engine {
 public:
  static constexpr int kSecuredBase = 1 << 30;

  // `below` and `frames` (records and small buffers come from there) outlive it.
  SecureEngine(Engine& below, Freelist& frames);
  ~SecureEngine() override;  // REQUIRES: !busy()

  // Takes over `fd`, at which no op is in flight: the secured descriptor. `early`: bytes received
  // behind the handshake. `truncation_ends`: an end without close_notify is an end (clients whose
  // requests are framed), and no error.
  int Secure(int fd, std::unique_ptr<tls::Channel> channel, std::span<const char> early,
             bool truncation_ends);
  static bool secured(int fd) { return fd >= kSecuredBase; }
  // Descriptors that were closed but whose last bytes are still being sent: wait for them before
  // the engine below goes.
  bool busy() const;

  void Submit(Op& op) override;
  void Cancel(Op& op) override;
  void Run(Instant deadline) override;
  void Wake() override;
  void Post(Op& op, int32_t result) override;
  int OpenStream(const SocketAddress& address) override;
  int Shutdown(int fd, ShutdownHow how) override;
  void Close(int fd) override;
  void ResetOnClose(int fd) override;
  SocketAddress PeerAddress(int fd) override;
  SocketAddress LocalAddress(int fd) override;
  WallTime WallNow() const override;

 private:
  class Secured;  // one secured descriptor

  Secured& Of(int fd);
  void RunWithWork(Instant deadline);

  Engine& below_;
  Freelist& frames_;
  std::vector<Secured*> secured_;  // by number; null: free
};

}  // namespace rondo::io
