// Picking, leasing, connecting and handing over; the pool is in pool_test.cc.
#include <cerrno>
#include <set>

#include "upstream/pool_suite.h"

namespace rondo::upstream::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

// -- picking --

// An upstream of the backends named, "b:" marking backups, that nobody connects to.
void AddBackends(PoolWorld& pool, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    const bool backup = name.starts_with("b:");
    pool.settings.backends.push_back(BackendAt(backup ? name.substr(2) : name, backup));
  }
}

// What is picked when `refuses` would not take a connection and all others fail otherwise, up to
// `picks`.
std::vector<std::string> Picks(PoolWorld& pool, const std::set<std::string>& refuses, int picks) {
  std::vector<std::string> picked;
  PickState state;
  for (int i = 0; i < picks; ++i) {
    WorkerBackend* backend = pool.Pick(&state);
    if (backend == nullptr) break;
    picked.push_back(backend->shared->id);
    pool.upstream->MarkTried(state, *backend, refuses.contains(picked.back()));
  }
  return picked;
}

TEST(WorkerUpstream, EachBackendIsPickedOnceAndBackupsLast) {
  PoolWorld pool;
  AddBackends(pool, {"b:10.0.0.9:80", "10.0.0.1:80", "10.0.0.2:80"});
  pool.Start();
  const auto picked = Picks(pool, {}, 3);
  ASSERT_EQ(picked.size(), 3u);
  EXPECT_THAT(std::vector(picked.begin(), picked.begin() + 2),
              UnorderedElementsAre("10.0.0.1:80", "10.0.0.2:80"));
  EXPECT_EQ(picked[2], "10.0.0.9:80");
}

