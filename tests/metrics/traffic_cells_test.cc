#include "rondo/metrics/traffic_cells.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rondo::metrics {
namespace {

TEST(TrafficCells, TheSameNamesGiveTheSameCell) {
  TrafficCells cells;
  TrafficCells::Entry& api = cells.Get("web", "api");
  TrafficCells::Entry& none = cells.Get("web", "");
  EXPECT_NE(&api, &none);
  EXPECT_NE(&api, &cells.Get("admin", "api"));
  EXPECT_EQ(&api, &cells.Get("web", "api"));
  std::vector<std::string> seen;
  cells.ForEach([&seen](const TrafficCells::Entry& entry) {
    seen.push_back(entry.listener + ">" + entry.upstream);
  });
  EXPECT_EQ(seen, (std::vector<std::string>{"web>api", "web>", "admin>api"}));
}

}  // namespace
}  // namespace rondo::metrics
