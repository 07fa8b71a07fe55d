#include "rondo/base/check.h"

#include <cstdio>
#include <cstdlib>

namespace rondo::detail {

// Uses nothing that could itself be broken: no log, no allocation.
void CheckFailed(const char* condition, const char* file, int line) noexcept {
  std::fprintf(stderr, "%s:%d: check failed: %s\n", file, line, condition);
  std::fflush(stderr);
  std::abort();
}

}  // namespace rondo::detail
