// A changed configuration in the middle of traffic: what stays keeps what it has, what leaves ends
// by itself.
#include <cerrno>
#include <set>

#include "upstream/pool_suite.h"

namespace rondo::upstream::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;
using Acquired = WorkerUpstream::Acquired;

constexpr Duration kAny = Duration::max();

void AddBackends(PoolWorld& pool, const std::vector<std::string>& addresses) {
  for (const std::string& each : addresses) pool.settings.backends.push_back(BackendAt(each));
}

TEST(Adopt, BackendsThatStayKeepTheirRecordsConnectionsAndCounts) {
  PoolWorld pool;
  pool.AddOrigin("10.0.0.1:80");
  pool.AddOrigin("10.0.0.2:80");
  pool.Start();
  std::vector<WorkerBackend*> before = {&pool.PickAny(), &pool.PickAny()};
  for (WorkerBackend* each : before) pool.upstream->Release(pool.Connect(*each));
  Lease lease = Lease::Take(*before[0]);
  // Another order, other weights, a new one in the middle.
  std::swap(pool.settings.backends[0], pool.settings.backends[1]);
  pool.settings.backends[0].weight = 3;
  pool.settings.backends.insert(pool.settings.backends.begin() + 1, BackendAt("10.0.0.3:80"));
  pool.Change();
  EXPECT_EQ(pool.upstream->idle_connections(), 2u);
  EXPECT_EQ(before[0]->shared->in_flight, 1u);
  std::set<WorkerBackend*> after;
  for (int i = 0; i < 10; ++i) after.insert(&pool.PickAny());
  EXPECT_EQ(after.size(), 3u);
  for (WorkerBackend* each : before) {
    EXPECT_TRUE(after.contains(each));
    BackendConnection* idle = pool.upstream->TakeIdle(*each, kAny);
    ASSERT_NE(idle, nullptr);
    pool.upstream->Release(*idle);
  }
}

TEST(Adopt, WhereNothingOfThePolicyChangedTheTurnGoesOn) {
  PoolWorld pool;
  AddBackends(pool, {"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"});
  pool.Start();
  std::vector<std::string> turn;
  for (int i = 0; i < 4; ++i) turn.push_back(pool.PickAny().shared->id);
  for (int i = 0; i < 20; ++i) {
    pool.settings.timeouts.connect += seconds(1);
    pool.Change();
    EXPECT_EQ(pool.PickAny().shared->id, turn[static_cast<size_t>(i) % 4]);
  }
}

TEST(Adopt, ANewWeightCountsAtOnce) {
  PoolWorld pool;
  AddBackends(pool, {"10.0.0.1:80", "10.0.0.2:80"});
  pool.Start();
  EXPECT_THAT(pool.Share(100), ElementsAre(Pair("10.0.0.1:80", 50), Pair("10.0.0.2:80", 50)));
  pool.SettingsOf("10.0.0.1:80").weight = 4;
  pool.Change();
  EXPECT_THAT(pool.Share(100), ElementsAre(Pair("10.0.0.1:80", 80), Pair("10.0.0.2:80", 20)));
  pool.settings.balance = balance::PolicyKind::kIpHash;
  pool.SettingsOf("10.0.0.1:80").weight = 1;
  pool.Change();
  EXPECT_EQ(pool.upstream->settings().balance, balance::PolicyKind::kIpHash);
  std::set<std::string> one_key;
  for (int i = 0; i < 10; ++i) one_key.insert(pool.PickAny().shared->id);
  EXPECT_EQ(one_key.size(), 1u);
}

TEST(Adopt, ABackupThatBecomesAPrimaryServes) {
  PoolWorld pool;
  AddBackends(pool, {"10.0.0.1:80"});
  pool.settings.backends.push_back(BackendAt("10.0.0.9:80", true));
  pool.Start();
  EXPECT_THAT(pool.Share(10), ElementsAre(Pair("10.0.0.1:80", 10)));
  pool.SettingsOf("10.0.0.9:80").backup = false;
  pool.Change();
  EXPECT_THAT(pool.Share(10), ElementsAre(Pair("10.0.0.1:80", 5), Pair("10.0.0.9:80", 5)));
  pool.SettingsOf("10.0.0.1:80").backup = true;
  pool.Change();
  EXPECT_THAT(pool.Share(10), ElementsAre(Pair("10.0.0.9:80", 10)));
}

