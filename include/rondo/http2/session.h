// One HTTP/2 connection as a state machine over bytes: received bytes go in, bytes to be sent come
// out, and streams happen in between. nghttp2 does frames, compression and flow control; what this
// adds is the translation of heads (incoming.h, outgoing.h), bounds on what a peer may make us do,
// and memory from the worker's freelist. No descriptor, no clock. One thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "rondo/base/freelist.h"
#include "rondo/base/time.h"
#include "rondo/http2/incoming.h"
#include "rondo/http2/outgoing.h"
#include "rondo/http2/types.h"

namespace rondo::http2 {

// One stream, as its owner keeps it; the session finds it by the stream's number and never owns it.
// It stays where it is from OnRequest or OpenStream until OnClosed, and may go then.
class SessionStream {
 public:
  // 0 before OnRequest has returned or OpenStream was called.
  int32_t id() const { return id_; }

 protected:
  ~SessionStream() = default;

 private:
  friend class SessionImpl;
  enum class Incoming : uint8_t {
    kHead,   // the final head of an answer is still to come
    kBody,   // its bytes come
    kEnded,  // all is here
    kDeaf,   // nothing that comes is told any more, but that it was closed
  };
  int32_t id_ = 0;
  Incoming incoming_ = Incoming::kBody;
  bool open_ = false;             // between OnRequest or OpenStream and OnClosed
  bool length_known_ = false;     // body_left_ counts
  bool tunnel_ = false;           // asked for, or there
  bool head_method_ = false;      // client: the request was HEAD
  bool answered_ = false;         // client: a final head came
  bool waits_ = false;            // Supply::kWait was said and Resume not yet
  bool end_queued_ = false;       // what ends our direction is with nghttp2
  bool end_sent_ = false;         // and was framed
  bool reset_here_ = false;       // by Reset
  bool reset_there_ = false;      // by the peer
  bool reset_after_end_ = false;  // Reset(kNoError) waits for what is queued
  uint8_t key_size_ = 0;
  char key_[32] = {};       // client: Sec-WebSocket-Key of a request for a tunnel
  uint64_t body_left_ = 0;  // what Content-Length says is still to come
};

// What a session tells its owner, from within Feed, Fill or a call that says so. The owner may call
// SubmitHead, SubmitTrailers, Resume, Reset, Consume, but not Feed or Fill, and must not destroy
// the session.
class SessionOwner {
 public:
  // Server: a request's head is whole. Returns the stream that is told of all that follows, or
  // null: it is refused (REFUSED_STREAM). Nothing may be submitted for it before this returned.
  // `ends`: there is nothing behind the head, and OnEnd is not called. `head.refusal`: it is to be
  // answered with that and nothing else; its body, if any, is dropped (neither OnData nor OnEnd is
  // called). The text is valid during the call.
  virtual SessionStream* OnRequest(const IncomingHead& head, bool ends) = 0;
  // Client: the head of an answer, interim ones included. `ends`: there is nothing behind it, and
  // OnEnd is not called. A refusal: the stream was reset; OnClosed follows.
  virtual void OnResponse(SessionStream& stream, const IncomingHead& head, bool ends) = 0;
  // Bytes of its body, never more than its Content-Length says. They count against the windows
  // until Consume says that they were taken.
  virtual void OnData(SessionStream& stream, std::string_view bytes) = 0;
  // The peer has sent all; `trailers` as "name: value\r\n" lines, mostly empty.
  virtual void OnEnd(SessionStream& stream, std::string_view trailers) = 0;
  // Bytes of an outgoing body are wanted: writes at most `out.size()` of them. Not called before
  // SubmitHead said that there is one.
  enum class Supply : uint8_t {
    kMore,  // `count` bytes were written; ask again when there is room
    kWait,  // `count` bytes were written (perhaps none), and nothing more is here: Resume says when
            // there is
    kEnd,   // `count` bytes were written, the last ones (trailers, where there are any, have been
            // submitted)
    kFailed,  // it cannot be gone on with: the stream is reset (INTERNAL_ERROR)
  };
  virtual Supply OnSupply(SessionStream& stream, std::span<char> out, size_t* count) = 0;
  // The stream is over, by both ends or by a reset (`code` not kNoError, or kNoError before the
  // end): nothing is sent or received any more, and it is forgotten here. `by_peer`: the reset was
  // the peer's. `unprocessed`: the peer said that it did nothing with it (REFUSED_STREAM, or GOAWAY
  // with a smaller last stream, RFC 9113 §8.7).
  struct Closing {
    ErrorCode code = ErrorCode::kNoError;
    bool by_peer = false;
    bool unprocessed = false;
  };
  virtual void OnClosed(SessionStream& stream, const Closing& closing) = 0;
  // The peer will take no further stream (GOAWAY).
  virtual void OnGoaway(ErrorCode code) = 0;
  // The peer's settings arrived.
  virtual void OnSettings() = 0;

