#include "http2/session_memory.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace rondo::http2 {
namespace {

// The freelist wants to know a block's size when it comes back, and nghttp2 does not say it: it
// stands in front of the block. 16 bytes keep the alignment.
struct alignas(16) Prefix {
  size_t size;
};

Freelist& From(void* user_data) { return *static_cast<Freelist*>(user_data); }

void* Allocate(size_t size, void* user_data) {
  if (size > SIZE_MAX - sizeof(Prefix)) return nullptr;
  auto* prefix = static_cast<Prefix*>(From(user_data).Allocate(size + sizeof(Prefix)));
  prefix->size = size;
  return prefix + 1;
}

void Free(void* block, void* user_data) {
  if (block == nullptr) return;
  Prefix* prefix = static_cast<Prefix*>(block) - 1;
  From(user_data).Free(prefix, prefix->size + sizeof(Prefix));
}

void* AllocateZeroed(size_t count, size_t size, void* user_data) {
  if (size != 0 && count > SIZE_MAX / size) return nullptr;
  void* block = Allocate(count * size, user_data);
  if (block != nullptr) std::memset(block, 0, count * size);
  return block;
}

void* Reallocate(void* block, size_t size, void* user_data) {
  if (block == nullptr) return Allocate(size, user_data);
  void* moved = Allocate(size, user_data);
  if (moved == nullptr) return nullptr;
  std::memcpy(moved, block, std::min(size, (static_cast<Prefix*>(block) - 1)->size));
  Free(block, user_data);
  return moved;
}

}  // namespace

nghttp2_mem MemoryOf(Freelist& memory) {
  return {&memory, Allocate, Free, AllocateZeroed, Reallocate};
}

}  // namespace rondo::http2
