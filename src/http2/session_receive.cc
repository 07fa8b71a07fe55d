#include <algorithm>

#include "http2/session_impl.h"
#include "rondo/base/check.h"

namespace rondo::http2 {
namespace {

// Whoever sends a head several times as large as allowed is not to be answered 431: each byte may
// stand for a field of the whole table (RFC 7541), and they have to be decompressed.
constexpr size_t kHeadsTooLarge = 8;
constexpr size_t kTooLargeMin = 256 * 1024;
constexpr size_t kListedOverhead = 32;  // RFC 9113 §10.5.1

// An idle connection does not keep the memory that a head beyond this took.
constexpr size_t kLargeHead = 4096;

std::string_view View(const uint8_t* bytes, size_t size) {
  return {reinterpret_cast<const char*>(bytes), size};
}

bool Ends(const nghttp2_frame_hd& head) { return (head.flags & NGHTTP2_FLAG_END_STREAM) != 0; }

}  // namespace

void SessionImpl::SetReceiving(nghttp2_session_callbacks* callbacks) {
  nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, OnBeginFrame);
  nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, OnBeginHeaders);
  nghttp2_session_callbacks_set_on_header_callback(callbacks, OnHeader);
  nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, OnFrame);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, OnChunk);
  nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks, OnInvalidFrame);
  nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, OnClose);
}

// -- heads --

int SessionImpl::OnBeginFrame(nghttp2_session*, const nghttp2_frame_hd* head, void* user_data) {
  SessionImpl& self = Of(user_data);
  if (head->type == NGHTTP2_HEADERS && self.server()) self.CheckStreamNumber(head->stream_id);
  return 0;
}

// nghttp2 passes over HEADERS of a stream that it does not know any more, since it may have been
// reset here. Where that cannot be, the number is unexpected (RFC 9113 §5.1.1).
void SessionImpl::CheckStreamNumber(int32_t stream_id) {
  if (stream_id > last_stream_) {
    if (stream_id % 2 == 1) last_stream_ = stream_id;
    return;
  }
  if (goaway_finished_) return;  // paid for
  if (nghttp2_session_find_stream(session_, stream_id) != nullptr) {
    // Nobody reads what comes on it any more, and a reset of it may still wait here.
    const SessionStream* stream = Find(stream_id);
    if (stream == nullptr || stream->incoming_ == Incoming::kDeaf) {
      budget_.Spend(FloodBudget::Cost::kFrame);
    }
    return;
  }
  if (WasReset(stream_id)) {
    // Trailers that crossed our reset, once for each such stream; but nobody can tell how often.
    budget_.Spend(FloodBudget::Cost::kFrame);
    return;
  }
  Fail(ErrorCode::kProtocolError, "h2_protocol_error");
}

int SessionImpl::OnBeginHeaders(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
  Of(user_data).BeginBlock(*frame);
  return 0;
}

void SessionImpl::BeginBlock(const nghttp2_frame& frame) {
  block_ = Block::kNone;
  block_bytes_ = 0;
  if (frame.hd.type != NGHTTP2_HEADERS) return;
  if (frame.headers.cat == NGHTTP2_HCAT_REQUEST) {
    // Behind the last stream that GOAWAY names, which may still be on its way out: the client is to
    // ask elsewhere.
    if (goaway_finished_ && frame.hd.stream_id > goaway_last_) {
      nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, frame.hd.stream_id,
                                NGHTTP2_REFUSED_STREAM);
      return;
    }
    block_ = Block::kRequest;
    request_.Begin(options_);
    return;
  }
  const SessionStream* stream = Find(frame.hd.stream_id);
  if (stream == nullptr || stream->incoming_ == Incoming::kDeaf) return;
  if (stream->incoming_ == Incoming::kHead) {
    block_ = Block::kResponse;
    response_.Begin(options_);
  } else {
    block_ = Block::kTrailers;
    trailers_.Begin(options_);
  }
}

