// Received bytes of a connection that nobody has dealt with yet, in one piece: a head may arrive in many.
#pragma once

#include <cstring>

#include "proxy/block.h"
#include "rondo/base/check.h"
#include "rondo/io/buffer_pool.h"

namespace rondo::proxy {

class Input {
 public:
  Input() = default;
  Input(Input&& other) noexcept
      : buffer_(std::move(other.buffer_)),
        block_(std::move(other.block_)),
        at_(std::exchange(other.at_, nullptr)),
        size_(std::exchange(other.size_, 0)) {}
  Input& operator=(Input&&) = delete;

  char* data() const { return at_; }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::string_view view() const { return {at_, size_}; }

  // Adds what was received. While bytes are left from before they are kept in front of the new ones, which
  // may move them: views end here.
  void Append(io::BufferRef received, Freelist& memory) {
    const size_t more = received.size();
    if (size_ == 0) {
      Reset();
      buffer_ = std::move(received);
      at_ = buffer_.data();
      size_ = more;
      return;
    }
    if (more > Room()) Grow(more, memory);
    std::memcpy(at_ + size_, received.data(), more);
    size_ += more;
  }
  // The same for bytes that stand elsewhere.
  void AppendCopy(std::string_view bytes, Freelist& memory) {
    if (size_ == 0) {
      Reset();
      block_ = Block(memory, bytes.size());
      at_ = block_.data();
    } else if (bytes.size() > Room()) {
      Grow(bytes.size(), memory);
    }
    std::memcpy(at_ + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
  }
  // The first `bytes` were dealt with.
  void Consume(size_t bytes) {
    at_ += bytes;
    size_ -= bytes;
  }
  // The next bytes may be received behind those that are there, where these came in a buffer of the
  // pool and leave room in it; Received says how many came.
  char* Behind() const { return at_ + size_; }
  void Received(size_t bytes) { size_ += bytes; }
  // All that is there, as it came. REQUIRES: nothing was consumed, and all of it is in one buffer.
  io::BufferRef TakeBuffer() {
    RONDO_DCHECK(buffer_ && at_ == buffer_.data());
    buffer_.set_size(static_cast<uint32_t>(size_));
    at_ = nullptr;
    size_ = 0;
    return std::move(buffer_);
  }
  // Gives the memory back where no bytes are left.
  void ReleaseIfEmpty() {
    if (size_ == 0) Reset();
  }
  void Reset() {
    buffer_.Reset();
    block_.Reset();
    at_ = nullptr;
    size_ = 0;
  }

 private:
  size_t Room() const {
    const char* end = block_ ? block_.data() + block_.room() : buffer_.data() + io::BufferPool::kBufferBytes;
    return static_cast<size_t>(end - (at_ + size_));
  }
  void Grow(size_t more, Freelist& memory) {
    Block larger(memory, (size_ + more) * 2);
    std::memcpy(larger.data(), at_, size_);
    buffer_.Reset();
    block_ = std::move(larger);
    at_ = block_.data();
  }

  io::BufferRef buffer_;
  Block block_;  // instead of the buffer, once that was too small; its size() stays 0
  char* at_ = nullptr;
  size_t size_ = 0;
};

}  // namespace rondo::proxy
