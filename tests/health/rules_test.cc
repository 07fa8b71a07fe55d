// The small rules: names, slow start, failures in a row, what a check says.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "rondo/base/rng.h"
#include "rondo/health/check_result.h"
#include "rondo/health/machine.h"
#include "rondo/health/passive.h"
#include "rondo/health/slow_start.h"
#include "rondo/health/state.h"

namespace rondo::health {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST(HealthNames, GoThereAndBack) {
  for (size_t i = 0; i < kStateCount; ++i) {
    const auto state = static_cast<State>(i);
    EXPECT_NE(StateName(state), "unknown");
    EXPECT_EQ(StateFromName(StateName(state)), state);
  }
  EXPECT_EQ(StateFromName("Up"), std::nullopt);
  EXPECT_EQ(StateFromName(""), std::nullopt);
  for (const Actor actor :
       {Actor::kConfig, Actor::kApi, Actor::kDns, Actor::kFile, Actor::kHealth}) {
    EXPECT_EQ(ActorFromName(ActorName(actor)), actor);
  }
  EXPECT_EQ(ActorFromName("nobody"), std::nullopt);
  for (size_t i = 0; i < kCheckOutcomeCount; ++i) {
    EXPECT_NE(CheckOutcomeName(static_cast<CheckOutcome>(i)), "unknown");
  }
}

constexpr Instant kStart = Instant(seconds(1000));

TEST(SlowStart, IsAStraightLineInHundredths) {
  struct Case {
    Duration after;
    uint32_t want;  // of weight 3
  };
  const Case cases[] = {
      {-seconds(5), 3},        // the other thread's clock is ahead
      {Duration(0), 3},        // one hundredth
      {milliseconds(599), 3},  //
      {milliseconds(600), 6},  // two hundredths of 30 s
      {seconds(3), 30},        //
      {seconds(15), 150},      //
      {milliseconds(29'999), 297},
      {seconds(30), 300},
      {seconds(3000), 300},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(RampWeight(3, kStart, seconds(30), kStart + each.after), each.want)
        << each.after.count();
  }
}

TEST(SlowStart, FullWeightWhereThereIsNoRamp) {
  EXPECT_EQ(RampWeight(7, kNoRamp, seconds(30), kStart), 700u);
  EXPECT_EQ(RampWeight(7, kStart, seconds(0), kStart), 700u);
  EXPECT_EQ(RampWeight(65535, kNoRamp, seconds(0), kStart), 6553500u);
  EXPECT_EQ(NextStep(kNoRamp, seconds(30), kStart), kNever);
  EXPECT_EQ(NextStep(kStart, seconds(0), kStart), kNever);
  EXPECT_EQ(NextStep(kStart, seconds(30), kStart + seconds(30)), kNever);
}

TEST(SlowStart, LooksAgainTwentyTimesAndThenNeverMore) {
  for (const Duration slow_start :
       {Duration(seconds(30)), Duration(nanoseconds(1)), Duration(nanoseconds(7)),
        Duration(milliseconds(1) + nanoseconds(3)), Duration(std::chrono::hours(24 * 365 * 100))}) {
    Instant now = kStart;
    int steps = 0;
    uint32_t share = RampWeight(1, kStart, slow_start, now);
    EXPECT_EQ(share, 1u);
    for (Instant next = NextStep(kStart, slow_start, now); next != kNever;
         next = NextStep(kStart, slow_start, now)) {
      ASSERT_GT(next, now);
      now = next;
      ASSERT_LE(++steps, kRampSteps);
      const uint32_t grown = RampWeight(1, kStart, slow_start, now);
      EXPECT_GE(grown, share);
      share = grown;
    }
    EXPECT_EQ(now, kStart + slow_start);
    EXPECT_EQ(share, kFullShare);
    if (slow_start >= Duration(milliseconds(1))) {
      EXPECT_EQ(steps, kRampSteps);
    }
  }
}

TEST(PassiveHealth, FailuresInARowWithinFailTimeoutReachTheLimit) {
  FailureRun run;
  for (int i = 0; i < 2; ++i) {
    const FailureStep step = CountFailure(run, 3, seconds(30), kStart + seconds(i));
    EXPECT_FALSE(step.reached);
    run = FailureRun::FromWord(step.run.word());
    EXPECT_EQ(run.count(), static_cast<uint32_t>(i + 1));
    EXPECT_EQ(run.first(), kStart);
  }
  const FailureStep last = CountFailure(run, 3, seconds(30), kStart + seconds(30));
  EXPECT_TRUE(last.reached);
  EXPECT_EQ(last.run.word(), 0u);
}

TEST(PassiveHealth, AFailureAfterFailTimeoutBeginsANewRun) {
  const FailureRun run(2, kStart);
  const Instant late = kStart + seconds(30) + milliseconds(1);
  const FailureStep step = CountFailure(run, 3, seconds(30), late);
  EXPECT_FALSE(step.reached);
  EXPECT_EQ(step.run.count(), 1u);
  EXPECT_EQ(step.run.first(), late);
}

TEST(PassiveHealth, LimitsAtTheEnds) {
  EXPECT_TRUE(CountFailure({}, 1, seconds(30), kStart).reached);
  const FailureStep off = CountFailure(FailureRun(7, kStart), 0, seconds(30), kStart);
  EXPECT_FALSE(off.reached);
  EXPECT_EQ(off.run.word(), 0u);
  const FailureRun nearly(FailureRun::kCountMax - 1, kStart);
  EXPECT_TRUE(CountFailure(nearly, 4'000'000'000u, seconds(30), kStart).reached);
  // A worker whose clock is a little behind.
  EXPECT_EQ(CountFailure(FailureRun(1, kStart), 3, seconds(30), kStart - seconds(1)).run.count(),
            2u);
}

TEST(CheckText, SaysWhatWasExpected) {
  const std::vector<StatusRange> one = {{.first = 200, .last = 200}};
  const std::vector<StatusRange> many = {{200, 200}, {204, 204}, {300, 399}};
  EXPECT_EQ(StatusDetail(503, one), "status 503, expected 200");
  EXPECT_EQ(StatusDetail(404, many), "status 404, expected 200, 204, 300-399");
  for (int status = 100; status < 600; ++status) {
    EXPECT_EQ(IsExpected(status, one), status == 200);
    EXPECT_EQ(IsExpected(status, many),
              status == 200 || status == 204 || (status >= 300 && status <= 399));
  }
}

TEST(TextSearch, FindsWhatIsCutAnywhere) {
  const std::string body = "aaabaaabaaaab ababac\nnanananano";
  for (const std::string text :
       {"aaaab", "ababac", "nano", "a", "o", "aaabaaabaaaab ababac\nnanananano"}) {
    for (size_t first = 0; first <= body.size(); ++first) {
      for (size_t second = first; second <= body.size(); ++second) {
        TextSearch search(text);
        search.Feed(body.substr(0, first));
        search.Feed(body.substr(first, second - first));
        EXPECT_TRUE(search.Feed(body.substr(second))) << text << " " << first << " " << second;
      }
    }
  }
}

TEST(TextSearch, AgreesWithFindUnderDrawnTexts) {
  Rng rng(7);
  for (int round = 0; round < 20'000; ++round) {
    std::string body, text;
    for (uint64_t i = rng.Below(40); i > 0; --i) body += static_cast<char>('a' + rng.Below(2));
    for (uint64_t i = rng.Below(7); i > 0; --i) text += static_cast<char>('a' + rng.Below(2));
    TextSearch search(text);
    for (size_t at = 0; at < body.size();) {
      const size_t piece = 1 + rng.Below(5);
      search.Feed(std::string_view(body).substr(at, piece));
      at += piece;
      const std::string seen = body.substr(0, at);
      ASSERT_EQ(search.found(), seen.find(text) != std::string::npos) << body << " " << text;
    }
  }
}

TEST(TextSearch, AnEmptyTextIsThereAlready) { EXPECT_TRUE(TextSearch("").found()); }

}  // namespace
}  // namespace rondo::health
