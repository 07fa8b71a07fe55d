// Idle connections: which one is taken, how many are kept and for how long.
#include <cerrno>

#include "upstream/pool_suite.h"

namespace rondo::upstream::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kAny = Duration::max();

TEST(BackendPool, TheMostRecentlyUsedConnectionIsTakenFirst) {
  PoolWorld pool;
  pool.AddOrigin("10.0.0.1:80");
  pool.Start();
  WorkerBackend& backend = pool.PickAny();
  std::vector<BackendConnection*> made;
  for (int i = 0; i < 3; ++i) made.push_back(&pool.Connect(backend));
  EXPECT_EQ(pool.upstream->connections(), 3u);
  for (BackendConnection* each : made) {
    EXPECT_FALSE(each->reused());
    pool.upstream->Release(*each);
  }
  EXPECT_EQ(pool.upstream->idle_connections(), 3u);
  for (int i = 2; i >= 0; --i) {
    BackendConnection* taken = pool.upstream->TakeIdle(backend, kAny);
    EXPECT_EQ(taken, made[static_cast<size_t>(i)]);
    EXPECT_TRUE(taken->reused());
    EXPECT_EQ(&taken->backend(), &backend);
  }
  EXPECT_EQ(pool.upstream->TakeIdle(backend, kAny), nullptr);
  EXPECT_EQ(pool.upstream->idle_connections(), 0u);
  for (BackendConnection* each : made) pool.upstream->Close(*each);
}

TEST(BackendPool, TheBoundIsSharedOutOverTheWorkers) {
  struct Case {
    uint32_t idle;
    size_t worker, workers, kept;
  };
  const Case cases[] = {{5, 0, 2, 3}, {5, 1, 2, 2}, {4, 0, 2, 2}, {4, 1, 2, 2}, {1, 0, 1, 1},
                        {1, 3, 4, 1}, {0, 0, 1, 0}, {0, 1, 2, 0}, {7, 2, 3, 2}, {7, 0, 3, 3}};
  for (const Case& c : cases) {
    PoolWorld pool;
    pool.settings.keepalive.idle = c.idle;
    Origin& origin = pool.AddOrigin("10.0.0.1:80");
    pool.Start(c.worker, c.workers);
    WorkerBackend& backend = pool.PickAny();
    std::vector<BackendConnection*> made;
    for (int i = 0; i < 8; ++i) made.push_back(&pool.Connect(backend));
    for (BackendConnection* each : made) pool.upstream->Release(*each);
    EXPECT_EQ(pool.upstream->idle_connections(), c.kept) << c.idle << " " << c.worker;
    pool.RunFor(seconds(1));
    EXPECT_EQ(pool.upstream->connections(), c.kept);
    EXPECT_EQ(origin.open_count(), c.kept);
  }
}

TEST(BackendPool, TheBoundHoldsForEachBackend) {
  PoolWorld pool;
  pool.settings.keepalive.idle = 2;
  pool.AddOrigin("10.0.0.1:80");
  pool.AddOrigin("10.0.0.2:80");
  pool.Start();
  std::vector<BackendConnection*> made;
  for (int i = 0; i < 8; ++i) made.push_back(&pool.Connect(pool.PickAny()));
  for (BackendConnection* each : made) pool.upstream->Release(*each);
  EXPECT_EQ(pool.upstream->idle_connections(), 4u);
}

TEST(BackendPool, IdleConnectionsEndInTime) {
  struct Case {
    const char* what;
    Duration idle_timeout;
    int hint_s;
    Duration kept;
  };
  const Case cases[] = {
      {"the configured time", seconds(4), -1, seconds(4)},
      {"a second less than promised", seconds(4), 3, seconds(2)},
      {"a long promise changes nothing", seconds(4), 60, seconds(4)},
      {"a promise of a second is none", seconds(4), 1, Duration::zero()},
      {"nor is one of nothing", seconds(4), 0, Duration::zero()},
      {"no keepalive at all", Duration::zero(), -1, Duration::zero()},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    PoolWorld pool;
    pool.settings.keepalive.idle_timeout = c.idle_timeout;
    Origin& origin = pool.AddOrigin("10.0.0.1:80");
    pool.Start();
    BackendConnection& connection = pool.Connect(pool.PickAny());
    connection.set_keepalive_hint(c.hint_s);
    pool.upstream->Release(connection);
    if (c.kept > Duration::zero()) {
      pool.RunFor(c.kept - milliseconds(5));
      EXPECT_EQ(pool.upstream->idle_connections(), 1u);
    }
    pool.RunFor(milliseconds(10));
    EXPECT_EQ(pool.upstream->idle_connections(), 0u);
    EXPECT_EQ(pool.upstream->connections(), 0u);
    pool.RunFor(seconds(1));
    EXPECT_EQ(origin.open_count(), 0u);
  }
}

