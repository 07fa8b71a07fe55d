// The session over nghttp2. What comes in: session_receive.cc. What goes out: session_send.cc. Set
// up, and what is said of the connection as a whole: session.cc.
#pragma once

#include <nghttp2/nghttp2.h>
#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "http2/flood_budget.h"
#include "http2/frame_walk.h"
#include "rondo/base/rng.h"
#include "rondo/http2/session.h"

namespace rondo::http2 {

class SessionImpl final : public Session {
 public:
  SessionImpl(const SessionOptions& options, SessionOwner& owner, Freelist& memory);
  ~SessionImpl() override;

  State Feed(std::span<const char> bytes, Instant now) override;
  State state() const override;
  const char* failure() const override { return failure_; }
  size_t Fill(std::span<char> out) override;
  bool wants_fill() const override;
  int SubmitHead(SessionStream& stream, const OutgoingHead& head) override;
  int SubmitTrailers(SessionStream& stream, std::span<const OutgoingField> fields) override;
  bool OpenStream(SessionStream& stream, const OutgoingHead& head) override;
  bool begun(const SessionStream& stream) const override;
  void Resume(SessionStream& stream) override;
  void Reset(SessionStream& stream, ErrorCode code) override;
  void Consume(int32_t stream_id, size_t bytes) override;
  void BeginGoaway() override;
  void FinishGoaway(ErrorCode code) override;
  size_t streams() const override { return streams_; }
  size_t room() const override;
  bool takes_tunnels() const override;
  bool settings_received() const override { return settings_received_; }
  bool in_head() const override { return walk_.in_head(); }
  uint32_t heads() const override { return walk_.heads(); }
  void Ping() override;
  uint32_t pongs() const override { return pongs_; }

 private:
  using Incoming = SessionStream::Incoming;
  // Which builder the fields of the head that comes go to.
  enum class Block : uint8_t { kNone, kRequest, kResponse, kTrailers };

  static const nghttp2_session_callbacks* Callbacks();
  static void SetReceiving(nghttp2_session_callbacks* callbacks);
  static void SetSending(nghttp2_session_callbacks* callbacks);
  static SessionImpl& Of(void* user_data) { return *static_cast<SessionImpl*>(user_data); }
  SessionStream* Find(int32_t stream_id) const;
  bool server() const { return options_.role == Role::kServer; }

  // -- session.cc --
  void Greet();
  bool TakePreface(std::span<const char>* bytes);
  bool Afford(const FrameHead& frame);
  // The connection is over; GOAWAY with `code` goes out. `reason`: static.
  void Fail(ErrorCode code, const char* reason);
  // nghttp2 cannot be used any more.
  void FailHard(ErrorCode code, const char* reason);
  // nghttp2 has found the peer to break the protocol.
  bool terminating() const;

  // -- session_receive.cc --
  static int OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* head, void* user_data);
  static int OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user_data);
  static int OnHeader(nghttp2_session*, const nghttp2_frame* frame, const uint8_t* name,
                      size_t name_size, const uint8_t* value, size_t value_size, uint8_t flags,
                      void* user_data);
  static int OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user_data);
  static int OnChunk(nghttp2_session*, uint8_t flags, int32_t stream_id, const uint8_t* data,
                     size_t size, void* user_data);
  static int OnInvalidFrame(nghttp2_session*, const nghttp2_frame* frame, int error,
                            void* user_data);
  static int OnClose(nghttp2_session*, int32_t stream_id, uint32_t code, void* user_data);
  void CheckStreamNumber(int32_t stream_id);
  void BeginBlock(const nghttp2_frame& frame);
  void EndBlock(const nghttp2_frame& frame);
  void TakeRequest(int32_t stream_id, bool ends);
  void TakeResponse(SessionStream& stream, bool ends);
  void TakeTrailers(SessionStream& stream, bool ends);
  void TakeData(SessionStream& stream, std::string_view bytes);
  void TakeEnd(SessionStream& stream, std::string_view trailers);
  void BeginBody(SessionStream& stream, const IncomingHead& head, bool ends);
  // What large heads took, once no stream is there.
  void GiveBack();
  // The peer's message is malformed: its stream is reset (RFC 9113 §8.1.1).
  void Break(SessionStream& stream);

  // -- session_send.cc --
  static ssize_t OnRead(nghttp2_session*, int32_t stream_id, uint8_t* buffer, size_t size,
                        uint32_t* flags, nghttp2_data_source* source, void* user_data);
  static int OnSendData(nghttp2_session*, nghttp2_frame* frame, const uint8_t* head, size_t size,
                        nghttp2_data_source* source, void* user_data);
  static int OnSent(nghttp2_session*, const nghttp2_frame* frame, void* user_data);
  static int OnNotSent(nghttp2_session*, const nghttp2_frame* frame, int error, void* user_data);
  ssize_t Supply(SessionStream& stream, size_t size, uint32_t* flags);
  void EndSent(SessionStream& stream);
  void CopyLeft();
  std::span<const nghttp2_nv> Fields(std::span<const OutgoingField> fields);
  nghttp2_data_provider BodyOf(SessionStream& stream) const;
  bool Sendable(const SessionStream& stream) const;
  void RememberReset(int32_t stream_id);
  bool WasReset(int32_t stream_id) const;

  SessionOptions options_;
  SessionOwner& owner_;
  nghttp2_session* session_ = nullptr;
  const char* failure_ = nullptr;
  FrameWalk walk_;
  FloodBudget budget_;

  // -- what comes --
  Block block_ = Block::kNone;
  size_t preface_left_;
  size_t block_bytes_ = 0;      // of the head that comes, as RFC 9113 §10.5.1 counts them
  bool large_head_ = false;     // one came since streams_ was 0
  uint32_t continuations_ = 0;  // of the head that comes
  uint32_t empty_ends_ = 0;     // DATA of this Feed that did nothing but end something, as yet
  int32_t last_stream_ = 0;     // server: the largest number that HEADERS came for
  bool settings_received_ = false;
  bool goaway_received_ = false;
  uint32_t pongs_ = 0;
  RequestBuilder request_;
  ResponseBuilder response_;
  TrailerBuilder trailers_;
  Rng rng_;

  // -- what goes --
  std::span<char> out_;  // during Fill
  size_t filled_ = 0;
  std::span<const uint8_t> left_;  // of a frame that nghttp2 gave, what did not fit
  std::vector<nghttp2_nv> fields_;
  bool supplying_ = false;
  bool trailing_ = false;  // trailers were submitted during this Supply
  bool dead_ = false;      // nghttp2 cannot be used any more
  bool last_words_said_ = false;
  bool goaway_begun_ = false;
  bool goaway_finished_ = false;
  int32_t goaway_last_ = 0;  // the last stream that was taken, once it is finished
  size_t streams_ = 0;
  // Streams that we reset while more of them was to come: the last few.
  std::array<int32_t, 64> resets_{};
  uint32_t reset_count_ = 0;
  std::array<uint8_t, 17> last_words_{};  // GOAWAY, where nghttp2 cannot give it any more
};

}  // namespace rondo::http2
