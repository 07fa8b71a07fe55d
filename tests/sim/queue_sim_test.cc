// Limits, the queue for places, and its order, under drawn loads: each seed is a world of its own,
// and many times in each step of it everything that wait_board.h promises is checked.
//
// RONDO_SIM_SEEDS=n runs n seeds, RONDO_SIM_FIRST=n begins there; RONDO_SIM_SEED=n runs that one
// alone.
#include <gtest/gtest.h>

#include <cstdlib>
#include <iterator>

#include "sim/draw.h"
#include "sim/queue_world.h"

namespace rondo::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

#ifdef NDEBUG
constexpr uint64_t kSeeds = 100'000;
#else
constexpr uint64_t kSeeds = 8000;
#endif

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

Duration DrawTime(Rng& rng, Duration low, Duration high) {
  return microseconds(DrawSkewed(rng, low / microseconds(1), high / microseconds(1)));
}

// What all seeds together must have seen.
struct Seen {
  size_t waits = 0;
  size_t served = 0;
  size_t full = 0;
  size_t timeouts = 0;
  size_t left = 0;
  size_t nowhere = 0;
};

QueueWorldOptions DrawOptions(Rng& rng) {
  QueueWorldOptions options;
  options.workers = 1 + rng.Below(4);
  std::vector<uint32_t> limits(1 + rng.Below(6));
  for (uint32_t& limit : limits) limit = 1 + static_cast<uint32_t>(rng.Below(4));
  if (rng.Below(10) == 0) limits[rng.Below(limits.size())] = 0;
  options.upstream = QueueWorld::Upstream(limits, rng.Below(limits.size() + 1));
  options.upstream.balance = static_cast<balance::PolicyKind>(rng.Below(6));
  options.upstream.queue.size =
      static_cast<uint32_t>(rng.Below(4) == 0 ? rng.Below(4) : rng.Below(60));
  options.upstream.queue.timeout = milliseconds(DrawSkewed(rng, 2, 1000));
  if (rng.Below(2) == 0) options.upstream.sticky = config::Sticky();
  if (rng.Below(4) == 0) options.upstream.panic_percent = 50;
  if (rng.Below(3) == 0) options.upstream.slow_start = milliseconds(DrawSkewed(rng, 10, 1000));
  if (rng.Below(3) == 0) {
    options.faults = FaultPlan::Draw(rng);
    options.wake_max = milliseconds(400);  // a stall of each of four workers
  }
  return options;
}

PlaceRequest DrawRequest(Rng& rng, const QueueWorld& world, const QueueWorldOptions& options,
                         Duration span, bool faulty) {
  const size_t backends = options.upstream.backends.size();
  PlaceRequest request;
  request.worker = rng.Below(options.workers);
  request.start = microseconds(rng.Between(0, span / microseconds(1)));
  request.hold = rng.Below(8) == 0 ? Duration() : DrawTime(rng, microseconds(50), milliseconds(60));
  if (rng.Below(6) == 0) request.leaves_after = DrawTime(rng, microseconds(100), milliseconds(50));
  if (faulty && rng.Below(3) == 0) {
    request.faults.resize(1 + rng.Below(backends + 1));
    for (PlaceFault& fault : request.faults) {
      fault = rng.Below(2) == 0 ? PlaceFault::kRefuses : PlaceFault::kBreaks;
    }
  }
  request.key.hash = rng.Below(20);
  if (options.upstream.sticky && rng.Below(3) != 0) {
    request.key.sticky = rng.Below(8) == 0 ? rng.Next() : world.StickyHash(rng.Below(backends));
  }
  return request;
}

ControlStep DrawStep(Rng& rng, const QueueWorldOptions& options, Duration span) {
  using Kind = ControlStep::Kind;
  ControlStep step;
  step.at = microseconds(rng.Between(0, span / microseconds(1)));
  // Those that have joined meanwhile, too.
  step.backend = rng.Below(options.upstream.backends.size() + 3);
  // States most of the time; an end of the upstream is nearly the end of the run.
  constexpr Kind kKinds[] = {Kind::kLimit, Kind::kWeight, Kind::kBackup,  Kind::kRemove,
                             Kind::kAdd,   Kind::kAdd,    Kind::kReplace, Kind::kExpecting};
  if (rng.Below(2) == 0) {
    step.state = static_cast<health::State>(rng.Below(health::kStateCount));
    if (rng.Below(3) == 0) step.state = health::State::kUp;
  } else {
    step.kind = kKinds[rng.Below(std::size(kKinds))];
  }
  step.value = static_cast<uint32_t>(rng.Below(4));
  if (rng.Below(60) == 0) step.kind = Kind::kRetire;
  return step;
}

