// Assertions about our own code. Never on anything a peer, the kernel or the file system can cause.
#pragma once

namespace rondo::detail {
[[noreturn]] void CheckFailed(const char* condition, const char* file, int line) noexcept;
}  // namespace rondo::detail

// Always on: memory, lifetimes, accounting. Ends the process with the condition and its place.
#define RONDO_CHECK(condition)                                              \
  do {                                                                      \
    if (!(condition)) [[unlikely]]                                          \
      ::rondo::detail::CheckFailed(#condition, __FILE__, __LINE__);         \
  } while (false)

// On in debug and sanitizer builds, in tests and in the simulation.
#if defined(RONDO_DEBUG_CHECKS)
#define RONDO_DCHECK(condition) RONDO_CHECK(condition)
#else
#define RONDO_DCHECK(condition) \
  do {                          \
  } while (false && (condition))
#endif