TEST(BackendPool, APromiseHoldsForOneAnswer) {
  PoolWorld pool;
  pool.settings.keepalive.idle_timeout = seconds(10);
  pool.AddOrigin("10.0.0.1:80");
  pool.Start();
  WorkerBackend& backend = pool.PickAny();
  BackendConnection& connection = pool.Connect(backend);
  connection.set_keepalive_hint(3);
  pool.upstream->Release(connection);
  ASSERT_EQ(pool.upstream->TakeIdle(backend, kAny), &connection);
  pool.upstream->Release(connection);  // this answer promised nothing
  pool.RunFor(seconds(9));
  EXPECT_EQ(pool.upstream->idle_connections(), 1u);
}

TEST(BackendPool, AConnectionThatIsTakenHasNoIdleTimeout) {
  PoolWorld pool;
  pool.settings.keepalive.idle_timeout = seconds(2);
  pool.AddOrigin("10.0.0.1:80");
  pool.Start();
  WorkerBackend& backend = pool.PickAny();
  pool.upstream->Release(pool.Connect(backend));
  pool.RunFor(seconds(1));
  BackendConnection* taken = pool.upstream->TakeIdle(backend, kAny);
  pool.RunFor(seconds(10));
  EXPECT_EQ(pool.upstream->connections(), 1u);
  pool.upstream->Release(*taken);
  pool.RunFor(milliseconds(1900));
  EXPECT_EQ(pool.upstream->idle_connections(), 1u);
}

TEST(BackendPool, MaxRequestsEndsAConnection) {
  PoolWorld pool;
  pool.settings.keepalive.max_requests = 3;
  pool.AddOrigin("10.0.0.1:80");
  pool.Start();
  WorkerBackend& backend = pool.PickAny();
  BackendConnection* connection = &pool.Connect(backend);
  for (int request = 2; request <= 3; ++request) {
    pool.upstream->Release(*connection);
    ASSERT_EQ(pool.upstream->idle_connections(), 1u);
    connection = pool.upstream->TakeIdle(backend, kAny);
    ASSERT_NE(connection, nullptr);
  }
  pool.upstream->Release(*connection);
  EXPECT_EQ(pool.upstream->idle_connections(), 0u);
}

TEST(BackendPool, MaxAgeEndsAConnectionInUseOrIdle) {
  PoolWorld pool;
  pool.settings.keepalive.max_age = seconds(10);
  pool.AddOrigin("10.0.0.1:80");
  pool.Start();
  WorkerBackend& backend = pool.PickAny();
  BackendConnection& old = pool.Connect(backend);
  pool.RunFor(seconds(5));
  BackendConnection& young = pool.Connect(backend);
  pool.upstream->Release(old);  // half its life is left
  EXPECT_EQ(pool.upstream->idle_connections(), 1u);
  pool.RunFor(seconds(6));
  EXPECT_EQ(pool.upstream->TakeIdle(backend, kAny), nullptr);
  EXPECT_EQ(pool.upstream->idle_connections(), 0u);
  pool.upstream->Release(young);
  EXPECT_EQ(pool.upstream->TakeIdle(backend, kAny), &young);
  pool.RunFor(seconds(6));
  pool.upstream->Release(young);
  EXPECT_EQ(pool.upstream->idle_connections(), 0u);
}

TEST(BackendPool, WhatTheBackendDoesToAnIdleConnectionEndsIt) {
  struct Case {
    const char* what;
    void (*act)(sim::SimPeer&);
  };
  const Case cases[] = {
      {"closes", [](sim::SimPeer& peer) { peer.Close(); }},
      {"resets", [](sim::SimPeer& peer) { peer.Reset(); }},
      {"ends its direction", [](sim::SimPeer& peer) { peer.FinishSending(); }},
      {"says what nobody asked for", [](sim::SimPeer& peer) { peer.Send("HTTP/1.1 408 \r\n"); }},
  };
  for (const Case& c : cases) {
    for (uint64_t seed = 0; seed < 20; ++seed) {
      SCOPED_TRACE(c.what);
      PoolWorld pool(seed);
      Origin& origin = pool.AddOrigin("10.0.0.1:80");
      pool.Start();
      WorkerBackend& backend = pool.PickAny();
      BackendConnection& first = pool.Connect(backend);
      BackendConnection& second = pool.Connect(backend);
      pool.upstream->Release(first);
      pool.upstream->Release(second);
      pool.RunUntil([&] { return origin.peers.size() == 2; });
      c.act(*origin.peers[0]);
      c.act(*origin.peers[1]);
      pool.RunFor(milliseconds(50));
      EXPECT_EQ(pool.upstream->idle_connections(), 0u);
      EXPECT_EQ(pool.upstream->connections(), 0u);
      EXPECT_EQ(pool.upstream->TakeIdle(backend, kAny), nullptr);
    }
  }
}

TEST(BackendPool, BytesForALeasedConnectionAreHeld) {
  PoolWorld pool;
  Origin& origin = pool.AddOrigin("10.0.0.1:80");
  pool.Start();
  WorkerBackend& backend = pool.PickAny();
  pool.upstream->Release(pool.Connect(backend));
  BackendConnection* taken = pool.upstream->TakeIdle(backend, kAny);
  pool.RunUntil([&] { return origin.peers.size() == 1; });
  origin.peers[0]->Send("x");
  pool.RunUntil([&] { return taken->receiver.ready(); });
  EXPECT_EQ(pool.upstream->connections(), 1u);
  EXPECT_EQ(taken->receiver.held_result(), 1);
  // More than the answer came: it must not serve another request.
  pool.upstream->Release(*taken);
  EXPECT_EQ(pool.upstream->idle_connections(), 0u);
}

