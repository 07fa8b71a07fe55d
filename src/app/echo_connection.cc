#include "app/echo_connection.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <memory>

#include "app/echo_text.h"

namespace rondo::app {
namespace {

constexpr size_t kHeadMax = 64 * 1024;
constexpr size_t kLineMax = 8 * 1024;  // a chunk's size with its extensions, a trailer
// Stop taking frames and requests while this much waits to be sent.
constexpr size_t kOutMax = 256 * 1024;

// The pattern repeats every 64 KiB; the slab is longer by one period, so that from any offset at
// least kSlabPiece bytes are in one piece and a megabyte goes out in one call.
constexpr size_t kPeriod = 64 * 1024;
constexpr size_t kSlabPiece = 1024 * 1024;
const char* PatternAt(int64_t offset) {
  static const std::unique_ptr<char[]> slab = [] {
    std::unique_ptr<char[]> bytes(new char[kSlabPiece + kPeriod]);
    for (size_t i = 0; i < kSlabPiece + kPeriod; ++i) {
      const size_t at = i % kPeriod;
      bytes[i] = static_cast<char>((at ^ (at >> 8)) & 0xff);
    }
    return bytes;
  }();
  return slab.get() + static_cast<size_t>(offset) % kPeriod;
}

bool ParseDecimal(std::string_view text, int64_t max, int64_t* value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *value);
  return error == std::errc() && end == text.data() + text.size() && *value >= 0 && *value <= max;
}

// The number behind `prefix`, where `path` is that prefix and a number.
bool NumberBehind(std::string_view path, std::string_view prefix, int64_t max, int64_t* value) {
  return path.starts_with(prefix) && ParseDecimal(path.substr(prefix.size()), max, value);
}

void AppendNumber(std::string* out, int64_t value, int base = 10) {
  char digits[24];
  const auto result = std::to_chars(digits, digits + sizeof digits, value, base);
  out->append(digits, result.ptr);
}

}  // namespace

size_t EchoConnection::Consume(std::string_view data) {
  size_t taken = 0;
  while (out_.size() - out_offset_ < kOutMax && body_left_ == 0) {
    const std::string_view rest = data.substr(taken);
    const State before = state_;
    size_t step = 0;
    switch (state_) {
      case State::kHead:
        step = rest.empty() ? 0 : ConsumeHead(rest);
        break;
      case State::kBody:
        step = ConsumeBody(rest);
        break;
      case State::kChunkSize:
      case State::kChunkData:
      case State::kChunkEnd:
      case State::kTrailers:
        step = ConsumeChunked(rest);
        break;
      case State::kFrameHead:
        step = ConsumeFrameHead(rest);
        break;
      case State::kFrameData:
      case State::kFrameControl:
        step = ConsumeFrameData(rest);
        break;
      case State::kDelayed:
        return taken;
      case State::kClosing:
        return data.size();  // whatever else comes is dropped
    }
    taken += step;
    if (step == 0 && state_ == before) break;
  }
  return taken;
}

size_t EchoConnection::ConsumeHead(std::string_view data) {
  // An empty line before a request is skipped (RFC 9112 §2.2).
  if (data.starts_with("\r\n")) return 2;
  const void* end = memmem(data.data(), data.size(), "\r\n\r\n", 4);
  if (end == nullptr) {
    if (data.size() > kHeadMax) Refuse(431);
    return 0;
  }
  const size_t size = static_cast<size_t>(static_cast<const char*>(end) - data.data()) + 4;
  const int refusal = ParseEchoHead(data.substr(0, size), &request_);
  if (refusal != 0) {
    Refuse(refusal);
    return size;
  }
  received_ = 0;
  hash_ = kFnvBasis;
  hashing_ = request_.path == "/upload";
  if (request_.path == "/headers") request_.raw_head.assign(data.substr(0, size));
  if (request_.expects_continue && !request_.http10 && data.size() == size &&
      (request_.chunked || request_.body_bytes > 0)) {
    out_.append("HTTP/1.1 100 Continue\r\n\r\n");
  }
  in_left_ = request_.body_bytes;
  if (request_.chunked) {
    state_ = State::kChunkSize;
  } else if (in_left_ > 0) {
    state_ = State::kBody;
  } else {
    FinishRequest();
  }
  return size;
}

