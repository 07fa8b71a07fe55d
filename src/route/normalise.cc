#include "rondo/route/normalise.h"

#include <array>
#include <cstddef>
#include <cstdint>

#include "rondo/base/hex.h"

namespace rondo::route {
namespace {

enum class ByteKind : uint8_t {
  kPlain,    // stands for itself
  kSlash,    // may begin a dot segment or repeat
  kPercent,  // an escape
  kQuery,    // '?': the path ends
  kForeign,  // not allowed in a URI, but harmless once escaped
  kRefused,  // see RefusalOf
};

constexpr bool IsUnreserved(uint8_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

constexpr std::array<ByteKind, 256> MakeKinds() {
  std::array<ByteKind, 256> kinds{};
  for (size_t c = 0; c < 256; ++c) {
    const bool control = c < 0x20 || c == 0x7f;
    kinds[c] = control ? ByteKind::kRefused : ByteKind::kForeign;
    if (IsUnreserved(static_cast<uint8_t>(c))) kinds[c] = ByteKind::kPlain;
  }
  // sub-delims, ':' and '@' (RFC 3986 §3.3, pchar).
  for (const char c : std::string_view("!$&'()*+,;=:@")) {
    kinds[static_cast<uint8_t>(c)] = ByteKind::kPlain;
  }
  kinds['/'] = ByteKind::kSlash;
  kinds['%'] = ByteKind::kPercent;
  kinds['?'] = ByteKind::kQuery;
  kinds['\\'] = ByteKind::kRefused;
  kinds['#'] = ByteKind::kRefused;
  return kinds;
}
constexpr std::array<ByteKind, 256> kKinds = MakeKinds();

ByteKind KindOf(char c) { return kKinds[static_cast<uint8_t>(c)]; }

const char* RefusalOf(char c) {
  if (c == '\\') return "path_backslash";
  if (c == '#') return "path_fragment";
  return "path_control_byte";
}

// Whether `rest`, which follows a slash, needs that slash's segment looked at: another slash, or
// "." or ".." alone.
bool BeginsOddSegment(std::string_view rest) {
  if (rest.empty()) return false;
  if (rest[0] == '/') return true;
  if (rest[0] != '.') return false;
  if (rest.size() > 1 && rest[1] == '.') rest.remove_prefix(1);
  // An escape may turn out to be another dot or a letter; the slow way finds out.
  return rest.size() == 1 || rest[1] == '/' || rest[1] == '?' || rest[1] == '%';
}

void AppendEscaped(uint8_t byte, Scratch& out) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  out.push_back('%');
  out.push_back(kDigits[byte >> 4]);
  out.push_back(kDigits[byte & 15]);
}

// One escape at the front of `text`. Returns the reason of a refusal, or null.
const char* AppendEscape(std::string_view text, Scratch& out) {
  const int high = text.size() > 2 ? HexValue(text[1]) : -1;
  const int low = text.size() > 2 ? HexValue(text[2]) : -1;
  if (high < 0 || low < 0) return "path_bad_escape";
  const auto byte = static_cast<uint8_t>(high * 16 + low);
  if (byte == 0) return "path_nul";
  if (byte == '\\') return "path_backslash";
  if (IsUnreserved(byte)) {
    out.push_back(static_cast<char>(byte));
  } else {
    AppendEscaped(byte, out);
  }
  return nullptr;
}

// Called where the segment that began at `begin` in `out` ends. Takes "." and ".." away, the latter
// with the segment before it. `out` ends in a slash after any of that. False where there is nothing
// above.
bool EndSegment(size_t begin, Scratch& out) {
  const std::string_view segment = std::string_view(out).substr(begin);
  if (segment == ".") {
    out.resize(begin);
  } else if (segment == "..") {
    if (begin == 1) return false;
    out.resize(out.rfind('/', begin - 2) + 1);
  }
  return true;
}

NormaliseResult Refused(const char* reason) { return {{}, reason}; }

NormaliseResult Rewrite(std::string_view path, Scratch& out) {
  out.assign(1, '/');
  size_t begin = 1;  // of the segment being written
  for (size_t i = 1; i < path.size(); ++i) {
    switch (KindOf(path[i])) {
      case ByteKind::kPlain:
        out.push_back(path[i]);
        break;
      case ByteKind::kSlash:
        if (!EndSegment(begin, out)) return Refused("path_above_root");
        if (out.back() != '/') out.push_back('/');
        begin = out.size();
        break;
      case ByteKind::kPercent: {
        const char* reason = AppendEscape(path.substr(i), out);
        if (reason != nullptr) return Refused(reason);
        i += 2;
        break;
      }
      case ByteKind::kQuery:
        path = path.substr(0, i);
        break;
      case ByteKind::kForeign:
        AppendEscaped(static_cast<uint8_t>(path[i]), out);
        break;
      case ByteKind::kRefused:
        return Refused(RefusalOf(path[i]));
    }
  }
  if (!EndSegment(begin, out)) return Refused("path_above_root");
  return {out, nullptr};
}

}  // namespace

NormaliseResult NormalisePath(std::string_view path, Scratch& scratch) {
  if (path.empty() || path[0] != '/') {
    const bool asterisk = path.substr(0, path.find('?')) == "*";
    return asterisk ? NormaliseResult{path.substr(0, 1), nullptr} : Refused("path_not_absolute");
  }
  for (size_t i = 0; i < path.size(); ++i) {
    switch (KindOf(path[i])) {
      case ByteKind::kPlain:
        break;
      case ByteKind::kSlash:
        if (BeginsOddSegment(path.substr(i + 1))) return Rewrite(path, scratch);
        break;
      case ByteKind::kPercent:
      case ByteKind::kForeign:
        return Rewrite(path, scratch);
      case ByteKind::kQuery:
        return {path.substr(0, i), nullptr};
      case ByteKind::kRefused:
        return Refused(RefusalOf(path[i]));
    }
  }
  return {path, nullptr};
}

}  // namespace rondo::route
