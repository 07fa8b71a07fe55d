// Connections that requests share: how many a burst makes, which one a stream is opened on, how
// long they live, and what becomes of who waits.
#include <cerrno>

#include "http2/wire.h"
#include "upstream/trunk_suite.h"

namespace rondo::upstream::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

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

TEST_F(Trunks, OneThatTookLongerToMakeThanItMayGrowOldServesAllTheSame) {
  pool.settings.keepalive.max_age = std::chrono::microseconds(1);
  Start();
  for (size_t i = 1; i <= 3; ++i) {
    Ask();
    RunUntilAsked();
    EXPECT_EQ(Answered(), i);
    EXPECT_EQ(backend->accepted(), i);
  }
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

TEST_F(Trunks, SettingsThatComeWithAGoawayPromiseNothing) {
  pool.settings.protocol = config::Protocol::kH2c;
  Origin& origin = pool.AddOrigin(kAddress);
  pool.Start();
  Asked& one = Ask();
  pool.RunUntil([&] { return !origin.peers.empty() && origin.peers[0]->bytes_received() > 24; });
  origin.peers[0]->Send(http2::wire::Settings() +
                        http2::wire::Goaway(0, http2::ErrorCode::kNoError));
  RunUntilAsked();
  EXPECT_EQ(one.end, -ECONNREFUSED);
  // Otherwise each of these would want a connection of its own.
  AskMany(10);
  pool.RunFor(milliseconds(500));
  EXPECT_EQ(origin.peers.size(), 2u);
  for (const auto& each : asked) each->token.Cancel(rt::CancelReason::kClientGone);
  RunUntilAsked();
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
  pool.RunUntil([&] { return one.done; });
  EXPECT_EQ(one.end, -ECONNRESET);
  EXPECT_STREQ(one.failure, "h2_not_http2");
  pool.RunUntil([&] { return pool.upstream->connections() == 0; }, seconds(5));
}

}  // namespace
}  // namespace rondo::upstream::testing
