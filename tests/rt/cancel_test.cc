// Deadlines against a clock that the test moves, and tokens. How waits end by a token is tested
// where the waits are: receiver_test.cc, sender_test.cc.
#include "rondo/rt/cancel.h"

#include <gtest/gtest.h>

#include "rt/rt_suite.h"

namespace rondo::rt::testing {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class DeadlineTest : public ::testing::Test {
 protected:
  // Goes to `at` as a loop does: until nothing is due any more.
  void AdvanceTo(Instant at) {
    now_ = at;
    do {
      wheel_.Advance(now_);
    } while (wheel_.NextDeadline() <= now_);
  }
  void Advance(Duration by) { AdvanceTo(now_ + by); }

  SimulatedWorld world_{0};
  const Instant start_ = world_.engine().Now();
  Instant now_ = start_;
  io::TimerWheel wheel_{start_};
  CancelToken token_{world_.engine()};
  Deadline deadline_{wheel_, token_};
};

TEST_F(DeadlineTest, CancelsAtItsTimeAndOnlyOnce) {
  deadline_.Set(start_ + milliseconds(10));
  EXPECT_EQ(deadline_.at(), start_ + milliseconds(10));
  Advance(milliseconds(9));
  EXPECT_FALSE(token_.cancelled());
  Advance(milliseconds(2));
  EXPECT_EQ(token_.reason(), CancelReason::kDeadline);
  EXPECT_EQ(deadline_.at(), kNever);
  token_.ClearPassing();
  Advance(hours(1));
  EXPECT_FALSE(token_.cancelled());
}

TEST_F(DeadlineTest, ALaterTimeLeavesTheTimerWhereItIs) {
  deadline_.Set(start_ + milliseconds(10));
  const Instant timer = wheel_.NextDeadline();
  for (int i = 11; i < 1000; ++i) deadline_.Set(start_ + milliseconds(i));
  EXPECT_EQ(wheel_.NextDeadline(), timer);
  Advance(milliseconds(998));
  EXPECT_FALSE(token_.cancelled());
  Advance(milliseconds(2));
  EXPECT_TRUE(token_.cancelled());
}

TEST_F(DeadlineTest, AnEarlierTimeMovesTheTimer) {
  deadline_.Set(start_ + seconds(10));
  deadline_.Set(start_ + milliseconds(5));
  Advance(milliseconds(6));
  EXPECT_TRUE(token_.cancelled());
}

TEST_F(DeadlineTest, ClearedItNeverCancels) {
  deadline_.Set(start_ + milliseconds(5));
  deadline_.Clear();
  EXPECT_EQ(deadline_.at(), kNever);
  Advance(hours(1));
  EXPECT_FALSE(token_.cancelled());
  EXPECT_TRUE(wheel_.empty());
}

TEST_F(DeadlineTest, CanBeSetAgainAfterClear) {
  struct Case {
    milliseconds first, second;
  };
  for (const Case& c :
       {Case{milliseconds(5), milliseconds(50)}, Case{milliseconds(50), milliseconds(5)}}) {
    const Instant from = now_;
    deadline_.Set(from + c.first);
    deadline_.Clear();
    deadline_.Set(from + c.second);
    AdvanceTo(from + c.second - milliseconds(1));
    EXPECT_FALSE(token_.cancelled());
    AdvanceTo(from + c.second + milliseconds(1));
    EXPECT_TRUE(token_.cancelled());
    token_.ClearPassing();
  }
}

TEST_F(DeadlineTest, ATimeInThePastCancelsAtTheNextTick) {
  deadline_.Set(start_ - seconds(1));
  EXPECT_FALSE(token_.cancelled());
  wheel_.Advance(start_);
  EXPECT_TRUE(token_.cancelled());
}

TEST_F(DeadlineTest, ADestroyedDeadlineLeavesNoTimerBehind) {
  {
    Deadline other(wheel_, token_);
    other.Set(start_ + milliseconds(5));
  }
  EXPECT_TRUE(wheel_.empty());
  Advance(seconds(1));
  EXPECT_FALSE(token_.cancelled());
}

TEST_F(DeadlineTest, AgreesWithAModelThatRemembersOnlyTheLatestTime) {
  Rng rng(7);
  Instant expected = kNever;
  int cancelled = 0;
  for (int step = 0; step < 100'000; ++step) {
    switch (rng.Below(4)) {
      case 0:
      case 1:
        expected = now_ + milliseconds(rng.Between(-5, 400));
        deadline_.Set(expected);
        break;
      case 2:
        if (!rng.Chance(0.3)) break;
        expected = kNever;
        deadline_.Clear();
        break;
      case 3:
        Advance(milliseconds(rng.Between(0, 200)));
        // A timer fires up to a millisecond late, and never early.
        if (expected <= now_ - milliseconds(1)) {
          ASSERT_TRUE(token_.cancelled()) << "step " << step;
        }
        if (!token_.cancelled()) break;
        ASSERT_LE(expected, now_) << "step " << step;
        token_.ClearPassing();
        expected = kNever;
        ++cancelled;
        break;
    }
    ASSERT_EQ(deadline_.at(), expected);
  }
  EXPECT_GT(cancelled, 1000);
}

TEST(CancelToken, TheFirstReasonStays) {
  SimulatedWorld world(0);
  CancelToken token(world.engine());
  EXPECT_FALSE(token.cancelled());
  EXPECT_EQ(token.reason(), CancelReason::kNone);
  token.Cancel(CancelReason::kClientGone);
  token.Cancel(CancelReason::kShutdown);
  EXPECT_EQ(token.reason(), CancelReason::kClientGone);
}

TEST(CancelToken, AFinalReasonTakesThePlaceOfOneThatMayPass) {
  using enum CancelReason;
  SimulatedWorld world(0);
  for (const CancelReason passing : {kDeadline, kFinished, kDrained}) {
    for (const CancelReason final : {kClientGone, kShutdown}) {
      CancelToken token(world.engine());
      token.Cancel(passing);
      token.Cancel(final);
      EXPECT_EQ(token.reason(), final);
      token.Cancel(passing);
      EXPECT_EQ(token.reason(), final);
    }
    for (const CancelReason other : {kDeadline, kFinished, kDrained}) {
      CancelToken token(world.engine());
      token.Cancel(passing);
      token.Cancel(other);
      EXPECT_EQ(token.reason(), passing);
    }
  }
}

TEST(CancelToken, OnlyPassingReasonsCanBeCleared) {
  struct Case {
    CancelReason reason;
    bool passes;
  };
  const Case cases[] = {
      {CancelReason::kDeadline, true},    {CancelReason::kFinished, true},
      {CancelReason::kClientGone, false}, {CancelReason::kDrained, true},
      {CancelReason::kShutdown, false},
  };
  SimulatedWorld world(0);
  for (const Case& c : cases) {
    CancelToken token(world.engine());
    token.Cancel(c.reason);
    token.ClearPassing();
    EXPECT_EQ(token.cancelled(), !c.passes) << static_cast<int>(c.reason);
  }
}

}  // namespace
}  // namespace rondo::rt::testing