bool RunSeed(uint64_t seed, Seen& seen) {
  Rng rng(Mix64(seed ^ 0x9eece));
  const QueueWorldOptions options = DrawOptions(rng);
  QueueWorld world(seed, options);
  const size_t requests = 5 + rng.Below(rng.Below(5) == 0 ? 200 : 60);
  const Duration span = DrawTime(rng, milliseconds(1), milliseconds(400));
  const bool faulty = rng.Below(2) == 0;
  for (size_t i = 0; i < requests; ++i) world.Add(DrawRequest(rng, world, options, span, faulty));
  if (rng.Below(2) == 0) {
    for (size_t i = 1 + rng.Below(30); i > 0; --i) world.Add(DrawStep(rng, options, 2 * span));
  }
  const bool held = world.Run();
  if (!held) ADD_FAILURE() << "RONDO_SIM_SEED=" << seed << "\n" << world.Findings();
  seen.waits += world.waits();
  seen.served += world.Count(PlaceEnd::kServed);
  seen.full += world.Count(PlaceEnd::kQueueFull);
  seen.timeouts += world.Count(PlaceEnd::kTimeout);
  seen.left += world.Count(PlaceEnd::kLeft);
  seen.nowhere += world.Count(PlaceEnd::kNowhere);
  return held;
}

// -- found by seeds --

PlaceRequest At(size_t worker, Duration start, Duration hold) {
  PlaceRequest request;
  request.worker = worker;
  request.start = start;
  request.hold = hold;
  return request;
}

TEST(QueueSim, TwoPlacesThatComeFreeAtOnceGoToTheTwoOldestOfDifferentWorkers) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    QueueWorldOptions options;
    options.workers = 2;
    options.upstream = QueueWorld::Upstream({2});
    QueueWorld world(seed, options);
    world.Add(At(0, milliseconds(1), milliseconds(40)));
    world.Add(At(0, milliseconds(1), milliseconds(40)));
    world.Add(At(0, milliseconds(5), milliseconds(40)));   // the oldest
    world.Add(At(0, milliseconds(15), milliseconds(40)));  // the youngest, where the oldest is
    world.Add(At(1, milliseconds(10), milliseconds(40)));
    EXPECT_TRUE(world.Run()) << "seed " << seed << "\n" << world.Findings();
    EXPECT_EQ(world.served().back(), 3u) << "seed " << seed;
    EXPECT_GT(world.TookUntilPlace(3), milliseconds(50)) << "seed " << seed;
  }
}

TEST(QueueSim, ARequestThatAllBackendsRefusedDoesNotWaitBehindOthers) {
  QueueWorldOptions options;
  options.upstream = QueueWorld::Upstream({1});
  QueueWorld world(1, options);
  PlaceRequest refused = At(0, milliseconds(1), milliseconds(80));
  refused.faults = {PlaceFault::kRefuses};
  world.Add(refused);
  world.Add(At(0, milliseconds(5), milliseconds(100)));
  world.Add(At(0, milliseconds(6), milliseconds(1)));
  EXPECT_TRUE(world.Run()) << world.Findings();
  EXPECT_EQ(world.EndOf(0), PlaceEnd::kNowhere);
  EXPECT_EQ(world.EndOf(1), PlaceEnd::kServed);
  EXPECT_EQ(world.EndOf(2), PlaceEnd::kServed);
}

TEST(QueueSim, AFullQueueRefusesAtOnceAndADeadlineIsKept) {
  QueueWorldOptions options;
  options.upstream = QueueWorld::Upstream({1});
  options.upstream.queue = {1, milliseconds(20)};
  QueueWorld world(1, options);
  world.Add(At(0, milliseconds(1), milliseconds(100)));
  world.Add(At(0, milliseconds(5), milliseconds(1)));  // waits, in vain
  world.Add(At(0, milliseconds(6), milliseconds(1)));  // finds the queue full
  EXPECT_TRUE(world.Run()) << world.Findings();
  EXPECT_EQ(world.EndOf(1), PlaceEnd::kTimeout);
  EXPECT_EQ(world.EndOf(2), PlaceEnd::kQueueFull);
}

ControlStep Change(ControlStep::Kind kind, Duration at, size_t backend) {
  ControlStep step;
  step.kind = kind;
  step.at = at;
  step.backend = backend;
  return step;
}

