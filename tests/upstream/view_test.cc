// Which backends may be picked: by state, by panic_threshold, by cookie, and by how much while they
// ramp up.
#include <cerrno>
#include <cmath>
#include <deque>
#include <thread>

#include "rondo/balance/stable_hash.h"
#include "upstream/pool_suite.h"

namespace rondo::upstream::testing {
namespace {

using health::State;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using Acquired = WorkerUpstream::Acquired;
using Picks = std::map<std::string, int>;

constexpr const char* kA = "10.0.0.1:80";
constexpr const char* kB = "10.0.0.2:80";
constexpr const char* kC = "10.0.0.3:80";
constexpr const char* kBackup = "10.0.0.9:80";

void AddThree(PoolWorld& pool) {
  for (const char* each : {kA, kB, kC}) pool.settings.backends.push_back(BackendAt(each));
}

TEST(View, AStateCountsFromTheNextPickOn) {
  struct Case {
    State state;
    bool picked;
  };
  const Case cases[] = {{State::kChecking, false}, {State::kWarming, false},
                        {State::kUp, true},        {State::kDown, false},
                        {State::kEjected, false},  {State::kDraining, false},
                        {State::kDrained, false},  {State::kMaintenance, false}};
  for (const Case& c : cases) {
    SCOPED_TRACE(health::StateName(c.state));
    PoolWorld pool;
    AddThree(pool);
    pool.Start();
    EXPECT_EQ(pool.Share(30).size(), 3u);
    pool.SetState(kB, c.state);
    const Picks share = pool.Share(30);
    EXPECT_EQ(share.contains(kB), c.picked);
    EXPECT_EQ(share.size(), c.picked ? 3u : 2u);
    pool.SetState(kB, State::kUp);
    EXPECT_EQ(pool.Share(30).size(), 3u);
  }
}

TEST(View, BackupsServeWhileNoOtherIsUp) {
  PoolWorld pool;
  AddThree(pool);
  pool.settings.backends.push_back(BackendAt(kBackup, true));
  pool.Start();
  EXPECT_FALSE(pool.Share(30).contains(kBackup));
  for (const char* each : {kA, kB, kC}) pool.SetState(each, State::kDown);
  EXPECT_THAT(pool.Share(10), ElementsAre(Pair(kBackup, 10)));
  pool.SetState(kC, State::kUp);
  EXPECT_THAT(pool.Share(10), ElementsAre(Pair(kC, 10)));
}

TEST(View, InAPanicAllAreUsed) {
  PoolWorld pool;
  AddThree(pool);
  pool.settings.panic_percent = 50;
  pool.Start();
  pool.SetState(kA, State::kDown);
  EXPECT_THAT(pool.Share(30), ElementsAre(Pair(kB, 15), Pair(kC, 15)));
  pool.SetState(kB, State::kEjected);
  EXPECT_THAT(pool.Share(30), ElementsAre(Pair(kA, 10), Pair(kB, 10), Pair(kC, 10)));
  pool.SetState(kB, State::kUp);
  EXPECT_THAT(pool.Share(30), ElementsAre(Pair(kB, 15), Pair(kC, 15)));
}

TEST(View, RetriesGoOnWhereStatesChangeBetweenAttempts) {
  PoolWorld pool;
  AddThree(pool);
  pool.Start();
  PickState state;
  WorkerBackend* first = pool.Pick(&state);
  WorkerUpstream::MarkTried(state, *first, /*refused=*/true);
  // The one that refused is found down, and with it the view changes.
  pool.SetState(first->shared->id, State::kDown);
  WorkerBackend* second = pool.Pick(&state);
  ASSERT_NE(second, nullptr);
  EXPECT_NE(second, first);
  WorkerUpstream::MarkTried(state, *second, /*refused=*/false);
  WorkerBackend* third = pool.Pick(&state);
  ASSERT_NE(third, nullptr);
  WorkerUpstream::MarkTried(state, *third, /*refused=*/false);
  EXPECT_NE(third, second);
  // All were tried. The one that is back refused this request, the other two only failed.
  pool.SetState(first->shared->id, State::kUp);
  for (int i = 0; i < 4; ++i) {
    WorkerBackend* again = pool.Pick(&state);
    ASSERT_NE(again, nullptr);
    EXPECT_NE(again, first);
    WorkerUpstream::MarkTried(state, *again, /*refused=*/false);
  }
}

// -- stickiness --

TEST(View, ADrainingBackendServesItsOwnUsersOnly) {
  PoolWorld pool;
  AddThree(pool);
  pool.settings.sticky = config::Sticky();
  pool.Start();
  const PickKey own{.sticky = balance::StickyHash("pool", kB)};
  EXPECT_THAT(pool.Share(30, own), ElementsAre(Pair(kB, 30)));
  pool.SetState(kB, State::kDraining);
  EXPECT_THAT(pool.Share(30, own), ElementsAre(Pair(kB, 30)));
  EXPECT_FALSE(pool.Share(30).contains(kB));
  ASSERT_NE(pool.upstream->FindSticky(*own.sticky), nullptr);
  EXPECT_EQ(pool.Shared(kB).sticky_requests.Sum(pool.engine->Now()), 30u);
  EXPECT_EQ(pool.Shared(kA).sticky_requests.Sum(pool.engine->Now()), 0u);
  for (const State gone : {State::kDrained, State::kMaintenance, State::kDown, State::kEjected}) {
    pool.SetState(kB, gone);
    EXPECT_FALSE(pool.Share(30, own).contains(kB));
    EXPECT_EQ(pool.upstream->FindSticky(*own.sticky), nullptr);
  }
  pool.SetState(kB, State::kDraining);
  EXPECT_THAT(pool.Share(10, own), ElementsAre(Pair(kB, 10)));
  pool.Remove(kB);
  pool.Change();
  EXPECT_FALSE(pool.Share(30, own).contains(kB));
}

TEST(View, WithoutStickinessADrainingBackendServesNobody) {
  PoolWorld pool;
  AddThree(pool);
  pool.Start();
  pool.SetState(kB, State::kDraining);
  const PickKey own{.sticky = balance::StickyHash("pool", kB)};
  EXPECT_FALSE(pool.Share(30, own).contains(kB));
}

TEST(View, StickinessThatIsTurnedOnOrOffByAReloadHoldsAtOnce) {
  PoolWorld pool;
  AddThree(pool);
  pool.Start();
  const PickKey own{.sticky = balance::StickyHash("pool", kB)};
  EXPECT_EQ(pool.Share(30, own).size(), 3u);
  pool.settings.sticky = config::Sticky{.cookie = "c"};
  pool.Change();
  EXPECT_THAT(pool.Share(30, own), ElementsAre(Pair(kB, 30)));
  EXPECT_EQ(pool.upstream->sticky_cookie().name, "c");
  pool.settings.sticky.reset();
  pool.Change();
  EXPECT_EQ(pool.Share(30, own).size(), 3u);
}

TEST(View, ADrainingBackendsOwnUsersWaitForItWhereNothingElseIsLeft) {
  PoolWorld pool;
  AddThree(pool);
  pool.settings.sticky = config::Sticky();
  for (auto& each : pool.settings.backends) each.max_connections = 1;
  pool.Start();
  for (const char* each : {kA, kB, kC}) pool.SetState(each, State::kDraining);
  const PickKey own{.sticky = balance::StickyHash("pool", kB)};
  Lease held;
  EXPECT_EQ(pool.upstream->Acquire(own, nullptr, &held), Acquired::kLease);
  Lease other;
  EXPECT_EQ(pool.upstream->Acquire(own, nullptr, &other), Acquired::kFull);
  EXPECT_EQ(pool.upstream->Acquire({}, nullptr, &other), Acquired::kNone);
  PickState tried;
  WorkerUpstream::MarkTried(tried, *held.backend(), /*refused=*/true);
  EXPECT_EQ(pool.upstream->Acquire(own, &tried, &other), Acquired::kNone);
}

TEST(View, AnIdThatMovedToAnotherAddressIsTheUsersOwnThere) {
  PoolWorld pool;
  AddThree(pool);
  pool.settings.sticky = config::Sticky();
  pool.Start();
  // The old one goes on under its id, as long as it drains.
  config::Backend moved = BackendAt(kB);
  moved.address = At("10.0.0.22:80");
  pool.settings.backends.push_back(moved);
  pool.Change();
  pool.Shared(kB).state = State::kDraining;
  pool.config->shared->StatesChanged();
  const PickKey own{.sticky = balance::StickyHash("pool", kB)};
  Lease lease;
  EXPECT_EQ(pool.upstream->Acquire(own, nullptr, &lease), Acquired::kLease);
  EXPECT_EQ(lease.backend()->shared->address, At("10.0.0.22:80"));
}

TEST(View, IdleConnectionsToAHeldBackendClose) {
  struct Case {
    State state;
    size_t kept;
  };
  const Case cases[] = {{State::kDraining, 1}, {State::kDrained, 0}, {State::kMaintenance, 0},
                        {State::kDown, 1},     {State::kEjected, 1}, {State::kUp, 1}};
  for (const Case& c : cases) {
    SCOPED_TRACE(health::StateName(c.state));
    PoolWorld pool;
    pool.AddOrigin(kA);
    pool.Start();
    WorkerBackend& backend = pool.PickAny();
    BackendConnection& used = pool.Connect(backend);
    pool.upstream->Release(pool.Connect(backend));
    pool.SetState(kA, c.state);
    EXPECT_TRUE(pool.upstream->Refresh());
    EXPECT_FALSE(pool.upstream->Refresh());
    EXPECT_EQ(pool.upstream->idle_connections(), c.kept);
    // Nor does one come back into the pool.
    pool.upstream->Release(used);
    EXPECT_EQ(pool.upstream->idle_connections(), 2 * c.kept);
  }
}

// -- a cold start --

struct Waiting {
  explicit Waiting(PoolWorld& of) : pool(of), token(*of.engine) {}
  Freelist& frames() { return pool.frames(); }
  static rt::Task<> Run(Waiting& self) {
    QueueWait wait(*self.pool.upstream);
    self.result = co_await self.pool.upstream->Wait(wait, {}, self.state, self.token);
    self.lease = std::move(wait.lease);
    self.done = true;
  }
  PoolWorld& pool;
  rt::CancelToken token;
  PickState* state = nullptr;
  Lease lease;
  int32_t result = 1;
  bool done = false;
};

Acquired AcquireOne(PoolWorld& pool, PickState* state = nullptr) {
  Lease lease;
  return pool.upstream->Acquire({}, state, &lease);
}

TEST(ColdStart, RequestsMayWaitWhileSomethingIsComing) {
  struct Case {
    const char* what;
    std::vector<State> states;
    bool expecting;
    Acquired wanted;
  };
  const Case cases[] = {
      {"one is checked", {State::kChecking}, false, Acquired::kFull},
      {"one warms up", {State::kDown, State::kWarming}, false, Acquired::kFull},
      {"one is up", {State::kUp, State::kChecking}, false, Acquired::kLease},
      {"all are down", {State::kDown, State::kEjected}, false, Acquired::kNone},
      {"all are held", {State::kDraining, State::kMaintenance}, false, Acquired::kNone},
      {"nothing is there", {}, false, Acquired::kNone},
      {"nothing is there, but a name is being resolved", {}, true, Acquired::kFull},
      {"all are down, but a name is being resolved", {State::kDown}, true, Acquired::kFull},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    PoolWorld pool;
    for (size_t i = 0; i < c.states.size(); ++i) {
      pool.settings.backends.push_back(BackendAt("10.0.0." + std::to_string(i + 1) + ":80"));
    }
    pool.Start();
    for (size_t i = 0; i < c.states.size(); ++i) pool.config->backends[i]->state = c.states[i];
    pool.config->shared->expecting = c.expecting;
    pool.config->shared->StatesChanged();
    EXPECT_EQ(AcquireOne(pool), c.wanted);
  }
}

TEST(ColdStart, WhoWasRefusedByAllMayWaitForTheOneThatIsComing) {
  PoolWorld pool;
  AddThree(pool);
  pool.Start();
  pool.SetState(kC, State::kChecking);
  PickState state;
  for (int i = 0; i < 2; ++i) {
    WorkerUpstream::MarkTried(state, *pool.Pick(&state), /*refused=*/true);
  }
  EXPECT_EQ(AcquireOne(pool, &state), Acquired::kFull);
  pool.SetState(kC, State::kDown);
  EXPECT_EQ(AcquireOne(pool, &state), Acquired::kNone);
}

// Whether a worker that sleeps wakes is the engine's part; here control is another thread.
TEST(ColdStart, AChangeOfStateByAnotherThreadWakesAllWhoWait) {
  PoolWorld pool;
  AddThree(pool);
  pool.Start();
  for (const char* each : {kA, kB, kC}) pool.SetState(each, State::kChecking);
  std::deque<Waiting> waiting;
  for (int i = 0; i < 20; ++i) {
    ASSERT_EQ(AcquireOne(pool), Acquired::kFull);
    pool.scope.Spawn(Waiting::Run(waiting.emplace_back(pool)));
  }
  const auto tick = [&pool] {
    pool.loop->Tick(pool.engine->Now());
    pool.upstream->ServeQueue();
  };
  for (int i = 0; i < 5; ++i) tick();
  EXPECT_EQ(pool.config->shared->board.waiting(), 20u);
  std::thread control([shared = pool.config->shared, up = pool.config->backends[1]] {
    up->state.store(State::kUp);
    shared->StatesChanged();
  });
  control.join();
  for (int i = 0; i < 5; ++i) tick();
  for (const Waiting& each : waiting) {
    ASSERT_TRUE(each.done);
    EXPECT_EQ(each.result, 0);
    EXPECT_EQ(each.lease.backend()->shared->id, kB);
  }
}

TEST(ColdStart, WhoWaitsInVainIsSentAwayAtOnce) {
  PoolWorld pool;
  AddThree(pool);
  pool.Start();
  for (const char* each : {kA, kB, kC}) pool.SetState(each, State::kChecking);
  Waiting waiting(pool);
  pool.scope.Spawn(Waiting::Run(waiting));
  for (const char* each : {kA, kB, kC}) {
    EXPECT_FALSE(waiting.done);
    pool.SetState(each, State::kDown);
    for (int i = 0; i < 5; ++i) {
      pool.loop->Tick(pool.engine->Now());
      pool.upstream->ServeQueue();
    }
  }
  EXPECT_TRUE(waiting.done);
  EXPECT_EQ(waiting.result, -ENOENT);
}

// -- slow start --

// Keeps `width` requests in flight by round, so that least_connections has something to compare.
double ShareOf(PoolWorld& pool, std::string_view id, int requests, size_t width) {
  std::deque<Lease> in_flight;
  int its = 0;
  for (int i = 0; i < requests; ++i) {
    if (in_flight.size() == width) in_flight.pop_front();
    Lease& lease = in_flight.emplace_back();
    const PickKey key{.hash = Mix64(static_cast<uint64_t>(i)), .sticky = {}};
    EXPECT_EQ(pool.upstream->Acquire(key, nullptr, &lease), Acquired::kLease);
    its += lease.backend()->shared->id == id ? 1 : 0;
  }
  return static_cast<double>(its) / requests;
}

TEST(SlowStart, ItsShareFollowsUnderEveryPolicy) {
  for (const balance::PolicyKind kind : balance::kPolicyKinds) {
    for (const uint32_t weight : {1u, 3u}) {
      SCOPED_TRACE(std::string(balance::PolicyName(kind)) + " " + std::to_string(weight));
      PoolWorld pool;
      AddThree(pool);
      pool.settings.balance = kind;
      pool.settings.slow_start = seconds(100);
      pool.SettingsOf(kB).weight = weight;
      pool.Start();
      pool.RunFor(seconds(7));
      const Instant began = pool.engine->Now();
      pool.Shared(kB).ramp_since = began.time_since_epoch().count();
      pool.config->shared->StatesChanged();
      for (const uint32_t percent : {25u, 50u, 75u, 100u}) {
        pool.RunFor(began + seconds(percent) - pool.engine->Now());
        const double mine = weight * percent / 100.0;
        const double wanted = mine / (mine + 2);
        // random_two takes the better of two drawn by weight; where many are in flight, load
        // decides.
        const double share = ShareOf(pool, kB, 6000, 300);
        EXPECT_NEAR(share, wanted, 0.035) << percent << " %";
      }
      // Nothing is left to be done.
      EXPECT_FALSE(pool.upstream->Refresh());
      pool.RunFor(seconds(1000));
      EXPECT_FALSE(pool.upstream->Refresh());
    }
  }
}

TEST(SlowStart, BeginsWithNextToNothingAndIsSteppedAtPicksAlone) {
  PoolWorld pool;
  AddThree(pool);
  pool.settings.slow_start = seconds(20);
  pool.Start();
  pool.Shared(kC).ramp_since = pool.engine->Now().time_since_epoch().count();
  pool.config->shared->StatesChanged();
  EXPECT_LT(ShareOf(pool, kC, 2010, 1), 0.02);
  EXPECT_TRUE(pool.loop->wheel().empty()) << "an idle worker need not wake for it";
  int steps = 0;
  for (int i = 0; i < 250; ++i) {
    pool.RunFor(milliseconds(100));
    steps += pool.upstream->Refresh() ? 1 : 0;
  }
  EXPECT_EQ(steps, 20);
  EXPECT_NEAR(ShareOf(pool, kC, 3000, 1), 1.0 / 3, 0.01);
}

TEST(SlowStart, WhereAllRampTogetherTheyShareEvenly) {
  PoolWorld pool;
  AddThree(pool);
  pool.settings.slow_start = seconds(20);
  pool.Start();
  for (const char* each : {kA, kB, kC}) {
    pool.Shared(each).ramp_since = pool.engine->Now().time_since_epoch().count();
  }
  pool.config->shared->StatesChanged();
  EXPECT_THAT(pool.Share(30), ElementsAre(Pair(kA, 10), Pair(kB, 10), Pair(kC, 10)));
}

TEST(SlowStart, OneThatIsTurnedOffEnds) {
  PoolWorld pool;
  AddThree(pool);
  pool.settings.slow_start = seconds(20);
  pool.Start();
  pool.Shared(kC).ramp_since = pool.engine->Now().time_since_epoch().count();
  pool.config->shared->StatesChanged();
  EXPECT_LT(ShareOf(pool, kC, 300, 1), 0.02);
  pool.settings.slow_start = Duration::zero();
  pool.Change();
  EXPECT_NEAR(ShareOf(pool, kC, 300, 1), 1.0 / 3, 0.01);
}

}  // namespace
}  // namespace rondo::upstream::testing
