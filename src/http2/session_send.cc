#include <algorithm>
#include <cstring>

#include "http2/session_impl.h"
#include "rondo/base/check.h"

namespace rondo::http2 {
namespace {

// DATA is not cut smaller than this to fit what is left of a buffer: it waits for the next one.
constexpr size_t kDataMin = 512;
// DATA that a peer's window makes smaller than this costs more than it brings.
constexpr size_t kDribbleMax = 128;

uint8_t* Bytes(std::string_view text) {
  return const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(text.data()));
}

}  // namespace

void SessionImpl::SetSending(nghttp2_session_callbacks* callbacks) {
  nghttp2_session_callbacks_set_send_data_callback(callbacks, OnSendData);
  nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, OnSent);
  nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, OnNotSent);
}

size_t SessionImpl::Fill(std::span<char> out) {
  RONDO_DCHECK(out.size() >= kFillMin);
  out_ = out;
  filled_ = 0;
  CopyLeft();
  while (!dead_ && filled_ < out_.size()) {
    const uint8_t* data = nullptr;
    const ssize_t size = nghttp2_session_mem_send(session_, &data);
    if (size < 0) FailHard(ErrorCode::kInternalError, "h2_protocol_error");
    if (size <= 0) break;
    left_ = {data, static_cast<size_t>(size)};
    CopyLeft();
  }
  if (dead_ && left_.empty() && !last_words_said_) {
    last_words_said_ = true;
    left_ = last_words_;
    CopyLeft();
  }
  out_ = {};
  return filled_;
}

void SessionImpl::CopyLeft() {
  const size_t size = std::min(left_.size(), out_.size() - filled_);
  if (size == 0) return;
  std::memcpy(out_.data() + filled_, left_.data(), size);
  filled_ += size;
  left_ = left_.subspan(size);
}

bool SessionImpl::wants_fill() const {
  if (!left_.empty()) return true;
  return dead_ ? !last_words_said_ : nghttp2_session_want_write(session_) != 0;
}

// -- bodies --

ssize_t SessionImpl::OnRead(nghttp2_session*, int32_t, uint8_t*, size_t size, uint32_t* flags,
                            nghttp2_data_source* source, void* user_data) {
  return Of(user_data).Supply(*static_cast<SessionStream*>(source->ptr), size, flags);
}

// The bytes are written to where they are sent from, behind the place of their frame's head, which
// OnSendData writes right after.
ssize_t SessionImpl::Supply(SessionStream& stream, size_t size, uint32_t* flags) {
  if (stream.waits_) return NGHTTP2_ERR_DEFERRED;
  const size_t room = out_.size() - filled_;
  if (room < FrameHead::kBytes + std::min(size, kDataMin)) return NGHTTP2_ERR_PAUSE;
  const size_t most = std::min(size, room - FrameHead::kBytes);
  size_t count = 0;
  supplying_ = true;
  trailing_ = false;
  const SessionOwner::Supply supply =
      owner_.OnSupply(stream, out_.subspan(filled_ + FrameHead::kBytes, most), &count);
  supplying_ = false;
  RONDO_CHECK(count <= most);
  *flags = NGHTTP2_DATA_FLAG_NO_COPY;
  switch (supply) {
    case SessionOwner::Supply::kMore:
    case SessionOwner::Supply::kWait:
      if (count == 0) return NGHTTP2_ERR_DEFERRED;
      stream.waits_ = supply == SessionOwner::Supply::kWait;
      break;
    case SessionOwner::Supply::kEnd:
      stream.end_queued_ = true;
      *flags |= NGHTTP2_DATA_FLAG_EOF;
      if (trailing_) *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
      break;
    case SessionOwner::Supply::kFailed:
      stream.incoming_ = Incoming::kDeaf;
      stream.reset_here_ = true;
      return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
  }
  if (count == size && size < kDribbleMax && supply != SessionOwner::Supply::kEnd) {
    budget_.Spend(FloodBudget::Cost::kDribble);
  } else if (count > 0) {
    budget_.EarnForData(FloodBudget::Gain::kDataSent, count);
  }
  return static_cast<ssize_t>(count);
}

int SessionImpl::OnSendData(nghttp2_session*, nghttp2_frame*, const uint8_t* head, size_t size,
                            nghttp2_data_source*, void* user_data) {
  SessionImpl& self = Of(user_data);
  std::memcpy(self.out_.data() + self.filled_, head, FrameHead::kBytes);
  self.filled_ += FrameHead::kBytes + size;
  return 0;
}

bool SessionImpl::begun(const SessionStream& stream) const {
  return nghttp2_session_find_stream(session_, stream.id_) != nullptr;
}

void SessionImpl::Resume(SessionStream& stream) {
  if (!stream.open_ || dead_) return;
  stream.waits_ = false;
  nghttp2_session_resume_data(session_, stream.id_);
}

// -- heads --

int SessionImpl::SubmitHead(SessionStream& stream, const OutgoingHead& head) {
  if (!Sendable(stream)) return -1;
  const std::span<const nghttp2_nv> fields = Fields(head.fields);
  int submitted = 0;
  if (head.interim) {
    submitted = nghttp2_submit_headers(session_, NGHTTP2_FLAG_NONE, stream.id_, nullptr,
                                       fields.data(), fields.size(), nullptr);
  } else {
    const nghttp2_data_provider body = BodyOf(stream);
    stream.end_queued_ = head.ends;
    submitted = nghttp2_submit_response(session_, stream.id_, fields.data(), fields.size(),
                                        head.ends ? nullptr : &body);
  }
  return submitted == 0 ? 0 : -1;
}

