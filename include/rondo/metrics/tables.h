// Counts under keys that are found only while counting: status codes, reasons. Written by one
// thread, read by any: entries are appended and never moved or removed. Bounded, since keys come
// from small sets.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "rondo/metrics/counter.h"

namespace rondo::metrics {

enum class Method : uint8_t {
  kGet,
  kHead,
  kPost,
  kPut,
  kDelete,
  kPatch,
  kOptions,
  kTrace,
  kConnect,
  kOther
};
// Any method that has no name of its own here is kOther: a label that clients cannot multiply.
Method MethodOf(std::string_view method);
std::string_view MethodName(Method method);  // "GET"; "other"

// 100 to 599, else 0, which reads "other".
constexpr uint16_t CodeOf(int status) {
  return status >= 100 && status <= 599 ? static_cast<uint16_t>(status) : uint16_t{0};
}

// Counts under numbers from 1 on.
class NumberTable {
 public:
  NumberTable() = default;
  NumberTable(const NumberTable&) = delete;
  NumberTable& operator=(const NumberTable&) = delete;
  ~NumberTable();

  void Add(uint32_t key) {
    if (last_ == nullptr || last_->key.load(std::memory_order_relaxed) != key) last_ = &Find(key);
    last_->count.Add();
  }
  // Calls visit(uint32_t key, uint64_t count) for each that was counted. Any thread.
  template <class Visit>
  void ForEach(Visit visit) const {
    for (const Chunk* chunk = &first_; chunk != nullptr;
         chunk = chunk->next.load(std::memory_order_acquire)) {
      for (const Entry& entry : chunk->entries) {
        const uint32_t key = entry.key.load(std::memory_order_acquire);
        if (key == 0) return;
        visit(key, entry.count.value());
      }
    }
  }

 private:
  struct Entry {
    std::atomic<uint32_t> key{0};  // 0: not used yet
    Counter count;
  };
  struct Chunk {
    std::array<Entry, 8> entries;
    std::atomic<Chunk*> next{nullptr};
  };
  Entry& Find(uint32_t key);

  Chunk first_;
  Entry* last_ = nullptr;  // the writer's: most requests are like the one before
};

// Requests by method and status code.
class CodeTable {
 public:
  void Add(Method method, int status) {
    counts_.Add(((static_cast<uint32_t>(method) << 16) | CodeOf(status)) + 1);
  }
  // Calls visit(Method, uint16_t code, uint64_t count) for each pair that was counted. Any thread.
  template <class Visit>
  void ForEach(Visit visit) const {
    counts_.ForEach([&](uint32_t key, uint64_t count) {
      visit(static_cast<Method>((key - 1) >> 16), static_cast<uint16_t>((key - 1) & 0xffff), count);
    });
  }

 private:
  NumberTable counts_;
};

// Counts by reason. Reasons are string constants of the program: there are few, and they live for
// ever.
class ReasonTable {
 public:
  ReasonTable() = default;
  ReasonTable(const ReasonTable&) = delete;
  ReasonTable& operator=(const ReasonTable&) = delete;
  ~ReasonTable();

  void Add(const char* reason);
  // Calls visit(std::string_view reason, uint64_t count). The same text may come twice, where two
  // constants have it. Any thread.
  template <class Visit>
  void ForEach(Visit visit) const {
    for (const Entry* entry = first_.load(std::memory_order_acquire); entry != nullptr;
         entry = entry->next.load(std::memory_order_acquire)) {
      visit(std::string_view(entry->reason), entry->count.value());
    }
  }

 private:
  struct Entry {
    explicit Entry(const char* text) : reason(text) {}
    const char* reason;
    Counter count;
    std::atomic<Entry*> next{nullptr};
  };
  std::atomic<Entry*> first_{nullptr};
};

}  // namespace rondo::metrics
