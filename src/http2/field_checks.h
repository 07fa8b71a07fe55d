// What every field of every header block has to be (RFC 9113 §8.2).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "rondo/http/field.h"
#include "rondo/http/find_control.h"

namespace rondo::http2 {

// Each token character in lower case; 0 for what cannot stand in a name.
inline constexpr std::array<char, 256> kLowerToken = [] {
  std::array<char, 256> table{};
  for (char c = '0'; c <= '9'; ++c) table[static_cast<uint8_t>(c)] = c;
  for (char c = 'a'; c <= 'z'; ++c) table[static_cast<uint8_t>(c)] = c;
  for (char c = 'A'; c <= 'Z'; ++c) table[static_cast<uint8_t>(c)] = static_cast<char>(c | 0x20);
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<uint8_t>(c)] = c;
  return table;
}();

// §8.2.1: a token without upper case.
inline bool IsFieldName(std::string_view name) {
  for (char c : name) {
    if (c == '\0' || kLowerToken[static_cast<uint8_t>(c)] != c) return false;
  }
  return !name.empty();
}

// The same, quicker where it is a name that we know: `id` is FieldIdOf(name).
inline bool IsFieldName(std::string_view name, http::FieldId id) {
  return id != http::FieldId::kOther ? name == http::NameOf(id) : IsFieldName(name);
}

// §8.2.1, and RFC 9110 §5.5, which HTTP/1's parsers hold to: no control characters but tabs inside,
// no white space at the ends. May be empty.
inline bool IsFieldValue(std::string_view value) {
  if (value.empty()) return true;
  const auto is_space = [](char c) { return c == ' ' || c == '\t'; };
  if (is_space(value.front()) || is_space(value.back())) return false;
  const char* p = value.data();
  const char* const end = p + value.size();
  while ((p = http::FindControl(p, end)) != end) {
    if (*p != '\t') return false;
    ++p;
  }
  return true;
}

// §8.2.2. TE has rules of its own.
inline bool IsConnectionField(http::FieldId id) {
  return id == http::FieldId::kConnection || id == http::FieldId::kTransferEncoding ||
         id == http::FieldId::kUpgrade || id == http::FieldId::kKeepAlive ||
         id == http::FieldId::kProxyConnection || id == http::FieldId::kHttp2Settings;
}

// A decimal number below 2^63, as HTTP/1's parsers take it.
inline bool ReadLength(std::string_view text, uint64_t* length) {
  if (text.empty()) return false;
  uint64_t value = 0;
  for (char c : text) {
    if (c < '0' || c > '9') return false;
    const uint64_t digit = static_cast<uint64_t>(c - '0');
    if (value > (uint64_t{INT64_MAX} - digit) / 10) return false;
    value = value * 10 + digit;
  }
  *length = value;
  return true;
}

}  // namespace rondo::http2
