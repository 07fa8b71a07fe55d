// When a request may be sent again: a table of named cases, and what holds over all of them.
#include "proxy/retry.h"

#include <gtest/gtest.h>

namespace rondo::proxy {
namespace {

constexpr Failure kNoBackend{503, "no_backend", Stage::kPick};
constexpr Failure kRefused{503, "connect_refused", Stage::kConnect, /*refused=*/true};
constexpr Failure kConnectTimeout{504, "connect_timeout", Stage::kConnect};
constexpr Failure kClosed{502, "backend_closed", Stage::kSend};
constexpr Failure kBadResponse{502, "bad_response", Stage::kResponse};
constexpr Failure kResponseTimeout{504, "response_timeout", Stage::kResponse};
constexpr Failure kAnswered503{503, "status", Stage::kResponse, false, /*from_backend=*/true};
constexpr Failure kUnprocessed{503,   "stream_refused", Stage::kConnect,     false,
                               false, nullptr,          /*unprocessed=*/true};
constexpr Failure kClientGone{0, "client_gone", Stage::kSend};

config::Retries Settings(uint32_t attempts, config::RetryOn on) {
  config::Retries settings;
  settings.attempts = attempts;
  settings.on = on;
  return settings;
}
constexpr config::RetryOn kDefault{};
constexpr config::RetryOn kNothing{false, false, false, false, false};
constexpr config::RetryOn k502{true, true, true, false, false};
constexpr config::RetryOn k503{true, true, false, true, false};
constexpr config::RetryOn k504{true, true, false, false, true};

TEST(MayRetry, FollowsTheContract) {
  struct Case {
    const char* what;
    RetryQuestion question;
    config::Retries settings;
    RetryAnswer answer;
  };
  constexpr bool kRepeatable = true;
  constexpr bool kOnce = false;
  constexpr bool kHeld = true;
  constexpr bool kGone = false;
  using enum RetryAnswer;
  const Case cases[] = {
      {"no backend is left", {kNoBackend, kRepeatable, kHeld}, Settings(2, kDefault), kNo},
      {"refused: free, whatever the method",
       {kRefused, kOnce, kHeld},
       Settings(2, kDefault),
       kFree},
      {"refused: free without attempts", {kRefused, kOnce, kHeld}, Settings(0, kDefault), kFree},
      {"refused: free when all are used up",
       {kRefused, kOnce, kHeld, 0, 2},
       Settings(2, kDefault),
       kFree},
      {"refused, not asked for", {kRefused, kRepeatable, kHeld}, Settings(2, kNothing), kNo},
      {"unprocessed: free, whatever the method",
       {kUnprocessed, kOnce, kHeld, 100},
       Settings(0, kDefault),
       kFree},
      {"unprocessed, body gone", {kUnprocessed, kRepeatable, kGone}, Settings(2, kDefault), kNo},
      {"unprocessed, not asked for", {kUnprocessed, kOnce, kHeld}, Settings(2, kNothing), kNo},
      {"unprocessed, as often as may be",
       {kUnprocessed, kOnce, kHeld, 0, 0, kUnprocessedMax - 1},
       Settings(2, kDefault),
       kFree},
      {"unprocessed, once too often",
       {kUnprocessed, kOnce, kHeld, 0, 0, kUnprocessedMax},
       Settings(2, kDefault),
       kNo},
      {"connect timeout: any method",
       {kConnectTimeout, kOnce, kHeld},
       Settings(2, kDefault),
       kCounted},
      {"connect timeout, last attempt",
       {kConnectTimeout, kOnce, kHeld, 0, 2},
       Settings(2, kDefault),
       kNo},
      {"connect timeout, no attempts", {kConnectTimeout, kOnce, kHeld}, Settings(0, kDefault), kNo},
      {"connect timeout, not asked for",
       {kConnectTimeout, kOnce, kHeld},
       Settings(2, kNothing),
       kNo},
      {"connect timeout, body gone", {kConnectTimeout, kOnce, kGone}, Settings(2, kDefault), kNo},
      {"closed, repeatable", {kClosed, kRepeatable, kHeld, 100}, Settings(2, kDefault), kCounted},
      {"closed, not repeatable", {kClosed, kOnce, kHeld, 100}, Settings(2, kDefault), kNo},
      {"closed by one byte, not repeatable",
       {kClosed, kOnce, kHeld, 1},
       Settings(2, kDefault),
       kNo},
      {"closed before a byte went, not repeatable",
       {kClosed, kOnce, kHeld, 0},
       Settings(2, kDefault),
       kCounted},
      {"closed, body gone", {kClosed, kRepeatable, kGone, 100}, Settings(2, kDefault), kNo},
      {"closed, not asked for", {kClosed, kRepeatable, kHeld, 100}, Settings(2, kNothing), kNo},
      {"closed, second retry",
       {kClosed, kRepeatable, kHeld, 100, 1},
       Settings(2, kDefault),
       kCounted},
      {"closed, third retry", {kClosed, kRepeatable, kHeld, 100, 2}, Settings(2, kDefault), kNo},
      {"bad answer, by default", {kBadResponse, kRepeatable, kHeld, 9}, Settings(2, kDefault), kNo},
      {"bad answer, 502 asked for",
       {kBadResponse, kRepeatable, kHeld, 9},
       Settings(2, k502),
       kCounted},
      {"bad answer, not repeatable", {kBadResponse, kOnce, kHeld, 9}, Settings(2, k502), kNo},
      {"bad answer, body gone", {kBadResponse, kRepeatable, kGone, 9}, Settings(2, k502), kNo},
      {"bad answer, 503 asked for", {kBadResponse, kRepeatable, kHeld, 9}, Settings(2, k503), kNo},
      {"503 answered, by default",
       {kAnswered503, kRepeatable, kHeld, 9},
       Settings(2, kDefault),
       kNo},
      {"503 answered, asked for",
       {kAnswered503, kRepeatable, kHeld, 9},
       Settings(2, k503),
       kCounted},
      {"503 answered, not repeatable", {kAnswered503, kOnce, kHeld, 9}, Settings(2, k503), kNo},
      {"slow answer, by default",
       {kResponseTimeout, kRepeatable, kHeld, 9},
       Settings(2, kDefault),
       kNo},
      {"slow answer, asked for",
       {kResponseTimeout, kRepeatable, kHeld, 9},
       Settings(2, k504),
       kCounted},
      {"slow answer, not repeatable", {kResponseTimeout, kOnce, kHeld, 9}, Settings(2, k504), kNo},
      {"nobody is left to tell", {kClientGone, kRepeatable, kHeld}, Settings(2, kDefault), kNo},
  };
  for (const Case& c : cases) EXPECT_EQ(MayRetry(c.question, c.settings), c.answer) << c.what;
}

// Calls check(question, settings, answer) for every combination.
template <class Check>
void ForAll(Check check) {
  constexpr Failure kFailures[] = {kNoBackend,   kRefused,     kConnectTimeout,
                                   kClosed,      kBadResponse, kResponseTimeout,
                                   kAnswered503, kClientGone,  kUnprocessed};
  for (unsigned bits = 0; bits < 9 * 4 * 2 * 3 * 32 * 3; ++bits) {
    unsigned rest = bits;
    const auto draw = [&rest](unsigned count) {
      const unsigned value = rest % count;
      rest /= count;
      return value;
    };
    RetryQuestion question;
    question.failure = kFailures[draw(9)];
    question.repeatable = draw(2) == 1;
    question.body_held = draw(2) == 1;
    question.sent_bytes = draw(2) * 7;
    question.retries = draw(3);
    const config::RetryOn on{draw(2) == 1, draw(2) == 1, draw(2) == 1, draw(2) == 1, draw(2) == 1};
    const config::Retries settings = Settings(draw(3), on);
    check(question, settings, MayRetry(question, settings));
  }
}

TEST(MayRetry, NeverRepeatsWhatABackendMayHaveActedOn) {
  ForAll([](const RetryQuestion& question, const config::Retries&, RetryAnswer answer) {
    const bool reached = question.failure.stage == Stage::kSend
                             ? question.sent_bytes > 0
                             : question.failure.stage == Stage::kResponse;
    if (reached && !question.repeatable) {
      ASSERT_EQ(answer, RetryAnswer::kNo);
    }
  });
}

TEST(MayRetry, CountsEverythingButRefusals) {
  ForAll([](const RetryQuestion& question, const config::Retries& settings, RetryAnswer answer) {
    switch (answer) {
      case RetryAnswer::kNo:
        break;
      case RetryAnswer::kFree:
        ASSERT_TRUE(settings.on.connect);
        ASSERT_TRUE(question.failure.refused ||
                    (question.failure.unprocessed && question.body_held));
        break;
      case RetryAnswer::kCounted:
        ASSERT_LT(question.retries, settings.attempts);
        ASSERT_TRUE(question.body_held);
        ASSERT_FALSE(question.failure.refused || question.failure.unprocessed);
        break;
    }
  });
}

TEST(MayRetry, DoesNothingThatWasNotAskedFor) {
  ForAll([](const RetryQuestion& question, const config::Retries& settings, RetryAnswer answer) {
    if (settings.on == kNothing || question.failure.status == 0) {
      ASSERT_EQ(answer, RetryAnswer::kNo);
    }
  });
}

}  // namespace
}  // namespace rondo::proxy
