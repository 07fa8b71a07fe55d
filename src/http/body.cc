#include "rondo/http/body.h"

#include <algorithm>
#include <cstring>

#include "rondo/base/check.h"
#include "rondo/base/hex.h"

namespace rondo::http {
namespace {

constexpr uint32_t kExtensionBytesMax = 256;
constexpr uint8_t kSizeDigitsMax = 16;
constexpr uint64_t kChunkSizeMax = (uint64_t{1} << 60) - 1;

// Control characters, but not the tab.
bool IsControl(char c) {
  const uint8_t byte = static_cast<uint8_t>(c);
  return (byte < 0x20 && c != '\t') || byte == 0x7f;
}

}  // namespace

void BodyDecoder::Begin(Framing framing, uint64_t content_length, const HeadLimits& limits,
                        int refusal_status, const CompiledEdits* edits) {
  *this = BodyDecoder();
  edits_ = edits;
  refusal_status_ = static_cast<int16_t>(refusal_status);
  trailer_bytes_max_ = static_cast<uint32_t>(std::min<size_t>(limits.header_bytes, UINT32_MAX / 2));
  trailer_count_max_ = static_cast<uint16_t>(std::min<size_t>(limits.header_count, UINT16_MAX - 1));
  switch (framing) {
    case Framing::kNone:
      break;
    case Framing::kLength:
      remaining_ = content_length;
      if (content_length > 0) state_ = State::kLength;
      break;
    case Framing::kChunked:
      state_ = State::kChunkSize;
      break;
    case Framing::kUntilClose:
      state_ = State::kUntilClose;
      break;
  }
}

BodyDecoder::Step BodyDecoder::Decode(char* bytes, size_t n) {
  Step step;
  switch (state_) {
    case State::kDone:
      step.done = true;
      return step;
    case State::kLength:
      step.data = bytes;
      step.size = static_cast<size_t>(std::min<uint64_t>(n, remaining_));
      step.consumed = step.size;
      remaining_ -= step.size;
      if (remaining_ == 0) state_ = State::kDone;
      step.done = remaining_ == 0;
      return step;
    case State::kUntilClose:
      step.data = bytes;
      step.size = n;
      step.consumed = n;
      return step;
    case State::kRefused:
      return Refuse(refused_);
    case State::kChunkSize:
    case State::kChunkSizeMore:
    case State::kChunkExtension:
    case State::kChunkSizeLf:
    case State::kChunkData:
    case State::kChunkDataCr:
    case State::kChunkDataLf:
    case State::kTrailerStart:
    case State::kTrailerName:
    case State::kTrailerLine:
    case State::kTrailerLf:
    case State::kFinalLf:
      break;
  }
  return DecodeChunked(bytes, n);
}

BodyDecoder::Step BodyDecoder::DecodeChunked(char* bytes, size_t n) {
  Step step;
  size_t i = 0;
  while (i < n && state_ != State::kDone) {
    if (state_ != State::kChunkData) {
      const char* reason = TakeFramingByte(bytes[i++]);
      if (reason != nullptr) return Refuse(reason);
      continue;
    }
    const size_t take = static_cast<size_t>(std::min<uint64_t>(n - i, remaining_));
    if (step.size == 0) {
      step.data = bytes + i;
    } else {
      // What is behind the framing moves up to the data before it, so that data is one span.
      std::memmove(step.data + step.size, bytes + i, take);
    }
    step.size += take;
    i += take;
    remaining_ -= take;
    if (remaining_ == 0) state_ = State::kChunkDataCr;
  }
  step.consumed = i;
  step.done = state_ == State::kDone;
  return step;
}

// One byte that is not chunk data. Returns what is wrong with it, or nullptr.
const char* BodyDecoder::TakeFramingByte(char c) {
  switch (state_) {
    case State::kChunkSize:
      if (HexValue(c) < 0) return "bad_chunk_size";
      remaining_ = 0;
      size_digits_ = 0;
      extension_bytes_ = 0;
      state_ = State::kChunkSizeMore;
      return TakeSizeByte(c);
    case State::kChunkSizeMore:
      return TakeSizeByte(c);
    case State::kChunkExtension:
      if (c == '\r') {
        state_ = State::kChunkSizeLf;
        return nullptr;
      }
      if (IsControl(c)) return "bad_chunk_extension";
      return ++extension_bytes_ > kExtensionBytesMax ? "chunk_extension_too_long" : nullptr;
    case State::kChunkSizeLf:
      state_ = remaining_ > 0 ? State::kChunkData : State::kTrailerStart;
      return c == '\n' ? nullptr : "bare_cr";
    case State::kChunkDataCr:
      state_ = State::kChunkDataLf;
      return c == '\r' ? nullptr : "chunk_longer_than_its_size";
    case State::kChunkDataLf:
      state_ = State::kChunkSize;
      return c == '\n' ? nullptr : "bare_cr";
    case State::kTrailerStart:
    case State::kTrailerName:
    case State::kTrailerLine:
    case State::kTrailerLf:
    case State::kFinalLf:
      return TakeTrailerByte(c);
    case State::kDone:
    case State::kLength:
    case State::kUntilClose:
    case State::kChunkData:
    case State::kRefused:
      break;
  }
  RONDO_CHECK(false && "these states take no framing byte");
  return "bad_chunk_size";
}

const char* BodyDecoder::TakeSizeByte(char c) {
  const int digit = HexValue(c);
  if (digit >= 0) {
    if (++size_digits_ > kSizeDigitsMax) return "chunk_size_overflow";
    if (remaining_ > kChunkSizeMax >> 4) return "chunk_size_overflow";
    remaining_ = remaining_ << 4 | static_cast<uint64_t>(digit);
    return nullptr;
  }
  if (c == '\r') {
    state_ = State::kChunkSizeLf;
    return nullptr;
  }
  if (c == ';') {
    state_ = State::kChunkExtension;
    return nullptr;
  }
  return c == '\n' ? "bare_lf" : "bad_chunk_size";
}

const char* BodyDecoder::TakeTrailerByte(char c) {
  if (++trailer_bytes_ > trailer_bytes_max_) return "trailers_too_large";
  if (state_ == State::kFinalLf) {
    state_ = State::kDone;
    return c == '\n' ? nullptr : "bare_cr";
  }
  if (state_ == State::kTrailerLf) {
    state_ = State::kTrailerStart;
    if (c != '\n') return "bare_cr";
    EndTrailerLine();
    return nullptr;
  }
  if (c == '\n') return "bare_lf";
  if (IsControl(c) && c != '\r') return "control_character";
  if (state_ == State::kTrailerStart) {
    if (c == '\r') {
      state_ = State::kFinalLf;
      return nullptr;
    }
    if (c == ' ' || c == '\t') return "folded_header";
    if (c == ':') return "empty_header_name";
    if (++trailer_count_ > trailer_count_max_) return "too_many_trailers";
    if (!trailers_) trailers_ = std::make_unique<std::string>();
    line_start_ = static_cast<uint32_t>(trailers_->size());
    state_ = State::kTrailerName;
  }
  if (state_ == State::kTrailerName) {
    if (c == ':') {
      state_ = State::kTrailerLine;
    } else if (!IsTokenChar(c)) {
      if (c == '\r') return "header_without_colon";
      return c == ' ' || c == '\t' ? "space_before_colon" : "bad_header_name";
    }
  } else if (c == '\r') {
    state_ = State::kTrailerLf;
    return nullptr;
  }
  trailers_->push_back(c);
  return nullptr;
}

// Writes the line that has just ended in our own way, or drops it.
void BodyDecoder::EndTrailerLine() {
  const std::string line = trailers_->substr(line_start_);
  trailers_->resize(line_start_);
  const size_t colon = line.find(':');
  const std::string_view name = std::string_view(line).substr(0, colon);
  const FieldId id = FieldIdOf(name);
  if (!MayBeTrailer(id) || (edits_ != nullptr && edits_->Drops(id, name))) return;
  trailers_->append(name).append(": ");
  trailers_->append(TrimOws(std::string_view(line).substr(colon + 1))).append("\r\n");
}

BodyDecoder::Step BodyDecoder::Refuse(const char* reason) {
  state_ = State::kRefused;
  refused_ = reason;
  Step step;
  step.refusal = refusal_status_ == 502 ? Refusal{502, "bad_response", reason}
                                        : Refusal{refusal_status_, reason};
  return step;
}

size_t WriteChunkHead(char* out, size_t size) {
  RONDO_DCHECK(size > 0);
  char digits[16];
  size_t count = 0;
  for (size_t rest = size; rest > 0; rest >>= 4) digits[count++] = "0123456789abcdef"[rest & 15];
  for (size_t i = 0; i < count; ++i) out[i] = digits[count - 1 - i];
  out[count] = '\r';
  out[count + 1] = '\n';
  return count + 2;
}

}  // namespace rondo::http
