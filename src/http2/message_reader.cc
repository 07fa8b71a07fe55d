#include <algorithm>

#include "outgoing_section.h"
#include "rondo/base/check.h"
#include "rondo/base/hex.h"
#include "rondo/http/field.h"
#include "rondo/http2/outgoing.h"

namespace rondo::http2 {
namespace {

// Ours are bounded by far less.
constexpr size_t kSectionBytesMax = size_t{1} << 20;
constexpr size_t kSparesMax = 16;
constexpr uint64_t kChunkSizeMax = (uint64_t{1} << 60) - 1;

constexpr size_t kNone = std::string_view::npos;

// Behind the blank line that ends a section, looked for from `from` on.
size_t EndOfSection(std::string_view text, size_t from) {
  if (text.starts_with("\r\n")) return 2;
  const size_t at = text.find("\r\n\r\n", from < 3 ? 0 : from - 3);
  return at == kNone ? kNone : at + 4;
}

void Erase(std::vector<OutgoingField>& fields, std::string_view name) {
  std::erase_if(fields, [name](const OutgoingField& field) { return field.name == name; });
}

}  // namespace

void MessageReader::Begin(Kind kind, bool to_head, bool to_tunnel, std::string_view scheme) {
  DropCollected();
  kind_ = kind;
  to_head_ = to_head;
  to_tunnel_ = to_tunnel;
  scheme_ = scheme;
  left_ = 0;
  state_ = State::kHead;
}

MessageReader::Step MessageReader::Read(std::string_view bytes, size_t data_max) {
  if (drop_collected_) DropCollected();
  switch (state_) {
    case State::kHead:
      return ReadHead(bytes);
    case State::kLength:
    case State::kTunnel:
      return GiveData(bytes, 0, data_max);
    case State::kChunkSize:
    case State::kChunkSizeMore:
    case State::kChunkSizeLf:
    case State::kChunkData:
    case State::kChunkDataCr:
    case State::kChunkDataLf:
      return ReadChunked(bytes, data_max);
    case State::kTrailers:
      return ReadTrailers(bytes);
    case State::kEnded:
      if (!bytes.empty()) return Bad();
      scratch_->fields_.clear();
      return {.what = What::kEnd, .consumed = 0, .data = {}};
    case State::kSwallowed:
      scratch_->fields_.clear();
      return {.what = What::kEnd, .consumed = bytes.size(), .data = {}};
    case State::kBad:
      break;
  }
  return Bad();
}

// Behind `framing` bytes that were taken already.
MessageReader::Step MessageReader::GiveData(std::string_view bytes, size_t framing,
                                            size_t data_max) {
  Step step{.what = What::kNeedMore, .consumed = framing, .data = {}};
  bytes.remove_prefix(framing);
  if (bytes.empty()) return step;
  size_t count = std::min(bytes.size(), data_max);
  if (state_ != State::kTunnel) count = static_cast<size_t>(std::min<uint64_t>(count, left_));
  step.what = What::kData;
  step.consumed += count;
  step.data = bytes.substr(0, count);
  if (state_ == State::kTunnel) return step;
  left_ -= count;
  if (left_ == 0) state_ = state_ == State::kLength ? State::kEnded : State::kChunkDataCr;
  return step;
}

MessageReader::Step MessageReader::ReadChunked(std::string_view bytes, size_t data_max) {
  size_t i = 0;
  while (i < bytes.size() && state_ != State::kChunkData && state_ != State::kTrailers) {
    if (!TakeFramingByte(bytes[i++])) return Bad();
  }
  if (state_ == State::kChunkData) return GiveData(bytes, i, data_max);
  if (state_ != State::kTrailers) return {.what = What::kNeedMore, .consumed = i, .data = {}};
  Step step = ReadTrailers(bytes.substr(i));
  step.consumed += i;
  return step;
}

// Our own writers have no chunk extensions.
bool MessageReader::TakeFramingByte(char c) {
  switch (state_) {
    case State::kChunkSize:
      left_ = 0;
      state_ = State::kChunkSizeMore;
      if (c == '\r') return false;
      [[fallthrough]];
    case State::kChunkSizeMore: {
      if (c == '\r') {
        state_ = State::kChunkSizeLf;
        return true;
      }
      const int digit = HexValue(c);
      if (digit < 0 || left_ > kChunkSizeMax >> 4) return false;
      left_ = left_ << 4 | static_cast<uint64_t>(digit);
      return true;
    }
    case State::kChunkSizeLf:
      state_ = left_ > 0 ? State::kChunkData : State::kTrailers;
      return c == '\n';
    case State::kChunkDataCr:
      state_ = State::kChunkDataLf;
      return c == '\r';
    case State::kChunkDataLf:
      state_ = State::kChunkSize;
      return c == '\n';
    case State::kHead:
    case State::kLength:
    case State::kChunkData:
    case State::kTrailers:
    case State::kTunnel:
    case State::kEnded:
    case State::kSwallowed:
    case State::kBad:
      break;
  }
  RONDO_CHECK(false && "these states take no framing byte");
  return false;
}

MessageReader::Step MessageReader::ReadTrailers(std::string_view bytes) {
  return ReadSection(bytes, &MessageReader::ParseTrailers, What::kEnd);
}

MessageReader::Step MessageReader::ReadHead(std::string_view bytes) {
  return ReadSection(bytes, &MessageReader::ParseHead, What::kHead);
}

// Mostly it is whole in the given bytes. Else it is collected until it is, and read then.
MessageReader::Step MessageReader::ReadSection(std::string_view bytes, Parse parse, What whole) {
  Step step;
  if (collected_.empty() && (this->*parse)(bytes, &step.consumed)) {
    step.what = whole;
    return step;
  }
  std::string_view section;
  if (!FindSection(bytes, &section, &step.consumed)) {
    return collected_.size() > kSectionBytesMax ? Bad() : step;
  }
  size_t size = 0;
  if (!(this->*parse)(section, &size) || size != section.size()) return Bad();
  step.what = whole;
  return step;
}

bool MessageReader::ParseTrailers(std::string_view text, size_t* size) {
  if (!ReadTrailerSection(text, scratch_->fields_, scratch_->names_, size)) return false;
  state_ = State::kEnded;
  return true;
}

bool MessageReader::ParseHead(std::string_view text, size_t* size) {
  OutgoingSection section{.is_request = kind_ == Kind::kRequest};
  scratch_->head_ = OutgoingHead();
  if (!ReadHeadSection(text, scratch_->fields_, scratch_->names_, &section, size)) return false;
  switch (kind_) {
    case Kind::kRequest:
      return TakeRequest(section);
    case Kind::kResponse:
      break;
  }
  return TakeResponse(section);
}

// The first `count` of the fields' places in front are not used.
void MessageReader::SetFields(size_t count) {
  scratch_->head_.fields = std::span<const OutgoingField>(scratch_->fields_).subspan(count);
}

bool MessageReader::TakeRequest(const OutgoingSection& section) {
  const std::string_view line = section.first_line;
  const size_t first = line.find(' ');
  const size_t second = line.rfind(' ');
  if (first == kNone || second == first || line.substr(second) != " HTTP/1.1") return false;
  const std::string_view method = line.substr(0, first);
  const std::string_view target = line.substr(first + 1, second - first - 1);
  if (!http::IsToken(method) || method == "CONNECT" || section.host.empty()) return false;
  if (!http::IsVisibleAscii(target)) return false;
  if (!target.starts_with('/') && (target != "*" || method != "OPTIONS")) return false;

  OutgoingHead& head = scratch_->head_;
  std::vector<OutgoingField>& fields = scratch_->fields_;
  // A GET that has a body as well, or no key, is one that no server would upgrade.
  head.tunnel = section.upgrade && method == "GET" && !section.chunked &&
                !section.has_content_length && !section.websocket_key.empty();
  head.head_method = method == "HEAD";
  head.websocket_key = section.websocket_key;
  if (head.tunnel) Erase(fields, "sec-websocket-key");
  fields[0] = {":protocol", "websocket", false, true};
  fields[1] = {":method", head.tunnel ? "CONNECT" : method, false, true};
  fields[2] = {":scheme", scheme_, false, true};
  fields[3] = {":authority", section.host, false, true};
  fields[4] = {":path", target, false, true};
  SetFields(head.tunnel ? 0 : 1);
  if (head.tunnel) {
    state_ = State::kTunnel;
  } else {
    BeginBody(section);
  }
  return true;
}

bool MessageReader::TakeResponse(const OutgoingSection& section) {
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  const std::string_view line = section.first_line;
  if (!line.starts_with(kVersion) || line.size() < kVersion.size() + 3) return false;
  const std::string_view digits = line.substr(kVersion.size(), 3);
  int status = 0;
  for (char c : digits) {
    if (c < '0' || c > '9') return false;
    status = status * 10 + (c - '0');
  }
  const bool ends_there = line.size() == kVersion.size() + 3;
  if (status < 100 || status > 599 || (!ends_there && line[kVersion.size() + 3] != ' ')) {
    return false;
  }
  OutgoingHead& head = scratch_->head_;
  std::vector<OutgoingField>& fields = scratch_->fields_;
  fields[kPseudoMax - 1] = {":status", digits, false, true};
  SetFields(kPseudoMax - 1);
  if (status == 101) return TakeSwitch(section);
  if (status < 200) {
    head.interim = true;
    return !section.chunked && !section.has_content_length;
  }
  if (to_tunnel_ && status / 100 == 2) {
    fields.resize(kPseudoMax);
    fields[kPseudoMax - 1].value = "502";
    fields.push_back({"content-length", "0"});
    SetFields(kPseudoMax - 1);
    head.ends = true;
    state_ = State::kSwallowed;
    return true;
  }
  if (to_head_ || status == 204 || status == 304) {
    head.ends = true;
    state_ = State::kEnded;
    return true;
  }
  // Who asked by HTTP/2 is never told that a body ends with the connection.
  if (!section.chunked && !section.has_content_length) return false;
  BeginBody(section);
  return true;
}

// RFC 8441 §5: the tunnel begins with 200.
bool MessageReader::TakeSwitch(const OutgoingSection& section) {
  if (!to_tunnel_ || !section.upgrade || section.chunked || section.has_content_length) {
    return false;
  }
  OutgoingHead& head = scratch_->head_;
  std::vector<OutgoingField>& fields = scratch_->fields_;
  Erase(fields, "sec-websocket-accept");
  fields[kPseudoMax - 1].value = "200";
  SetFields(kPseudoMax - 1);
  head.tunnel = true;
  state_ = State::kTunnel;
  return true;
}

void MessageReader::BeginBody(const OutgoingSection& section) {
  left_ = section.content_length;
  if (section.chunked) {
    state_ = State::kChunkSize;
  } else {
    state_ = left_ > 0 ? State::kLength : State::kEnded;
  }
  scratch_->head_.ends = state_ == State::kEnded;
}

bool MessageReader::FindSection(std::string_view bytes, std::string_view* section,
                                size_t* consumed) {
  const size_t before = collected_.size();
  *consumed = bytes.size();
  if (bytes.empty()) return false;
  if (before == 0) {
    const size_t end = EndOfSection(bytes, 0);
    if (end != kNone) {
      *section = bytes.substr(0, end);
      *consumed = end;
      return true;
    }
    std::vector<std::string>& spares = scratch_->spares_;
    if (!spares.empty()) {
      collected_.swap(spares.back());
      spares.pop_back();
    }
  }
  collected_.append(bytes);
  const size_t end = EndOfSection(collected_, before);
  if (end == kNone) return false;
  *section = std::string_view(collected_).substr(0, end);
  *consumed = end - before;
  drop_collected_ = true;
  return true;
}

void MessageReader::DropCollected() {
  drop_collected_ = false;
  constexpr size_t kKeptBytes = 65536;
  constexpr size_t kInline = 15;
  std::vector<std::string>& spares = scratch_->spares_;
  const size_t capacity = collected_.capacity();
  collected_.clear();
  if (capacity > kInline && capacity <= kKeptBytes && spares.size() < kSparesMax) {
    spares.push_back(std::move(collected_));
    collected_ = std::string();
  } else if (capacity > kInline) {
    std::string().swap(collected_);
  }
}

MessageReader::Step MessageReader::Bad() {
  state_ = State::kBad;
  return {.what = What::kBad, .consumed = 0, .data = {}};
}

}  // namespace rondo::http2
