// Bytes that wait to be taken, in blocks of a freelist: nothing is held while it is empty.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "rondo/base/check.h"
#include "rondo/base/freelist.h"

namespace rondo::io {

class ByteQueue {
 public:
  ByteQueue() = default;
  ByteQueue(const ByteQueue&) = delete;
  ByteQueue& operator=(const ByteQueue&) = delete;
  ~ByteQueue() { RONDO_CHECK(first_ == nullptr); }

  bool empty() const { return size_ == 0; }
  size_t size() const { return size_; }
  void Append(Freelist& frames, std::string_view bytes);
  // Moves all of `other` behind what is here.
  void Splice(ByteQueue& other);
  // Copies at most `room` bytes to `out` and drops them here; how many.
  size_t Take(Freelist& frames, char* out, size_t room);
  // Drops all.
  void Clear(Freelist& frames);

 private:
  struct Block {
    char* bytes() { return reinterpret_cast<char*>(this + 1); }
    Block* next;
    uint32_t begin;
    uint32_t end;
    uint32_t capacity;
  };

  void Drop(Freelist& frames);

  Block* first_ = nullptr;
  Block* last_ = nullptr;
  size_t size_ = 0;
};

}  // namespace rondo::io
