// The way from a request to its TrafficCell without a search: by the listener's slot and the
// upstream's index in whatever snapshot the request goes by. Indices move as snapshots change, so
// the name decides. One thread, but for cells().
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "rondo/metrics/traffic_cells.h"

namespace rondo::metrics {

class TrafficTable {
 public:
  // Requests of this listener that reach no upstream. A slot is always the same name's.
  TrafficCell& Of(uint32_t slot, std::string_view listener) {
    if (slot < rows_.size() && rows_[slot].none != nullptr) return rows_[slot].none->cell;
    return MakeRow(slot, listener);
  }
  // The same where Of was called for this slot before.
  TrafficCell& Known(uint32_t slot) { return rows_[slot].none->cell; }
  TrafficCell& Of(uint32_t slot, std::string_view listener, size_t index,
                  std::string_view upstream) {
    if (slot < rows_.size() && index < rows_[slot].upstreams.size()) {
      TrafficCells::Entry* entry = rows_[slot].upstreams[index];
      if (entry != nullptr && entry->upstream == upstream) return entry->cell;
    }
    return Find(slot, listener, index, upstream);
  }
  // What all of it leads to; any thread may read there.
  const TrafficCells& cells() const { return cells_; }

 private:
  struct Row {
    TrafficCells::Entry* none = nullptr;
    std::vector<TrafficCells::Entry*> upstreams;  // by index; null: not met yet
  };
  TrafficCell& MakeRow(uint32_t slot, std::string_view listener);
  TrafficCell& Find(uint32_t slot, std::string_view listener, size_t index,
                    std::string_view upstream);

  TrafficCells cells_;
  std::vector<Row> rows_;  // by slot
};

}  // namespace rondo::metrics
