#include "rondo/io/buffer_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <functional>

#include "rondo/base/check.h"

namespace rondo::io {
namespace {

constexpr size_t kRegionBuffers = 64;  // 1 MiB of address space at a time

}  // namespace

BufferPool::BufferPool(size_t buffers_max) : buffers_max_(buffers_max) {}

BufferPool::~BufferPool() {
  RONDO_CHECK(buffers_out() == 0);
  for (const Region& region : regions_) {
    UnpoisonMemory(region.base, region.bytes);
    RONDO_CHECK(munmap(region.base, region.bytes) == 0);
  }
}

bool BufferPool::Grow() {
  const size_t count = std::min(kRegionBuffers, buffers_max_ - total_);
  if (count == 0) return false;
  const size_t bytes = count * kBufferBytes;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) return false;
  // A huge page would make the first touched buffer cost 2 MiB. Refused where the kernel has none:
  // fine.
  (void)madvise(memory, bytes, MADV_NOHUGEPAGE);
  char* base = static_cast<char*>(memory);
  regions_.push_back(Region{base, bytes});
  free_.reserve(total_ + count);  // so that Return never allocates
  for (size_t i = count; i > 0; --i) free_.push_back(base + (i - 1) * kBufferBytes);
  total_ += count;
  PoisonMemory(base, bytes);
  return true;
}

void BufferPool::Trim(size_t keep) {
  if (free_.size() <= keep) return;
  // The bottom of the stack is what was used longest ago. In order of address neighbours go in one
  // call; pages that are already gone cost the kernel nothing.
  const auto begin = free_.begin();
  const auto end = free_.end() - static_cast<ptrdiff_t>(keep);
  std::sort(begin, end, std::greater<>());
  for (auto it = begin; it != end;) {
    char* high = *it;
    char* low = high;
    for (++it; it != end && *it == low - kBufferBytes; ++it) low = *it;
    const size_t bytes = static_cast<size_t>(high - low) + kBufferBytes;
    // Neighbours may come from two mappings; the call spans both. A failure only means that memory
    // is kept.
    (void)madvise(low, bytes, MADV_DONTNEED);
  }
}

}  // namespace rondo::io
