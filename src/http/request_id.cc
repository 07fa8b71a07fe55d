#include <array>
#include <cstring>

#include "rondo/http/forwarding.h"

namespace rondo::http {

namespace {

// Two hexadecimal digits for each byte.
constexpr std::array<std::array<char, 2>, 256> kHexPairs = [] {
  constexpr char kDigits[] = "0123456789abcdef";
  std::array<std::array<char, 2>, 256> pairs{};
  for (size_t i = 0; i < pairs.size(); ++i) pairs[i] = {kDigits[i >> 4], kDigits[i & 15]};
  return pairs;
}();

void WriteHex(uint64_t number, char* out) {
  for (int shift = 56; shift >= 0; shift -= 8, out += 2) {
    std::memcpy(out, kHexPairs[number >> shift & 0xff].data(), 2);
  }
}

}  // namespace

void MakeRequestId(uint64_t a, uint64_t b, char out[32]) {
  WriteHex(a, out);
  WriteHex(b, out + 16);
}

bool IsValidRequestId(std::string_view id) {
  constexpr size_t kSizeMax = 128;
  if (id.empty() || id.size() > kSizeMax) return false;
  for (char c : id) {
    const bool alphanumeric =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!alphanumeric && std::string_view("-_.~:+/=@").find(c) == std::string_view::npos)
      return false;
  }
  return true;
}

}  // namespace rondo::http