size_t EchoConnection::ConsumeBody(std::string_view data) {
  const size_t size = std::min(data.size(), static_cast<size_t>(in_left_));
  if (hashing_) hash_ = Fnv1a(hash_, data.substr(0, size));
  received_ += static_cast<int64_t>(size);
  in_left_ -= static_cast<int64_t>(size);
  if (in_left_ == 0) {
    if (state_ == State::kChunkData) {
      state_ = State::kChunkEnd;
    } else {
      FinishRequest();
    }
  }
  return size;
}

size_t EchoConnection::ConsumeChunked(std::string_view data) {
  if (state_ == State::kChunkData) return ConsumeBody(data);
  const size_t end = data.find("\r\n");
  if (end == std::string_view::npos) {
    if (data.size() > kLineMax) Refuse(400);
    return 0;
  }
  const std::string_view line = data.substr(0, end);
  if (state_ == State::kChunkSize) {
    const std::string_view digits = line.substr(0, line.find(';'));
    const auto [stop, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), in_left_, 16);
    if (error != std::errc() || stop != digits.data() + digits.size() || in_left_ < 0) {
      Refuse(400);
      return end + 2;
    }
    state_ = in_left_ == 0 ? State::kTrailers : State::kChunkData;
  } else if (state_ == State::kChunkEnd) {
    if (!line.empty()) {
      Refuse(400);
    } else {
      state_ = State::kChunkSize;
    }
  } else if (line.empty()) {
    FinishRequest();
  } else if (!request_.raw_head.empty()) {
    // /headers shows trailers behind the head's empty line.
    request_.raw_head.append(line).append("\r\n");
  }
  return end + 2;
}

void EchoConnection::FinishRequest() {
  int64_t milliseconds = 0;
  delay_ = request_.path == "/health" ? Duration{} : options_.delay;
  if (NumberBehind(request_.path, "/delay/", 3'600'000, &milliseconds)) {
    delay_ = std::chrono::milliseconds(milliseconds);
  }
  if (delay_ > Duration{}) {
    state_ = State::kDelayed;
  } else {
    Answer();
  }
}

void EchoConnection::DelayOver() {
  if (state_ == State::kDelayed) Answer();
}

void EchoConnection::Leave() {
  if (state_ != State::kFrameHead) return;
  out_.append("\x88\x02\x03\xe9", 4);  // 1001, going away
  state_ = State::kClosing;
}

void EchoConnection::Answer() {
  if (request_.websocket) {
    StartWebSocket();
    return;
  }
  const std::string_view path = request_.path;
  if (path == "/close" || options_.leaving) request_.keepalive = false;
  state_ = request_.keepalive ? State::kHead : State::kClosing;
  AnswerPath(path);
}

void EchoConnection::AnswerPath(std::string_view path) {
  int64_t number = 0;
  if (NumberBehind(path, "/bytes/", INT64_MAX, &number)) {
    ReplyPattern(options_.status, number, BodyStyle::kPlain);
  } else if (path == "/health") {
    Reply(200, "text/plain", "ok\n");
  } else if (NumberBehind(path, "/chunked/", INT64_MAX, &number)) {
    ReplyPattern(options_.status, number, BodyStyle::kChunked);
  } else if (NumberBehind(path, "/status/", 999, &number)) {
    if (number < 200 || number > 599) {
      Reply(400, "text/plain", "not a final status\n");
    } else {
      AnswerDefault(static_cast<int>(number));
    }
  } else if (path == "/headers") {
    Reply(options_.status, "text/plain", request_.raw_head);
    request_.raw_head = {};
  } else if (path == "/upload") {
    std::string body = "{\"bytes\":";
    AppendNumber(&body, received_);
    body.append(",\"fnv64\":\"").append(HexText(hash_)).append("\"}\n");
    Reply(options_.status, "application/json", body);
  } else if (options_.body_bytes >= 0) {
    ReplyPattern(options_.status, options_.body_bytes, BodyStyle::kPlain);
  } else {
    AnswerDefault(options_.status);
  }
}

void EchoConnection::AnswerDefault(int status) {
  std::string body = "{\"backend\":";
  AppendJsonString(&body, options_.name);
  body.append(",\"method\":");
  AppendJsonString(&body, request_.method);
  body.append(",\"path\":");
  AppendJsonString(&body, request_.target);
  body.append(",\"body_bytes\":");
  AppendNumber(&body, received_);
  body.append("}\n");
  Reply(status, "application/json", body);
}

