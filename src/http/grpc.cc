#include "rondo/http/grpc.h"

#include <cstdint>

#include "rondo/http/field.h"

namespace rondo::http {
namespace {

bool IsPlain(char c) { return c >= ' ' && c <= '~' && c != '%'; }

}  // namespace

bool IsGrpc(std::string_view content_type) {
  constexpr std::string_view kType = "application/grpc";
  if (!EqualsIgnoreCase(content_type.substr(0, kType.size()), kType)) return false;
  content_type.remove_prefix(kType.size());
  if (content_type.empty()) return true;
  const char next = content_type.front();
  return next == '+' || next == ';' || next == ' ' || next == '\t';
}

std::optional<Duration> ParseGrpcTimeout(std::string_view value) {
  constexpr size_t kDigitsMax = 8;
  if (value.size() < 2 || value.size() > kDigitsMax + 1) return std::nullopt;
  int64_t count = 0;
  for (const char c : value.substr(0, value.size() - 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    count = count * 10 + (c - '0');
  }
  switch (value.back()) {
    case 'H':
      // Eight digits of them are more than a Duration holds.
      if (count > 24 * 365 * 100) return std::nullopt;
      return std::chrono::hours(count);
    case 'M':
      return std::chrono::minutes(count);
    case 'S':
      return std::chrono::seconds(count);
    case 'm':
      return std::chrono::milliseconds(count);
    case 'u':
      return std::chrono::microseconds(count);
    case 'n':
      return std::chrono::nanoseconds(count);
    default:
      return std::nullopt;
  }
}

int GrpcStatusOf(int http_status) {
  constexpr int kUnknown = 2, kDeadlineExceeded = 4, kPermissionDenied = 7, kResourceExhausted = 8;
  constexpr int kUnimplemented = 12, kInternal = 13, kUnavailable = 14, kUnauthenticated = 16;
  switch (http_status) {
    case 400:
      return kInternal;
    case 401:
      return kUnauthenticated;
    case 403:
      return kPermissionDenied;
    case 404:
    case 501:
      return kUnimplemented;
    case 408:
    case 504:
      return kDeadlineExceeded;
    case 413:
    case 431:
      return kResourceExhausted;
    case 429:
    case 502:
    case 503:
      return kUnavailable;
    default:
      return kUnknown;
  }
}

size_t GrpcMessageSize(std::string_view text) {
  size_t size = 0;
  for (const char c : text) size += IsPlain(c) ? 1 : 3;
  return size;
}

size_t WriteGrpcMessage(std::string_view text, char* out) {
  constexpr char kDigits[] = "0123456789ABCDEF";
  char* at = out;
  for (const char c : text) {
    if (IsPlain(c)) {
      *at++ = c;
      continue;
    }
    const auto byte = static_cast<uint8_t>(c);
    *at++ = '%';
    *at++ = kDigits[byte >> 4];
    *at++ = kDigits[byte & 15];
  }
  return static_cast<size_t>(at - out);
}

}  // namespace rondo::http