int SessionImpl::OnHeader(nghttp2_session*, const nghttp2_frame*, const uint8_t* name,
                          size_t name_size, const uint8_t* value, size_t value_size, uint8_t,
                          void* user_data) {
  SessionImpl& self = Of(user_data);
  if (self.failure_ != nullptr) return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  self.block_bytes_ += name_size + value_size + kListedOverhead;
  const size_t most = std::max(kHeadsTooLarge * self.options_.header_bytes, kTooLargeMin);
  if (self.block_bytes_ > most) {
    self.Fail(ErrorCode::kEnhanceYourCalm, "h2_flood");
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  switch (self.block_) {
    case Block::kNone:
      break;
    case Block::kRequest:
      self.request_.Add(View(name, name_size), View(value, value_size));
      break;
    case Block::kResponse:
      self.response_.Add(View(name, name_size), View(value, value_size));
      break;
    case Block::kTrailers:
      self.trailers_.Add(View(name, name_size), View(value, value_size));
      break;
  }
  return 0;
}

void SessionImpl::EndBlock(const nghttp2_frame& frame) {
  const Block block = block_;
  block_ = Block::kNone;
  large_head_ |= block_bytes_ > kLargeHead;
  if (block == Block::kNone) return;
  const bool ends = Ends(frame.hd);
  if (block == Block::kRequest) {
    TakeRequest(frame.hd.stream_id, ends);
    return;
  }
  SessionStream* stream = Find(frame.hd.stream_id);
  if (stream == nullptr || stream->incoming_ == Incoming::kDeaf) return;
  if (block == Block::kResponse) {
    TakeResponse(*stream, ends);
  } else {
    TakeTrailers(*stream, ends);
  }
}

void SessionImpl::TakeRequest(int32_t stream_id, bool ends) {
  const uint64_t key[2] = {rng_.Next(), rng_.Next()};
  const IncomingHead head =
      request_.Finish(ends, {reinterpret_cast<const char*>(key), sizeof(key)});
  if (head.refusal) budget_.Spend(FloodBudget::Cost::kMalformed);
  SessionStream* stream = owner_.OnRequest(head, ends);
  if (stream == nullptr) {
    budget_.Spend(FloodBudget::Cost::kReset);
    nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream_id, NGHTTP2_REFUSED_STREAM);
    return;
  }
  RONDO_DCHECK(!stream->open_);
  *stream = SessionStream();
  stream->id_ = stream_id;
  stream->open_ = true;
  ++streams_;
  BeginBody(*stream, head, ends);
  nghttp2_session_set_stream_user_data(session_, stream_id, stream);
  // All streams alike and in turns, whatever a client says of priorities (RFC 9218 §4).
  const nghttp2_extpri priority = {NGHTTP2_EXTPRI_DEFAULT_URGENCY, 1};
  nghttp2_session_change_extpri_stream_priority(session_, stream_id, &priority, 1);
}

void SessionImpl::TakeResponse(SessionStream& stream, bool ends) {
  const IncomingHead head = response_.Finish(
      ends, {stream.head_method_, stream.tunnel_, std::string_view(stream.key_, stream.key_size_)});
  if (head.refusal) {
    Break(stream);
    owner_.OnResponse(stream, head, ends);
    return;
  }
  if (head.interim) {
    budget_.Spend(FloodBudget::Cost::kInterim);
    owner_.OnResponse(stream, head, ends);
    return;
  }
  stream.answered_ = true;
  BeginBody(stream, head, ends);
  if (ends) budget_.Earn(FloodBudget::Gain::kAnswered);
  owner_.OnResponse(stream, head, ends);
}

void SessionImpl::BeginBody(SessionStream& stream, const IncomingHead& head, bool ends) {
  stream.tunnel_ = head.framing == http::Framing::kUntilClose;
  stream.length_known_ = head.data_bytes >= 0;
  stream.body_left_ = static_cast<uint64_t>(std::max<int64_t>(head.data_bytes, 0));
  // What follows a plain CONNECT is for nobody.
  const bool for_nobody = head.framing == http::Framing::kNone && !stream.length_known_;
  if (head.refusal || (for_nobody && !ends)) {
    stream.incoming_ = Incoming::kDeaf;
  } else {
    stream.incoming_ = ends ? Incoming::kEnded : Incoming::kBody;
  }
}

void SessionImpl::TakeTrailers(SessionStream& stream, bool ends) {
  http::Refusal refusal;
  const std::string_view text = trailers_.Finish(&refusal);
  // What follows a head ends the stream (RFC 9113 §8.1), and a tunnel has no such thing (§8.5).
  if (refusal || !ends || stream.tunnel_) {
    Break(stream);
    return;
  }
  TakeEnd(stream, text);
}

// -- bodies --

int SessionImpl::OnChunk(nghttp2_session*, uint8_t, int32_t stream_id, const uint8_t* data,
                         size_t size, void* user_data) {
  SessionImpl& self = Of(user_data);
  SessionStream* stream = self.Find(stream_id);
  if (stream == nullptr || stream->incoming_ == Incoming::kDeaf) {
    self.Consume(stream_id, size);
  } else {
    self.TakeData(*stream, View(data, size));
  }
  return 0;
}

