// Connections that requests share, when things go wrong: backends that are silent, stuck or away,
// and faults of every kind drawn at random.
#include "http2/wire.h"
#include "upstream/trunk_suite.h"

namespace rondo::upstream::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

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

TEST_F(Trunks, AShortDeadlineSaysNothingOfOneThatWasIdle) {
  holds = false;
  StartHolding();
  Ask();
  RunUntilAsked();
  pool.RunFor(seconds(3));
  backend->Pause();  // so that nothing at all is heard of it
  Asked& hasty = Ask();
  pool.RunUntil([&] { return hasty.connection != nullptr; });
  pool.RunFor(milliseconds(20));
  pool.upstream->TimedOut(*hasty.connection);
  hasty.token.Cancel(rt::CancelReason::kDeadline);
  RunUntilAsked();
  backend->Resume();
  Asked& next = Ask();
  RunUntilAsked();
  EXPECT_TRUE(next.answer.ends_with("ok"));
  EXPECT_EQ(backend->accepted(), 1u);
}

TEST_F(Trunks, WhoWaitsForAStreamIsNotFailedByAConnectionThatIsNotMade) {
  StartHolding(1);
  Ask();
  RunUntilServing(1);
  pool.RunFor(milliseconds(100));
  pool.world.network().Refuse(At(kAddress));
  Asked& waiting = Ask();
  pool.RunFor(seconds(1));
  EXPECT_FALSE(waiting.done);
  holds = false;
  backend->ReleaseAll();
  RunUntilAsked();
  EXPECT_EQ(Answered(), 2u);
  EXPECT_EQ(backend->accepted(), 1u);
}

// A backend that opens all windows and then reads nothing, and a request of any size.
class StuckTrunk : public Trunks {
 protected:
  static rt::Task<> PostFlow(PoolWorld& pool, Asked* asked) {
    static const std::string kHead =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
    static const std::string kPart(1 << 20, 'x');
    WorkerBackend& to = pool.PickAny();
    const BackendRef hold(to);
    const ConnectResult result = co_await pool.upstream->Connect(to, asked->token);
    asked->connection = result.connection;
    asked->error = result.error;
    if (asked->connection != nullptr) {
      BackendConnection& connection = *asked->connection;
      connection.sender.Add(kHead.data(), kHead.size());
      int32_t sent = 1;
      while (sent >= 0) {
        connection.sender.Add(kPart.data(), kPart.size());
        sent = co_await connection.sender.Send(asked->token);
      }
      asked->error = -sent;
      pool.upstream->Close(connection);
    }
    asked->done = true;
  }
};

TEST_F(StuckTrunk, GetsNoMoreStreamsAndEndsASecondAfterItsLast) {
  pool.settings.protocol = config::Protocol::kH2c;
  Origin& origin = pool.AddOrigin(kAddress);
  pool.Start();
  asked.push_back(std::make_unique<Asked>(pool.loop->engine()));
  Asked& posting = *asked.back();
  pool.scope.Spawn(PostFlow(pool, &posting));
  pool.RunUntil([&] { return !origin.peers.empty() && origin.peers[0]->bytes_received() > 24; });
  namespace wire = http2::wire;
  origin.peers[0]->Send(wire::Settings({{wire::kInitialWindowSize, 0x7fffffff}}) +
                        wire::WindowUpdate(0, 0x7ffe0000));
  pool.RunFor(milliseconds(50));
  origin.peers[0]->PauseReading();
  pool.RunFor(seconds(3));
  EXPECT_FALSE(posting.done);

  Asked& other = Ask();
  pool.RunFor(milliseconds(500));
  ASSERT_EQ(origin.peers.size(), 2u);
  EXPECT_EQ(Cell().active.value(), 2);

  pool.upstream->TimedOut(*posting.connection);
  posting.token.Cancel(rt::CancelReason::kDeadline);
  const Instant before = pool.engine->Now();
  int ticks = 0;
  for (; Cell().active.value() > 1 && ticks < 1000; ++ticks) {
    pool.loop->Tick(before + seconds(5));
  }
  EXPECT_LT(ticks, 100);  // nothing wakes the worker for it in between
  EXPECT_EQ(Cell().active.value(), 1);
  EXPECT_LT(pool.engine->Now() - before, milliseconds(1500));
  other.token.Cancel(rt::CancelReason::kClientGone);
  RunUntilAsked();
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
