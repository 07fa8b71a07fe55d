#include "rondo/metrics/tables.h"

#include <utility>

namespace rondo::metrics {
namespace {

constexpr std::pair<std::string_view, Method> kMethods[] = {
    {"GET", Method::kGet},         {"HEAD", Method::kHead},     {"POST", Method::kPost},
    {"PUT", Method::kPut},         {"DELETE", Method::kDelete}, {"PATCH", Method::kPatch},
    {"OPTIONS", Method::kOptions}, {"TRACE", Method::kTrace},   {"CONNECT", Method::kConnect},
};

}  // namespace

Method MethodOf(std::string_view method) {
  for (const auto& [name, value] : kMethods) {
    if (name == method) return value;
  }
  return Method::kOther;
}

std::string_view MethodName(Method method) {
  for (const auto& [name, value] : kMethods) {
    if (value == method) return name;
  }
  return "other";
}

NumberTable::~NumberTable() {
  Chunk* chunk = first_.next.load(std::memory_order_relaxed);
  while (chunk != nullptr) delete std::exchange(chunk, chunk->next.load(std::memory_order_relaxed));
}

NumberTable::Entry& NumberTable::Find(uint32_t key) {
  for (Chunk* chunk = &first_;;) {
    for (Entry& entry : chunk->entries) {
      const uint32_t used = entry.key.load(std::memory_order_relaxed);
      if (used == key) return entry;
      if (used == 0) {
        entry.key.store(key, std::memory_order_release);
        return entry;
      }
    }
    Chunk* next = chunk->next.load(std::memory_order_relaxed);
    if (next == nullptr) {
      next = new Chunk();
      chunk->next.store(next, std::memory_order_release);
    }
    chunk = next;
  }
}

ReasonTable::~ReasonTable() {
  Entry* entry = first_.load(std::memory_order_relaxed);
  while (entry != nullptr) delete std::exchange(entry, entry->next.load(std::memory_order_relaxed));
}

void ReasonTable::Add(const char* reason) {
  std::atomic<Entry*>* place = &first_;
  for (;;) {
    Entry* entry = place->load(std::memory_order_relaxed);
    if (entry == nullptr) {
      entry = new Entry(reason);
      entry->count.Add();
      place->store(entry, std::memory_order_release);
      return;
    }
    if (entry->reason == reason) {
      entry->count.Add();
      return;
    }
    place = &entry->next;
  }
}

}  // namespace rondo::metrics
