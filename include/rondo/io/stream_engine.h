// An engine over the engine, in which the streams of HTTP/2 connections are descriptors of their
// own: what is received at one is an HTTP/1.1 message, what is sent to it is one, and nobody above
// knows the difference. Ops on ordinary and on secured descriptors go straight below. One thread,
// like every engine.
//
// A stream's descriptor is a number from kStreamBase on; all of the contract of Engine and Op
// holds for it, but that nothing connects or accepts at it.
//
// A client's stream (of a connection that we serve):
// - Receives give its request, as text: a head, and a body framed by Content-Length or chunks.
//   Behind its end there is nothing to be received, as from a client that waits for its answer: a
//   receive waits, and ends with -ECONNRESET when the client gives the stream up or its connection
//   ends. In a tunnel (RFC 8441) they give its bytes, and 0 at its end. Who has no receive there is
//   told by WhenGone.
// - Sends take the answer, as text: interim heads, a head, a body framed as the head says; behind a
//   101 the tunnel's bytes. A send is delivered when its bytes were framed: flow control is the
//   back-pressure. Text that is not a message fails with -EPROTO.
// - Shutdown(kWrite) ends a tunnel's direction; elsewhere it has no effect beyond what the answer's
//   framing says.
// - Close, once the answer is whole, ends the stream properly (NO_ERROR where the request was not
//   all read, RFC 9113 §8.1); before that it resets it (INTERNAL_ERROR), so that the client notices
//   that the answer is cut.
//
// A stream to a backend (of a connection that we joined): the same the other way round. Sends take
// a request, receives give the answer; once all of that was taken, 0. A stream that the backend
// gave up is -ECONNREFUSED where it says that it did nothing with the request (RFC 9113 §8.7), and
// -ECONNRESET else; sends are -EPIPE from then on. A send that began with the request's head, or what
// of it is sent next, ends once with -EAGAIN where a head of the answer comes while it waits for the
// backend's window: the rest can be sent as before, but the answer may be all that comes. Close resets what is not over (CANCEL). It is
// over once the answer's framing says so and the request was sent whole: an END_STREAM that only
// comes behind that (in an empty DATA frame, say) is waited for, without anybody above, so that
// backends see no reset for every request.
//
// A connection reads nothing as long as more than a bound of its own frames waits to be sent, so
// that a peer that does not read cannot make us hold more.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "rondo/base/check.h"
#include "rondo/base/freelist.h"
#include "rondo/base/intrusive_list.h"
#include "rondo/base/rng.h"
#include "rondo/http/message.h"
#include "rondo/http2/outgoing.h"
#include "rondo/http2/types.h"
#include "rondo/io/engine.h"

namespace rondo::io {

class Http2Connection;

// Who has a connection. Called from within Run, never from within a call to the connection.
class Http2Owner {
 public:
  // Server: a client began a stream, whose descriptor is the owner's from here on.
  virtual void OnStream(Http2Connection& connection, int fd) = 0;
  // streams(), room(), ending() or settings_received() changed, or in_head_since() came to be a
  // moment (where all that was received has been looked at: a head that comes whole tells nobody).
  virtual void OnChange(Http2Connection& connection) = 0;
  // It is over: the last call; `connection` is gone after it. Its streams were closed by their
  // owners before. `reason`: null for an ordinary end, else a static word (h2_flood,
  // h2_protocol_error, h2_not_http2, or peer_gone, where the kernel's connection ended with streams
  // open).
  virtual void OnEnded(Http2Connection& connection, const char* reason) = 0;

 protected:
  ~Http2Owner() = default;
};

// One connection. Made by StreamEngine, which frees it behind OnEnded.
class Http2Connection {
 public:
  virtual ~Http2Connection() = default;

  // Client: the descriptor of a new stream; nothing is sent before its request is. -EAGAIN: no room
  // now.
  virtual int OpenStream() = 0;
  virtual size_t room() const = 0;
  virtual bool takes_tunnels() const = 0;  // extended CONNECT
  virtual bool settings_received() const = 0;

  // Descriptors of streams that are open here, closed ones excluded.
  virtual size_t streams() const = 0;
  // No further stream begins: GOAWAY was said by either side, or it has failed or ended.
  virtual bool ending() const = 0;
  // Server: since when a head has begun that has not ended since; kNever: none has.
  virtual Instant in_head_since() const = 0;
  // What waits to be sent does not get away: since when. kNever: nothing waits.
  virtual Instant stalled_since() const = 0;
  // When anything was last received (its start, before that): who has said nothing since long
  // before a request timed out may be gone.
  virtual Instant heard_at() const = 0;
  // What the peer did against the protocol, in the words of OnEnded; null: nothing.
  virtual const char* failure() const = 0;

