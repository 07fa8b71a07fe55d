#include "rondo/protect/keys.h"

#include <algorithm>
#include <cstring>

#include "rondo/base/rng.h"

namespace rondo::protect {

uint64_t AddressKey(const IpAddress& address) {
  // IPv4 addresses stand under a prefix of multicast, which no client comes from (RFC 4291 §2.7).
  const bool v4 = address.is_v4();
  uint64_t key = 0;
  for (size_t i = v4 ? 12 : 0; i < (v4 ? 16u : 8u); ++i) key = key << 8 | address.bytes[i];
  return v4 ? key | 0xffff'0000'0000'0000 : key;
}

uint64_t TextKey(std::string_view text, uint64_t seed) {
  uint64_t key = Mix64(seed ^ text.size());
  while (!text.empty()) {
    uint64_t word = 0;
    const size_t count = std::min(text.size(), sizeof(word));
    std::memcpy(&word, text.data(), count);
    key = Mix64(key ^ word) + seed;
    text.remove_prefix(count);
  }
  return key;
}

}  // namespace rondo::protect