void EchoConnection::StartWebSocket() {
  if (request_.websocket_key.empty()) {
    Refuse(400);
    return;
  }
  out_.append("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
  out_.append("Sec-WebSocket-Accept: ").append(WebSocketAccept(request_.websocket_key));
  out_.append("\r\nX-Backend: ").append(options_.name).append("\r\n\r\n");
  state_ = State::kFrameHead;
  request_ = {};  // a tunnel may idle for hours, among thousands
}

void EchoConnection::Refuse(int status) {
  request_.keepalive = false;
  request_.method = "GET";
  state_ = State::kClosing;
  Reply(status, "text/plain", "refused\n");
}

void EchoConnection::Reply(int status, std::string_view type, std::string_view body) {
  const bool bodyless = status == 204 || status == 304;
  AppendHead(status, type, bodyless ? -1 : static_cast<int64_t>(body.size()), BodyStyle::kPlain);
  if (!bodyless && request_.method != "HEAD") out_.append(body);
}

void EchoConnection::ReplyPattern(int status, int64_t bytes, BodyStyle style) {
  if (status == 204 || status == 304) {
    Reply(status, {}, {});
    return;
  }
  if (request_.http10 && style == BodyStyle::kChunked) {
    // A 1.0 client knows no chunks: the end of the connection ends the body.
    request_.keepalive = false;
    state_ = State::kClosing;
    AppendHead(status, "application/octet-stream", -1, BodyStyle::kPlain);
    style = BodyStyle::kPlain;
  } else {
    AppendHead(status, "application/octet-stream", bytes, style);
  }
  if (request_.method == "HEAD") return;
  if (bytes <= 4096 && style == BodyStyle::kPlain) {
    out_.append(PatternAt(0), static_cast<size_t>(bytes));  // one piece, one send for a pipeline
    return;
  }
  if (bytes == 0) {
    out_.append("0\r\n\r\n");
    return;
  }
  body_left_ = bytes;
  body_at_ = 0;
  body_style_ = style;
}

void EchoConnection::AppendHead(int status, std::string_view type, int64_t bytes, BodyStyle style) {
  out_.append("HTTP/1.1 ");
  AppendNumber(&out_, status);
  out_.append(" ").append(ReasonPhrase(status)).append("\r\nX-Backend: ").append(options_.name);
  if (!type.empty()) out_.append("\r\nContent-Type: ").append(type);
  if (style == BodyStyle::kChunked) {
    out_.append("\r\nTransfer-Encoding: chunked");
  } else if (bytes >= 0) {
    out_.append("\r\nContent-Length: ");
    AppendNumber(&out_, bytes);
  }
  if (!request_.keepalive) {
    out_.append("\r\nConnection: close");
  } else if (request_.http10) {
    out_.append("\r\nConnection: keep-alive");
  }
  out_.append("\r\n\r\n");
}

int EchoConnection::Gather(iovec out[2]) {
  if (body_left_ > 0 && body_style_ == BodyStyle::kChunked && out_offset_ == out_.size()) {
    RefillChunks();
  }
  int pieces = 0;
  if (out_offset_ < out_.size()) {
    out[pieces++] = {out_.data() + out_offset_, out_.size() - out_offset_};
  }
  if (body_left_ > 0 && body_style_ == BodyStyle::kPlain) {
    const size_t size = std::min(kSlabPiece, static_cast<size_t>(body_left_));
    out[pieces++] = {const_cast<char*>(PatternAt(body_at_)), size};
  }
  return pieces;
}

void EchoConnection::Sent(size_t bytes) {
  const size_t from_out = std::min(bytes, out_.size() - out_offset_);
  out_offset_ += from_out;
  if (out_offset_ == out_.size()) {
    // A long answer's buffer is given back, a short one's serves the next answer.
    if (out_.capacity() > 4096) {
      std::string().swap(out_);
    } else {
      out_.clear();
    }
    out_offset_ = 0;
  }
  const int64_t from_body = static_cast<int64_t>(bytes - from_out);
  body_left_ -= from_body;
  body_at_ += from_body;
}

// Up to 64 KiB of the body in chunks of 16 KiB, with the last chunk where the body ends.
void EchoConnection::RefillChunks() {
  constexpr int64_t kChunk = 16 * 1024;
  for (int i = 0; i < 4 && body_left_ > 0; ++i) {
    const int64_t size = std::min(kChunk, body_left_);
    AppendNumber(&out_, size, 16);
    out_.append("\r\n").append(PatternAt(body_at_), static_cast<size_t>(size)).append("\r\n");
    body_at_ += size;
    body_left_ -= size;
  }
  if (body_left_ == 0) out_.append("0\r\n\r\n");
}

}  // namespace rondo::app