TEST(Adopt, ARemovedBackendIsNotPickedAndItsIdleConnectionsClose) {
  PoolWorld pool;
  pool.AddOrigin("10.0.0.1:80");
  Origin& leaves = pool.AddOrigin("10.0.0.2:80");
  pool.Start();
  for (int i = 0; i < 2; ++i) pool.upstream->Release(pool.Connect(pool.PickAny()));
  pool.RunUntil([&] { return leaves.open_count() == 1; });
  pool.Remove("10.0.0.2:80");
  pool.Change();
  EXPECT_THAT(pool.Share(10), ElementsAre(Pair("10.0.0.1:80", 10)));
  EXPECT_EQ(pool.upstream->idle_connections(), 1u);
  pool.RunUntil([&] { return leaves.open_count() == 0; });
  EXPECT_EQ(pool.upstream->connections(), 1u);
}

TEST(Adopt, ALeaseOutlivesTheRemovalOfItsBackend) {
  PoolWorld pool;
  pool.AddOrigin("10.0.0.1:80");
  pool.Start();
  Lease lease = Lease::Take(pool.PickAny());
  const std::weak_ptr<BackendShared> shared = lease.backend()->shared;
  BackendConnection* connection = &pool.Connect(*lease.backend());
  BackendRef logged(*lease.backend());
  pool.Remove("10.0.0.1:80");
  const auto next = pool.Next();
  pool.config = next;
  pool.upstream->Adopt(next);
  EXPECT_EQ(pool.Pick(nullptr), nullptr);
  ASSERT_FALSE(shared.expired());
  EXPECT_EQ(shared.lock()->in_flight, 1u);
  EXPECT_EQ(connection->backend().shared->id, "10.0.0.1:80");
  // Back from the answer: nobody will want it again.
  pool.upstream->Release(*connection);
  EXPECT_EQ(pool.upstream->idle_connections(), 0u);
  pool.RunUntil([&] { return pool.upstream->connections() == 0; });
  ASSERT_FALSE(shared.expired());
  lease.Reset();
  ASSERT_FALSE(shared.expired());
  EXPECT_EQ(shared.lock()->in_flight, 0u);
  EXPECT_EQ(logged->shared->id, "10.0.0.1:80");
  logged.Reset();
  EXPECT_TRUE(shared.expired());
}

TEST(Adopt, ABackendThatComesBackUnderAnOldLeaseIsTheSameToTheCounts) {
  PoolWorld pool;
  AddBackends(pool, {"10.0.0.1:80", "10.0.0.2:80"});
  pool.settings.backends[0].max_connections = 1;
  pool.Start();
  const auto with_both = pool.config;
  Lease old;
  while (old.backend() == nullptr || old.backend()->shared->id != "10.0.0.1:80") {
    old.Reset();
    pool.upstream->Acquire({}, nullptr, &old);
  }
  pool.Remove("10.0.0.1:80");
  pool.Change();
  pool.config = with_both;
  pool.upstream->Adopt(with_both);
  EXPECT_THAT(pool.Share(10), ElementsAre(Pair("10.0.0.2:80", 10))) << "its only place is taken";
  old.Reset();
  EXPECT_THAT(pool.Share(10), ElementsAre(Pair("10.0.0.1:80", 5), Pair("10.0.0.2:80", 5)));
}

TEST(Adopt, TheSameIdAtAnotherAddressIsAnotherBackend) {
  PoolWorld pool;
  pool.AddOrigin("10.0.0.1:80");
  pool.Start();
  pool.upstream->Release(pool.Connect(pool.PickAny()));
  const uint64_t serial = pool.PickAny().shared->serial;
  pool.settings.backends[0].address = At("10.0.0.7:80");
  pool.Change();
  EXPECT_EQ(pool.upstream->idle_connections(), 0u);
  WorkerBackend& now = pool.PickAny();
  EXPECT_NE(now.shared->serial, serial);
  EXPECT_EQ(now.shared->address, At("10.0.0.7:80"));
}

TEST(Adopt, WhatARequestTriedStaysTriedOverAChange) {
  PoolWorld pool;
  AddBackends(pool, {"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"});
  pool.Start();
  PickState state;
  WorkerBackend* first = pool.Pick(&state);
  const std::string tried = first->shared->id;
  WorkerUpstream::MarkTried(state, *first, /*refused=*/true);
  // All indices move, and one is new.
  std::reverse(pool.settings.backends.begin(), pool.settings.backends.end());
  pool.settings.backends.insert(pool.settings.backends.begin(), BackendAt("10.0.0.4:80"));
  pool.Change();
  std::set<std::string> picked;
  for (int i = 0; i < 3; ++i) {
    WorkerBackend* backend = pool.Pick(&state);
    ASSERT_NE(backend, nullptr);
    EXPECT_TRUE(picked.insert(backend->shared->id).second);
    WorkerUpstream::MarkTried(state, *backend, /*refused=*/true);
  }
  EXPECT_FALSE(picked.contains(tried));
  EXPECT_EQ(pool.Pick(&state), nullptr);
  // One that was not there before has refused nobody.
  pool.settings.backends.push_back(BackendAt("10.0.0.5:80"));
  pool.Change();
  ASSERT_NE(pool.Pick(&state), nullptr);
  EXPECT_EQ(pool.Pick(&state)->shared->id, "10.0.0.5:80");
}

