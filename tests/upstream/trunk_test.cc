// Connections that requests share: how many a burst makes, which one a stream is opened on, how
// long they live, and what becomes of who waits.
#include <cerrno>

#include "rondo/metrics/backend_cell.h"
#include "sim/h2_backend.h"
#include "upstream/pool_suite.h"

namespace rondo::upstream::testing {
namespace {

using sim::SimH2Backend;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kAny = Duration::max();
constexpr const char* kAddress = "10.0.0.1:80";

// One request's part in it, as an exchange does it.
struct Asked {
  explicit Asked(io::Engine& engine) : token(engine) {}
  rt::CancelToken token;
  BackendConnection* connection = nullptr;
  int error = 0;
  std::string answer;
  int32_t end = 1;  // what the last receive said
  bool done = false;
};

class Trunks : public ::testing::Test {
 protected:
  void Start(uint32_t streams_max = 128, SimH2Backend::Handler handler = {}) {
    pool.settings.protocol = config::Protocol::kH2c;
    pool.settings.backends.push_back(BackendAt(kAddress));
    if (!handler) {
      handler = [](const SimH2Backend::Request&) { return SimH2Backend::Answer{}; };
    }
    backend = std::make_unique<SimH2Backend>(pool.world, At(kAddress), handler, streams_max);
    pool.Start();
  }
  // A backend that answers when it is told to.
  void StartHolding(uint32_t streams_max = 128) {
    Start(streams_max,
          [this](const SimH2Backend::Request&) { return SimH2Backend::Answer{.hold = holds}; });
  }
  ~Trunks() override {
    if (backend == nullptr) return;
    holds = false;
    backend->ReleaseAll();
    pool.RunUntil([&] { return pool.scope.count() == 0; });
    pool.upstream->CloseIdle();
    pool.RunUntil([&] { return pool.upstream->connections() == 0; });
    backend->Stop();
    pool.RunUntil([&] { return backend->stopped(); });
    backend.reset();
  }

  metrics::BackendCell& Cell() { return pool.PickAny().cell(); }

  // Takes or makes a stream, asks, and reads to the answer's end.
  static rt::Task<> AskFlow(PoolWorld& pool, Asked* asked) {
    WorkerBackend& to = pool.PickAny();
    const BackendRef hold(to);
    asked->connection = pool.upstream->TakeIdle(to, kAny);
    if (asked->connection == nullptr) {
      const ConnectResult result = co_await pool.upstream->Connect(to, asked->token);
      asked->connection = result.connection;
      asked->error = result.error;
    }
    if (asked->connection != nullptr) {
      static const std::string kRequest = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
      BackendConnection& connection = *asked->connection;
      connection.sender.Add(kRequest.data(), kRequest.size());
      const int32_t sent = co_await connection.sender.Send(asked->token);
      if (sent < 0) asked->error = -sent;
      while (!asked->answer.ends_with("ok") && asked->end > 0) {
        asked->end = co_await connection.receiver.Wait(asked->token);
        if (asked->end <= 0) break;
        const io::BufferRef bytes = connection.receiver.TakeBuffer();
        asked->answer.append(bytes.data(), static_cast<size_t>(asked->end));
      }
      if (asked->answer.ends_with("ok")) {
        pool.upstream->Release(connection);
      } else {
        pool.upstream->Close(connection);
      }
    }
    asked->done = true;
  }
  Asked& Ask() {
    asked.push_back(std::make_unique<Asked>(pool.loop->engine()));
    pool.scope.Spawn(AskFlow(pool, asked.back().get()));
    return *asked.back();
  }
  void AskMany(size_t count) {
    for (size_t i = 0; i < count; ++i) Ask();
  }
  size_t Answered() const {
    size_t count = 0;
    for (const auto& each : asked) count += each->answer.starts_with("HTTP/1.1 200") ? 1 : 0;
    return count;
  }
  void RunUntilServing(size_t count) {
    pool.RunUntil([&] { return backend->serving() == count; }, seconds(30));
  }
  void RunUntilAsked() {
    pool.RunUntil([&] { return pool.scope.count() == 0; }, seconds(60));
  }