int SessionImpl::SubmitTrailers(SessionStream& stream, std::span<const OutgoingField> fields) {
  RONDO_DCHECK(supplying_);
  if (!Sendable(stream)) return -1;
  const std::span<const nghttp2_nv> trailers = Fields(fields);
  trailing_ = nghttp2_submit_trailer(session_, stream.id_, trailers.data(), trailers.size()) == 0;
  return trailing_ ? 0 : -1;
}

bool SessionImpl::OpenStream(SessionStream& stream, const OutgoingHead& head) {
  RONDO_DCHECK(!stream.open_);
  if (room() == 0) return false;
  const std::span<const nghttp2_nv> fields = Fields(head.fields);
  stream = SessionStream();
  const nghttp2_data_provider body = BodyOf(stream);
  const int32_t id = nghttp2_submit_request(session_, nullptr, fields.data(), fields.size(),
                                            head.ends ? nullptr : &body, &stream);
  if (id < 0) return false;
  stream.id_ = id;
  stream.open_ = true;
  stream.incoming_ = Incoming::kHead;
  stream.end_queued_ = head.ends;
  stream.tunnel_ = head.tunnel;
  stream.head_method_ = head.head_method;
  stream.key_size_ = static_cast<uint8_t>(std::min(head.websocket_key.size(), sizeof(stream.key_)));
  std::copy_n(head.websocket_key.data(), stream.key_size_, stream.key_);
  ++streams_;
  return true;
}

std::span<const nghttp2_nv> SessionImpl::Fields(std::span<const OutgoingField> fields) {
  fields_.clear();
  for (const OutgoingField& field : fields) {
    int flags = NGHTTP2_NV_FLAG_NONE;
    if (field.sensitive) flags |= NGHTTP2_NV_FLAG_NO_INDEX;
    if (field.name_is_static) flags |= NGHTTP2_NV_FLAG_NO_COPY_NAME;
    fields_.push_back({Bytes(field.name), Bytes(field.value), field.name.size(), field.value.size(),
                       static_cast<uint8_t>(flags)});
  }
  return fields_;
}

nghttp2_data_provider SessionImpl::BodyOf(SessionStream& stream) const {
  nghttp2_data_provider body;
  body.source.ptr = &stream;
  body.read_callback = OnRead;
  return body;
}

bool SessionImpl::Sendable(const SessionStream& stream) const {
  return stream.open_ && !stream.reset_here_ && !stream.reset_there_ && !stream.end_queued_ &&
         failure_ == nullptr;
}

// -- ends --

void SessionImpl::Reset(SessionStream& stream, ErrorCode code) {
  if (!stream.open_ || stream.reset_here_ || stream.reset_after_end_) return;
  stream.incoming_ = Incoming::kDeaf;
  if (code == ErrorCode::kNoError && stream.end_queued_ && !stream.end_sent_) {
    // A reset would overtake what is queued.
    stream.reset_after_end_ = true;
    return;
  }
  stream.reset_here_ = true;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id_, static_cast<uint32_t>(code));
}

int SessionImpl::OnSent(nghttp2_session*, const nghttp2_frame* frame, void* user_data) {
  SessionImpl& self = Of(user_data);
  const int32_t stream_id = frame->hd.stream_id;
  if (frame->hd.type == NGHTTP2_HEADERS || frame->hd.type == NGHTTP2_DATA) {
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) return 0;
    if (SessionStream* stream = self.Find(stream_id); stream != nullptr) self.EndSent(*stream);
  } else if (frame->hd.type == NGHTTP2_RST_STREAM && self.server()) {
    self.RememberReset(stream_id);
  }
  return 0;
}

void SessionImpl::EndSent(SessionStream& stream) {
  stream.end_sent_ = true;
  if (server()) budget_.Earn(FloodBudget::Gain::kAnswered);
  if (!stream.reset_after_end_) return;
  // Where all of the request is here as well the stream is closed by now.
  if (nghttp2_session_get_stream_remote_close(session_, stream.id_) != 0) return;
  stream.reset_here_ = true;
  nghttp2_submit_rst_stream(session_, NGHTTP2_FLAG_NONE, stream.id_, NGHTTP2_NO_ERROR);
}

int SessionImpl::OnNotSent(nghttp2_session*, const nghttp2_frame* frame, int, void* user_data) {
  SessionImpl& self = Of(user_data);
  if (frame->hd.type != NGHTTP2_HEADERS) return 0;
  SessionStream* stream = self.Find(frame->hd.stream_id);
  // A head that cannot be sent (it is too large even for us): nothing else would end the stream. Of
  // one that is to open a stream, nghttp2 says that it is closed.
  const bool opens = frame->headers.cat == NGHTTP2_HCAT_REQUEST;
  if (stream == nullptr || opens) return 0;
  stream->reset_after_end_ = false;  // that end will not come
  self.Reset(*stream, ErrorCode::kInternalError);
  return 0;
}

void SessionImpl::RememberReset(int32_t stream_id) {
  resets_[reset_count_ % resets_.size()] = stream_id;
  if (reset_count_ < UINT32_MAX) ++reset_count_;
}

bool SessionImpl::WasReset(int32_t stream_id) const {
  // Once more were reset than are remembered, nobody can be blamed any more.
  if (reset_count_ > resets_.size()) return true;
  return std::find(resets_.begin(), resets_.end(), stream_id) != resets_.end();
}

}  // namespace rondo::http2
