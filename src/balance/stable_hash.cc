#include "rondo/balance/stable_hash.h"

#include <string>

#include "rondo/base/rng.h"

namespace rondo::balance {

uint64_t StableHash(std::string_view bytes) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const char c : bytes) {
    hash ^= static_cast<uint8_t>(c);
    hash *= 0x100000001b3ull;
  }
  return Mix64(hash);
}

uint64_t AddressKey(const IpAddress& address) {
  // Read byte by byte, so that machines of either byte order agree.
  const size_t begin = address.is_v4() ? 12 : 0;
  const size_t end = address.is_v4() ? 16 : 8;
  uint64_t value = 0;
  for (size_t i = begin; i < end; ++i) value = value << 8 | address.bytes[i];
  return Mix64(value);
}

uint64_t StickyHash(std::string_view upstream, std::string_view backend_id) {
  std::string pair(upstream);
  pair.push_back('\0');  // in no name
  return StableHash(pair.append(backend_id));
}

}  // namespace rondo::balance
