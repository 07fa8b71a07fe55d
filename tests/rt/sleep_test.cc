// Waiting for a moment and for a notice, on the clock of the simulation.
#include "rondo/rt/sleep.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rondo/rt/notice.h"
#include "rt/rt_suite.h"

namespace rondo::rt::testing {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Woken {
  std::string name;
  int32_t result = 0;
  Duration after{};
};

class WaitTest : public ::testing::Test {
 protected:
  ~WaitTest() override {
    EXPECT_EQ(scope_.count(), 0u);
    EXPECT_TRUE(loop_.wheel().empty());
    EXPECT_EQ(loop_.frames().blocks_out(), 0u);
  }
  struct Flow {
    Freelist& frames() { return test->loop_.frames(); }
    WaitTest* test;
  };
  static Task<> Sleeps(Flow flow, std::string name, Instant until) {
    const int32_t result = co_await SleepUntil(flow.test->loop_, until, flow.test->token_);
    flow.test->Note(std::move(name), result);
  }
  static Task<> Listens(Flow flow, std::string name, int times, CancelToken* token) {
    for (int i = 0; i < times; ++i) {
      const int32_t result = co_await flow.test->notice_.Wait(*token);
      flow.test->Note(name, result);
      if (result != 0) co_return;
    }
  }
  static Task<> Races(Flow flow, Instant until, CancelToken* by, bool* ended) {
    co_await SleepUntil(flow.test->loop_, until, *by);
    *ended = true;
  }
  void Note(std::string name, int32_t result) {
    woken_.push_back(Woken{std::move(name), result, loop_.Now() - start_});
  }
  void Sleep(std::string name, Duration time) {
    scope_.Spawn(Sleeps(Flow{this}, std::move(name), start_ + time));
  }
  void Listen(std::string name, int times = 1) {
    scope_.Spawn(Listens(Flow{this}, std::move(name), times, &token_));
  }
  void RunFor(Duration time) {
    const Instant until = loop_.Now() + time;
    while (loop_.Now() < until) loop_.Tick(until);
  }
  std::vector<std::string> TakeNames() {
    std::vector<std::string> names;
    for (const Woken& each : woken_) {
      names.push_back(each.result == 0 ? each.name : each.name + " cancelled");
    }
    woken_.clear();
    return names;
  }

  SimulatedWorld world_{0};
  Loop loop_{world_.engine()};
  CancelToken token_{world_.engine()};
  Notice notice_{world_.engine()};
  const Instant start_ = loop_.Now();
  std::vector<Woken> woken_;
  Scope scope_;
};
using SleepTest = WaitTest;
using NoticeTest = WaitTest;

TEST_F(SleepTest, LastsUntilItsMomentAndNotLonger) {
  Sleep("b", milliseconds(20));
  Sleep("a", milliseconds(10));
  Sleep("c", hours(1));
  RunFor(milliseconds(9));
  EXPECT_THAT(woken_, IsEmpty());
  RunFor(hours(2));
  ASSERT_EQ(woken_.size(), 3u);
  const Duration wanted[] = {milliseconds(10), milliseconds(20), hours(1)};
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(woken_[i].name, std::string(1, static_cast<char>('a' + i)));
    EXPECT_EQ(woken_[i].result, 0);
    EXPECT_GE(woken_[i].after, wanted[i]);
    EXPECT_LT(woken_[i].after, wanted[i] + milliseconds(2));
  }
}

TEST_F(SleepTest, APastMomentDoesNotSuspend) {
  RunFor(milliseconds(5));
  Sleep("past", milliseconds(1));
  Sleep("now", milliseconds(5));
  EXPECT_THAT(TakeNames(), ElementsAre("past", "now"));
}

TEST_F(SleepTest, ATokenEndsIt) {
  Sleep("long", hours(1));
  Sleep("for ever", kNever - start_);
  RunFor(milliseconds(5));
  token_.Cancel(CancelReason::kShutdown);
  EXPECT_THAT(woken_, IsEmpty()) << "nobody is resumed inline";
  RunFor(milliseconds(5));
  EXPECT_THAT(TakeNames(), ElementsAre("long cancelled", "for ever cancelled"));
  Sleep("late", seconds(1));
  EXPECT_THAT(TakeNames(), ElementsAre("late cancelled"));
}

TEST_F(SleepTest, ACancelInTheMomentItEndsHasOneResult) {
  for (int before = 0; before < 2; ++before) {
    CancelToken token(world_.engine());
    bool ended = false;
    const Instant until = loop_.Now() + milliseconds(10);
    scope_.Spawn(Races(Flow{this}, until, &token, &ended));
    if (before == 1) token.Cancel(CancelReason::kShutdown);
    while (!ended) {
      loop_.Tick(until + seconds(1));
      if (loop_.Now() >= until) token.Cancel(CancelReason::kShutdown);
    }
  }
}

TEST_F(NoticeTest, ResumesAllWhoWaitAndNobodyInline) {
  Listen("a");
  Listen("b");
  EXPECT_TRUE(notice_.awaited());
  RunFor(seconds(1));
  EXPECT_THAT(woken_, IsEmpty());
  notice_.NotifyAll();
  EXPECT_FALSE(notice_.awaited());
  EXPECT_THAT(woken_, IsEmpty());
  RunFor(milliseconds(1));
  EXPECT_THAT(TakeNames(), ElementsAre("a", "b"));
}

TEST_F(NoticeTest, KeepsNothingForThoseWhoComeLater) {
  notice_.NotifyAll();
  Listen("late");
  RunFor(seconds(1));
  EXPECT_THAT(woken_, IsEmpty());
  notice_.NotifyAll();
  RunFor(milliseconds(1));
  EXPECT_THAT(TakeNames(), ElementsAre("late"));
}

TEST_F(NoticeTest, WhoWaitsAgainHearsTheNextOne) {
  Listen("again", 3);
  for (int i = 0; i < 3; ++i) {
    notice_.NotifyAll();
    notice_.NotifyAll();  // both are one to those who did not run between
    RunFor(milliseconds(1));
    EXPECT_THAT(TakeNames(), ElementsAre("again"));
  }
}

TEST_F(NoticeTest, ATokenEndsTheWait) {
  Listen("a");
  token_.Cancel(CancelReason::kClientGone);
  notice_.NotifyAll();  // too late for this one
  RunFor(milliseconds(1));
  EXPECT_THAT(TakeNames(), ElementsAre("a cancelled"));
  Listen("b");
  EXPECT_THAT(TakeNames(), ElementsAre("b cancelled"));
}

TEST_F(NoticeTest, ACancelAfterTheNoticeChangesNothing) {
  Listen("a");
  notice_.NotifyAll();
  token_.Cancel(CancelReason::kClientGone);
  RunFor(milliseconds(1));
  EXPECT_THAT(TakeNames(), ElementsAre("a"));
}

}  // namespace
}  // namespace rondo::rt::testing
