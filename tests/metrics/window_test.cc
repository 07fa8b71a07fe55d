#include "rondo/metrics/window.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

namespace rondo::metrics {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

WindowCounts Read(const Minute& minute, Instant now) {
  WindowCounts counts;
  minute.AddTo(now, counts);
  return counts;
}

TEST(Minute, ForgetsWhatIsOlderThanAMinute) {
  const auto minute = std::make_unique<Minute>();
  const Instant begin{seconds(1000)};
  for (int i = 0; i < 10; ++i) minute->Observe(begin, milliseconds(10), i == 0);
  EXPECT_EQ(Read(*minute, begin).requests, 10u);
  EXPECT_EQ(Read(*minute, begin).errors, 1u);
  EXPECT_EQ(Read(*minute, begin + seconds(60)).requests, 10u);
  EXPECT_EQ(Read(*minute, begin + seconds(65)).requests, 0u);
}

TEST(Minute, ASlotIsUsedAgainForALaterTime) {
  const auto minute = std::make_unique<Minute>();
  Instant now{seconds(500)};
  for (int second = 0; second < 300; ++second) {
    minute->Observe(now, milliseconds(20), false);
    now += seconds(1);
    const uint64_t requests = Read(*minute, now).requests;
    EXPECT_LE(requests, 66u);
    if (second >= 70) {
      EXPECT_GE(requests, 59u) << second;
      // One request a second: the rate over what is covered is exact but for the ends.
      const double rate =
          static_cast<double>(requests) /
          std::chrono::duration<double>(Minute::Covered(now, Instant{seconds(500)})).count();
      EXPECT_NEAR(rate, 1.0, 0.02);
    }
  }
}

TEST(Minute, CoversNoMoreThanThereWas) {
  const Instant start{seconds(1000)};
  EXPECT_EQ(Minute::Covered(start + seconds(3), start), seconds(3));
  EXPECT_EQ(Minute::Covered(start + seconds(300), start), seconds(60));
}

TEST(Minute, MayBeReadWhileItIsWritten) {
  const auto minute = std::make_unique<Minute>();
  std::atomic<bool> done{false};
  std::thread writer([&minute, &done] {
    Instant now{seconds(100)};
    for (int i = 0; i < 100'000; ++i) {
      now += milliseconds(1);
      minute->Observe(now, milliseconds(i % 100), i % 10 == 0);
    }
    done.store(true);
  });
  while (!done.load()) {
    const WindowCounts counts = Read(*minute, Instant{seconds(160)});
    EXPECT_LE(counts.errors, counts.requests + 1);
  }
  writer.join();
}

}  // namespace
}  // namespace rondo::metrics
