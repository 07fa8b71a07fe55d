// All TrafficCells of one worker: it makes them as listeners and upstreams first meet, the control
// thread walks them. A cell stays as long as its worker, so counts survive a reload, and a name
// that comes back goes on where it was; names come from the configuration alone, so what clients do
// makes none.
#pragma once

#include <atomic>
#include <cstddef>
#include <string>
#include <string_view>

#include "rondo/metrics/traffic_cell.h"

namespace rondo::metrics {

class TrafficCells {
 public:
  struct Entry {
    Entry(std::string_view of_listener, std::string_view of_upstream)
        : listener(of_listener), upstream(of_upstream) {}
    const std::string listener;
    const std::string upstream;  // empty: none
    TrafficCell cell;
    std::atomic<Entry*> next{nullptr};
  };

  TrafficCells() = default;
  TrafficCells(const TrafficCells&) = delete;
  TrafficCells& operator=(const TrafficCells&) = delete;
  ~TrafficCells();

  // Of these names; made where it is not there. O(cells): keep the reference. Worker's thread.
  Entry& Get(std::string_view listener, std::string_view upstream);
  // Calls visit(const Entry&). Any thread, as long as the worker stays.
  template <class Visit>
  void ForEach(Visit visit) const {
    for (const Entry* entry = first_.load(std::memory_order_acquire); entry != nullptr;
         entry = entry->next.load(std::memory_order_acquire)) {
      visit(*entry);
    }
  }

 private:
  std::atomic<Entry*> first_{nullptr};
};

}  // namespace rondo::metrics
