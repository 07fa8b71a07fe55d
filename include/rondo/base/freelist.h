// Blocks by size class, kept for reuse: the frames of coroutines, exchange records and heads come from
// here, so that a request on the steady path allocates nothing. One owner (a worker), one thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "rondo/base/poison.h"

namespace rondo {

class Freelist {
 public:
  static constexpr size_t kStep = 64;           // bytes between size classes
  static constexpr size_t kBlockMax = 8 * 1024; // larger blocks go straight to malloc
  static constexpr size_t kKeptBytesMax = 8 * 1024 * 1024;

  Freelist() = default;
  Freelist(const Freelist&) = delete;
  Freelist& operator=(const Freelist&) = delete;
  ~Freelist();  // every block must have come back

  // At least `size` bytes, 16-byte aligned. Ends the process where memory is exhausted.
  void* Allocate(size_t size) {
    ++blocks_out_;
    const size_t index = IndexOf(size);
    if (index < kClasses) {
      Block*& head = heads_[index];
      if (head != nullptr) {
        Block* block = head;
        head = block->next;
        UnpoisonMemory(block, RoundUp(size));
        if (--kept_[index] < unused_[index]) unused_[index] = kept_[index];
        kept_bytes_ -= (index + 1) * kStep;
        return block;
      }
    }
    return AllocateSlow(size);
  }
  // `size` as given to Allocate.
  void Free(void* block, size_t size) {
    --blocks_out_;
    const size_t index = IndexOf(size);
    if (index < kClasses && (kept_[index] + 1) * (index + 1) * kStep <= kKeptBytesMax) {
      auto* kept = static_cast<Block*>(block);
      kept->next = heads_[index];
      heads_[index] = kept;
      ++kept_[index];
      kept_bytes_ += (index + 1) * kStep;
      PoisonMemory(kept + 1, (index + 1) * kStep - sizeof(Block));
      return;
    }
    FreeSlow(block);
  }
  // The size that `size` is rounded up to: what may be used of a block.
  static constexpr size_t RoundUp(size_t size) {
    return size > kBlockMax ? size : (size + kStep - 1) / kStep * kStep;
  }

  // Gives those blocks back to malloc that were kept but not needed since the last call: the memory of a
  // burst goes after two calls, that of a steady load stays. O(blocks freed).
  void TrimUnused();
  size_t kept_bytes() const { return kept_bytes_; }

  size_t blocks_out() const { return blocks_out_; }
  // How often Allocate had to ask malloc; on the steady path this stands still.
  uint64_t allocations() const { return allocations_; }

 private:
  struct Block {
    Block* next;
  };
  static constexpr size_t kClasses = kBlockMax / kStep;
  static constexpr size_t IndexOf(size_t size) { return size == 0 ? 0 : (size - 1) / kStep; }
  void* AllocateSlow(size_t size);
  static void FreeSlow(void* block);

  std::array<Block*, kClasses> heads_{};
  std::array<uint32_t, kClasses> kept_{};
  std::array<uint32_t, kClasses> unused_{};  // the least that kept_ was since the last TrimUnused
  size_t kept_bytes_ = 0;
  size_t blocks_out_ = 0;
  uint64_t allocations_ = 0;
};

}  // namespace rondo
