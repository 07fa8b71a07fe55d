#include "rondo/metrics/traffic_table.h"

namespace rondo::metrics {

TrafficCell& TrafficTable::MakeRow(uint32_t slot, std::string_view listener) {
  if (slot >= rows_.size()) rows_.resize(slot + 1);
  rows_[slot].none = &cells_.Get(listener, {});
  return rows_[slot].none->cell;
}

TrafficCell& TrafficTable::Find(uint32_t slot, std::string_view listener, size_t index,
                                std::string_view upstream) {
  if (slot >= rows_.size()) rows_.resize(slot + 1);
  std::vector<TrafficCells::Entry*>& upstreams = rows_[slot].upstreams;
  if (index >= upstreams.size()) upstreams.resize(index + 1);
  upstreams[index] = &cells_.Get(listener, upstream);
  return upstreams[index]->cell;
}

}  // namespace rondo::metrics
