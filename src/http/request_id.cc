#include "rondo/http/forwarding.h"

namespace rondo::http {

void MakeRequestId(uint64_t a, uint64_t b, char out[32]) {
  constexpr char kDigits[] = "0123456789abcdef";
  for (int i = 0; i < 16; ++i) {
    out[i] = kDigits[(a >> (60 - 4 * i)) & 15];
    out[16 + i] = kDigits[(b >> (60 - 4 * i)) & 15];
  }
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
