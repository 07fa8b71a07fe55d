#include "control/probe_grpc.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cstdint>

#include "control/probe_http.h"
#include "rondo/base/hex.h"
#include "rondo/http/body.h"
#include "rondo/http/field.h"
#include "rondo/http/grpc.h"

namespace rondo::control {
namespace {

using health::CheckOutcome;
using health::CheckResult;

// What its message is framed by: whether it is compressed, and its length in four bytes.
constexpr size_t kPrefixBytes = 5;

CheckResult Made(CheckOutcome outcome, int status, std::string detail) {
  return CheckResult{.outcome = outcome, .status = status, .detail = std::move(detail)};
}

CheckResult Bad(std::string_view why) {
  std::string detail(health::CheckOutcomeName(CheckOutcome::kBadResponse));
  return Made(CheckOutcome::kBadResponse, 200, detail.append(": ").append(why));
}

// HealthCheckRequest{service}, with its prefix.
std::string CheckMessage(std::string_view service) {
  std::string message;
  if (!service.empty()) {
    message += '\x0a';  // field 1, a text
    size_t size = service.size();
    for (; size >= 0x80; size >>= 7) message += static_cast<char>(0x80 | (size & 0x7f));
    message += static_cast<char>(size);
    message.append(service);
  }
  std::string framed(1, '\0');
  for (const int shift : {24, 16, 8, 0}) {
    framed += static_cast<char>((message.size() >> shift) & 0xff);
  }
  return framed + message;
}

std::string_view CodeName(int code) {
  static constexpr std::string_view kNames[] = {"OK",
                                                "CANCELLED",
                                                "UNKNOWN",
                                                "INVALID_ARGUMENT",
                                                "DEADLINE_EXCEEDED",
                                                "NOT_FOUND",
                                                "ALREADY_EXISTS",
                                                "PERMISSION_DENIED",
                                                "RESOURCE_EXHAUSTED",
                                                "FAILED_PRECONDITION",
                                                "ABORTED",
                                                "OUT_OF_RANGE",
                                                "UNIMPLEMENTED",
                                                "INTERNAL",
                                                "UNAVAILABLE",
                                                "DATA_LOSS",
                                                "UNAUTHENTICATED"};
  const auto index = static_cast<size_t>(code);
  return index < std::size(kNames) ? kNames[index] : "not a code of gRPC";
}

// A grpc-message, percent-decoded, for people to read.
std::string Decoded(std::string_view text) {
  constexpr size_t kMax = 200;
  std::string decoded;
  for (size_t i = 0; i < text.size() && decoded.size() < kMax; ++i) {
    char c = text[i];
    if (c == '%' && i + 2 < text.size() && HexValue(text[i + 1]) >= 0 &&
        HexValue(text[i + 2]) >= 0) {
      c = static_cast<char>(HexValue(text[i + 1]) * 16 + HexValue(text[i + 2]));
      i += 2;
    }
    decoded += c >= 0x20 && c < 0x7f ? c : '?';
  }
  return decoded;
}

// Protocol Buffers, as far as a message of one number asks.
class MessageCursor {
 public:
  explicit MessageCursor(std::string_view bytes) : left_(bytes) {}
  bool empty() const { return left_.empty(); }

  std::optional<uint64_t> Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (left_.empty()) return std::nullopt;
      const auto byte = static_cast<unsigned char>(left_.front());
      left_.remove_prefix(1);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }
  bool Skip(uint64_t bytes) {
    if (bytes > left_.size()) return false;
    left_.remove_prefix(static_cast<size_t>(bytes));
    return true;
  }
  // Past a field that is of no interest.
  bool SkipField(uint64_t wire_type) {
    switch (wire_type) {
      case 0:
        return Varint().has_value();
      case 1:
        return Skip(8);
      case 2: {
        const std::optional<uint64_t> size = Varint();
        return size && Skip(*size);
      }
      case 5:
        return Skip(4);
      default:
        return false;
    }
  }

 private:
  std::string_view left_;
};

// HealthCheckResponse{status}: its number, 0 where it is not said; nothing where it is malformed.
std::optional<uint64_t> ServingStatus(std::string_view message) {
  MessageCursor cursor(message);
  uint64_t status = 0;
  while (!cursor.empty()) {
    const std::optional<uint64_t> tag = cursor.Varint();
    if (!tag) return std::nullopt;
    if (*tag == (1 << 3)) {
      const std::optional<uint64_t> value = cursor.Varint();
      if (!value) return std::nullopt;
      status = *value;
    } else if (!cursor.SkipField(*tag & 7)) {
      return std::nullopt;
    }
  }
  return status;
}

}  // namespace

