// The FIFO between collecting completions and delivering them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "rondo/base/check.h"
#include "rondo/io/op.h"

namespace rondo::io {

// A completion that waits to be delivered. `buffer` is set where a provided receive has bytes.
struct Ready {
  Op* op;
  char* buffer;
  int32_t result;
  bool more;
};

// A ring that grows to what one burst needs and stays there: no allocation on the steady path. By
// value and not by links, since a multishot op can have several completions waiting.
class ReadyQueue {
 public:
  ReadyQueue() : entries_(kInitial) {}

  bool empty() const { return head_ == tail_; }
  size_t size() const { return tail_ - head_; }
  void Push(const Ready& ready) {
    if (size() == entries_.size()) Grow();
    entries_[tail_++ & (entries_.size() - 1)] = ready;
  }
  Ready Pop() {
    RONDO_DCHECK(!empty());
    return entries_[head_++ & (entries_.size() - 1)];
  }
  // The op to be delivered next; nullptr where there is none.
  const Op* Peek() const { return empty() ? nullptr : entries_[head_ & (entries_.size() - 1)].op; }

 private:
  static constexpr size_t kInitial = 1024;  // a power of two, as every size is

  void Grow() {
    std::vector<Ready> larger(entries_.size() * 2);
    const size_t count = size();
    for (size_t i = 0; i < count; ++i) larger[i] = entries_[(head_ + i) & (entries_.size() - 1)];
    entries_.swap(larger);
    head_ = 0;
    tail_ = count;
  }

  std::vector<Ready> entries_;
  size_t head_ = 0;
  size_t tail_ = 0;
};

}  // namespace rondo::io
