// A number that one thread counts and any thread may read. No locked instruction: the writer is
// alone.
#pragma once

#include <atomic>
#include <cstdint>

namespace rondo::metrics {

template <class Word>
class BasicCounter {
 public:
  void Add(Word count = 1) {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  // The writer's, where counting begins anew.
  void Clear() { value_.store(0, std::memory_order_relaxed); }
  Word value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<Word> value_{0};
};
using Counter = BasicCounter<uint64_t>;
// For what is soon begun anew, where there are many.
using ShortCounter = BasicCounter<uint32_t>;

// The same where the number goes up and down.
class Gauge {
 public:
  void Add(int64_t count) {
    value_.store(value_.load(std::memory_order_relaxed) + count, std::memory_order_relaxed);
  }
  int64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<int64_t> value_{0};
};

}  // namespace rondo::metrics