TEST(Adopt, TheBoundOfThePoolFollows) {
  PoolWorld pool;
  pool.settings.keepalive.idle = 4;
  Origin& origin = pool.AddOrigin("10.0.0.1:80");
  pool.Start();
  WorkerBackend& backend = pool.PickAny();
  std::vector<BackendConnection*> made;
  for (int i = 0; i < 4; ++i) made.push_back(&pool.Connect(backend));
  for (BackendConnection* each : made) {
    pool.RunFor(milliseconds(1));
    pool.upstream->Release(*each);
  }
  EXPECT_EQ(pool.upstream->idle_connections(), 4u);
  pool.settings.keepalive.idle = 1;
  pool.Change();
  EXPECT_EQ(pool.upstream->idle_connections(), 1u);
  pool.RunUntil([&] { return origin.open_count() == 1; });
  EXPECT_EQ(pool.upstream->TakeIdle(backend, kAny), made[3]) << "the most recently used one stays";
  pool.upstream->Release(*made[3]);
}

TEST(Adopt, TheShareOfRetriesFollows) {
  PoolWorld pool;
  pool.settings.retries.budget_percent = 0;
  AddBackends(pool, {"10.0.0.1:80"});
  pool.Start();
  while (pool.config->shared->retry_floor.TryTake(pool.engine->Now())) {
  }
  for (int i = 0; i < 10; ++i) pool.upstream->OnRequest();
  EXPECT_FALSE(pool.upstream->TryRetry());
  pool.settings.retries.budget_percent = 50;
  pool.Change();
  int allowed = 0;
  while (pool.upstream->TryRetry()) ++allowed;
  EXPECT_EQ(allowed, 5);
}

// -- who waits --

// A request that waits, holds its place until told, and says what came of it.
struct Waiting {
  explicit Waiting(PoolWorld& of) : pool(of), token(*of.engine) {}
  Freelist& frames() { return pool.frames(); }
  static rt::Task<> Run(Waiting& self) {
    QueueWait wait(*self.pool.upstream);
    const UpstreamRef keeps(*self.pool.upstream);
    self.result = co_await self.pool.upstream->Wait(wait, self.key, self.state, self.token);
    self.lease = std::move(wait.lease);
    self.done = true;
  }
  Acquired Start() {
    const Acquired got = pool.upstream->Acquire(key, state, &lease);
    if (got == Acquired::kFull) pool.scope.Spawn(Run(*this));
    return got;
  }
  PoolWorld& pool;
  rt::CancelToken token;
  PickKey key;
  PickState* state = nullptr;
  Lease lease;
  int32_t result = 1;
  bool done = false;
};

void Tick(PoolWorld& pool) {
  for (int i = 0; i < 3; ++i) {
    pool.loop->Tick(pool.engine->Now());
    pool.upstream->ServeQueue();
  }
}

TEST(Adopt, LimitsChangeUnderThoseWhoWait) {
  struct Case {
    const char* what;
    uint32_t before;
    uint32_t after;
    size_t served;  // of three that wait behind `before` that hold
  };
  const Case cases[] = {{"raised by one", 1, 2, 1},
                        {"raised by more than wait", 1, 9, 3},
                        {"removed", 1, 0, 3},
                        {"lowered", 2, 1, 0},
                        {"as before", 2, 2, 0}};
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    PoolWorld pool;
    AddBackends(pool, {"10.0.0.1:80"});
    pool.settings.backends[0].max_connections = c.before;
    pool.Start();
    std::vector<Lease> held(c.before);
    for (Lease& each : held) {
      EXPECT_EQ(pool.upstream->Acquire({}, nullptr, &each), Acquired::kLease);
    }
    std::vector<std::unique_ptr<Waiting>> waiting;
    for (int i = 0; i < 3; ++i) {
      waiting.push_back(std::make_unique<Waiting>(pool));
      EXPECT_EQ(waiting.back()->Start(), Acquired::kFull);
    }
    Tick(pool);
    pool.settings.backends[0].max_connections = c.after;
    pool.Change();
    Tick(pool);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_EQ(waiting[i]->done, i < c.served) << i;
      if (waiting[i]->done) EXPECT_EQ(waiting[i]->result, 0);
    }
    // Whoever is left gets the places that come free, never more than there are.
    held.clear();
    for (int rounds = 0; rounds < 10; ++rounds) {
      Tick(pool);
      if (c.after > 0) EXPECT_LE(pool.Shared("10.0.0.1:80").in_flight, c.after);
      for (auto& each : waiting) each->lease.Reset();
    }
    for (const auto& each : waiting) EXPECT_TRUE(each->done);
  }
}

