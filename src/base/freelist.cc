#include "rondo/base/freelist.h"

#include <cstdlib>

#include "rondo/base/check.h"

namespace rondo {

Freelist::~Freelist() {
  RONDO_CHECK(blocks_out_ == 0);
  for (size_t index = 0; index < kClasses; ++index) {
    Block*& head = heads_[index];
    while (head != nullptr) {
      Block* block = head;
      head = block->next;
      UnpoisonMemory(block, (index + 1) * kStep);
      std::free(block);
    }
  }
}

void* Freelist::AllocateSlow(size_t size) {
  ++allocations_;
  // An empty request gets the smallest block: every block must have room for the link it carries
  // when free.
  void* block = std::malloc(RoundUp(size == 0 ? 1 : size));
  RONDO_CHECK(block != nullptr);
  return block;
}

void Freelist::TrimUnused() {
  for (size_t index = 0; index < kClasses; ++index) {
    for (; unused_[index] > 0; --unused_[index]) {
      Block* block = heads_[index];
      heads_[index] = block->next;
      --kept_[index];
      kept_bytes_ -= (index + 1) * kStep;
      UnpoisonMemory(block, (index + 1) * kStep);
      std::free(block);
    }
    unused_[index] = kept_[index];
  }
}

void Freelist::FreeSlow(void* block) { std::free(block); }

}  // namespace rondo