void SessionImpl::TakeData(SessionStream& stream, std::string_view bytes) {
  const bool early = stream.incoming_ == Incoming::kHead;  // in front of a final head
  if (early || (stream.length_known_ && bytes.size() > stream.body_left_)) {
    Consume(stream.id_, bytes.size());
    Break(stream);
    return;
  }
  if (stream.length_known_) stream.body_left_ -= bytes.size();
  budget_.EarnBeside();
  owner_.OnData(stream, bytes);
}

void SessionImpl::TakeEnd(SessionStream& stream, std::string_view trailers) {
  const bool early = stream.incoming_ == Incoming::kHead;
  if (early || (stream.length_known_ && stream.body_left_ > 0)) {
    Break(stream);
    return;
  }
  stream.incoming_ = Incoming::kEnded;
  if (!server()) budget_.Earn(FloodBudget::Gain::kAnswered);
  owner_.OnEnd(stream, trailers);
}

void SessionImpl::Break(SessionStream& stream) {
  stream.incoming_ = Incoming::kDeaf;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id_, NGHTTP2_PROTOCOL_ERROR);
}

void SessionImpl::Consume(int32_t stream_id, size_t bytes) {
  if (!dead_) nghttp2_session_consume(session_, stream_id, bytes);
}

// -- all else --

int SessionImpl::OnFrame(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
  SessionImpl& self = Of(user_data);
  switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
      self.EndBlock(*frame);
      break;
    case NGHTTP2_DATA:
      if (Ends(frame->hd)) {
        if (frame->hd.length == 0 && self.empty_ends_ > 0) --self.empty_ends_;
        SessionStream* stream = self.Find(frame->hd.stream_id);
        if (stream != nullptr && stream->incoming_ != Incoming::kDeaf) self.TakeEnd(*stream, {});
      }
      break;
    case NGHTTP2_RST_STREAM:
      if (SessionStream* stream = self.Find(frame->hd.stream_id); stream != nullptr) {
        stream->reset_there_ = true;
        if (stream->incoming_ != Incoming::kEnded) stream->incoming_ = Incoming::kDeaf;
      }
      break;
    case NGHTTP2_SETTINGS:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
        self.settings_received_ = true;
        self.owner_.OnSettings();
      }
      break;
    case NGHTTP2_PING:
      if ((frame->hd.flags & NGHTTP2_FLAG_ACK) != 0) ++self.pongs_;
      break;
    case NGHTTP2_GOAWAY:
      self.goaway_received_ = true;
      self.owner_.OnGoaway(static_cast<ErrorCode>(frame->goaway.error_code));
      break;
    default:
      break;
  }
  return 0;
}

int SessionImpl::OnInvalidFrame(nghttp2_session*, const nghttp2_frame* frame, int error,
                                void* user_data) {
  // HEADERS beyond the streams that may be open, while our settings are not acknowledged.
  if (frame->hd.type == NGHTTP2_HEADERS && error == NGHTTP2_ERR_REFUSED_STREAM) {
    Of(user_data).budget_.Spend(FloodBudget::Cost::kReset);
    // Its trailers may be here before our reset has been sent.
    Of(user_data).RememberReset(frame->hd.stream_id);
  }
  return 0;
}

int SessionImpl::OnClose(nghttp2_session*, int32_t stream_id, uint32_t code, void* user_data) {
  SessionImpl& self = Of(user_data);
  SessionStream* stream = self.Find(stream_id);
  if (stream == nullptr) return 0;
  nghttp2_session_set_stream_user_data(self.session_, stream_id, nullptr);
  // By the client, whatever code it says, or because of something that it did: either way it was
  // begun for nothing.
  const bool reset = stream->reset_there_ || code != NGHTTP2_NO_ERROR;
  if (self.server() && reset && !stream->reset_here_) {
    self.budget_.Spend(FloodBudget::Cost::kReset);
  }
  SessionOwner::Closing closing;
  closing.code = static_cast<ErrorCode>(code);
  // nghttp2 says the same of streams behind the last one of a GOAWAY, and of requests that were
  // never sent since it came. A stream whose answer began was processed whatever the peer says.
  closing.unprocessed = !self.server() && code == NGHTTP2_REFUSED_STREAM && !stream->reset_here_ &&
                        !stream->answered_;
  closing.by_peer = stream->reset_there_ || closing.unprocessed;
  stream->open_ = false;
  --self.streams_;
  self.GiveBack();
  self.owner_.OnClosed(*stream, closing);
  return 0;
}

void SessionImpl::GiveBack() {
  if (!large_head_ || streams_ > 0 || block_ != Block::kNone) return;
  large_head_ = false;
  request_ = RequestBuilder();
  response_ = ResponseBuilder();
  trailers_ = TrailerBuilder();
  fields_ = {};
}

}  // namespace rondo::http2