  // Says GOAWAY, lets the streams that are open end, then closes. Server: in two steps, with a
  // moment between (RFC 9113 §6.8), so that no request on its way is lost.
  virtual void Drain() = 0;
  // Says GOAWAY with `code` and ends all now: streams give errors, and OnEnded follows once their
  // owners have closed them.
  virtual void End(http2::ErrorCode code) = 0;
};

class StreamEngine final : public Engine {
 public:
  static constexpr int kStreamBase = 1 << 29;
  static constexpr int kStreamEnd = 1 << 30;  // SecureEngine::kSecuredBase
  // How long a connection that is over may take to send its last bytes and to be closed by its
  // peer.
  static constexpr Duration kCloseGrace = std::chrono::seconds(1);
  // The longest moment between the two GOAWAYs of a server: a PING's answer ends it earlier.
  static constexpr Duration kGoawayPause = std::chrono::milliseconds(500);

  // `below` and `frames` outlive it.
  StreamEngine(Engine& below, Freelist& frames);
  // REQUIRES: no connection is left.
  ~StreamEngine() override;

  // Takes over `fd`, at which no op is in flight, and speaks HTTP/2 there. `early`: bytes received
  // already. `owner` outlives the connection.
  Http2Connection& Start(int fd, const http2::SessionOptions& options, BufferRef early,
                         Http2Owner& owner);
  static bool is_stream(int fd) { return fd >= kStreamBase && fd < kStreamEnd; }
  // Why a client's stream is to be refused, once it was found malformed: then nothing can be
  // received from it.
  http::Refusal RefusalOf(int fd) const;
  // A client's stream that is an extended CONNECT.
  bool IsTunnelRequest(int fd) const;
  // Calls `tell(holder)` once, from within Run, when a client's stream was given up or lost with
  // its connection before it was answered to its end, and no receive is there that would say so: as
  // long as somebody holds what came of it, none is. Whoever asked last is told.
  using TellGone = void (*)(void* holder);
  void WhenGone(int fd, TellGone tell, void* holder);
  // For Sec-WebSocket-Key; any number to begin with.
  void Seed(uint64_t seed) { rng_ = Rng(seed); }
  // Connections that are there: Run until none is, before the engine below goes.
  size_t connections() const { return connection_count_; }

  void Submit(Op& op) override;
  void Cancel(Op& op) override;
  void Run(Instant deadline) override;
  void Wake() override;
  void Post(Op& op, int32_t result) override;
  int OpenStream(const SocketAddress& address) override;
  int Shutdown(int fd, ShutdownHow how) override;
  void Close(int fd) override;
  void ResetOnClose(int fd) override;
  SocketAddress PeerAddress(int fd) override;  // of a stream: its connection's
  SocketAddress LocalAddress(int fd) override;
  uint64_t Unacknowledged(int fd) override;  // of a stream: 0
  WallTime WallNow() const override;

 private:
  static constexpr size_t kReserve = 64;

  class Link;    // one connection
  class Stream;  // one stream of it
  using LinkList = IntrusiveList<Link, Link>;
  using WorkList = IntrusiveList<Link, struct LinkWork>;
  using StreamList = IntrusiveList<Stream, Stream>;

  Stream& Of(int fd) const {
    Stream* stream = streams_[static_cast<size_t>(fd - kStreamBase)];
    RONDO_CHECK(stream != nullptr);
    return *stream;
  }
  // A number for it, as a descriptor.
  int AddStream(Stream& stream);
  void RunWithLists(Instant deadline);
  void Work();
  // It works again behind the next tick, which does not wait.
  void Gather(Link& link);
  BufferRef TakeBuffer();
  void Park(Stream& stream);
  // Makes sure that the next Run looks at the lists below before it waits.
  void Nudge();
  // Blocks for what is sent, several at a time; a few are kept.
  char* TakeBlock(size_t bytes);
  void ReturnBlock(char* block, size_t bytes);

  Engine& below_;
  Freelist& frames_;
  Rng rng_{0};
  // For receives where the engine's pool gives none: all that it has may lie in the kernel's hands,
  // waiting for other bytes. Those who take of this one give back again, so it never stalls.
  BufferPool reserve_{kReserve};
  http2::ReaderScratch scratch_;
  std::vector<Stream*> streams_;  // by number; null: free
  std::vector<uint32_t> free_;    // numbers
  StreamList parked_;             // receives that found no buffer
  WorkList working_;              // with something to send, to tell or to end
  WorkList gathering_;            // whose send waits for what the next tick brings
  LinkList pausing_;              // between two GOAWAYs; in the order in which the pauses end
  LinkList closing_;              // likewise, of those that are to close
  Op nudge_;
  std::vector<char*> blocks_free_;
  std::vector<char*> large_free_;
  size_t connection_count_ = 0;
};

}  // namespace rondo::io
