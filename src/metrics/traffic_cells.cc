#include "rondo/metrics/traffic_cells.h"

#include <utility>

namespace rondo::metrics {

TrafficCells::~TrafficCells() {
  Entry* entry = first_.load(std::memory_order_relaxed);
  while (entry != nullptr) delete std::exchange(entry, entry->next.load(std::memory_order_relaxed));
}

TrafficCells::Entry& TrafficCells::Get(std::string_view listener, std::string_view upstream) {
  std::atomic<Entry*>* place = &first_;
  for (;;) {
    Entry* entry = place->load(std::memory_order_relaxed);
    if (entry == nullptr) {
      entry = new Entry(listener, upstream);
      place->store(entry, std::memory_order_release);
      return *entry;
    }
    if (entry->listener == listener && entry->upstream == upstream) return *entry;
    place = &entry->next;
  }
}

}  // namespace rondo::metrics
