// One client of `rondo echo` as a state machine over bytes: no descriptor, no clock. Owned by the
// server in echo.cc, on its one thread.
//
// Order of calls: Consume() until it takes nothing more; Gather() and Sent() until nothing is left
// to send; then Consume() again, because a connection takes no bytes of the next request while it
// still answers one.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "app/echo.h"
#include "rondo/base/time.h"

namespace rondo::app {

// FNV-1a, 64 bits, of `data`, going on from `hash`.
inline constexpr uint64_t kFnvBasis = 0xcbf29ce484222325u;
uint64_t Fnv1a(uint64_t hash, std::string_view data);

// What a request head says that an echo needs.
struct EchoRequest {
  std::string method;
  std::string target;    // as it came
  std::string path;      // target without scheme, authority and query
  std::string raw_head;  // only for /headers
  std::string websocket_key;
  int64_t body_bytes = 0;  // Content-Length
  bool chunked = false;
  bool http10 = false;
  bool keepalive = true;
  bool expects_continue = false;
  bool websocket = false;
};

// 0 where `head` (with its final empty line) is a request, else the status that refuses it.
int ParseEchoHead(std::string_view head, EchoRequest* request);

class EchoConnection {
 public:
  // `options` outlives the connection and has its name filled in.
  explicit EchoConnection(const EchoOptions& options) : options_(options) {}

  // Takes what it can from the front of `data` and returns how much. Takes nothing while an answer
  // is due or being sent, and leaves an incomplete head or frame header where it is.
  size_t Consume(std::string_view data);

  // The next bytes to send, in at most two pieces; returns how many pieces. Valid until the next
  // call.
  int Gather(iovec out[2]);
  void Sent(size_t bytes);

  // Positive: the answer is held back this long, until DelayOver().
  Duration delay() const { return state_ == State::kDelayed ? delay_ : Duration{}; }
  void DelayOver();
  // The server stops: a WebSocket is told to go away, at the next boundary between frames.
  void Leave();

  bool has_output() const { return out_offset_ < out_.size() || body_left_ > 0; }
  // Close once nothing is left to send.
  bool closing() const { return state_ == State::kClosing; }
  // Between requests: an end of the stream here is a polite one.
  bool idle() const { return state_ == State::kHead; }

 private:
  enum class State : uint8_t {
    kHead,
    kBody,  // Content-Length
    kChunkSize,
    kChunkData,
    kChunkEnd,  // the line end behind a chunk
    kTrailers,
    kDelayed,    // the whole request is here, its answer is not yet due
    kFrameHead,  // WebSocket
    kFrameData,
    kFrameControl,
    kClosing,
  };
  enum class BodyStyle : uint8_t { kPlain, kChunked };

  size_t ConsumeHead(std::string_view data);
  size_t ConsumeBody(std::string_view data);
  size_t ConsumeChunked(std::string_view data);
  size_t ConsumeFrameHead(std::string_view data);
  size_t ConsumeFrameData(std::string_view data);
  void FinishFrame();
  void FinishRequest();
  void Answer();
  void AnswerPath(std::string_view path);
  void AnswerDefault(int status);
  void StartWebSocket();
  void Refuse(int status);
  void Reply(int status, std::string_view type, std::string_view body);
  void ReplyPattern(int status, int64_t bytes, BodyStyle style);
  void AppendHead(int status, std::string_view type, int64_t bytes, BodyStyle style);
  void RefillChunks();

  const EchoOptions& options_;
  EchoRequest request_;
  State state_ = State::kHead;
  BodyStyle body_style_ = BodyStyle::kPlain;

  // The request's body.
  int64_t in_left_ = 0;  // of the body, chunk or frame
  int64_t received_ = 0;
  uint64_t hash_ = kFnvBasis;
  bool hashing_ = false;

  // The answer: `out_` from `out_offset_`, then `body_left_` bytes of pattern from `body_at_`.
  std::string out_;
  size_t out_offset_ = 0;
  int64_t body_left_ = 0;
  int64_t body_at_ = 0;
  Duration delay_{};

  // The WebSocket frame that is being read.
  uint8_t opcode_ = 0;
  uint8_t mask_[4] = {};
  size_t mask_at_ = 0;
  std::string control_;
};

}  // namespace rondo::app
