#include "rondo/http/sticky.h"

#include <chrono>

#include "cookie_writer.h"
#include "head_writer.h"

namespace rondo::http {
namespace {

constexpr size_t kDigits = 16;

// Strict, since anything else is not of our making.
std::optional<uint64_t> ReadValue(std::string_view text) {
  if (text.size() != kDigits) return std::nullopt;
  uint64_t value = 0;
  for (char c : text) {
    if (c >= '0' && c <= '9') {
      value = value << 4 | static_cast<uint64_t>(c - '0');
    } else if (c >= 'a' && c <= 'f') {
      value = value << 4 | static_cast<uint64_t>(c - 'a' + 10);
    } else {
      return std::nullopt;
    }
  }
  return value;
}

// The next piece up to a semicolon. Quotes do not shield one: browsers do not know them either (RFC
// 6265 §5.2).
std::string_view NextPiece(std::string_view* rest) {
  const size_t end = rest->find(';');
  const std::string_view piece = rest->substr(0, end);
  *rest = end == std::string_view::npos ? std::string_view() : rest->substr(end + 1);
  return piece;
}

bool Split(std::string_view piece, CookiePair* pair) {
  const size_t equals = piece.find('=');
  if (equals == std::string_view::npos) return false;
  pair->name = TrimOws(piece.substr(0, equals));
  pair->value = TrimOws(piece.substr(equals + 1));
  return true;
}

bool IsNamed(std::string_view piece, std::string_view name) {
  CookiePair pair;
  return Split(piece, &pair) && pair.name == name;
}

bool HasCookie(std::string_view value, std::string_view name) {
  CookiePair pair;
  while (NextCookie(&value, &pair)) {
    if (pair.name == name) return true;
  }
  return false;
}

}  // namespace

bool NextCookie(std::string_view* rest, CookiePair* pair) {
  while (!rest->empty()) {
    if (Split(NextPiece(rest), pair)) return true;
  }
  return false;
}

std::optional<std::string_view> FindCookie(const RequestHead& head, std::string_view name) {
  if (!head.known.Has(FieldId::kCookie)) return std::nullopt;
  for (const Field& field : head.fields) {
    if (field.id != FieldId::kCookie) continue;
    std::string_view rest = field.value;
    CookiePair pair;
    while (NextCookie(&rest, &pair)) {
      if (pair.name == name) return pair.value;
    }
  }
  return std::nullopt;
}

std::optional<uint64_t> FindSticky(const RequestHead& head, std::string_view cookie_name) {
  if (!head.known.Has(FieldId::kCookie)) return std::nullopt;
  for (const Field& field : head.fields) {
    if (field.id != FieldId::kCookie) continue;
    std::string_view rest = field.value;
    CookiePair pair;
    while (NextCookie(&rest, &pair)) {
      if (pair.name != cookie_name) continue;
      if (const std::optional<uint64_t> value = ReadValue(pair.value)) return value;
    }
  }
  return std::nullopt;
}

size_t SetCookieBound(const StickyCookie& cookie) {
  // The fixed texts, the value and Max-Age come to less than this.
  return 128 + cookie.name.size();
}

size_t WriteSetCookie(const StickyCookie& cookie, uint64_t value, bool secure, char* out) {
  HeadWriter writer(out);
  writer.Text("Set-Cookie: ");
  writer.Text(cookie.name);
  writer.Byte('=');
  for (int shift = 60; shift >= 0; shift -= 4) {
    writer.Byte("0123456789abcdef"[value >> shift & 15]);
  }
  writer.Text("; Path=/");
  // Max-Age=0 would delete it, so that parts of a second count as one.
  const int64_t seconds = std::chrono::ceil<std::chrono::seconds>(cookie.ttl).count();
  if (seconds > 0) {
    writer.Text("; Max-Age=");
    writer.Decimal(static_cast<uint64_t>(seconds));
  }
  writer.Text("; HttpOnly; SameSite=Lax");
  if (secure) writer.Text("; Secure");
  writer.EndLine();
  return writer.size();
}

void WriteCookieWithout(std::string_view name, const Field& field, HeadWriter& writer) {
  if (!HasCookie(field.value, name)) {
    writer.Field(field.name, field.value);
    return;
  }
  std::string_view rest = field.value;
  std::string_view pending;  // is kept, but whether a semicolon follows is not known yet
  bool began = false;
  while (!rest.empty()) {
    const std::string_view piece = NextPiece(&rest);
    if (TrimOws(piece).empty() || IsNamed(piece, name)) continue;
    if (!began) {
      writer.Text(field.name);
      writer.Text(": ");
      pending = piece.substr(piece.find_first_not_of(" \t"));
      began = true;
      continue;
    }
    writer.Text(pending);
    writer.Byte(';');
    pending = piece;
  }
  if (!began) return;
  writer.Text(pending.substr(0, pending.find_last_not_of(" \t") + 1));
  writer.EndLine();
}

}  // namespace rondo::http
