#include "rondo/balance/latency.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <thread>

namespace rondo::balance {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Instant kStart{std::chrono::hours(5)};

double Ms(const LatencyCell& cell, Instant now) { return cell.Cost(now) / 1e6; }

TEST(LatencyCell, KnowsNothingBeforeTheFirstAnswer) {
  LatencyCell cell;
  EXPECT_EQ(cell.Cost(kStart), 0);
  cell.Observe(milliseconds(-1), kStart);
  EXPECT_EQ(cell.Cost(kStart), 0);
  cell.Observe(Duration(0), Instant{});
  EXPECT_NEAR(cell.Cost(Instant{}), 1000, 1);
}

TEST(LatencyCell, TakesASlowerAnswerAtOnceAndComesDownSlowly) {
  LatencyCell cell;
  cell.Observe(milliseconds(10), kStart);
  EXPECT_NEAR(Ms(cell, kStart), 10, 1e-4);
  cell.Observe(milliseconds(200), kStart);
  EXPECT_NEAR(Ms(cell, kStart), 200, 1e-3);
  cell.Observe(milliseconds(10), kStart);  // within the same millisecond: the peak stands
  EXPECT_NEAR(Ms(cell, kStart), 200, 1e-3);
  cell.Observe(milliseconds(10), kStart + seconds(10));
  EXPECT_NEAR(Ms(cell, kStart + seconds(10)), 10 + 190 * std::exp(-1), 0.05);
}

TEST(LatencyCell, ComesDownAlikeHoweverOftenItIsToldTheSame) {
  for (const int each_ms : {2, 10, 100, 1000}) {
    LatencyCell cell;
    cell.Observe(milliseconds(500), kStart);
    Instant now = kStart;
    while (now < kStart + seconds(20)) {
      now += milliseconds(each_ms);
      cell.Observe(milliseconds(20), now);
    }
    EXPECT_NEAR(Ms(cell, now), 20 + 480 * std::exp(-2), 1.5) << "one each " << each_ms << " ms";
  }
}

TEST(LatencyCell, FadesWithoutAnswersAndIsForgottenInTheEnd) {
  LatencyCell cell;
  cell.Observe(milliseconds(100), kStart);
  EXPECT_NEAR(Ms(cell, kStart + seconds(10)), 100 * std::exp(-1), 0.05);
  EXPECT_NEAR(Ms(cell, kStart + seconds(50)), 100 * std::exp(-5), 0.05);
  EXPECT_EQ(Ms(cell, kStart + seconds(101)), 0);
  EXPECT_NEAR(Ms(cell, kStart - milliseconds(5)), 100, 1e-3);  // a worker whose time lags
  cell.Observe(milliseconds(3), kStart + seconds(200));
  EXPECT_NEAR(Ms(cell, kStart + seconds(200)), 3, 1e-4);
}

TEST(LatencyCell, LosesNoPeakBetweenWorkers) {
  for (int round = 0; round < 50; ++round) {
    LatencyCell cell;
    std::thread other([&] {
      for (int i = 0; i < 2000; ++i) cell.Observe(milliseconds(1), kStart + milliseconds(2 * i));
    });
    cell.Observe(seconds(100), kStart + seconds(4));
    other.join();
    EXPECT_GT(Ms(cell, kStart + seconds(4)), 90000);
  }
}

}  // namespace
}  // namespace rondo::balance
