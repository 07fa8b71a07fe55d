// A piece of a worker's freelist, given back on destruction: message heads are written into these.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

#include "rondo/base/freelist.h"

namespace rondo::proxy {

class Block {
 public:
  Block() = default;
  Block(Freelist& from, size_t bytes)
      : from_(&from),
        capacity_(static_cast<uint32_t>(Freelist::RoundUp(bytes))),
        data_(static_cast<char*>(from.Allocate(capacity_))) {}
  Block(Block&& other) noexcept { Swap(other); }
  Block& operator=(Block&& other) noexcept {
    Reset();
    Swap(other);
    return *this;
  }
  ~Block() { Reset(); }

  void Reset() {
    if (data_ != nullptr) from_->Free(data_, capacity_);
    data_ = nullptr;
    capacity_ = size_ = 0;
  }
  explicit operator bool() const { return data_ != nullptr; }
  char* data() const { return data_; }
  size_t size() const { return size_; }
  void set_size(size_t size) { size_ = static_cast<uint32_t>(size); }
  size_t room() const { return capacity_ - size_; }
  std::string_view view() const { return {data_, size_}; }

 private:
  void Swap(Block& other) {
    std::swap(from_, other.from_);
    std::swap(capacity_, other.capacity_);
    std::swap(size_, other.size_);
    std::swap(data_, other.data_);
  }
  Freelist* from_ = nullptr;
  uint32_t capacity_ = 0;
  uint32_t size_ = 0;
  char* data_ = nullptr;
};

}  // namespace rondo::proxy