// The place ends at the worker's record of the backend as it was before, which is not the one that
// is in the list now.
TEST(QueueSim, APlaceTakenBeforeItsBackendLeftAndCameBackGoesToWhoWaits) {
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    QueueWorldOptions options;
    options.workers = 2;
    options.upstream = QueueWorld::Upstream({1, 1});
    QueueWorld world(seed, options);
    world.Add(At(0, milliseconds(1), milliseconds(40)));
    world.Add(At(0, milliseconds(1), milliseconds(200)));
    world.Add(Change(ControlStep::Kind::kRemove, milliseconds(5), 0));
    world.Add(Change(ControlStep::Kind::kRemove, milliseconds(5), 1));
    ControlStep back = Change(ControlStep::Kind::kAdd, milliseconds(10), 0);
    back.value = 1;
    world.Add(back);
    back.backend = 1;
    world.Add(back);
    world.Add(At(0, milliseconds(15), milliseconds(10)));
    world.Add(At(1, milliseconds(16), milliseconds(10)));
    EXPECT_TRUE(world.Run()) << "seed " << seed << "\n" << world.Findings();
    EXPECT_LT(world.TookUntilPlace(2), milliseconds(40)) << "seed " << seed;
    EXPECT_LT(world.TookUntilPlace(3), milliseconds(50)) << "seed " << seed;
  }
}

// Two backends: the first is the returning user's own and drains, the second is full.
class QueueSimOwnBackend : public testing::Test {
 protected:
  // The user comes at 10 ms, while its own backend, with `limit` and in `state`, takes nobody.
  void Run(uint32_t limit, health::State state, const ControlStep& then) {
    for (uint64_t seed = 1; seed <= 50; ++seed) {
      QueueWorldOptions options;
      options.workers = 2;
      options.upstream = QueueWorld::Upstream({limit, 1});
      options.upstream.sticky = config::Sticky();
      QueueWorld world(seed, options);
      PlaceRequest own = At(0, milliseconds(1), milliseconds(100));
      own.key.sticky = world.StickyHash(0);
      PlaceRequest other = own;
      other.key.sticky = world.StickyHash(1);
      world.Add(own);
      world.Add(other);
      ControlStep change = Change(ControlStep::Kind::kState, milliseconds(5), 0);
      change.state = state;
      world.Add(change);
      own.start = milliseconds(10);
      own.hold = milliseconds(1);
      world.Add(own);
      own.worker = 1;
      world.Add(own);
      world.Add(then);
      EXPECT_TRUE(world.Run()) << "seed " << seed << "\n" << world.Findings();
      for (const size_t user : {2u, 3u}) {
        EXPECT_EQ(world.BackendOf(user), 0u) << "seed " << seed;
        EXPECT_GT(world.TookUntilPlace(user), milliseconds(15)) << "seed " << seed;
        EXPECT_LT(world.TookUntilPlace(user), milliseconds(25)) << "seed " << seed;
      }
    }
  }
};

TEST_F(QueueSimOwnBackend, ThatTurnsFromDownToDrainingWithoutALimitServesWhoWaits) {
  ControlStep drains = Change(ControlStep::Kind::kState, milliseconds(30), 0);
  drains.state = health::State::kDraining;
  Run(0, health::State::kDown, drains);
}

TEST_F(QueueSimOwnBackend, ThatDrainsAndLosesItsLimitServesWhoWaits) {
  Run(1, health::State::kDraining, Change(ControlStep::Kind::kLimit, milliseconds(30), 0));
}

// -- drawn --

TEST(QueueSim, SeedsKeepLimitsOrderAndDeadlinesAndLoseNoWakeUp) {
  Seen seen;
  if (std::getenv("RONDO_SIM_SEED") != nullptr) {
    RunSeed(FromEnvironment("RONDO_SIM_SEED", 0), seen);
    return;
  }
  const uint64_t first = FromEnvironment("RONDO_SIM_FIRST", 1);
  const uint64_t last = first + FromEnvironment("RONDO_SIM_SEEDS", kSeeds);
  int failed = 0;
  for (uint64_t seed = first; seed < last && failed < 10; ++seed)
    failed += RunSeed(seed, seen) ? 0 : 1;
  // Nothing of what is to be checked is drawn so rarely that it does not happen.
  const uint64_t some = (last - first) / 20;
  for (const size_t count :
       {seen.waits, seen.served, seen.full, seen.timeouts, seen.left, seen.nowhere}) {
    EXPECT_GT(count, some);
  }
  RecordProperty("waits", std::to_string(seen.waits));
  RecordProperty("served", std::to_string(seen.served));
}

}  // namespace
}  // namespace rondo::sim
