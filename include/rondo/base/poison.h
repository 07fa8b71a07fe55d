// Memory that went back to one of our own freelists or pools: under AddressSanitizer a use of it is reported
// like a use after free; without it these do nothing.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_ADDRESS__)
#define RONDO_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define RONDO_ADDRESS_SANITIZER 1
#endif
#endif
#if defined(RONDO_ADDRESS_SANITIZER)
#include <sanitizer/asan_interface.h>
#endif

namespace rondo {

inline void PoisonMemory([[maybe_unused]] void* at, [[maybe_unused]] size_t bytes) {
#if defined(RONDO_ADDRESS_SANITIZER)
  __asan_poison_memory_region(at, bytes);
#endif
}
inline void UnpoisonMemory([[maybe_unused]] void* at, [[maybe_unused]] size_t bytes) {
#if defined(RONDO_ADDRESS_SANITIZER)
  __asan_unpoison_memory_region(at, bytes);
#endif
}

}  // namespace rondo
