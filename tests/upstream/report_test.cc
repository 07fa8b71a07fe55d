// What workers tell control about backends, and the bell.
#include <thread>

#include "rondo/metrics/backend_cell.h"
#include "upstream/pool_suite.h"

namespace rondo::upstream::testing {
namespace {

using health::State;
using std::chrono::seconds;
using Acquired = WorkerUpstream::Acquired;

// Counts wake-ups; nothing else is asked of it.
class BellEngine final : public io::Engine {
 public:
  BellEngine() : Engine(1) {}
  void Submit(io::Op&) override { RONDO_CHECK(false); }
  void Cancel(io::Op&) override {}
  void Post(io::Op&, int32_t) override { RONDO_CHECK(false); }
  void Run(Instant) override {}
  void Wake() override { wakes.fetch_add(1); }
  int OpenStream(const SocketAddress&) override { return -1; }
  int Shutdown(int, io::ShutdownHow) override { return -1; }
  void Close(int) override {}
  void ResetOnClose(int) override {}
  SocketAddress PeerAddress(int) override { return {}; }
  SocketAddress LocalAddress(int) override { return {}; }
  WallTime WallNow() const override { return {}; }
  std::atomic<int> wakes{0};
};

TEST(ControlBell, WakesOnceUntilItIsHeard) {
  BellEngine engine;
  ControlBell bell;
  EXPECT_FALSE(bell.Take());
  bell.Ring();  // nobody is there yet
  bell.Attach(&engine);
  EXPECT_EQ(engine.wakes, 0);
  EXPECT_TRUE(bell.Take()) << "what was rung before is not lost";
  EXPECT_FALSE(bell.Take());
  bell.Ring();
  bell.Ring();
  EXPECT_EQ(engine.wakes, 1);
  EXPECT_TRUE(bell.Take());
  bell.Ring();
  EXPECT_EQ(engine.wakes, 2);
  EXPECT_TRUE(bell.Take());
}

TEST(ControlBell, LosesNothingOfManyThreads) {
  BellEngine engine;
  ControlBell bell;
  bell.Attach(&engine);
  std::atomic<int> given{0};
  int seen = 0;
  constexpr int kEach = 20'000;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < kEach; ++n) {
        given.fetch_add(1, std::memory_order_relaxed);
        bell.Ring();
      }
    });
  }
  // Sees all, though it only looks when it rang.
  while (seen < 3 * kEach) {
    if (bell.Take()) seen = given.load(std::memory_order_relaxed);
    std::this_thread::yield();
  }
  for (std::thread& each : threads) each.join();
}

// An upstream of two backends whose control is the test.
class Reports : public ::testing::Test {
 protected:
  Reports() {
    bell_.Attach(&control_);
    pool_.settings.backends = {BackendAt("10.0.0.1:80"), BackendAt("10.0.0.2:80")};
    pool_.settings.passive_health = {.max_fails = 3, .fail_timeout = seconds(30)};
    shared_ = std::make_shared<UpstreamShared>("pool", 1, &bell_);
    std::vector<std::shared_ptr<BackendShared>> backends;
    for (const auto& each : pool_.settings.backends) {
      backends.push_back(
          std::make_shared<BackendShared>(each.id, each.address, BackendShared::NextSerial(), 1));
    }
    pool_.config = std::make_shared<const UpstreamConfig>(pool_.settings, shared_, backends);
    pool_.upstream = std::make_unique<WorkerUpstream>(*pool_.loop, pool_.config, 0, 1, 0);
  }
  void Report(Outcome outcome) { pool_.upstream->Report(pool_.PickAny(), outcome); }
  // What control would find, where it was called.
  uint32_t TakeReports() {
    if (!bell_.Take()) return 0;
    EXPECT_TRUE(shared_->TakeAttention());
    return Of(0).reports.exchange(0) | Of(1).reports.exchange(0);
  }
  BackendShared& Of(size_t index) { return *pool_.config->backends[index]; }
  void Only(size_t index) {
    Of(1 - index).state = State::kDown;
    shared_->StatesChanged();
  }

  BellEngine control_;
  ControlBell bell_;
  PoolWorld pool_;
  std::shared_ptr<UpstreamShared> shared_;
};

TEST_F(Reports, RefusedAndResetMakeABackendSuspectAtOnce) {
  struct Case {
    Outcome outcome;
    uint32_t reports;
  };
  const Case cases[] = {{Outcome::kSuccess, 0},      {Outcome::kRefused, kSuspect},
                        {Outcome::kReset, kSuspect}, {Outcome::kConnectTimeout, 0},
                        {Outcome::kBadAnswer, 0},    {Outcome::kResponseTimeout, 0},
                        {Outcome::kStatus, 0}};
  Only(0);
  for (const Case& c : cases) {
    SCOPED_TRACE(OutcomeName(c.outcome));
    Report(Outcome::kSuccess);
    Report(c.outcome);
    EXPECT_EQ(TakeReports(), c.reports);
    if (c.outcome != Outcome::kSuccess) EXPECT_EQ(Of(0).last_failure, c.outcome);
  }
}