TEST(WorkerUpstream, WhereAllRefuseEachIsTriedOnce) {
  PoolWorld pool;
  AddBackends(pool, {"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "b:10.0.0.9:80"});
  pool.Start();
  const auto picked =
      Picks(pool, {"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.9:80"}, 100);
  EXPECT_EQ(picked.size(), 4u);
  EXPECT_EQ(std::set(picked.begin(), picked.end()).size(), 4u);
  EXPECT_EQ(picked.back(), "10.0.0.9:80");
}

TEST(WorkerUpstream, ABackendThatFailedAfterConnectingIsTriedAgainWhenNoOtherIsLeft) {
  PoolWorld pool;
  AddBackends(pool, {"10.0.0.1:80", "10.0.0.2:80"});
  pool.Start();
  const auto picked = Picks(pool, {"10.0.0.2:80"}, 5);
  ASSERT_EQ(picked.size(), 5u);
  EXPECT_THAT(std::vector(picked.begin(), picked.begin() + 2),
              UnorderedElementsAre("10.0.0.1:80", "10.0.0.2:80"));
  for (size_t i = 2; i < picked.size(); ++i) EXPECT_EQ(picked[i], "10.0.0.1:80");
}

TEST(WorkerUpstream, TheOnlyBackendIsTriedAgain) {
  PoolWorld pool;
  AddBackends(pool, {"10.0.0.1:80"});
  pool.Start();
  EXPECT_THAT(Picks(pool, {}, 3), ElementsAre("10.0.0.1:80", "10.0.0.1:80", "10.0.0.1:80"));
  EXPECT_THAT(Picks(pool, {"10.0.0.1:80"}, 3), ElementsAre("10.0.0.1:80"));
}

TEST(WorkerUpstream, BackupsAloneServeWhereThereIsNothingElse) {
  PoolWorld pool;
  AddBackends(pool, {"b:10.0.0.1:80"});
  pool.Start();
  EXPECT_THAT(Picks(pool, {}, 1), ElementsAre("10.0.0.1:80"));
}

TEST(WorkerUpstream, FirstPicksFollowThePolicy) {
  PoolWorld pool;
  AddBackends(pool, {"10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"});
  pool.Start();
  std::multiset<std::string> picked;
  for (int i = 0; i < 30; ++i) picked.insert(pool.PickAny().shared->id);
  for (const auto& backend : pool.settings.backends) EXPECT_EQ(picked.count(backend.id), 10u);
}

// -- leases --

TEST(Lease, CountsAsLongAsItIsHeld) {
  PoolWorld pool;
  AddBackends(pool, {"10.0.0.1:80"});
  pool.Start();
  WorkerBackend& backend = pool.PickAny();
  const std::atomic<uint32_t>& in_flight = backend.shared->in_flight;
  EXPECT_EQ(in_flight, 0u);
  {
    Lease lease = Lease::Take(backend);
    EXPECT_EQ(in_flight, 1u);
    EXPECT_EQ(lease.backend(), &backend);
    Lease moved = std::move(lease);
    EXPECT_FALSE(lease);  // NOLINT: what a moved lease is, is what is tested
    EXPECT_TRUE(moved);
    EXPECT_EQ(in_flight, 1u);
    Lease other = Lease::Take(backend);
    EXPECT_EQ(in_flight, 2u);
    other = std::move(moved);
    EXPECT_EQ(in_flight, 1u);
    other.Reset();
    other.Reset();
    EXPECT_EQ(in_flight, 0u);
    other = Lease::Take(backend);
    EXPECT_EQ(in_flight, 1u);
  }
  EXPECT_EQ(in_flight, 0u);
}

TEST(Lease, IsCountedOverAllWorkers) {
  PoolWorld pool;
  pool.settings.balance = balance::PolicyKind::kLeastConnections;
  AddBackends(pool, {"10.0.0.1:80", "10.0.0.2:80"});
  pool.Start(0, 2);
  WorkerUpstream second(*pool.loop, pool.config, 1, 2, 1);
  std::vector<Lease> leases;
  for (int i = 0; i < 10; ++i) {
    WorkerUpstream& worker = i % 2 == 0 ? *pool.upstream : second;
    EXPECT_EQ(worker.Acquire({}, nullptr, &leases.emplace_back()),
              WorkerUpstream::Acquired::kLease);
  }
  for (const auto& backend : pool.config->backends) EXPECT_EQ(backend->in_flight, 5u);
}

// -- connecting --

TEST(WorkerUpstream, ConnectsAndSpeaks) {
  for (const char* address : {"10.0.0.1:80", "[::1]:80", "unix:/run/backend.sock"}) {
    PoolWorld pool;
    Origin& origin = pool.AddOrigin(address);
    pool.Start();
    BackendConnection& connection = pool.Connect(pool.PickAny());
    EXPECT_FALSE(connection.reused());
    EXPECT_FALSE(connection.receiver.armed());
    EXPECT_EQ(pool.upstream->connections(), 1u);
    pool.RunUntil([&] { return origin.peers.size() == 1; });
    pool.upstream->Close(connection);
    EXPECT_EQ(pool.upstream->connections(), 0u);
    pool.RunUntil([&] { return origin.open_count() == 0; });
    EXPECT_EQ(origin.peers[0]->error(), 0);
  }
}

TEST(WorkerUpstream, CloseCanReset) {
  PoolWorld pool;
  Origin& origin = pool.AddOrigin("10.0.0.1:80");
  pool.Start();
  BackendConnection& connection = pool.Connect(pool.PickAny());
  pool.RunUntil([&] { return origin.peers.size() == 1; });
  connection.receiver.Arm();
  pool.upstream->Close(connection, /*reset=*/true);
  pool.RunUntil([&] { return origin.open_count() == 0; });
  EXPECT_EQ(origin.peers[0]->error(), -ECONNRESET);
}

TEST(WorkerUpstream, AConnectThatIsRefusedSaysSo) {
  PoolWorld pool;
  AddBackends(pool, {"10.0.0.1:80"});
  pool.Start();
  rt::CancelToken token(*pool.engine);
  const ConnectResult result = pool.TryConnect(pool.PickAny(), token);
  EXPECT_EQ(result.connection, nullptr);
  EXPECT_EQ(result.error, ECONNREFUSED);
  EXPECT_EQ(pool.upstream->connections(), 0u);
}

TEST(WorkerUpstream, AConnectThatIsNotAnsweredEndsWithItsDeadline) {
  PoolWorld pool;
  pool.AddOrigin("10.0.0.1:80");
  pool.Start();
  pool.world.network().BlackHole(At("10.0.0.1:80"));
  rt::CancelToken token(*pool.engine);
  rt::Deadline deadline(pool.loop->wheel(), token);
  const Instant began = pool.engine->Now();
  deadline.Set(began + seconds(3));
  const ConnectResult result = pool.TryConnect(pool.PickAny(), token);
  EXPECT_EQ(result.connection, nullptr);
  EXPECT_EQ(result.error, ECANCELED);
  EXPECT_EQ(token.reason(), rt::CancelReason::kDeadline);
  EXPECT_LT(pool.engine->Now() - began, milliseconds(3010));
  EXPECT_EQ(pool.upstream->connections(), 0u);
  pool.world.network().Restore(At("10.0.0.1:80"));
}

TEST(WorkerUpstream, AConnectUnderACancelledTokenFailsAtOnce) {
  PoolWorld pool;
  Origin& origin = pool.AddOrigin("10.0.0.1:80");
  pool.Start();
  rt::CancelToken token(*pool.engine);
  token.Cancel(rt::CancelReason::kShutdown);
  ConnectResult result;
  pool.scope.Spawn(PoolWorld::ConnectFlow(pool, &pool.PickAny(), &token, &result));
  EXPECT_EQ(pool.scope.count(), 0u);
  EXPECT_EQ(result.error, ECANCELED);
  pool.RunFor(seconds(1));
  EXPECT_THAT(origin.peers, IsEmpty());
}

TEST(WorkerUpstream, ACancelDuringAConnectLosesNothing) {
  int connected = 0;
  int cancelled = 0;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    sim::SimEngineOptions options;
    options.faults.late_cancel = 0.5;
    PoolWorld pool(seed, options);
    Origin& origin = pool.AddOrigin("10.0.0.1:80");
    pool.Start();
    rt::CancelToken token(*pool.engine);
    ConnectResult result;
    pool.scope.Spawn(PoolWorld::ConnectFlow(pool, &pool.PickAny(), &token, &result));
    pool.RunFor(std::chrono::microseconds(pool.world.rng().Between(0, 4000)));
    token.Cancel(rt::CancelReason::kClientGone);
    pool.RunUntil([&] { return pool.scope.count() == 0; });
    if (result.connection != nullptr) {
      ++connected;
      EXPECT_EQ(result.error, 0);
      pool.upstream->Close(*result.connection);
    } else {
      ++cancelled;
      EXPECT_EQ(result.error, ECANCELED);
    }
    EXPECT_EQ(pool.upstream->connections(), 0u);
    pool.RunFor(seconds(1));
    EXPECT_EQ(origin.open_count(), 0u);
  }
  EXPECT_GT(connected, 20);
  EXPECT_GT(cancelled, 20);
}

TEST(WorkerUpstream, ALackOfDescriptorsIsAnError) {
  sim::SimEngineOptions options;
  options.descriptors_max = 1;
  PoolWorld pool(1, options);
  pool.AddOrigin("10.0.0.1:80");
  pool.Start();
  WorkerBackend& backend = pool.PickAny();
  BackendConnection& first = pool.Connect(backend);
  rt::CancelToken token(*pool.engine);
  const ConnectResult result = pool.TryConnect(backend, token);
  EXPECT_EQ(result.connection, nullptr);
  EXPECT_EQ(result.error, EMFILE);
  EXPECT_EQ(pool.upstream->connections(), 1u);
  pool.upstream->Close(first);
}

// -- handing over --

TEST(WorkerUpstream, DetachHandsTheDescriptorOverOpen) {
  PoolWorld pool;
  Origin& origin = pool.AddOrigin("10.0.0.1:80");
  pool.Start();
  BackendConnection& connection = pool.Connect(pool.PickAny());
  const int fd = connection.fd();
  EXPECT_EQ(pool.upstream->Detach(connection), fd);
  EXPECT_EQ(pool.upstream->connections(), 0u);
  pool.RunFor(seconds(1));
  EXPECT_EQ(origin.open_count(), 1u);
  pool.engine->Close(fd);
  pool.RunFor(seconds(1));
  EXPECT_EQ(origin.open_count(), 0u);
}

// -- retries --

TEST(WorkerUpstream, RetriesAreCountedAgainstItsRequests) {
  PoolWorld pool;
  pool.settings.retries.budget_percent = 50;
  AddBackends(pool, {"10.0.0.1:80"});
  pool.Start();
  while (pool.config->shared->retry_floor.TryTake(pool.engine->Now())) {
  }
  for (int i = 0; i < 10; ++i) pool.upstream->OnRequest();
  int allowed = 0;
  while (pool.upstream->TryRetry()) ++allowed;
  EXPECT_EQ(allowed, 5);
}

}  // namespace
}  // namespace rondo::upstream::testing
