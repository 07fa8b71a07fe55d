#include "http_reader.h"

#include <algorithm>
#include <cctype>

#include "absl/strings/str_cat.h"
#include "rondo/base/rng.h"

namespace rondo::sim {
namespace {

bool IsToken(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("!#$%&'*+-.^_`|~").find(static_cast<char>(c)) != std::string_view::npos;
  });
}

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return lower;
}

std::string_view Trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

// Digits of `base` only; false for anything else or more than 15 of them.
bool ParseNumber(std::string_view text, unsigned base, uint64_t& value) {
  if (text.empty() || text.size() > 15) return false;
  value = 0;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    const bool fits = base == 16 ? std::isxdigit(u) != 0 : std::isdigit(u) != 0;
    if (!fits) return false;
    const int digit = std::isdigit(u) != 0 ? c - '0' : std::tolower(u) - 'a' + 10;
    value = value * base + static_cast<uint64_t>(digit);
  }
  return true;
}

}  // namespace

std::string BodyText(uint64_t seed, uint64_t offset, size_t length) {
  std::string text;
  text.reserve(length);
  for (uint64_t at = offset; at < offset + length; ++at) {
    text += static_cast<char>(Mix64(seed + at / 8) >> (at % 8 * 8));
  }
  return text;
}

std::string ChunkedBody(uint64_t seed, size_t length) {
  std::string wire;
  for (size_t from = 0; from < length;) {
    const size_t size = std::min<size_t>(length - from, 1 + Mix64(seed ^ from) % 9000);
    absl::StrAppend(&wire, absl::Hex(size), "\r\n", BodyText(seed, from, size), "\r\n");
    from += size;
  }
  return wire + "0\r\n\r\n";
}

void BodyHash::Add(std::string_view bytes) {
  for (const char c : bytes) value_ = (value_ ^ static_cast<unsigned char>(c)) * 0x100000001b3;
}

std::string_view HttpHead::Get(std::string_view name) const {
  if (Count(name) != 1) return {};
  for (const auto& [key, value] : fields) {
    if (key == name) return value;
  }
  return {};
}

size_t HttpHead::Count(std::string_view name) const {
  return static_cast<size_t>(
      std::count_if(fields.begin(), fields.end(), [&](const auto& f) { return f.first == name; }));
}

bool HttpHead::Has(std::string_view name, std::string_view token) const {
  for (const auto& [key, value] : fields) {
    if (key != name) continue;
    std::string_view rest = value;
    while (!rest.empty()) {
      const size_t comma = std::min(rest.find(','), rest.size());
      if (Lower(Trim(rest.substr(0, comma))) == token) return true;
      rest.remove_prefix(std::min(comma + 1, rest.size()));
    }
  }
  return false;
}

bool HttpReader::Feed(std::string_view bytes) {
  if (state_ == State::kFailed) return false;
  buffer_ += bytes;
  while (from_ < buffer_.size() && StepOnce()) {
  }
  buffer_.erase(0, from_);
  from_ = 0;
  return state_ != State::kFailed;
}

bool HttpReader::Finish() {
  if (state_ == State::kFailed) return false;
  if (state_ == State::kUntilClose) EndMessage();
  return (between_messages() && !has_start_) || state_ == State::kRaw;
}

bool HttpReader::Fail(std::string why) {
  error_ = std::move(why);
  state_ = State::kFailed;
  return false;
}

bool HttpReader::StepOnce() {
  std::string line;
  switch (state_) {
    case State::kHead:
      return TakeHead();
    case State::kLength:
    case State::kChunkData:
    case State::kUntilClose:
    case State::kRaw:
      return TakeBody();
    case State::kChunkSize:
      return TakeChunkSize();
    case State::kChunkEnd:
      if (!TakeLine(line)) return false;
      if (!line.empty()) return Fail("bytes behind a chunk: " + line);
      state_ = State::kChunkSize;
      return true;
    case State::kTrailers:
      if (!TakeLine(line)) return false;
      if (line.empty()) {
        EndMessage();
        return true;
      }
      return ParseField(line, /*trailer=*/true);
    case State::kFailed:
      return false;
  }
  return false;
}

bool HttpReader::TakeLine(std::string& line) {
  const size_t end = buffer_.find('\n', from_);
  if (end == std::string::npos) return false;
  if (end == from_ || buffer_[end - 1] != '\r') return Fail("a line ends without CR");
  line.assign(buffer_, from_, end - 1 - from_);
  from_ = end + 1;
  if (line.find_first_of(std::string_view("\r\0", 2)) != std::string::npos) {
    return Fail("CR or NUL within a line");
  }
  return true;
}

