// One stream of an HTTP/2 connection as a descriptor: the ops above, and what lies between them and
// the session.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "io/byte_queue.h"
#include "rondo/http2/outgoing.h"
#include "rondo/http2/session.h"
#include "rondo/io/stream_engine.h"

namespace rondo::io {

// The op it is itself is posted to look whether the receive above can end. Lives in the engine's
// freelist, until it is closed above and the session has forgotten it.
class StreamEngine::Stream final : public Op,
                                   public http2::SessionStream,
                                   public ListHook<StreamEngine::Stream>,
                                   public ListHook<StreamEngine::Link>,
                                   public ListHook<struct StreamNews>,
                                   public ListHook<struct StreamMoved>,
                                   public ListHook<struct StreamLeaving> {
 public:
  using InParked = ListHook<StreamEngine::Stream>;
  using InAll = ListHook<StreamEngine::Link>;
  using InNews = ListHook<struct StreamNews>;
  using InMoved = ListHook<struct StreamMoved>;
  using InLeaving = ListHook<struct StreamLeaving>;

  static Stream* Make(Link& link);

  // -- from above --
  void Submit(Op& op);
  void Cancel(Op& op);
  int Shutdown(ShutdownHow how);
  void ResetOnClose() { reset_ = true; }
  // REQUIRES: no op above is in flight. It may be gone after this.
  void Close();
  void WhenGone(TellGone tell, void* holder);
  http::Refusal refusal() const { return refusal_; }
  bool tunnel_request() const { return server_ && tunnel_; }
  Link& link() { return link_; }

  // -- from the session, by the link; nothing is delivered --
  void TakeRequest(const http2::IncomingHead& head, bool ends);
  void TakeResponse(const http2::IncomingHead& head, bool ends);
  void TakeData(std::string_view bytes);
  void TakeEnd(std::string_view trailers);
  // It may be gone after this.
  void TakeClosing(const http2::SessionOwner::Closing& closing);
  http2::SessionOwner::Supply GiveBody(std::span<char> out, size_t* count);

  // -- from the link --
  // The owner knows it: until then it may go with its session.
  bool told() const { return told_; }
  void set_told() { told_ = true; }
  // Neither the session nor the one above is done with it.
  bool under_way() const { return begun_ && !forgotten_ && told_ && !closed_ && seen(); }
  // Something came: ends the receive above, where there is one, or tells that the client is gone.
  // It may be gone itself after this.
  void Advance();
  // The same, a moment later.
  void PostLook();
  // What was taken of the send above has been framed: says so.
  void ReportSent();
  // The connection is lost.
  void Fail();
  // Nothing can be sent any more.
  void FailSends();
  // The session is gone. It may be gone after this.
  void Forget();
  // Resets the other direction of what has been said to its end.
  void Leave();
  // The other side's END_STREAM, which closed streams wait for, does not matter any more.
  void StopWaiting();
  // A buffer may be there.
  void Unpark();

 private:
  explicit Stream(Link& link);
  ~Stream();
  Freelist& frames();
  // The peer may have seen something of it. REQUIRES: the session is there.
  bool seen() const;
  // The session, where it is alive and knows this stream.
  http2::Session* session();
  void DestroyIfDone();
  void Reset(http2::ErrorCode code);
  // Its client is gone before all was answered, and somebody is to be told.
  bool gone_untold() const {
    return tell_gone_ != nullptr && receive_error_ != 0 && (!out_ended_ || out_tunnel_);
  }

  // -- receiving (http2_stream_receive.cc) --
  void SubmitReceive(Op& op);
  void CancelReceive();
  static void OnLook(Op& op);
  bool tail_due() const { return chunked_ && remote_ended_ && !tail_given_; }
  bool HasBytes() const { return !lead_.empty() || !body_.empty() || tail_due(); }
  // What receives end with once no bytes are left; kGoesOn: they wait.
  int32_t Outcome() const;
  size_t Compose(std::span<char> out);
  size_t WriteChunk(std::span<char> out);
  void AddLead(std::string_view text);
  void Consume(size_t bytes);
  void DropReceived();
  void FinishReceive(int32_t outcome);
  void News();

  // -- sending (http2_stream_send.cc) --
  void SubmitSend(Op& op);
  void WaitForRoom();
  void CancelSend();
  void PostSender(int32_t outcome);
  // What of the send above is not taken yet, up to the end of its part.
  std::string_view Piece();
  void TakeOfSend(size_t bytes);
  // Reads heads in the send above and submits them; false where that ended the send.
  bool ReadHeads();
  bool SubmitHead();
  // Something of the answer came.
  void InterruptFirst();
  // What comes behind the end of a message.
  bool ReadRest();
  void FailText();

  static constexpr int32_t kGoesOn = 1;
  static constexpr size_t kChunkFrame = 8;  // four digits and two line ends

  Link& link_;
  Op* receiver_ = nullptr;  // the ops above
  Op* sender_ = nullptr;
  TellGone tell_gone_ = nullptr;
  void* holder_ = nullptr;
  http2::MessageReader reader_;
  ByteQueue lead_;      // text that comes before body_
  ByteQueue body_;      // without its framing; what the windows are kept small for
  ByteQueue trailers_;  // lines
  http::Refusal refusal_;
  size_t taken_ = 0;    // bytes of sender_
  size_t part_at_ = 0;  // where in the part of a vector
  uint32_t part_ = 0;
  int32_t receive_error_ = 0;
  int32_t send_error_ = 0;
  const bool server_;
  bool told_ = false;
  bool opening_ = false;       // client: its request has not come yet
  bool begun_ = false;         // the session knows it, or did
  bool forgotten_ = false;     // the session does not any more
  bool closed_ = false;        // above
  bool stopped_ = false;       // StopWaiting
  bool reset_ = false;         // ResetOnClose
  bool shut_both_ = false;     // Shutdown(kBoth)
  bool shut_write_ = false;    // no more of a tunnel's bytes comes from above
  bool chunked_ = false;       // body_ is handed out in chunks
  bool tunnel_ = false;        // asked for
  bool tail_given_ = false;    // the chunks' end is in lead_, or was
  bool remote_ended_ = false;  // all that the peer sends was received
  bool whole_ = false;         // client: by its framing, the answer was received
  bool head_sent_ = false;     // the final one
  bool first_ = false;         // client: what is sent is what came with the head
  bool answered_ = false;      // client: a head of the answer came
  bool out_tunnel_ = false;    // what is sent is a tunnel's bytes
  bool out_ended_ = false;     // all that we send was taken by the session
  uint64_t body_left_ = 0;     // client: of an answer with Content-Length
  bool length_known_ = false;  // body_left_ counts
};

}  // namespace rondo::io
