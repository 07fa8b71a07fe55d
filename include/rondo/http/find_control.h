// Finds what ends a line, or must not stand in one. Pure.
#pragma once

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include <bit>
#include <cstdint>
#include <cstring>

namespace rondo::http {

// The first byte below 0x20 or equal to 0x7f in [p, end), or end.
inline const char* FindControl(const char* p, const char* end) {
  constexpr uint64_t kOnes = 0x0101010101010101ull;
  constexpr uint64_t kTops = 0x8080808080808080ull;
#ifdef __SSE2__
  for (; end - p >= 16; p += 16) {
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    const __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8(0x1f)), bytes);
    const __m128i del = _mm_cmpeq_epi8(bytes, _mm_set1_epi8(0x7f));
    const int hits = _mm_movemask_epi8(_mm_or_si128(low, del));
    if (hits != 0) return p + std::countr_zero(static_cast<unsigned>(hits));
  }
#endif
  if constexpr (std::endian::native == std::endian::little) {
    while (end - p >= 8) {
      uint64_t word;
      std::memcpy(&word, p, 8);
      // Each test may name bytes above a true one as well, by its borrow, but never below it: the
      // lowest is right.
      const uint64_t del = word ^ (kOnes * 0x7f);
      const uint64_t hits = (((word - kOnes * 0x20) & ~word) | ((del - kOnes) & ~del)) & kTops;
      if (hits != 0) return p + (std::countr_zero(hits) >> 3);
      p += 8;
    }
  }
  while (p != end && static_cast<uint8_t>(*p) >= 0x20 && *p != 0x7f) ++p;
  return p;
}

}  // namespace rondo::http
