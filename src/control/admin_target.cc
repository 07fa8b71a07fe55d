#include "control/admin_target.h"

#include "rondo/base/hex.h"

namespace rondo::control {
namespace {

enum class Plus : uint8_t { kLiteral, kSpace };

std::optional<std::string> Decode(std::string_view text, Plus plus) {
  std::string decoded;
  decoded.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = HexValue(text[i + 1]);
      const int low = HexValue(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      const auto byte = static_cast<unsigned char>(c);
      if (byte < 0x20 || byte == 0x7f) return std::nullopt;
      i += 2;
    } else if (c == '+' && plus == Plus::kSpace) {
      c = ' ';
    }
    decoded.push_back(c);
  }
  return decoded;
}

// The part before the first `mark`, which is taken off `rest` with it.
std::string_view TakeUntil(char mark, std::string_view& rest) {
  const size_t end = rest.find(mark);
  const std::string_view part = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return part;
}

bool ReadQuery(std::string_view query, AdminTarget& target) {
  while (!query.empty()) {
    std::string_view value = TakeUntil('&', query);
    if (value.empty()) continue;
    const std::string_view name = TakeUntil('=', value);
    std::optional<std::string> decoded_name = Decode(name, Plus::kSpace);
    std::optional<std::string> decoded_value = Decode(value, Plus::kSpace);
    if (!decoded_name || !decoded_value) return false;
    target.query.emplace_back(std::move(*decoded_name), std::move(*decoded_value));
  }
  return true;
}

}  // namespace

const std::string* AdminTarget::Find(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::optional<AdminTarget> ParseAdminTarget(std::string_view text) {
  AdminTarget target;
  std::string_view query = text;
  std::string_view path = TakeUntil('?', query);
  if (!path.starts_with('/')) return std::nullopt;
  path.remove_prefix(1);
  if (!path.empty()) {
    // One more than there are slashes: a slash at the end is an empty segment, which no pattern
    // has.
    for (bool more = true; more;) {
      more = path.find('/') != std::string_view::npos;
      std::optional<std::string> segment = Decode(TakeUntil('/', path), Plus::kLiteral);
      if (!segment) return std::nullopt;
      target.path.push_back(std::move(*segment));
    }
  }
  if (!ReadQuery(query, target)) return std::nullopt;
  return target;
}

bool MatchAdminPattern(std::string_view pattern, const std::vector<std::string>& path,
                       std::vector<std::string>& values) {
  values.clear();
  pattern.remove_prefix(1);
  for (const std::string& segment : path) {
    if (pattern.empty()) return false;
    const std::string_view wanted = TakeUntil('/', pattern);
    if (!wanted.starts_with('{')) {
      if (segment != wanted) return false;
    } else if (segment.empty()) {
      return false;
    } else {
      values.push_back(segment);
    }
  }
  return pattern.empty();
}

std::string EncodeSegment(std::string_view text) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.' || c == '_' || c == '~' || c == ':';
    if (plain) {
      encoded.push_back(c);
    } else {
      const auto byte = static_cast<unsigned char>(c);
      encoded.push_back('%');
      encoded.push_back(kHex[byte >> 4]);
      encoded.push_back(kHex[byte & 15]);
    }
  }
  return encoded;
}

}  // namespace rondo::control
