#include "proxy_wire.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "draw.h"

namespace rondo::sim {
namespace {

uint64_t Word(uint64_t seed, size_t index) { return Mix64(seed ^ (index * 0x9e3779b9u)); }

bool IsTokenChar(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
}

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), IsTokenChar);
}

}  // namespace

void AppendBody(uint64_t seed, size_t from, size_t count, std::string& out) {
  for (size_t at = from; at < from + count;) {
    const uint64_t word = Word(seed, at / 8);
    char bytes[8];
    std::memcpy(bytes, &word, 8);
    const size_t skip = at % 8;
    const size_t take = std::min(8 - skip, from + count - at);
    out.append(bytes + skip, take);
    at += take;
  }
}

bool IsBody(uint64_t seed, size_t from, std::string_view bytes) {
  std::string expected;
  expected.reserve(bytes.size() + 8);
  AppendBody(seed, from, bytes.size(), expected);
  return expected == bytes;
}

std::string TrailerOf(const BodyPlan& body) {
  return body.mode == BodyMode::kChunked && body.trailer
             ? absl::StrCat("X-Trailer: ", body.seed, "\r\n")
             : "";
}

std::string WriteFraming(const BodyPlan& body) {
  switch (body.mode) {
    case BodyMode::kNone:
    case BodyMode::kUntilClose:
      return "";
    case BodyMode::kLength:
      return absl::StrCat("Content-Length: ", body.bytes, "\r\n");
    case BodyMode::kChunked:
      return "Transfer-Encoding: chunked\r\n";
  }
  return "";
}