  PoolWorld pool;
  std::unique_ptr<SimH2Backend> backend;
  std::vector<std::unique_ptr<Asked>> asked;
  bool holds = true;
};

TEST_F(Trunks, ABurstSharesOneConnection) {
  StartHolding();
  AskMany(100);
  RunUntilServing(100);
  EXPECT_EQ(backend->accepted(), 1u);
  EXPECT_EQ(Cell().opened.value(), 1u);
  EXPECT_EQ(Cell().reused.value(), 99u);
  EXPECT_EQ(Cell().active.value(), 1);
  EXPECT_EQ(Cell().idle.value(), 0);
  backend->ReleaseAll();
  RunUntilAsked();
  EXPECT_EQ(Answered(), 100u);
  pool.RunFor(milliseconds(100));
  EXPECT_EQ(Cell().active.value(), 0);
  EXPECT_EQ(Cell().idle.value(), 1);
  EXPECT_EQ(pool.upstream->idle_connections(), 1u);
  EXPECT_EQ(pool.upstream->connections(), 1u);
}

TEST_F(Trunks, AnotherConnectionIsMadeWhereTheBackendTakesNoMoreStreams) {
  StartHolding(10);
  Ask();  // so that its settings are known
  RunUntilServing(1);
  pool.RunFor(milliseconds(100));
  AskMany(24);
  RunUntilServing(25);
  EXPECT_GE(backend->accepted(), 3u);
  EXPECT_LE(backend->accepted(), 4u);
  backend->ReleaseAll();
  RunUntilAsked();
  EXPECT_EQ(Answered(), 25u);
}

TEST_F(Trunks, ARequestGoesOverTheOldestThatHasRoom) {
  StartHolding(2);
  Ask();
  RunUntilServing(1);
  pool.RunFor(milliseconds(100));
  AskMany(2);
  RunUntilServing(3);
  ASSERT_EQ(backend->accepted(), 2u);
  holds = false;
  backend->ReleaseAll();
  RunUntilAsked();
  for (int i = 0; i < 5; ++i) {
    Ask();
    RunUntilAsked();
    EXPECT_EQ(backend->requests().back().connection, 0u);
  }
}

TEST_F(Trunks, WhoWaitsGetsTheStreamThatBecomesFree) {
  StartHolding(1);
  Ask();
  RunUntilServing(1);
  pool.RunFor(milliseconds(100));
  // So that a further connection takes its time.
  pool.world.network().BlackHole(At(kAddress));
  Asked& waiting = Ask();
  pool.RunFor(milliseconds(100));
  EXPECT_EQ(waiting.connection, nullptr);
  asked[0]->token.Cancel(rt::CancelReason::kClientGone);
  pool.RunUntil([&] { return waiting.connection != nullptr; }, milliseconds(100));
  EXPECT_EQ(Cell().opened.value(), 1u);
  holds = false;
  pool.world.network().Restore(At(kAddress));
  RunUntilAsked();
  EXPECT_EQ(Answered(), 1u);
}

TEST_F(Trunks, OneThatEndsItsWaitLeavesTheOthersTheirs) {
  StartHolding();
  AskMany(3);
  Asked& impatient = *asked[0];
  impatient.token.Cancel(rt::CancelReason::kClientGone);
  RunUntilServing(2);
  EXPECT_TRUE(impatient.done);
  EXPECT_EQ(impatient.error, ECANCELED);
  EXPECT_EQ(backend->accepted(), 1u);
  backend->ReleaseAll();
  RunUntilAsked();
  EXPECT_EQ(Answered(), 2u);
}

TEST_F(Trunks, AFailureIsToldToAllWhoWait) {
  Start();
  pool.world.network().Refuse(At(kAddress));
  AskMany(150);
  RunUntilAsked();
  for (const auto& each : asked) {
    EXPECT_EQ(each->connection, nullptr);
    EXPECT_EQ(each->error, ECONNREFUSED);
  }
  EXPECT_EQ(pool.upstream->connections(), 0u);
  EXPECT_EQ(Cell().opened.value(), 0u);
  EXPECT_EQ(Cell().active.value(), 0);
}

TEST_F(Trunks, AnAttemptThatTakesTooLongFailsInTime) {
  Start();
  pool.settings.timeouts.connect = seconds(2);
  pool.Change();
  pool.world.network().BlackHole(At(kAddress));
  Asked& one = Ask();
  pool.RunFor(milliseconds(1900));
  EXPECT_FALSE(one.done);
  RunUntilAsked();
  EXPECT_EQ(one.error, ETIMEDOUT);
}

TEST_F(Trunks, AnAttemptGoesOnForThoseWhoComeLater) {
  Start();
  Ask().token.Cancel(rt::CancelReason::kClientGone);
  Ask();
  RunUntilAsked();
  EXPECT_EQ(asked[0]->error, ECANCELED);
  EXPECT_EQ(Answered(), 1u);
  EXPECT_EQ(backend->accepted(), 1u);
}

TEST_F(Trunks, AnAttemptThatNobodyWaitsForEndsWithTheRest) {
  Start();
  pool.world.network().BlackHole(At(kAddress));
  Ask().token.Cancel(rt::CancelReason::kClientGone);
  RunUntilAsked();
  EXPECT_EQ(pool.upstream->connections(), 2u);  // the attempt, and what it connects
  pool.upstream->CloseIdle();
  pool.RunUntil([&] { return pool.upstream->connections() == 0; }, seconds(1));
}

TEST_F(Trunks, AnIdleConnectionEndsInTime) {
  pool.settings.keepalive.idle_timeout = seconds(3);
  Start();
  Ask();
  RunUntilAsked();
  pool.RunFor(milliseconds(2900));
  EXPECT_EQ(backend->open_connections(), 1u);
  Ask();  // which begins its time anew
  RunUntilAsked();
  pool.RunFor(milliseconds(2900));
  EXPECT_EQ(backend->open_connections(), 1u);
  pool.RunFor(milliseconds(500));
  EXPECT_EQ(backend->open_connections(), 0u);
  EXPECT_EQ(backend->endings(), std::vector<std::string>{""});
  EXPECT_EQ(pool.upstream->connections(), 0u);
  EXPECT_EQ(Cell().idle.value(), 0);
  EXPECT_EQ(Cell().active.value(), 0);
}

TEST_F(Trunks, NoneIsKeptWhereNoneIsToBe) {
  pool.settings.keepalive.idle = 0;
  Start();
  Ask();
  RunUntilAsked();
  pool.RunFor(milliseconds(500));
  EXPECT_EQ(backend->open_connections(), 0u);
  EXPECT_EQ(pool.upstream->connections(), 0u);
}

TEST_F(Trunks, OneThatHasServedEnoughIsFollowedByAnother) {
  pool.settings.keepalive.max_requests = 5;
  Start();
  for (int i = 0; i < 12; ++i) {
    Ask();
    RunUntilAsked();
    EXPECT_EQ(backend->requests().back().connection, static_cast<size_t>(i / 5));
  }
  EXPECT_EQ(Answered(), 12u);
}

TEST_F(Trunks, OneThatIsOldFinishesWhatItHas) {
  pool.settings.keepalive.max_age = seconds(10);
  StartHolding();
  Ask();
  RunUntilServing(1);
  pool.RunFor(seconds(11));
  Ask();
  RunUntilServing(2);
  EXPECT_EQ(backend->requests()[0].connection, 0u);
  EXPECT_EQ(backend->requests()[1].connection, 1u);
  backend->ReleaseAll();
  RunUntilAsked();
  EXPECT_EQ(Answered(), 2u);
  pool.RunFor(milliseconds(500));
  EXPECT_EQ(backend->open_connections(), 1u);
}

TEST_F(Trunks, AGoawayLeavesStreamsAndMovesRequests) {
  StartHolding();
  AskMany(3);
  RunUntilServing(3);
  backend->DrainAll();
  pool.RunFor(seconds(1));
  Ask();
  RunUntilServing(4);
  EXPECT_EQ(backend->requests().back().connection, 1u);
  backend->ReleaseAll();
  RunUntilAsked();
  EXPECT_EQ(Answered(), 4u);
  pool.RunFor(seconds(2));
  EXPECT_EQ(backend->endings(), std::vector<std::string>{""});
}

TEST_F(Trunks, WhatIsMoreThanTheBackendTakesComesBackUnprocessed) {
  StartHolding(1);
  AskMany(3);  // before its settings are known
  pool.RunUntil([&] { return pool.scope.count() == 1; });
  size_t refused = 0;
  for (const auto& each : asked) refused += each->end == -ECONNREFUSED ? 1 : 0;
  EXPECT_EQ(refused, 2u);
  EXPECT_EQ(backend->accepted(), 1u);
}

TEST_F(Trunks, AStreamThatIsGivenUpIsNoEndOfTheOthers) {
  StartHolding();
  AskMany(3);
  RunUntilServing(3);
  asked[1]->token.Cancel(rt::CancelReason::kClientGone);
  RunUntilServing(2);
  EXPECT_TRUE(backend->requests()[1].gave_up);
  backend->ReleaseAll();
  RunUntilAsked();
  EXPECT_EQ(Answered(), 2u);
  EXPECT_EQ(backend->accepted(), 1u);
}

TEST_F(Trunks, EndWithTheirBackendsService) {
  struct Case {
    const char* what;
    std::function<void(PoolWorld&)> change;
    bool stays;
  };
  const Case cases[] = {
      {"drained", [](PoolWorld& of) { of.SetState(kAddress, health::State::kDrained); }, false},
      {"maintenance", [](PoolWorld& of) { of.SetState(kAddress, health::State::kMaintenance); },
       false},
      {"draining", [](PoolWorld& of) { of.SetState(kAddress, health::State::kDraining); }, true},
      {"down", [](PoolWorld& of) { of.SetState(kAddress, health::State::kDown); }, true},
  };
  StartHolding();
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    pool.SetState(kAddress, health::State::kUp);
    Asked& one = Ask();
    RunUntilServing(1);
    c.change(pool);
    pool.upstream->Refresh();
    backend->ReleaseAll();
    pool.RunUntil([&] { return one.done; });
    EXPECT_TRUE(one.answer.ends_with("ok"));
    pool.RunFor(milliseconds(200));
    EXPECT_EQ(backend->open_connections(), c.stays ? 1u : 0u);
  }
}

TEST_F(Trunks, EndWithTheirBackend) {
  StartHolding();
  Ask();
  RunUntilServing(1);
  pool.Remove(kAddress);
  pool.Change();
  backend->ReleaseAll();
  RunUntilAsked();
  EXPECT_EQ(Answered(), 1u);
  pool.RunUntil([&] { return pool.upstream->connections() == 0; }, seconds(1));
}

TEST_F(Trunks, EndWhereAnotherProtocolIsSpokenFromNowOn) {
  StartHolding();
  Ask();
  RunUntilServing(1);
  pool.settings.protocol = config::Protocol::kHttp1;
  pool.Change();
  backend->ReleaseAll();
  RunUntilAsked();
  EXPECT_EQ(Answered(), 1u);
  pool.RunUntil([&] { return pool.upstream->connections() == 0; }, seconds(1));
}

TEST_F(Trunks, WhoWaitsWhileTheProtocolChangesGetsWhatIsSpokenThen) {
  Start();
  Asked& one = Ask();
  pool.settings.protocol = config::Protocol::kHttp1;
  pool.Change();
  pool.RunUntil([&] { return one.connection != nullptr; });
  EXPECT_FALSE(one.connection->shared());
  one.token.Cancel(rt::CancelReason::kClientGone);
}

TEST_F(Trunks, OneThatIsSilentIsNotUsedAgain) {
  StartHolding();
  Ask();
  RunUntilServing(1);
  pool.RunFor(milliseconds(100));
  holds = false;
  backend->ReleaseAll();
  RunUntilAsked();
  backend->Pause();
  Asked& unanswered = Ask();
  pool.RunFor(seconds(2));
  pool.upstream->TimedOut(*unanswered.connection);
  unanswered.token.Cancel(rt::CancelReason::kDeadline);
  RunUntilAsked();
  Asked& next = Ask();
  backend->Resume();
  pool.RunUntil([&] { return next.done; });
  EXPECT_TRUE(next.answer.ends_with("ok"));
  EXPECT_EQ(backend->accepted(), 2u);
}

TEST_F(Trunks, OneThatIsHeardOfIsUsedOn) {
  StartHolding();
  Asked& unanswered = Ask();
  RunUntilServing(1);
  pool.RunFor(seconds(5));
  Ask();
  RunUntilServing(2);
  holds = false;
  asked[1]->token.Cancel(rt::CancelReason::kClientGone);
  RunUntilServing(1);
  // Its settings came behind the request: it is there, and only slow.
  pool.upstream->TimedOut(*unanswered.connection);
  Ask();
  pool.RunUntil([&] { return asked[2]->done; });
  EXPECT_EQ(backend->accepted(), 1u);
}

TEST_F(Trunks, SayWhetherTheyTakeTunnels) {
  StartHolding();
  Asked& one = Ask();
  pool.RunUntil([&] { return one.connection != nullptr; });
  int takes = -1;
  struct Flow {
    static rt::Task<> Of(PoolWorld& pool, Asked* asked, int* out) {
      rt::CancelToken token(pool.loop->engine());
      *out = co_await pool.upstream->TakesTunnels(*asked->connection, token);
    }
  };
  pool.scope.Spawn(Flow::Of(pool, &one, &takes));
  pool.RunUntil([&] { return takes >= 0; });
  EXPECT_EQ(takes, 1);
}

TEST_F(Trunks, ABackendThatSpeaksSomethingElseIsFoundOut) {
  pool.settings.protocol = config::Protocol::kH2c;
  Origin& origin = pool.AddOrigin(kAddress);
  pool.Start();
  Asked& one = Ask();
  pool.RunUntil([&] { return !origin.peers.empty() && origin.peers[0]->bytes_received() > 24; });
  EXPECT_EQ(one.connection->failure(), nullptr);
  origin.peers[0]->Send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
  const char* failure = nullptr;
  pool.RunUntil([&] {
    if (!one.done && one.connection->failure() != nullptr) failure = one.connection->failure();
    return one.done;
  });
  EXPECT_EQ(one.end, -ECONNRESET);
  pool.RunUntil([&] { return pool.upstream->connections() == 0; }, seconds(5));
}

// Whatever happens to connections and to those who wait for them: each request ends, and nothing is
// left (PoolWorld looks).
class DrawnTrunks : public Trunks {
 protected:
  struct Drawn {
    explicit Drawn(uint64_t seed) : rng(seed), pool(seed, Faulty(rng)) {}
    static sim::SimEngineOptions Faulty(Rng& rng) {
      sim::SimEngineOptions options;
      options.faults = sim::FaultPlan::Draw(rng);
      return options;
    }
    Rng rng;
    PoolWorld pool;
    std::unique_ptr<SimH2Backend> backend;
    std::vector<std::unique_ptr<Asked>> asked;
  };