std::string GrpcCheckRequest(const config::HealthCheck& check, const SocketAddress& to,
                             std::string_view user_agent) {
  const std::string message = CheckMessage(check.service);
  std::string bytes = "POST /grpc.health.v1.Health/Check HTTP/1.1\r\n";
  if (!Names(check, "Host"))
    AppendField(bytes, "Host", check.host.empty() ? ProbeHost(to) : check.host);
  if (!Names(check, "User-Agent")) AppendField(bytes, "User-Agent", user_agent);
  AppendField(bytes, "Content-Type", "application/grpc");
  AppendField(bytes, "TE", "trailers");
  const auto patience = std::chrono::ceil<std::chrono::milliseconds>(check.timeout);
  // At most eight digits.
  const int64_t milliseconds = std::clamp<int64_t>(patience.count(), 1, 99'999'999);
  AppendField(bytes, "grpc-timeout", std::to_string(milliseconds) + "m");
  for (const auto& [name, value] : check.headers) AppendField(bytes, name, value);
  AppendField(bytes, "Connection", "TE");
  AppendField(bytes, "Transfer-Encoding", "chunked");
  bytes += "\r\n";
  char chunk_head[http::kChunkHeadMax];
  bytes.append(chunk_head, http::WriteChunkHead(chunk_head, message.size()));
  return bytes + message + "\r\n0\r\n\r\n";
}

void GrpcAnswer::AddField(std::string_view name, std::string_view value) {
  if (http::EqualsIgnoreCase(name, "content-type")) {
    is_grpc_ = http::IsGrpc(value);
  } else if (http::EqualsIgnoreCase(name, "grpc-message")) {
    message_ = Decoded(value);
  } else if (http::EqualsIgnoreCase(name, "grpc-status")) {
    int code = -1;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), code);
    code_ = error == std::errc() && end == value.data() + value.size() && code >= 0 ? code : -1;
  }
}

void GrpcAnswer::AddBody(std::string_view bytes) {
  body_.append(bytes.substr(0, kBodyMax - std::min(kBodyMax, body_.size())));
}

void GrpcAnswer::AddTrailers(std::string_view lines) {
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find("\r\n"));
    lines.remove_prefix(std::min(lines.size(), line.size() + 2));
    const size_t colon = line.find(": ");
    // What it is a call of stands in the head alone.
    if (colon != std::string_view::npos && line.starts_with("grpc-")) {
      AddField(line.substr(0, colon), line.substr(colon + 2));
    }
  }
}

CheckResult GrpcAnswer::Judge(const config::HealthCheck& check, int http_status) const {
  constexpr int kUnimplemented = 12;
  constexpr int kNotFound = 5;
  if (http_status != 200) {
    return Made(CheckOutcome::kStatus, http_status,
                  health::StatusDetail(http_status, {{health::StatusRange{}}}));
  }
  if (!is_grpc_) return Bad("not gRPC");
  if (!code_) return Bad("no grpc-status");
  if (*code_ == 0) return JudgeMessage();
  if (*code_ < 0) return Bad("malformed grpc-status");
  std::string detail = "grpc-status " + std::to_string(*code_) + " ";
  detail.append(CodeName(*code_));
  if (*code_ == kUnimplemented) {
    detail += ": it has no grpc.health.v1.Health";
  } else if (*code_ == kNotFound && !check.service.empty()) {
    detail += ": it does not know the service " + check.service;
  }
  if (!message_.empty()) detail += ": " + message_;
  return Made(CheckOutcome::kStatus, 200, std::move(detail));
}

CheckResult GrpcAnswer::JudgeMessage() const {
  if (body_.size() < kPrefixBytes) return Bad("no message");
  if (body_[0] != '\0') return Bad("a compressed message");
  uint64_t size = 0;
  for (size_t i = 1; i < kPrefixBytes; ++i) {
    size = size << 8 | static_cast<unsigned char>(body_[i]);
  }
  if (size != body_.size() - kPrefixBytes) return Bad("not one message");
  const std::optional<uint64_t> status =
      ServingStatus(std::string_view(body_).substr(kPrefixBytes));
  if (!status) return Bad("a malformed message");
  constexpr std::string_view kNames[] = {"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"};
  constexpr uint64_t kServing = 1;
  std::string name = *status < std::size(kNames) ? std::string(kNames[*status])
                                                 : "serving status " + std::to_string(*status);
  return Made(*status == kServing ? CheckOutcome::kPassed : CheckOutcome::kStatus, 200,
                std::move(name));
}

}  // namespace rondo::control
