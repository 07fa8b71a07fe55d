// The one way to do I/O: requests (Op) go in, completions come out. Three engines with the same
// semantics: io_uring, epoll, and the simulated one of the tests. An engine belongs to one thread, which
// is the only one to call it but for Wake().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "rondo/base/address.h"
#include "rondo/base/time.h"
#include "rondo/io/buffer_pool.h"
#include "rondo/io/op.h"

namespace rondo::io {

// How a descriptor's directions are shut (shutdown(2)).
enum class ShutdownHow : uint8_t { kWrite, kBoth };

class Engine {
 public:
  virtual ~Engine() = default;

  // Starts `op`. It never completes inline; exactly one final completion (`more == false`) follows, always.
  // What cannot even be started (a full queue, no buffer) is waited for or delivered as an error.
  // REQUIRES: op idle. At most one receive-like and one send-like op in flight for each descriptor
  // (kReceive, kReceiveProvided, kWaitReadable, kAccept against kSend, kSendVector, kConnect, kWaitWritable).
  virtual void Submit(Op& op) = 0;

  // Asks for an early end of `op`; it still completes: with its result where that came first, or with
  // -ECANCELED. Idempotent; no effect on an idle op. Cancelled receives never lose bytes.
  virtual void Cancel(Op& op) = 0;

  // One tick: submits what is pending, waits for a completion, a Wake, or `deadline` (kNever: no limit; one
  // in the past: only looks), collects completions, updates Now(), and delivers from the ready queue, at most
  // kDeliveriesMax of them (the rest at the next tick, which then does not wait).
  virtual void Run(Instant deadline) = 0;

  // Makes the current or next Run return without waiting. From any thread, also from a signal handler.
  virtual void Wake() = 0;

  // Puts `op` (idle) at the end of the ready queue, to be delivered with `result` in this or the next tick:
  // how code resumes somebody without recursion. It counts as in flight until then and cannot be cancelled.
  virtual void Post(Op& op, int32_t result) = 0;

  // -- descriptors; synchronous, none of these blocks --
  // A non-blocking, close-on-exec stream socket of the address's family with TCP_NODELAY; or -errno.
  virtual int OpenStream(const SocketAddress& address) = 0;
  // Ends both or the writing direction; 0 or -errno. kBoth completes a pending receive with 0.
  virtual int Shutdown(int fd, ShutdownHow how) = 0;
  // Releases the descriptor. REQUIRES: no op of it is in flight.
  virtual void Close(int fd) = 0;
  // Makes the next Close send a reset instead of the normal end (linger 0).
  virtual void ResetOnClose(int fd) = 0;
  // The other side's address (unix peers: kUnix with whatever path, often empty; kIp with port 0:
  // it has reset the connection, and who it was is not known any more); and our own.
  virtual SocketAddress PeerAddress(int fd) = 0;
  virtual SocketAddress LocalAddress(int fd) = 0;
  // How much of what sends have taken has not yet arrived at the other side; 0 where that is not known.
  virtual uint64_t Unacknowledged(int) { return 0; }

  // Monotonic time as of the start of this tick's deliveries; cheap.
  Instant Now() const { return now_; }
  virtual WallTime WallNow() const = 0;
  BufferPool& buffers() { return buffers_; }

  static constexpr size_t kDeliveriesMax = 512;

 private:
  struct Own {
    explicit Own(size_t buffers_max) : buffers(buffers_max) {}
    Instant now{};
    BufferPool buffers;
  };
  std::optional<Own> own_;

 protected:
  explicit Engine(size_t buffers_max) : own_(buffers_max), now_(own_->now), buffers_(own_->buffers) {}
  // An engine over another one: that one's time and buffers are its own, at every moment.
  explicit Engine(Engine& below) : now_(below.now_), buffers_(below.buffers_) {}

  Instant& now_;
  BufferPool& buffers_;
};

struct EngineOptions {
  // Receive buffers at the most; 16 KiB each. When all are out, receives wait.
  size_t buffers_max = 16384;
};

enum class EngineKind : uint8_t { kIoUring, kEpoll };

// What `process.engine: auto` found, once for the process.
struct EngineChoice {
  EngineKind kind;
  std::string reason;  // one sentence for the log: which, and why
};

// Tries to set up an io_uring. `requested`: "auto", "io_uring" or "epoll". With auto, a refusal (ENOSYS, EPERM,
// EACCES, EOPNOTSUPP, EINVAL, or a kernel before 6.1) chooses epoll; with io_uring it is an error that says what
// to do. Lack of memory or descriptors is always an error. With epoll no io_uring call is made.
absl::StatusOr<EngineChoice> ChooseEngine(const std::string& requested);

// Made on the thread that will call Run.
absl::StatusOr<std::unique_ptr<Engine>> MakeEngine(EngineKind kind, const EngineOptions& options);

enum class ListenMode : uint8_t {
  kAlone,   // the address is ours alone: it is an error if anybody has it
  kFirst,   // the first of several sockets of this process: an error if anybody has the address; then SO_REUSEPORT
  kFurther, // one more socket of an address that this process has opened with kFirst; SO_REUSEPORT
};

// Opens a listening socket: non-blocking, close-on-exec, TCP_NODELAY (inherited by what is accepted),
// SO_REUSEADDR. A stale unix socket file is replaced, one that somebody serves is an error; a unix socket has no
// kFurther (one socket is shared there). Backlog 4096. Any thread. With port 0 the kernel chooses: ask
// BoundAddress, and open further ones at what it says.
absl::StatusOr<int> OpenListener(const SocketAddress& address, ListenMode mode);
// The address that a descriptor is bound to.
SocketAddress BoundAddress(int fd);

}  // namespace rondo::io