  static void Disturb(Drawn& in) {
    switch (in.rng.Below(12)) {
      case 0:
        return in.backend->DrainAll();
      case 1:
        return in.backend->EndAll(http2::ErrorCode::kInternalError);
      case 2:
        in.pool.world.network().ResetConnections(At(kAddress));
        return;
      case 3:
        in.pool.settings.protocol = in.pool.settings.protocol == config::Protocol::kH2c
                                        ? config::Protocol::kHttp1
                                        : config::Protocol::kH2c;
        return in.pool.Change();
      case 4:
        in.pool.upstream->CloseIdle();
        return;
      case 5:
        in.pool.settings.keepalive.max_requests = static_cast<uint32_t>(in.rng.Below(20));
        return in.pool.Change();
      default:
        break;
    }
    for (const auto& each : in.asked) {
      if (!each->done && in.rng.Below(10) == 0) each->token.Cancel(rt::CancelReason::kClientGone);
    }
  }

  void Run(uint64_t seed) {
    Drawn in(seed);
    in.pool.settings.protocol = config::Protocol::kH2c;
    in.pool.settings.backends.push_back(BackendAt(kAddress));
    in.pool.settings.timeouts.connect = seconds(2);
    in.backend = std::make_unique<SimH2Backend>(
        in.pool.world, At(kAddress),
        [&in](const SimH2Backend::Request&) {
          return SimH2Backend::Answer{.delay = milliseconds(in.rng.Below(20))};
        },
        1 + static_cast<uint32_t>(in.rng.Below(12)));
    in.pool.Start();
    for (int round = 0; round < 40; ++round) {
      for (uint64_t i = in.rng.Below(8); i > 0; --i) {
        in.asked.push_back(std::make_unique<Asked>(in.pool.loop->engine()));
        in.pool.scope.Spawn(AskFlow(in.pool, in.asked.back().get()));
      }
      in.pool.RunFor(milliseconds(in.rng.Below(30)));
      Disturb(in);
    }
    // Who still waits for an answer over HTTP/1.1 gets none from this backend.
    in.pool.RunFor(seconds(5));
    for (const auto& each : in.asked) each->token.Cancel(rt::CancelReason::kClientGone);
    in.pool.RunUntil([&] { return in.pool.scope.count() == 0; }, seconds(30));
    for (const auto& each : in.asked) {
      EXPECT_TRUE(each->done);
      answered += each->answer.ends_with("ok") ? 1 : 0;
    }
    drawn += in.asked.size();
    in.pool.upstream->CloseIdle();
    in.pool.RunUntil([&] { return in.pool.upstream->connections() == 0; }, seconds(30));
    EXPECT_EQ(in.pool.PickAny().cell().active.value(), 0);
    EXPECT_EQ(in.pool.PickAny().cell().idle.value(), 0);
    in.backend->Stop();
    in.pool.RunUntil([&] { return in.backend->stopped(); }, seconds(30));
    in.backend.reset();
  }

  size_t drawn = 0;
  size_t answered = 0;
};

TEST_F(DrawnTrunks, LeaveNothingBehind) {
  for (uint64_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE(seed);
    Run(seed);
    if (HasFailure()) return;
  }
  EXPECT_GT(answered, drawn / 5);
}

}  // namespace
}  // namespace rondo::upstream::testing
