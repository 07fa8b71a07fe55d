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

TEST(TrafficCell, CountsLimitedRequestsByRouteAndWhetherTheyWereLetThrough) {
  TrafficCell cell;
  for (int i = 0; i < 3; ++i) CountLimited(cell, 0, false);
  CountLimited(cell, 0, true);
  CountLimited(cell, 700, true);
  std::vector<std::string> seen;
  ForEachLimited(cell, [&seen](size_t route, bool dry_run, uint64_t count) {
    seen.push_back(std::to_string(route) + (dry_run ? " dry " : " ") + std::to_string(count));
  });
  EXPECT_EQ(seen, (std::vector<std::string>{"0 3", "0 dry 1", "700 dry 1"}));
}

}  // namespace
}  // namespace rondo::metrics
