// Warm-up requests, in virtual time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "sim/prober_world.h"

namespace rondo::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::IsEmpty;

constexpr Duration kSlack = milliseconds(3);

void WarmUp(ProberWorld& world, uint64_t serial, const config::WarmUp& warm_up) {
  if (!world.prober().Has(serial)) world.Watch(serial, nullptr);
  world.prober().StartWarmUp(serial, warm_up);
  world.engine().Wake();
}

TEST(WarmUp, SendsItsRequestsSoManyAtATimeOnConnectionsThatItKeeps) {
  ProberWorld world(1);
  size_t in_flight = 0;
  size_t most = 0;
  BackendAnswer answer;
  answer.delay = milliseconds(10);
  answer.body_bytes = 5000;
  SimHttpBackend& backend = world.AddBackend(1, [&](const BackendRequest&) {
    most = std::max(most, ++in_flight);
    world.world().After(milliseconds(10), [&in_flight] { --in_flight; });
    return answer;
  });
  WarmUp(world, 1, {.path = "/warm", .requests = 50, .concurrency = 2});
  world.world().RunUntil([&] { return !world.warmed.empty(); }, seconds(10));
  ASSERT_EQ(world.warmed.size(), 1u);
  EXPECT_EQ(world.warmed[0].succeeded, 50u);
  EXPECT_EQ(backend.requests().size(), 50u);
  EXPECT_EQ(backend.connections(), 2u);
  EXPECT_EQ(most, 2u);
  EXPECT_EQ(backend.requests()[0].head.target, "/warm");
  EXPECT_EQ(backend.requests()[0].head.Get("host"), "10.0.0.1:80");
  EXPECT_EQ(backend.requests()[0].head.Count("connection"), 0u);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(WarmUp, NeverTakesLongerThanItsTimeout) {
  ProberWorld world(2);
  BackendAnswer slow;
  slow.delay = seconds(1);
  world.AddBackend(1, [slow](const BackendRequest&) { return slow; });
  const Instant began = world.world().now();
  WarmUp(world, 1, {.requests = 50, .concurrency = 2, .timeout = milliseconds(3500)});
  world.world().RunUntil([&] { return !world.warmed.empty(); }, seconds(30));
  ASSERT_EQ(world.warmed.size(), 1u);
  EXPECT_GE(world.warmed[0].at - began, milliseconds(3500));
  EXPECT_LE(world.warmed[0].at - began, milliseconds(3500) + kSlack);
  EXPECT_EQ(world.warmed[0].succeeded, 6u);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(WarmUp, EndsWhateverComesOfIt) {
  struct Case {
    const char* name;
    std::function<void(ProberWorld&)> set_up;
    uint32_t succeeded;
    bool times_out;
  };
  const auto answers = [](BackendAnswer answer) {
    return [answer](ProberWorld& world) {
      world.AddBackend(1, [answer](const BackendRequest&) { return answer; });
    };
  };
  BackendAnswer not_found;
  not_found.status = 404;
  BackendAnswer broken;
  broken.status = 500;
  BackendAnswer closes;
  closes.close = true;
  BackendAnswer closes_unsaid;
  closes_unsaid.close_unsaid = true;
  BackendAnswer until_close;
  until_close.framing = BodyFraming::kUntilClose;
  until_close.body_bytes = 200'000;
  BackendAnswer garbage;
  garbage.garbage = "what?\r\n\r\n";
  BackendAnswer resets;
  resets.misbehaviour = Misbehaviour::kReset;
  BackendAnswer stalls;
  stalls.misbehaviour = Misbehaviour::kStall;
  stalls.after_bytes = 30;
  const Case cases[] = {
      {"nobody listens", [](ProberWorld&) {}, 0, false},
      {"a black hole",
       [](ProberWorld& world) { world.world().network().BlackHole(world.Address(1)); }, 0, true},
      {"404", answers(not_found), 9, false},
      {"500", answers(broken), 0, false},
      {"says close", answers(closes), 9, false},
      {"the body ends with the connection", answers(until_close), 9, false},
      {"not HTTP", answers(garbage), 0, false},
      {"resets", answers(resets), 0, false},
      {"stalls", answers(stalls), 0, true},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.name);
    ProberWorld world(3);
    each.set_up(world);
    const Instant began = world.world().now();
    WarmUp(world, 1, {.requests = 9, .concurrency = 3, .timeout = seconds(5)});
    world.world().RunUntil([&] { return !world.warmed.empty(); }, seconds(30));
    ASSERT_EQ(world.warmed.size(), 1u);
    EXPECT_EQ(world.warmed[0].succeeded, each.succeeded);
    EXPECT_EQ(world.warmed[0].at - began >= seconds(5), each.times_out);
    EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
  }
}

TEST(WarmUp, WithoutADescriptorLeftItIsOverSoonButNotWithinTheCall) {
  FaultPlan faults;
  faults.open_fails = 1;
  ProberWorld world(4, faults);
  WarmUp(world, 1, {.requests = 5, .concurrency = 2});
  EXPECT_THAT(world.warmed, IsEmpty());
  world.world().RunFor(milliseconds(100));
  ASSERT_EQ(world.warmed.size(), 1u);
  EXPECT_EQ(world.warmed[0].succeeded, 0u);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(WarmUp, ANewOneTakesThePlaceOfTheOneThatRuns) {
  ProberWorld world(5);
  BackendAnswer slow;
  slow.delay = milliseconds(100);
  SimHttpBackend& backend = world.AddBackend(1, [slow](const BackendRequest&) { return slow; });
  WarmUp(world, 1, {.requests = 10, .concurrency = 1});
  world.world().RunFor(milliseconds(550));
  const Instant again = world.world().now();
  WarmUp(world, 1, {.requests = 10, .concurrency = 1});
  world.world().RunUntil([&] { return !world.warmed.empty(); }, seconds(5));
  world.world().RunFor(seconds(15));
  ASSERT_EQ(world.warmed.size(), 1u);
  EXPECT_EQ(world.warmed[0].succeeded, 10u);
  EXPECT_GE(world.warmed[0].at - again, seconds(1));
  EXPECT_EQ(backend.requests().size(), 16u);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(WarmUp, WhatIsRemovedOrPausedIsNotReported) {
  for (const bool remove : {true, false}) {
    ProberWorld world(6);
    BackendAnswer slow;
    slow.delay = milliseconds(100);
    SimHttpBackend& backend = world.AddBackend(1, [slow](const BackendRequest&) { return slow; });
    WarmUp(world, 1, {.requests = 10, .concurrency = 2});
    world.world().RunFor(milliseconds(250));
    if (remove) {
      world.prober().Remove(1);
    } else {
      world.prober().Pause(1);
    }
    world.engine().Wake();
    world.world().RunFor(seconds(20));
    EXPECT_THAT(world.warmed, IsEmpty());
    EXPECT_EQ(backend.open_connections(), 0u);
    EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
  }
}

TEST(WarmUp, ManyAtOnceTakeTurnsAndNoneIsHeldBeyondItsTimeout) {
  ProberWorld world(7);
  BackendAnswer slow;
  slow.delay = milliseconds(100);
  size_t most = 0;
  // Each connection has one op in flight, until those that waited in vain are told.
  const Instant began = world.world().now();
  world.after_tick = [&] {
    if (world.loop().Now() < began + milliseconds(1990)) {
      most = std::max(most, world.engine().in_flight());
    }
  };
  for (uint64_t serial = 1; serial <= 300; ++serial) {
    world.AddBackend(serial, [slow](const BackendRequest&) { return slow; });
    WarmUp(world, serial, {.requests = 20, .concurrency = 4, .timeout = seconds(2)});
  }
  world.world().RunUntil([&] { return world.warmed.size() == 300; }, minutes(1));
  ASSERT_EQ(world.warmed.size(), 300u);
  // 64 backends at a time, 0.5 s each: 64 * 4 of them are done in two seconds, the others waited in
  // vain.
  EXPECT_LE(most, control::WarmUps::kFlowsMax + 1);
  size_t whole = 0;
  for (const SeenWarmUp& each : world.warmed) {
    EXPECT_LE(each.at - began, seconds(2) + kSlack);
    if (each.succeeded == 20) ++whole;
  }
  EXPECT_GE(whole, 64u * 3);
  EXPECT_LE(whole, 64u * 4);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(WarmUp, OneThatWantsMoreThanThereIsRunsAlone) {
  ProberWorld world(8);
  SimHttpBackend& backend = world.AddGood(1);
  world.AddGood(2);
  WarmUp(world, 1, {.requests = 600, .concurrency = 300});
  WarmUp(world, 2, {.requests = 10, .concurrency = 2});
  world.world().RunUntil([&] { return world.warmed.size() == 2; }, seconds(30));
  ASSERT_EQ(world.warmed.size(), 2u);
  EXPECT_EQ(world.warmed[0].serial, 1u);
  EXPECT_EQ(world.warmed[0].succeeded, 600u);
  EXPECT_EQ(backend.connections(), 300u);
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(WarmUp, EndsInAnyMomentOfAWait) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Rng rng(seed);
    ProberWorld world(seed, FaultPlan::Draw(rng));
    BackendAnswer slow;
    slow.delay = milliseconds(20);
    for (uint64_t serial = 1; serial <= 48; ++serial) {
      world.AddBackend(serial, [slow](const BackendRequest&) { return slow; });
      WarmUp(world, serial, {.requests = 8, .concurrency = 8, .timeout = milliseconds(200)});
    }
    for (int i = 0; i < 40; ++i) {
      world.world().RunFor(milliseconds(rng.Between(0, 10)));
      const auto serial = static_cast<uint64_t>(rng.Between(1, 48));
      if (rng.Chance(0.5)) {
        world.prober().Remove(serial);
      } else {
        WarmUp(world, serial, {.requests = 8, .concurrency = 8, .timeout = milliseconds(200)});
      }
      world.engine().Wake();
    }
    if (seed % 2 == 0) world.world().RunFor(seconds(5));
    EXPECT_THAT(world.StopAndListLeaks(), IsEmpty()) << seed;
  }
}

}  // namespace
}  // namespace rondo::sim