bool HttpReader::TakeHead() {
  std::string line;
  if (!TakeLine(line)) return false;
  if (!has_start_) {
    head_ = HttpHead{};
    has_start_ = true;
    return ParseStart(line);
  }
  if (!line.empty()) return ParseField(line, /*trailer=*/false);
  has_start_ = false;
  return BeginBody();
}

bool HttpReader::ParseStart(const std::string& line) {
  const size_t first = line.find(' ');
  if (first == std::string::npos) return Fail("not a start line: " + line);
  if (kind_ == Kind::kResponse) {
    head_.version = line.substr(0, first);
    uint64_t status = 0;
    const std::string code = line.substr(first + 1, 3);
    if (line.size() < first + 5 || line[first + 4] != ' ' || !ParseNumber(code, 10, status) ||
        status < 100 || status > 599) {
      return Fail("not a status line: " + line);
    }
    head_.status = static_cast<int>(status);
  } else {
    const size_t second = line.find(' ', first + 1);
    if (second == std::string::npos || line.find(' ', second + 1) != std::string::npos) {
      return Fail("not a request line: " + line);
    }
    head_.method = line.substr(0, first);
    head_.target = line.substr(first + 1, second - first - 1);
    head_.version = line.substr(second + 1);
    if (!IsToken(head_.method) || head_.target.empty()) return Fail("not a request line: " + line);
  }
  if (head_.version != "HTTP/1.1" && head_.version != "HTTP/1.0") {
    return Fail("unknown version: " + line);
  }
  return true;
}

bool HttpReader::ParseField(const std::string& line, bool trailer) {
  const size_t colon = line.find(':');
  if (colon == std::string::npos || !IsToken(std::string_view(line).substr(0, colon))) {
    return Fail("not a field: " + line);
  }
  std::string name = Lower(std::string_view(line).substr(0, colon));
  if (trailer && (name == "content-length" || name == "transfer-encoding" || name == "host")) {
    return Fail("framing among the trailers: " + line);
  }
  if (!trailer) {
    head_.fields.emplace_back(std::move(name), Trim(std::string_view(line).substr(colon + 1)));
  }
  return true;
}

bool HttpReader::BeginBody() {
  const size_t lengths = head_.Count("content-length");
  const size_t codings = head_.Count("transfer-encoding");
  if (lengths > 1 || codings > 1 || (lengths > 0 && codings > 0)) {
    return Fail("more than one way of framing");
  }
  left_ = 0;
  if (lengths > 0 && !ParseNumber(head_.Get("content-length"), 10, left_)) {
    return Fail("a length that is no number");
  }
  if (codings > 0 && Lower(head_.Get("transfer-encoding")) != "chunked") {
    return Fail("an unknown transfer coding");
  }
  if (kind_ == Kind::kRequest && head_.version == "HTTP/1.1" && head_.Count("host") != 1) {
    return Fail("not exactly one Host");
  }
  const bool informational = kind_ == Kind::kResponse && head_.status < 200;
  if (informational && lengths + codings > 0) return Fail("a 1xx with a framing");
  const bool no_body = kind_ == Kind::kResponse && (head_.status == 204 || head_.status == 304 ||
                                                    (answers_head && answers_head()));
  if (on_head) on_head(head_);
  if (state_ == State::kRaw || informational) return true;
  if (!no_body && codings > 0) {
    state_ = State::kChunkSize;
  } else if (!no_body && lengths > 0 && left_ > 0) {
    state_ = State::kLength;
  } else if (!no_body && lengths == 0 && kind_ == Kind::kResponse) {
    state_ = State::kUntilClose;
  } else {
    EndMessage();
  }
  return true;
}

bool HttpReader::TakeBody() {
  const bool counted = state_ == State::kLength || state_ == State::kChunkData;
  size_t taken = buffer_.size() - from_;
  if (counted) taken = static_cast<size_t>(std::min<uint64_t>(taken, left_));
  const std::string part = buffer_.substr(from_, taken);
  from_ += taken;
  if (on_body) on_body(part);
  if (!counted) return true;
  left_ -= taken;
  if (left_ > 0) return true;
  if (state_ == State::kChunkData) {
    state_ = State::kChunkEnd;
  } else {
    EndMessage();
  }
  return true;
}

bool HttpReader::TakeChunkSize() {
  std::string line;
  if (!TakeLine(line)) return false;
  const std::string size = line.substr(0, line.find(';'));
  if (!ParseNumber(size, 16, left_)) return Fail("not a chunk size: " + line);
  state_ = left_ == 0 ? State::kTrailers : State::kChunkData;
  return true;
}

void HttpReader::EndMessage() {
  state_ = State::kHead;
  if (on_end) on_end();
}

}  // namespace rondo::sim