TEST_F(Reports, MaxFailsInARowAskForAnEjection) {
  struct Case {
    Outcome outcome;
    uint32_t reports;
  };
  const Case cases[] = {
      {Outcome::kRefused, kSuspect | kEjectRefused}, {Outcome::kConnectTimeout, kEjectRefused},
      {Outcome::kReset, kSuspect | kEjectAnswers},   {Outcome::kBadAnswer, kEjectAnswers},
      {Outcome::kResponseTimeout, kEjectAnswers},    {Outcome::kStatus, kEjectAnswers}};
  Only(0);
  for (const Case& c : cases) {
    SCOPED_TRACE(OutcomeName(c.outcome));
    // A success between begins anew.
    Report(c.outcome);
    Report(c.outcome);
    Report(Outcome::kSuccess);
    EXPECT_EQ(Of(0).failure_run, 0u);
    Report(c.outcome);
    Report(c.outcome);
    EXPECT_EQ(TakeReports() & ~uint32_t{kSuspect}, 0u);
    Report(c.outcome);
    EXPECT_EQ(TakeReports(), c.reports);
    // And so does the next run, where control let it stay.
    Report(c.outcome);
    Report(c.outcome);
    EXPECT_EQ(TakeReports() & ~uint32_t{kSuspect}, 0u);
    Report(c.outcome);
    EXPECT_EQ(TakeReports(), c.reports);
  }
}

TEST_F(Reports, FailuresThatAreFarApartAreNoRun) {
  Only(0);
  for (int i = 0; i < 10; ++i) {
    Report(Outcome::kBadAnswer);
    pool_.RunFor(seconds(16));
  }
  EXPECT_EQ(TakeReports(), 0u);
}

TEST_F(Reports, WithoutPassiveHealthNobodyIsEjected) {
  pool_.settings.passive_health.max_fails = 0;
  pool_.Change();
  Only(0);
  for (int i = 0; i < 100; ++i) Report(Outcome::kBadAnswer);
  EXPECT_EQ(TakeReports(), 0u);
  Report(Outcome::kRefused);
  EXPECT_EQ(TakeReports(), kSuspect);
}

TEST_F(Reports, ASuccessWritesNothingWhereNothingFailed) {
  Only(0);
  Report(Outcome::kSuccess);
  EXPECT_EQ(Of(0).failure_run, 0u);
  EXPECT_EQ(control_.wakes, 0);
}

TEST_F(Reports, ControlIsNotCalledTwiceForTheSame) {
  Only(0);
  for (int i = 0; i < 2; ++i) Report(Outcome::kRefused);
  EXPECT_EQ(control_.wakes, 1);
}

TEST_F(Reports, TheEndOfTheLastRequestOfAHeldBackendCallsControl) {
  for (const State state : {State::kDraining, State::kDrained, State::kMaintenance, State::kDown}) {
    SCOPED_TRACE(health::StateName(state));
    Of(0).state = Of(1).state = State::kUp;
    shared_->StatesChanged();
    Only(0);
    Lease one = Lease::Take(pool_.PickAny());
    Lease two = Lease::Take(pool_.PickAny());
    Of(0).state = state;
    shared_->StatesChanged();
    one.Reset();
    EXPECT_FALSE(bell_.Take());
    two.Reset();
    EXPECT_EQ(bell_.Take(), health::IsHeld(state));
    shared_->TakeAttention();
  }
}

TEST_F(Reports, TheEndOfTheLastRequestOfARemovedBackendCallsControl) {
  Only(0);
  Lease lease = Lease::Take(pool_.PickAny());
  Of(0).state = State::kDraining;
  shared_->StatesChanged();
  pool_.Remove("10.0.0.1:80");
  pool_.Change();
  EXPECT_FALSE(bell_.Take());
  lease.Reset();
  EXPECT_TRUE(bell_.Take());
}

TEST_F(Reports, ConnectionsAreCounted) {
  Origin origin(pool_.world, *pool_.backend_engine, "10.0.0.1:80");
  Only(0);
  WorkerBackend& backend = pool_.PickAny();
  BackendConnection* connection = &pool_.Connect(backend);
  const metrics::BackendCell& cell = *Of(0).cell(0);
  EXPECT_EQ(&cell, &backend.cell());
  EXPECT_EQ(Of(1).cell(0), nullptr);
  EXPECT_EQ(cell.opened.value(), 1u);
  EXPECT_EQ(cell.active.value(), 1);
  EXPECT_EQ(cell.idle.value(), 0);
  pool_.upstream->Release(*connection);
  EXPECT_EQ(cell.active.value(), 0);
  EXPECT_EQ(cell.idle.value(), 1);
  connection = pool_.upstream->TakeIdle(backend, Duration::max());
  EXPECT_EQ(cell.reused.value(), 1u);
  EXPECT_EQ(cell.active.value(), 1);
  EXPECT_EQ(cell.idle.value(), 0);
  pool_.upstream->Release(*connection);
  pool_.upstream->CloseIdle();
  pool_.RunUntil([&] { return pool_.upstream->connections() == 0; });
  EXPECT_EQ(cell.active.value(), 0);
  EXPECT_EQ(cell.idle.value(), 0);
  EXPECT_EQ(cell.opened.value(), 1u);
  pool_.RunFor(seconds(1));
  origin.Stop();
  for (auto& peer : origin.peers) peer->Close();
  pool_.RunFor(seconds(1));
}

}  // namespace
}  // namespace rondo::upstream::testing