 protected:
  ~SessionOwner() = default;
};

class Session {
 public:
  // `owner` and `memory` outlive it. The preface and our settings are among the first bytes that
  // Fill gives.
  static std::unique_ptr<Session> Make(const SessionOptions& options, SessionOwner& owner,
                                       Freelist& memory);
  virtual ~Session() = default;

  enum class State : uint8_t {
    kOpen,    // also behind BeginGoaway
    kEnding,  // no further stream begins: FinishGoaway was called, or GOAWAY received; once Fill
              // has nothing and streams() is 0 it is over
    kFailed,  // the peer broke the protocol: what Fill still gives (GOAWAY) should be sent, then it
              // is over
  };
  // Takes all of the bytes. `now` is for the bounds: what costs us work and brings nobody further
  // (resets by the peer, PING, SETTINGS, empty DATA, PRIORITY, WINDOW_UPDATE, malformed requests)
  // is allowed in bursts and at a rate; beyond it fails with ENHANCE_YOUR_CALM ("h2_flood").
  virtual State Feed(std::span<const char> bytes, Instant now) = 0;
  virtual State state() const = 0;
  // Why it failed: "h2_flood", "h2_protocol_error", "h2_not_http2" (no preface); null: it has not.
  // Static.
  virtual const char* failure() const = 0;

  // Writes what is to be sent, at most out.size() bytes; 0: nothing now. Calls OnSupply. REQUIRES:
  // out.size() >= kFillMin.
  static constexpr size_t kFillMin = 1024;
  virtual size_t Fill(std::span<char> out) = 0;
  // Whether Fill would give something now (streams that wait for windows or for Resume do not
  // count).
  virtual bool wants_fill() const = 0;

  // -- streams --
  // Server: an answer's head, final or interim. Client: see OpenStream. 0, or -1 where the stream
  // is gone (OnClosed has been or will be called).
  virtual int SubmitHead(SessionStream& stream, const OutgoingHead& head) = 0;
  // REQUIRES: called from within the OnSupply that returns Supply::kEnd.
  virtual int SubmitTrailers(SessionStream& stream, std::span<const OutgoingField> fields) = 0;
  // Client: begins a stream with the head of its request. False where there is no room (room() ==
  // 0) or the session takes none any more; then nothing has happened. For an answer that may be a
  // tunnel, or that of HEAD, the session remembers the head.
  virtual bool OpenStream(SessionStream& stream, const OutgoingHead& head) = 0;
  // Client: some of its request was framed. One that waits for room, which settings took away since
  // it was given, is not known to anybody.
  virtual bool begun(const SessionStream& stream) const = 0;
  // More of an outgoing body is here.
  virtual void Resume(SessionStream& stream) = 0;
  // Ends it now; OnClosed follows from within a later Fill, and nothing else is called for it.
  // kNoError is for a server whose answer is whole: what of the answer was submitted still goes out
  // in front.
  virtual void Reset(SessionStream& stream, ErrorCode code) = 0;
  // So many bytes of OnData were taken: the peer may send as many more. Also allowed after OnClosed
  // with the stream's number, so that the connection's window does not shrink.
  virtual void Consume(int32_t stream_id, size_t bytes) = 0;

  // -- the connection --
  // Server: says GOAWAY with the largest stream number, so that requests on their way are still
  // taken (RFC 9113 §6.8). FinishGoaway, a moment later, says which was the last one; called again
  // with an error, it says that too, with the same last one.
  virtual void BeginGoaway() = 0;
  virtual void FinishGoaway(ErrorCode code) = 0;
  // Streams that are not over.
  virtual size_t streams() const = 0;
  // Client: how many more streams may begin now, by the peer's settings and ours; 0 once GOAWAY was
  // received or the numbers are used up.
  virtual size_t room() const = 0;
  // Client: the peer's settings have arrived, and it takes extended CONNECT (RFC 8441).
  virtual bool takes_tunnels() const = 0;
  virtual bool settings_received() const = 0;
  // A head is coming whose end is not here yet (HEADERS without END_HEADERS).
  virtual bool in_head() const = 0;
  // Heads that have begun so far, to tell one from the next; it wraps around.
  virtual uint32_t heads() const = 0;
  // A PING, whose answer `ponged` counts: for looking whether a quiet connection is still there.
  virtual void Ping() = 0;
  virtual uint32_t pongs() const = 0;
};

}  // namespace rondo::http2