TEST(BackendPool, OnlyAConnectionThatWasNotIdleForLongIsTakenWhereThatMatters) {
  PoolWorld pool;
  pool.AddOrigin("10.0.0.1:80");
  pool.Start();
  WorkerBackend& backend = pool.PickAny();
  BackendConnection& first = pool.Connect(backend);
  pool.upstream->Release(first);
  pool.RunFor(milliseconds(900));
  EXPECT_EQ(pool.upstream->TakeIdle(backend, seconds(1)), &first);
  pool.upstream->Release(first);
  pool.RunFor(milliseconds(1100));
  EXPECT_EQ(pool.upstream->TakeIdle(backend, seconds(1)), nullptr);
  EXPECT_EQ(pool.upstream->idle_connections(), 1u);  // others may have it
  EXPECT_EQ(pool.upstream->TakeIdle(backend, kAny), &first);
  pool.upstream->Release(first);
}

TEST(BackendPool, CloseIdleLeavesLeasedConnectionsAlone) {
  PoolWorld pool;
  pool.AddOrigin("10.0.0.1:80");
  pool.AddOrigin("10.0.0.2:80");
  pool.Start();
  std::vector<BackendConnection*> made;
  for (int i = 0; i < 6; ++i) made.push_back(&pool.Connect(pool.PickAny()));
  for (size_t i = 1; i < made.size(); ++i) pool.upstream->Release(*made[i]);
  pool.upstream->CloseIdle();
  EXPECT_EQ(pool.upstream->idle_connections(), 0u);
  pool.RunUntil([&] { return pool.upstream->connections() == 1; });
  pool.upstream->Close(*made[0]);
}

// Everything at random, under faults: the counts stay right and nothing is left over.
void RunAtRandom(uint64_t seed) {
  Rng rng(seed);
  sim::SimEngineOptions options;
  options.faults = sim::FaultPlan::Draw(rng);
  options.descriptors_max = 12;
  PoolWorld pool(seed, options);
  pool.settings.keepalive.idle = static_cast<uint32_t>(rng.Below(6));
  pool.settings.keepalive.idle_timeout = seconds(rng.Between(1, 5));
  pool.settings.keepalive.max_requests = static_cast<uint32_t>(rng.Below(4));
  pool.settings.keepalive.max_age = seconds(rng.Between(0, 8));
  for (const char* address : {"10.0.0.1:80", "10.0.0.2:80"}) pool.AddOrigin(address);
  pool.Start();
  std::vector<BackendConnection*> leased;
  const auto take_any = [&] {
    const size_t index = rng.Below(leased.size());
    return std::exchange(leased[index], leased.back());
  };
  for (int step = 0; step < 200; ++step) {
    const uint64_t what = rng.Below(8);
    if (what < 2) {
      rt::CancelToken token(*pool.engine);
      rt::Deadline deadline(pool.loop->wheel(), token);
      deadline.Set(pool.engine->Now() + milliseconds(rng.Between(0, 30)));
      const ConnectResult result = pool.TryConnect(pool.PickAny(), token);
      ASSERT_EQ(result.connection == nullptr, result.error != 0);
      if (result.connection != nullptr) leased.push_back(result.connection);
    } else if (what < 4) {
      BackendConnection* idle = pool.upstream->TakeIdle(pool.PickAny(), seconds(rng.Between(0, 3)));
      if (idle != nullptr) leased.push_back(idle);
    } else if (what < 6 && !leased.empty()) {
      BackendConnection* connection = take_any();
      leased.pop_back();
      if (rng.Chance(0.3)) connection->set_keepalive_hint(static_cast<int>(rng.Below(4)));
      rng.Chance(0.8) ? pool.upstream->Release(*connection)
                      : pool.upstream->Close(*connection, rng.Chance(0.5));
    } else if (what == 6) {
      auto& peers = pool.origins[rng.Below(2)]->peers;
      if (peers.empty()) continue;
      sim::SimPeer& peer = *peers[rng.Below(peers.size())];
      if (peer.open()) rng.Chance(0.5) ? peer.Send("x") : peer.Close();
    } else {
      pool.RunFor(milliseconds(rng.Between(0, 700)));
    }
    ASSERT_LE(pool.upstream->idle_connections(), 2 * pool.settings.keepalive.idle);
    ASSERT_GE(pool.upstream->connections(), leased.size() + pool.upstream->idle_connections());
  }
  for (BackendConnection* each : leased) pool.upstream->Close(*each);
}

TEST(BackendPool, NothingIsLostWhateverHappens) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RunAtRandom(seed);
    if (::testing::Test::HasFailure()) return;
  }
}

}  // namespace
}  // namespace rondo::upstream::testing