std::string WriteBody(const BodyPlan& body) {
  std::string out;
  switch (body.mode) {
    case BodyMode::kNone:
      break;
    case BodyMode::kLength:
    case BodyMode::kUntilClose:
      AppendBody(body.seed, 0, body.bytes, out);
      break;
    case BodyMode::kChunked: {
      Rng rng(body.seed ^ 0xc4);
      for (size_t at = 0; at < body.bytes;) {
        const auto left = static_cast<int64_t>(body.bytes - at);
        const auto size = static_cast<size_t>(std::min(left, DrawSkewed(rng, 1, 60'000)));
        absl::StrAppend(&out, absl::Hex(size), rng.Below(8) == 0 ? ";name=\"a;b\"\r\n" : "\r\n");
        AppendBody(body.seed, at, size, out);
        out += "\r\n";
        at += size;
      }
      absl::StrAppend(&out, rng.Below(8) == 0 ? "000\r\n" : "0\r\n", TrailerOf(body), "\r\n");
      break;
    }
  }
  return out;
}

std::string WireHead::Get(std::string_view name) const {
  for (const auto& [each, value] : fields) {
    if (each == name) return value;
  }
  return "";
}

size_t WireHead::Count(std::string_view name) const {
  return static_cast<size_t>(std::count_if(fields.begin(), fields.end(),
                                           [&](const auto& field) { return field.first == name; }));
}

void WireReader::Feed(std::string_view bytes) {
  while (broken_.empty() && !bytes.empty()) {
    switch (state_) {
      case State::kHead:
        if (TakeUntil("\r\n\r\n", bytes)) TakeHead();
        break;
      case State::kLength:
      case State::kUntilClose:
      case State::kChunkData:
        TakeData(bytes);
        break;
      case State::kChunkLine:
        if (TakeUntil("\r\n", bytes)) TakeChunkLine();
        break;
      case State::kChunkEnd:
        if (!TakeUntil("\r\n", bytes)) break;
        if (text_ != "\r\n") broken_ = "no line end behind a chunk";
        text_.clear();
        state_ = State::kChunkLine;
        break;
      case State::kTrailers:
        if (TakeUntil("\r\n", bytes)) TakeTrailerLine();
        break;
      case State::kRaw:
        on_raw(bytes);
        return;
    }
  }
}

void WireReader::End() {
  if (broken_.empty() && state_ == State::kUntilClose) EndMessage();
}

// Moves bytes into text_ up to and with `end`; false where that has not come.
bool WireReader::TakeUntil(std::string_view end, std::string_view& bytes) {
  const size_t before = text_.size();
  text_ += bytes;
  const size_t from = before < end.size() ? 0 : before - end.size() + 1;
  const size_t found = text_.find(end, from);
  if (found == std::string::npos) {
    bytes = {};
    if (text_.size() > 200'000) broken_ = "a head or line without end";
    return false;
  }
  text_.resize(found + end.size());
  bytes.remove_prefix(text_.size() - before);
  return true;
}

void WireReader::TakeData(std::string_view& bytes) {
  size_t take = bytes.size();
  if (state_ != State::kUntilClose) take = static_cast<size_t>(std::min<uint64_t>(take, left_));
  const bool in_chunk = state_ == State::kChunkData;
  left_ -= state_ == State::kUntilClose ? 0 : take;
  on_body(bytes.substr(0, take));
  bytes.remove_prefix(take);
  if (left_ > 0 || state_ == State::kUntilClose) return;
  if (in_chunk) {
    state_ = State::kChunkEnd;
  } else {
    EndMessage();
  }
}

bool WireReader::ParseHead(WireHead& head) {
  std::string_view rest = text_;
  size_t end = rest.find("\r\n");
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + 2);
  for (size_t i = 0; i < 3; ++i) {
    const size_t space = i == 2 ? std::string_view::npos : line.find(' ');
    if (i < 2 && space == std::string_view::npos) return false;
    head.start[i] = line.substr(0, space);
    if (i < 2) line.remove_prefix(space + 1);
  }
  const std::string& version = head.start[role_ == Role::kRequests ? 2 : 0];
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return false;
  if (role_ == Role::kResponses && (head.start[1].size() != 3 || head.start[1][0] < '1')) {
    return false;
  }
  while (rest != "\r\n") {
    end = rest.find("\r\n");
    line = rest.substr(0, end);
    rest.remove_prefix(end + 2);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || !IsToken(line.substr(0, colon))) return false;
    if (line.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos) return false;
    std::string name(line.substr(0, colon));
    absl::AsciiStrToLower(&name);
    std::string value(line.substr(colon + 1));
    absl::StripAsciiWhitespace(&value);
    head.fields.emplace_back(std::move(name), std::move(value));
  }
  return true;
}

void WireReader::TakeHead() {
  WireHead head;
  if (!ParseHead(head)) {
    broken_ = "not a head: " + text_.substr(0, 60);
    return;
  }
  text_.clear();
  trailers_.clear();
  interim_ = false;
  switch (on_head(head)) {
    case Then::kInterim:
      interim_ = true;
      return;
    case Then::kRaw:
      state_ = State::kRaw;
      return;
    case Then::kNoBody:
      EndMessage();
      return;
    case Then::kBody:
      BeginBody(head);
      return;
  }
}

void WireReader::BeginBody(const WireHead& head) {
  const std::string coding = head.Get("transfer-encoding");
  const std::string length = head.Get("content-length");
  const size_t framings = head.Count("transfer-encoding") + head.Count("content-length");
  if (framings > 1 || (!coding.empty() && coding != "chunked")) {
    broken_ = "framing that could be read two ways";
  } else if (!coding.empty()) {
    state_ = State::kChunkLine;
  } else if (!length.empty()) {
    left_ = std::stoull(length);
    state_ = State::kLength;
    if (left_ == 0) EndMessage();
  } else if (role_ == Role::kResponses) {
    state_ = State::kUntilClose;
  } else {
    EndMessage();
  }
}

void WireReader::TakeChunkLine() {
  const size_t digits = text_.find_first_not_of("0123456789abcdefABCDEF");
  if (digits == 0 || digits > 15) {
    broken_ = "not a chunk size: " + text_.substr(0, 30);
    return;
  }
  left_ = std::stoull(text_.substr(0, digits), nullptr, 16);
  text_.clear();
  state_ = left_ > 0 ? State::kChunkData : State::kTrailers;
}

void WireReader::TakeTrailerLine() {
  if (text_ == "\r\n") {
    EndMessage();
    return;
  }
  trailers_ += text_;
  text_.clear();
}

void WireReader::EndMessage() {
  state_ = State::kHead;
  text_.clear();
  on_message(trailers_);
}

}  // namespace rondo::sim
