#include "control/events.h"

#include <gtest/gtest.h>

#include "sim/sim_world.h"

namespace rondo::control {
namespace {

class EventsTest : public ::testing::Test {
 protected:
  sim::SimWorld world_{1};
  std::unique_ptr<sim::SimEngine> engine_ = world_.MakeEngine("control");
  Events events_{*engine_};
};

TEST_F(EventsTest, EachIsFoundBehindTheOneBefore) {
  const uint64_t base = events_.last();
  EXPECT_TRUE(events_.Knows(base));
  EXPECT_EQ(events_.Next(base), nullptr);
  EXPECT_EQ(events_.Append(EventType::kConfig, R"({"revision":2})"), base + 1);
  EXPECT_EQ(events_.Append(EventType::kReload, "{}"), base + 2);
  const Event* first = events_.Next(base);
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(first->id, base + 1);
  EXPECT_EQ(first->type, EventType::kConfig);
  EXPECT_EQ(first->data, "{\"at\":\"" + Rfc3339(first->at) + "\",\"revision\":2}");
  const Event* second = events_.Next(first->id);
  ASSERT_NE(second, nullptr);
  EXPECT_EQ(second->data, "{\"at\":\"" + Rfc3339(second->at) + "\"}");
  EXPECT_EQ(events_.Next(second->id), nullptr);
}

TEST_F(EventsTest, WhatIsTooOldOrOfAnotherProcessIsKnownForThat) {
  const uint64_t base = events_.last();
  for (size_t i = 0; i < Events::kKept; ++i) events_.Append(EventType::kConfig, "{}");
  EXPECT_TRUE(events_.Knows(base));
  EXPECT_EQ(events_.Next(base)->id, base + 1);
  events_.Append(EventType::kConfig, "{}");
  EXPECT_FALSE(events_.Knows(base));
  EXPECT_TRUE(events_.Knows(base + 1));
  EXPECT_FALSE(events_.Knows(0));
  EXPECT_FALSE(events_.Knows(events_.last() + 1));
}

TEST_F(EventsTest, AProcessThatStartsLaterHasLargerIds) {
  const WallTime start{std::chrono::hours(24) * 365 * 56};
  const uint64_t base = Events::BaseOf(start);
  // Whatever happened in a second of the first process.
  EXPECT_GT(Events::BaseOf(start + std::chrono::seconds(1)), base + 1'000'000);
  EXPECT_LT(Events::BaseOf(start + std::chrono::hours(24) * 365 * 100), uint64_t{1} << 53);
}

TEST_F(EventsTest, TimesAreWrittenInRfc3339) {
  EXPECT_EQ(Rfc3339(WallTime{}), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(Rfc3339(WallTime{std::chrono::seconds(1767225600) + std::chrono::milliseconds(7)}),
            "2026-01-01T00:00:00.007Z");
}

}  // namespace
}  // namespace rondo::control
