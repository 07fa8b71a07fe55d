// When the prober checks, in virtual time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "sim/prober_world.h"

namespace rondo::sim {
namespace {

using health::CheckOutcome;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::IsEmpty;

// Timers fire up to a millisecond late, and a busy engine is another millisecond later.
constexpr Duration kSlack = milliseconds(3);

TEST(Prober, ChecksANewBackendAtOnce) {
  ProberWorld world(1);
  SimHttpBackend& backend = world.AddGood(1);
  world.world().RunFor(seconds(3));
  const Instant added = world.world().now();
  world.Watch(1, world.Check());
  world.world().RunUntil([&] { return !world.checks.empty(); }, seconds(1));
  ASSERT_EQ(world.checks.size(), 1u);
  EXPECT_LE(world.checks[0].result.began - added, kSlack);
  EXPECT_TRUE(world.checks[0].result.passed());
  EXPECT_EQ(world.checks[0].result.detail, "status 200");
  ASSERT_EQ(backend.requests().size(), 1u);
  const HttpHead& head = backend.requests()[0].head;
  EXPECT_EQ(head.method, "GET");
  EXPECT_EQ(head.target, "/health");
  EXPECT_EQ(head.Get("host"), "10.0.0.1:80");
  EXPECT_EQ(head.Get("user-agent"), "rondo-health/1");
  EXPECT_EQ(head.Get("connection"), "close");
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(Prober, ThenOnceAnIntervalGiveOrTakeATenth) {
  std::set<int64_t> gaps;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    ProberWorld world(seed);
    world.AddGood(1);
    world.Watch(1, world.Check(seconds(5)));
    world.world().RunFor(minutes(2));
    const auto checks = world.ChecksOf(1);
    ASSERT_GE(checks.size(), 22u);
    EXPECT_LE(checks[1].result.began - checks[0].result.began, seconds(5) + kSlack);
    for (size_t i = 2; i < checks.size(); ++i) {
      const Duration gap = checks[i].result.began - checks[i - 1].result.began;
      EXPECT_GE(gap, milliseconds(4500)) << seed << " " << i;
      EXPECT_LE(gap, milliseconds(5500) + kSlack) << seed << " " << i;
      gaps.insert(gap / milliseconds(100));
    }
    EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
  }
  EXPECT_EQ(gaps.size(), 10u);  // all of the tenth is used, both ways
}

TEST(Prober, SpreadsManyOverTheInterval) {
  ProberWorld world(3);
  for (uint64_t serial = 1; serial <= 400; ++serial) {
    world.AddGood(serial);
    world.Watch(serial, world.Check(seconds(10)));
  }
  world.world().RunFor(seconds(1));
  EXPECT_GE(world.checks.size(), 400u);
  std::vector<int> by_second(10);
  const Instant now = world.world().now();
  for (uint64_t serial = 1; serial <= 400; ++serial) {
    const Instant next = world.prober().NextCheck(serial);
    if (next == kNever) continue;
    ++by_second[static_cast<size_t>(std::min<int64_t>((next - now) / seconds(1), 9))];
  }
  for (size_t i = 0; i < 9; ++i) EXPECT_GT(by_second[i], 15) << i;
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(Prober, RunsAtMostSixtyFourAtOnceAndInOrder) {
  ProberWorld world(4);
  BackendAnswer slow;
  slow.delay = milliseconds(200);
  size_t most = 0;
  world.after_tick = [&] { most = std::max(most, world.prober().running()); };
  for (uint64_t serial = 1; serial <= 300; ++serial) {
    world.AddBackend(serial, [slow](const BackendRequest&) { return slow; });
    world.Watch(serial, world.Check(minutes(10)));
  }
  world.world().RunFor(seconds(3));
  EXPECT_EQ(most, control::Prober::kChecksMax);
  std::vector<Instant> began(301);
  for (const SeenCheck& check : world.checks) {
    if (began[check.serial] == Instant()) began[check.serial] = check.result.began;
  }
  EXPECT_TRUE(std::is_sorted(began.begin() + 1, began.end()));
  EXPECT_GE(world.checks.size(), 300u);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(Prober, ACheckThatTakesLongerThanTheIntervalDelaysTheNext) {
  ProberWorld world(5);
  BackendAnswer slow;
  slow.delay = seconds(3);
  SimHttpBackend& backend = world.AddBackend(1, [slow](const BackendRequest&) { return slow; });
  size_t most = 0;
  world.after_tick = [&] { most = std::max(most, backend.open_connections()); };
  auto check = world.Check(seconds(1));
  check->timeout = seconds(10);
  world.Watch(1, check);
  world.world().RunFor(seconds(30));
  const auto checks = world.ChecksOf(1);
  ASSERT_GE(checks.size(), 9u);
  for (size_t i = 1; i < checks.size(); ++i) {
    EXPECT_GE(checks[i].result.began, checks[i - 1].at);
    EXPECT_LE(checks[i].result.began - checks[i - 1].at, seconds(1));
  }
  EXPECT_EQ(most, 1u);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(Prober, ReportsAtTheHeadButLeavesTheBackendTimeToWriteTheRest) {
  ProberWorld world(7);
  BackendAnswer dripping;
  dripping.body_bytes = 300;
  dripping.drip_bytes = 350;  // the head, and then some
  dripping.drip_pause = milliseconds(300);
  SimHttpBackend& backend =
      world.AddBackend(1, [dripping](const BackendRequest&) { return dripping; });
  world.Watch(1, world.Check());
  world.world().RunUntil([&] { return !world.checks.empty(); }, seconds(1));
  ASSERT_EQ(world.checks.size(), 1u);
  EXPECT_LT(world.checks[0].result.took, milliseconds(100));
  EXPECT_EQ(backend.open_connections(), 1u);
  world.world().RunFor(milliseconds(200));
  EXPECT_EQ(backend.open_connections(), 1u);
  world.world().RunFor(milliseconds(300));
  EXPECT_EQ(backend.open_connections(), 0u);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(Prober, DoesNotWaitForEverForTheRest) {
  ProberWorld world(8);
  BackendAnswer endless;
  endless.framing = BodyFraming::kChunked;
  endless.body_bytes = 1000;
  endless.misbehaviour = Misbehaviour::kStall;
  endless.after_bytes = 300;
  world.AddBackend(1, [endless](const BackendRequest&) { return endless; });
  auto check = world.Check(minutes(10));
  check->timeout = minutes(1);
  world.Watch(1, check);
  world.world().RunUntil([&] { return !world.checks.empty(); }, seconds(1));
  world.world().RunFor(milliseconds(950));
  EXPECT_EQ(world.prober().running(), 1u);
  world.world().RunFor(milliseconds(100));
  EXPECT_EQ(world.prober().running(), 0u);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(Prober, ASuspectIsCheckedAtOnceButAtMostOnceASecond) {
  ProberWorld world(9);
  world.AddGood(1);
  world.Watch(1, world.Check(minutes(1)));
  world.world().RunFor(seconds(1) + milliseconds(200));
  ASSERT_EQ(world.checks.size(), 1u);
  const auto suspect = [&] {
    const Instant now = world.world().now();
    world.prober().CheckNow(1);
    world.engine().Wake();
    return now;
  };
  // Long after the last one: now.
  Instant asked = suspect();
  world.world().RunFor(milliseconds(100));
  ASSERT_EQ(world.checks.size(), 2u);
  EXPECT_LE(world.checks[1].result.began - asked, kSlack);
  // Soon after it: a second after its beginning, however often it is asked for.
  for (int i = 0; i < 5; ++i) suspect();
  world.world().RunFor(milliseconds(300));
  for (int i = 0; i < 5; ++i) suspect();
  world.world().RunFor(seconds(2));
  ASSERT_EQ(world.checks.size(), 3u);
  const Duration gap = world.checks[2].result.began - world.checks[1].result.began;
  EXPECT_GE(gap, seconds(1));
  EXPECT_LE(gap, seconds(1) + kSlack);
  // The regular one comes an interval later.
  const Duration next = world.prober().NextCheck(1) - world.checks[2].result.began;
  EXPECT_GE(next, seconds(54));
  EXPECT_LE(next, seconds(66));
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(Prober, ASuspicionDuringACheckNeedsNoSecond) {
  ProberWorld world(10);
  BackendAnswer slow;
  slow.delay = milliseconds(500);
  world.AddBackend(1, [slow](const BackendRequest&) { return slow; });
  world.Watch(1, world.Check(minutes(10)));
  world.world().RunFor(milliseconds(300));
  ASSERT_EQ(world.prober().running(), 1u);
  world.prober().CheckNow(1);
  world.world().RunFor(seconds(5));
  EXPECT_EQ(world.checks.size(), 1u);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(Prober, WhatIsRemovedIsNotReported) {
  ProberWorld world(11);
  BackendAnswer slow;
  slow.delay = milliseconds(500);
  world.AddBackend(1, [slow](const BackendRequest&) { return slow; });
  world.Watch(1, world.Check());
  world.world().RunFor(milliseconds(200));
  ASSERT_EQ(world.prober().running(), 1u);
  world.prober().Remove(1);
  EXPECT_FALSE(world.prober().Has(1));
  EXPECT_EQ(world.prober().counts(1), nullptr);
  world.engine().Wake();
  world.world().RunFor(milliseconds(50));
  EXPECT_EQ(world.prober().running(), 0u);
  // The same serial again is another check.
  world.Watch(1, world.Check());
  world.world().RunFor(seconds(1));
  EXPECT_EQ(world.checks.size(), 1u);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(Prober, PausesAndResumes) {
  ProberWorld world(12);
  world.AddGood(1);
  world.Watch(1, world.Check(seconds(1)));
  world.world().RunFor(seconds(5));
  const size_t before = world.checks.size();
  EXPECT_GE(before, 4u);
  world.prober().Pause(1);
  world.prober().CheckNow(1);
  world.engine().Wake();
  EXPECT_EQ(world.world().RunUntilQuiet(minutes(5)).stop, Stop::kQuiet);
  EXPECT_EQ(world.checks.size(), before);
  EXPECT_EQ((*world.prober().counts(1))[static_cast<size_t>(CheckOutcome::kPassed)], before);
  const Instant resumed = world.world().now();
  world.prober().Resume(1);
  world.engine().Wake();
  world.world().RunFor(milliseconds(500));
  ASSERT_GT(world.checks.size(), before);
  EXPECT_LE(world.checks[before].result.began - resumed, kSlack);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(Prober, AShorterIntervalCountsFromNow) {
  ProberWorld world(13);
  world.AddGood(1);
  world.Watch(1, world.Check(minutes(60)));
  world.world().RunFor(seconds(1));
  world.prober().Update(
      {.serial = 1, .address = world.Address(1), .check = world.Check(seconds(2))});
  world.engine().Wake();
  world.world().RunFor(seconds(20));
  EXPECT_GE(world.checks.size(), 9u);
  EXPECT_LE(world.checks.size(), 13u);
  // An equal check changes nothing.
  const Instant next = world.prober().NextCheck(1);
  world.prober().Update(
      {.serial = 1, .address = world.Address(1), .check = world.Check(seconds(2))});
  EXPECT_EQ(world.prober().NextCheck(1), next);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(Prober, AReloadMayRemoveAndAddTheCheck) {
  ProberWorld world(14);
  world.AddGood(1);
  world.Watch(1, nullptr);
  EXPECT_EQ(world.world().RunUntilQuiet(minutes(1)).stop, Stop::kQuiet);
  EXPECT_THAT(world.checks, IsEmpty());
  world.Watch(1, world.Check());
  world.world().RunFor(milliseconds(200));
  EXPECT_EQ(world.checks.size(), 1u);
  world.Watch(1, nullptr);
  EXPECT_EQ(world.world().RunUntilQuiet(minutes(1)).stop, Stop::kQuiet);
  EXPECT_EQ(world.checks.size(), 1u);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(Prober, WithNothingToCheckNobodyWakesUp) {
  ProberWorld world(15);
  EXPECT_EQ(world.world().RunUntilQuiet(minutes(10)).stop, Stop::kQuiet);
  EXPECT_EQ(world.loop().wheel().NextDeadline(), kNever);
  world.AddGood(1);
  world.Watch(1, world.Check());
  world.world().RunFor(seconds(7));
  world.prober().Remove(1);
  world.engine().Wake();
  EXPECT_EQ(world.world().RunUntilQuiet(minutes(10)).stop, Stop::kQuiet);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(Prober, TheListenerMayDoAnythingToTheTargetItHearsOf) {
  for (int what = 0; what < 4; ++what) {
    ProberWorld world(16);
    world.AddGood(1);
    world.on_check = [&](uint64_t serial, const health::CheckResult&) {
      switch (what) {
        case 0:
          return world.prober().Remove(serial);
        case 1:
          return world.prober().Pause(serial);
        case 2:
          world.prober().Remove(serial);
          return world.Watch(serial, world.Check(minutes(10)));
        default:
          return world.prober().StartWarmUp(serial, {.requests = 3, .concurrency = 2});
      }
    };
    world.Watch(1, world.Check(minutes(10)));
    world.world().RunFor(milliseconds(100));
    EXPECT_GE(world.checks.size(), 1u);
    world.on_check = {};
    EXPECT_THAT(world.StopAndListLeaks(), IsEmpty()) << what;
  }
}

TEST(Prober, StopsInTheMiddleOfEverything) {
  for (uint64_t seed = 1; seed <= 30; ++seed) {
    ProberWorld world(seed);
    BackendAnswer slow;
    slow.delay = milliseconds(50);
    for (uint64_t serial = 1; serial <= 100; ++serial) {
      if (serial % 3 != 0) {
        world.AddBackend(serial, [slow](const BackendRequest&) { return slow; });
      }
      world.Watch(serial, world.Check());
      if (serial % 5 == 0) {
        world.prober().StartWarmUp(serial, {.requests = 50, .concurrency = 4});
      }
    }
    world.world().RunFor(milliseconds(world.world().rng().Between(0, 150)));
    const size_t checks = world.checks.size();
    const size_t warmed = world.warmed.size();
    EXPECT_THAT(world.StopAndListLeaks(), IsEmpty()) << seed;
    EXPECT_EQ(world.checks.size(), checks);
    EXPECT_EQ(world.warmed.size(), warmed);
    world.prober().Add({.serial = 1, .address = world.Address(1), .check = world.Check()});
    EXPECT_EQ(world.prober().size(), 0u);
  }
}

TEST(Prober, FiveThousandTargetsAreRecordsWithTimers) {
  ProberWorld world(17);
  world.world().set_steps_max(2'000'000'000);
  const auto check = world.Check(seconds(60));
  for (uint64_t serial = 1; serial <= 5000; ++serial) {
    // Nobody listens: refused, which is the cheapest to simulate.
    world.Watch(serial, check);
  }
  world.world().RunFor(seconds(59));
  EXPECT_GE(world.checks.size(), 9000u);
  EXPECT_LE(world.checks.size(), 10'500u);
  EXPECT_LE(world.loop().frames().blocks_out(), control::Prober::kChecksMax * 4);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

}  // namespace
}  // namespace rondo::sim
