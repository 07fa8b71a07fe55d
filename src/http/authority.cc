#include "rondo/http/authority.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "rondo/base/address.h"

namespace rondo::http {
namespace {

// unreserved, pct-encoded and sub-delims, without the comma: a Host with a comma is read by some as
// a list.
constexpr std::array<bool, 256> MakeHostTable() {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<size_t>(c)] = true;
  for (char c : std::string_view("-._~%!$&'()*+;=")) table[static_cast<uint8_t>(c)] = true;
  return table;
}
constexpr std::array<bool, 256> kHostChars = MakeHostTable();

bool IsValidPort(std::string_view port) {
  uint32_t value = 0;
  for (char c : port) {
    const uint32_t digit = static_cast<uint32_t>(c) - '0';
    if (digit > 9) return false;
    value = value * 10 + digit;
    if (value > 65535) return false;
  }
  return true;
}

}  // namespace

bool IsValidAuthority(std::string_view text) {
  if (text.empty()) return false;
  if (text.front() == '[') {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return false;
    const std::optional<IpAddress> address = IpAddress::Parse(text.substr(1, close - 1));
    if (!address || text.substr(0, close).find(':') == std::string_view::npos) return false;
    text.remove_prefix(close + 1);
    return text.empty() || (text.front() == ':' && IsValidPort(text.substr(1)));
  }
  const char* p = text.data();
  const char* const end = p + text.size();
  while (p != end && kHostChars[static_cast<uint8_t>(*p)]) ++p;
  if (p == end) return true;
  return p != text.data() && *p == ':' && IsValidPort({p + 1, static_cast<size_t>(end - p - 1)});
}

}  // namespace rondo::http
