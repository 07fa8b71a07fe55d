#include "io/byte_queue.h"

#include <algorithm>
#include <new>
#include <utility>

#include "rondo/base/text_word.h"

namespace rondo::io {

void ByteQueue::Append(Freelist& frames, std::string_view bytes) {
  while (!bytes.empty()) {
    if (last_ == nullptr || last_->end == last_->capacity) {
      // What comes in many pieces gets whole blocks, a lone small piece a small one.
      const size_t wanted =
          last_ == nullptr ? sizeof(Block) + bytes.size() : size_t{Freelist::kBlockMax};
      const size_t all = Freelist::RoundUp(std::min(wanted, size_t{Freelist::kBlockMax}));
      auto* block = new (frames.Allocate(all))
          Block{nullptr, 0, 0, static_cast<uint32_t>(all - sizeof(Block))};
      (last_ == nullptr ? first_ : last_->next) = block;
      last_ = block;
    }
    const size_t count = std::min<size_t>(bytes.size(), last_->capacity - last_->end);
    CopyText(last_->bytes() + last_->end, bytes.data(), count);
    last_->end += static_cast<uint32_t>(count);
    size_ += count;
    bytes.remove_prefix(count);
  }
}

void ByteQueue::Splice(ByteQueue& other) {
  if (other.first_ == nullptr) return;
  (last_ == nullptr ? first_ : last_->next) = other.first_;
  last_ = std::exchange(other.last_, nullptr);
  other.first_ = nullptr;
  size_ += std::exchange(other.size_, 0);
}

size_t ByteQueue::Take(Freelist& frames, char* out, size_t room) {
  size_t taken = 0;
  while (first_ != nullptr && taken < room) {
    const size_t count = std::min<size_t>(room - taken, first_->end - first_->begin);
    CopyText(out + taken, first_->bytes() + first_->begin, count);
    first_->begin += static_cast<uint32_t>(count);
    taken += count;
    if (first_->begin == first_->end) Drop(frames);
  }
  size_ -= taken;
  return taken;
}

void ByteQueue::Clear(Freelist& frames) {
  while (first_ != nullptr) Drop(frames);
  size_ = 0;
}

void ByteQueue::Drop(Freelist& frames) {
  Block* block = first_;
  first_ = block->next;
  if (first_ == nullptr) last_ = nullptr;
  frames.Free(block, block->capacity + sizeof(Block));
}

}  // namespace rondo::io
