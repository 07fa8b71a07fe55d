#include "rondo/metrics/traffic_table.h"

#include <gtest/gtest.h>

#include <string>

namespace rondo::metrics {
namespace {

size_t Entries(const TrafficTable& table) {
  size_t entries = 0;
  table.cells().ForEach([&entries](const TrafficCells::Entry&) { ++entries; });
  return entries;
}

TEST(TrafficTable, LeadsToTheCellOfTheNames) {
  TrafficTable table;
  TrafficCell& none = table.Of(3, "web");
  TrafficCell& api = table.Of(3, "web", 5, "api");
  EXPECT_NE(&none, &api);
  EXPECT_EQ(&none, &table.Of(3, "web"));
  EXPECT_EQ(&none, &table.Known(3));
  EXPECT_EQ(&api, &table.Of(3, "web", 5, "api"));
  EXPECT_NE(&api, &table.Of(0, "other", 5, "api"));
  EXPECT_EQ(Entries(table), 3u);
}

TEST(TrafficTable, TheNameDecidesWhereIndicesMove) {
  TrafficTable table;
  TrafficCell& api = table.Of(0, "web", 0, "api");
  TrafficCell& files = table.Of(0, "web", 1, "files");
  // The next snapshot has one more before them, while requests go on by the one before.
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(&api, &table.Of(0, "web", 1, "api"));
    EXPECT_EQ(&files, &table.Of(0, "web", 2, "files"));
    EXPECT_EQ(&api, &table.Of(0, "web", 0, "api"));
    EXPECT_EQ(&files, &table.Of(0, "web", 1, "files"));
  }
  EXPECT_EQ(Entries(table), 2u);
}

}  // namespace
}  // namespace rondo::metrics
