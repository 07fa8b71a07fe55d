// Short texts a word at a time: most names, values and pieces of heads are a few bytes long, for
// which a call to memcpy or memcmp costs more than the work. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace rondo {

// `c` in every byte.
constexpr uint64_t EveryByte(uint8_t c) { return 0x0101010101010101ull * c; }

// Eight bytes as they lie in memory.
inline uint64_t LoadWord(const char* p) {
  uint64_t word;
  std::memcpy(&word, p, sizeof(word));
  return word;
}

// A text of 1 to 7 bytes as one word: equal for equal texts of one size, and made of its bytes
// alone (some of them twice) and zeros.
inline uint64_t LoadShort(std::string_view text) {
  const char* p = text.data();
  const size_t n = text.size();
  if (n >= 4) {
    uint32_t head, tail;
    std::memcpy(&head, p, 4);
    std::memcpy(&tail, p + n - 4, 4);
    return uint64_t{tail} << 32 | head;
  }
  const auto byte = [p](size_t i) { return uint64_t{static_cast<uint8_t>(p[i])}; };
  return byte(0) | byte(n / 2) << 8 | byte(n - 1) << 16;
}

// memcpy, quick for up to 32 bytes. May be empty, then also without addresses.
inline void CopyText(char* to, const char* from, size_t n) {
  struct Half {  // of 32 bytes: one register of any x86-64
    uint64_t words[2];
  };
  if (n > 32) {
    std::memcpy(to, from, n);
  } else if (n >= 16) {
    Half head, tail;
    std::memcpy(&head, from, 16);
    std::memcpy(&tail, from + n - 16, 16);
    std::memcpy(to, &head, 16);
    std::memcpy(to + n - 16, &tail, 16);
  } else if (n >= 8) {
    const uint64_t head = LoadWord(from);
    const uint64_t tail = LoadWord(from + n - 8);
    std::memcpy(to, &head, 8);
    std::memcpy(to + n - 8, &tail, 8);
  } else if (n >= 4) {
    uint32_t head, tail;
    std::memcpy(&head, from, 4);
    std::memcpy(&tail, from + n - 4, 4);
    std::memcpy(to, &head, 4);
    std::memcpy(to + n - 4, &tail, 4);
  } else if (n > 0) {
    const char middle = from[n / 2];
    const char last = from[n - 1];
    to[0] = from[0];
    to[n / 2] = middle;
    to[n - 1] = last;
  }
}

}  // namespace rondo
