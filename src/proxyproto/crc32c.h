// CRC32c (Castagnoli; RFC 4960, appendix B), for the checksum that a version 2 header may carry.
// Headers are rare and short: a table of sixteen entries is enough.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace rondo::proxyproto {

// Where a sum begins; and what its end is to be combined with (exclusive or).
inline constexpr uint32_t kCrc32cStart = 0xffffffff;

// `sum` with `bytes` behind what it was made of.
inline uint32_t Crc32c(uint32_t sum, std::string_view bytes) {
  static constexpr auto kTable = [] {
    std::array<uint32_t, 16> table{};
    for (uint32_t i = 0; i < table.size(); ++i) {
      uint32_t entry = i;
      for (int bit = 0; bit < 4; ++bit) entry = entry >> 1 ^ ((entry & 1) != 0 ? 0x82f63b78U : 0U);
      table[i] = entry;
    }
    return table;
  }();
  for (const char byte : bytes) {
    sum ^= static_cast<uint8_t>(byte);
    sum = sum >> 4 ^ kTable[sum & 15];
    sum = sum >> 4 ^ kTable[sum & 15];
  }
  return sum;
}

}  // namespace rondo::proxyproto
