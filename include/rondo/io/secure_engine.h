// An engine over an engine, in which some descriptors carry protected bytes: what is received at
// them comes out plain, what is sent to them goes out sealed, and nobody above knows the
// difference. Ops on ordinary descriptors go straight to the engine below. One thread, like every
// engine.
//
// A secured descriptor is a number of its own (from kSecuredBase on) which stands for the kernel's;
// all of the contract of Engine and Op holds for it, but that nothing connects or accepts at it.
// - Receives give whole records' bytes, kReceiveProvided at most what one buffer of the pool holds
//   at a time. kWaitReadable waits for plain bytes, and may take them off the socket.
// - The end of the stream: 0 after the peer's close_notify; without one 0 where `truncation_ends`
//   says that ends are framed above, else -ECONNRESET. A forged or malformed record is -EPROTO.
//   Either comes after all bytes before it, and again each time.
// - A send is delivered when all records that it was sealed into are with the kernel. What was
//   sealed cannot be taken back: a send that is cancelled after that says how many bytes it took,
//   like any that was quicker than its cancel, and the rest of its records goes out behind it.
// - Shutdown(kWrite) says close_notify first, and the kernel's shutdown follows when that has gone.
//   Close says it as well, where the socket takes it within kCloseGrace, unless ResetOnClose was
//   called or kBoth was shut; the kernel's descriptor is closed after that, without the caller: see
//   busy().
// What the protocol itself has to say is sent although nobody sends. A connection that waits for
// bytes holds no buffer; the beginning of a record that came without its end is kept in a block of
// its own.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "rondo/base/check.h"
#include "rondo/base/freelist.h"
#include "rondo/base/intrusive_list.h"
#include "rondo/io/engine.h"
#include "rondo/tls/channel.h"

namespace rondo::io {

class SecureEngine final : public Engine {
 public:
  static constexpr int kSecuredBase = 1 << 30;
  // How long a closed connection's last bytes may take to go to the kernel.
  static constexpr Duration kCloseGrace = std::chrono::seconds(1);

  // `below` and `frames` (records and small buffers come from there) outlive it.
  SecureEngine(Engine& below, Freelist& frames);
  // REQUIRES: !busy(), and no secured descriptor is open.
  ~SecureEngine() override;

  // Takes over `fd`, at which no op is in flight: the secured descriptor. `early`: bytes received
  // behind the handshake. `truncation_ends`: an end without close_notify is an end (clients whose
  // requests are framed), and no error.
  int Secure(int fd, std::unique_ptr<tls::Channel> channel, std::span<const char> early,
             bool truncation_ends);
  static bool secured(int fd) { return fd >= kSecuredBase; }
  // Descriptors were closed whose last bytes are still on their way: Run until that has ended,
  // before the engine below goes. It does within kCloseGrace.
  bool busy() const { return !closing_.empty() || !cutting_.empty() || nudge_.in_flight(); }

  // Channels that were not used between two calls give back what they can make again. Looks at a
  // part of them at a time. Call it every ten seconds or so, as long as may_shrink().
  void ShrinkIdle();
  bool may_shrink() const { return unshrunk_ > 0; }
  // Secured descriptors that are open.
  size_t secured_count() const { return secured_.size() - free_.size(); }

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
  uint64_t Unacknowledged(int fd) override;
  WallTime WallNow() const override;

 private:
  static constexpr size_t kReserve = 64;

  class Secured;  // one secured descriptor
  using SecuredList = IntrusiveList<Secured, Secured>;

  Secured& Of(int fd) {
    Secured* secured = secured_[static_cast<size_t>(fd - kSecuredBase)];
    RONDO_CHECK(secured != nullptr);
    return *secured;
  }
  void RunWithWork(Instant deadline);
  BufferRef TakeBuffer();
  // What waits there is looked at in the next Run, which therefore must not wait.
  void AddTo(SecuredList& list, Secured& secured);
  // Blocks for long records, several at a time; a few are kept.
  char* TakeLong();
  void ReturnLong(char* block);

  Engine& below_;
  Freelist& frames_;
  // For opened records where the engine's pool gives none: all that it has may lie in the kernel's
  // hands, waiting for other bytes. Those who take of this one give back again, so it never stalls.
  BufferPool reserve_{kReserve};
  std::vector<Secured*> secured_;  // by number; null: free
  std::vector<uint32_t> free_;     // numbers
  SecuredList parked_;             // receives that found no buffer
  SecuredList closing_;            // closed above; in the order in which their grace ends
  SecuredList cutting_;            // it is over, and their send has been cancelled
  Op nudge_;
  std::vector<char*> long_free_;
  size_t unshrunk_ = 0;
  size_t shrink_next_ = 0;
};

}  // namespace rondo::io
