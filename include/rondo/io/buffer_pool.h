// Receive buffers of one size, shared by all connections of a worker: a connection holds one only while
// bytes are in it. One owner (an engine), one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "rondo/base/poison.h"

namespace rondo::io {

class BufferPool;

// Owns one buffer of a pool, and gives it back on destruction. `data()[0, size())` are the bytes received.
class BufferRef {
 public:
  BufferRef() = default;
  BufferRef(BufferPool* pool, char* data, uint32_t size) : pool_(pool), data_(data), size_(size) {}
  BufferRef(BufferRef&& other) noexcept
      : pool_(std::exchange(other.pool_, nullptr)),
        data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  BufferRef& operator=(BufferRef&& other) noexcept {
    if (this != &other) {
      Reset();
      pool_ = std::exchange(other.pool_, nullptr);
      data_ = std::exchange(other.data_, nullptr);
      size_ = std::exchange(other.size_, 0);
    }
    return *this;
  }
  ~BufferRef() { Reset(); }

  inline void Reset();
  explicit operator bool() const { return data_ != nullptr; }
  char* data() const { return data_; }
  uint32_t size() const { return size_; }
  void set_size(uint32_t size) { size_ = size; }

 private:
  BufferPool* pool_ = nullptr;
  char* data_ = nullptr;
  uint32_t size_ = 0;
};

class BufferPool {
 public:
  static constexpr size_t kBufferBytes = 16 * 1024;  // holds a whole small message

  // At most `buffers_max` buffers exist at a time. Memory is reserved in regions and used on first touch.
  explicit BufferPool(size_t buffers_max);
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  ~BufferPool();  // every buffer must have come back

  // A buffer of kBufferBytes, the most recently returned one first (it is warm); nullptr when all
  // `buffers_max` are out: back-pressure, not an error.
  char* Take() {
    if (free_.empty() && !Grow()) return nullptr;
    char* buffer = free_.back();
    free_.pop_back();
    UnpoisonMemory(buffer, kBufferBytes);
    return buffer;
  }
  void Return(char* buffer) {
    PoisonMemory(buffer, kBufferBytes);
    free_.push_back(buffer);
  }

  // Buffers that somebody holds; those that wait in an engine's ring for the kernel to fill do not count.
  size_t buffers_out() const { return total_ - free_.size() - lent_; }
  // For the engine that lends buffers to the kernel: how many it has there.
  void set_lent(size_t buffers) { lent_ = buffers; }
  size_t buffers_max() const { return buffers_max_; }
  // Gives the memory of free buffers beyond `keep` back to the kernel (they stay usable). For after a burst:
  // O(n log n) in the free buffers.
  void Trim(size_t keep);

 private:
  bool Grow();

  struct Region {
    char* base;
    size_t bytes;
  };
  size_t buffers_max_;
  size_t total_ = 0;
  size_t lent_ = 0;
  std::vector<char*> free_;
  std::vector<Region> regions_;
};

inline void BufferRef::Reset() {
  if (data_ != nullptr) pool_->Return(std::exchange(data_, nullptr));
  pool_ = nullptr;
  size_ = 0;
}

}  // namespace rondo::io