TEST(Adopt, ABackendThatJoinsServesThoseWhoWait) {
  PoolWorld pool;
  AddBackends(pool, {"10.0.0.1:80"});
  pool.settings.backends[0].max_connections = 1;
  pool.Start();
  Lease held = Lease::Take(pool.PickAny());
  Waiting waiting(pool);
  EXPECT_EQ(waiting.Start(), Acquired::kFull);
  Tick(pool);
  EXPECT_FALSE(waiting.done);
  AddBackends(pool, {"10.0.0.2:80"});
  pool.Change();
  Tick(pool);
  ASSERT_TRUE(waiting.done);
  EXPECT_EQ(waiting.lease.backend()->shared->id, "10.0.0.2:80");
}

TEST(Adopt, WhoWaitsForABackendThatWasTheLastIsSentAway) {
  PoolWorld pool;
  AddBackends(pool, {"10.0.0.1:80"});
  pool.settings.backends[0].max_connections = 1;
  pool.Start();
  Lease held = Lease::Take(pool.PickAny());
  Waiting waiting(pool);
  waiting.Start();
  pool.settings.backends.clear();
  pool.Change();
  Tick(pool);
  EXPECT_TRUE(waiting.done);
  EXPECT_EQ(waiting.result, -ENOENT);
  EXPECT_EQ(Waiting(pool).Start(), Acquired::kNone);
}

// -- the upstream itself --

TEST(Retire, SendsAwayWhoWaitsAndEndsWithItsLastUse) {
  PoolWorld pool;
  Origin& origin = pool.AddOrigin("10.0.0.1:80");
  pool.settings.backends[0].max_connections = 2;
  pool.Start();
  Lease held = Lease::Take(pool.PickAny());
  Lease other = Lease::Take(pool.PickAny());
  pool.upstream->Release(pool.Connect(*held.backend()));
  BackendConnection& used = pool.Connect(*held.backend());
  pool.RunUntil([&] { return origin.open_count() == 2; });
  Waiting waiting(pool);
  Waiting cancelled(pool);
  EXPECT_EQ(waiting.Start(), Acquired::kFull);
  EXPECT_EQ(cancelled.Start(), Acquired::kFull);
  EXPECT_EQ(pool.upstream->users(), 2u);
  cancelled.token.Cancel(rt::CancelReason::kClientGone);
  pool.upstream->Retire();
  pool.upstream->Retire();  // once more is no harm
  EXPECT_EQ(pool.upstream->idle_connections(), 0u);
  Tick(pool);
  EXPECT_EQ(waiting.result, -ENOENT);
  EXPECT_EQ(cancelled.result, -ECANCELED);
  EXPECT_EQ(pool.upstream->users(), 0u);
  EXPECT_EQ(pool.config->shared->board.waiting(), 0u);
  Waiting late(pool);
  EXPECT_EQ(late.Start(), Acquired::kNone);
  pool.scope.Spawn(Waiting::Run(late));
  EXPECT_EQ(late.result, -ENOENT);
  // What it had goes on to its end.
  EXPECT_FALSE(pool.upstream->done());
  EXPECT_EQ(pool.Shared("10.0.0.1:80").in_flight, 2u);
  other.Reset();
  pool.upstream->Release(used);
  pool.RunUntil([&] { return pool.upstream->connections() == 0; });
  EXPECT_FALSE(pool.upstream->done());
  held.Reset();
  EXPECT_TRUE(pool.upstream->done());
}

TEST(Retire, ARefAloneKeepsIt) {
  PoolWorld pool;
  AddBackends(pool, {"10.0.0.1:80"});
  pool.Start();
  UpstreamRef first(*pool.upstream);
  UpstreamRef second = std::move(first);
  EXPECT_FALSE(first);  // NOLINT: what a moved ref is, is what is tested
  EXPECT_EQ(second.get(), pool.upstream.get());
  EXPECT_EQ(pool.upstream->users(), 1u);
  pool.upstream->Retire();
  EXPECT_FALSE(pool.upstream->done());
  second.Reset();
  EXPECT_TRUE(pool.upstream->done());
}

}  // namespace
}  // namespace rondo::upstream::testing
