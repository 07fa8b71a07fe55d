// Who takes requests, and how much of a pool passive health may take.
#include "rondo/health/eligible.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "rondo/health/ejection.h"

namespace rondo::health {
namespace {

State StateOf(char letter) {
  switch (letter) {
    case 'c':
      return State::kChecking;
    case 'w':
      return State::kWarming;
    case 'u':
      return State::kUp;
    case 'd':
      return State::kDown;
    case 'e':
      return State::kEjected;
    case 'g':
      return State::kDraining;
    case 'x':
      return State::kDrained;
    default:
      return State::kMaintenance;
  }
}

// Members by letter, backups in capitals; the answer as a letter each: y, s, n.
std::string Judged(std::string_view letters, uint32_t panic, EligibleCounts* counts = nullptr) {
  std::vector<Member> members;
  for (const char letter : letters) {
    const bool backup = letter >= 'A' && letter <= 'Z';
    members.push_back({.state = StateOf(backup ? static_cast<char>(letter - 'A' + 'a') : letter),
                       .backup = backup});
  }
  std::vector<Eligibility> out(members.size(), Eligibility::kNo);
  const EligibleCounts got = Evaluate(members, panic, out);
  if (counts != nullptr) *counts = got;
  std::string text;
  for (const Eligibility each : out) {
    text += each == Eligibility::kYes ? 'y' : each == Eligibility::kStickyOnly ? 's' : 'n';
  }
  return text;
}

TEST(Eligible, WithoutPanicOnlyWhatIsUpTakesRequests) {
  EXPECT_EQ(Judged("cwudegxmCWUDEGXM", 0), "nnynnsnnnnynnsnn");
  EXPECT_EQ(Judged("", 0), "");
  EXPECT_EQ(Judged("dddd", 0), "nnnn");
}

TEST(Eligible, PanicComesBelowTheThresholdAndNotAtIt) {
  struct Case {
    const char* members;
    uint32_t panic;
    const char* want;
  };
  const Case cases[] = {
      {"uudd", 50, "yynn"},    // half: not below
      {"uddd", 50, "yyyy"},    // a quarter
      {"uuud", 75, "yyyn"},    // three quarters
      {"uuud", 76, "yyyy"},    //
      {"uuuu", 100, "yyyy"},   //
      {"uuud", 100, "yyyy"},   //
      {"dddd", 1, "yyyy"},     // none up
      {"udecw", 50, "yyyyy"},  // whatever state
      {"ud", 0, "yn"},         // off
      {"", 100, ""},
  };
  for (const Case& each : cases) {
    EXPECT_EQ(Judged(each.members, each.panic), each.want) << each.members << " " << each.panic;
  }
}

TEST(Eligible, WhatIsHeldBackNeitherCountsForPanicNorIsUsedInIt) {
  // Two of three that nobody holds back are up.
  EXPECT_EQ(Judged("uudgxm", 60), "yynsnn");
  EXPECT_EQ(Judged("uddgxm", 60), "yyysnn");
  EXPECT_EQ(Judged("gxm", 100), "snn");
}

TEST(Eligible, PrimariesAndBackupsPanicApart) {
  EligibleCounts counts;
  EXPECT_EQ(Judged("uddUU", 50, &counts), "yyyyy");
  EXPECT_TRUE(counts.primary_panic);
  EXPECT_FALSE(counts.backup_panic);
  EXPECT_EQ(counts.primaries, 3u);
  EXPECT_EQ(counts.backups, 2u);
  EXPECT_EQ(Judged("uuuUDD", 50), "yyyyyy");
}

TEST(Eligible, PrimariesThatAreAllDownDoNotPanicWhileABackupIsUp) {
  EligibleCounts counts;
  EXPECT_EQ(Judged("dddUD", 50, &counts), "nnnyn");
  EXPECT_FALSE(counts.primary_panic);
  EXPECT_EQ(Judged("dddDD", 50), "yyyyy");
}

TEST(Eligible, AColdStartIsWorthWaitingFor) {
  const auto worth_waiting = [](std::string_view members, uint32_t panic) {
    EligibleCounts counts;
    Judged(members, panic, &counts);
    return counts.worth_waiting;
  };
  EXPECT_TRUE(worth_waiting("c", 0));
  EXPECT_TRUE(worth_waiting("dw", 0));
  EXPECT_TRUE(worth_waiting("dC", 0));
  EXPECT_TRUE(worth_waiting("gc", 0));
  EXPECT_FALSE(worth_waiting("dd", 0));
  EXPECT_FALSE(worth_waiting("", 0));
  EXPECT_FALSE(worth_waiting("uc", 0));
  EXPECT_FALSE(worth_waiting("cU", 0));
  EXPECT_FALSE(worth_waiting("c", 50));  // panic uses it
}

TEST(Ejection, CountsThoseThatNobodyHoldsBack) {
  const std::vector<State> states = {State::kUp,      State::kUp,         State::kEjected,
                                     State::kDown,    State::kChecking,   State::kDraining,
                                     State::kDrained, State::kMaintenance};
  const Pool pool = CountPool(states);
  EXPECT_EQ(pool.size, 5u);
  EXPECT_EQ(pool.up, 2u);
  EXPECT_EQ(pool.ejected, 1u);
}

TEST(Ejection, BadAnswersTakeAtMostHalfRefusedConnectionsAllButTheLast) {
  for (uint32_t size = 1; size <= 12; ++size) {
    Pool pool{.size = size, .up = size, .ejected = 0};
    while (MayEject(EjectionCause::kAnswers, pool)) {
      --pool.up;
      ++pool.ejected;
    }
    EXPECT_EQ(pool.ejected, size / 2) << size;
    while (MayEject(EjectionCause::kRefused, pool)) {
      --pool.up;
      ++pool.ejected;
    }
    EXPECT_EQ(pool.up, 1u) << size;
  }
}

TEST(Ejection, TheLastThatIsUpStaysWhateverTheOthersAre) {
  EXPECT_FALSE(MayEject(EjectionCause::kRefused, {.size = 5, .up = 1, .ejected = 0}));
  EXPECT_FALSE(MayEject(EjectionCause::kAnswers, {.size = 5, .up = 1, .ejected = 0}));
  EXPECT_TRUE(MayEject(EjectionCause::kRefused, {.size = 5, .up = 2, .ejected = 3}));
  EXPECT_FALSE(MayEject(EjectionCause::kAnswers, {.size = 5, .up = 2, .ejected = 2}));
  EXPECT_FALSE(MayEject(EjectionCause::kRefused, {}));
}

}  // namespace
}  // namespace rondo::health
