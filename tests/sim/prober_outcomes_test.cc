// What the prober makes of what backends do, in virtual time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sim/prober_world.h"

namespace rondo::sim {
namespace {

using health::CheckOutcome;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;
using ::testing::IsEmpty;

// Timers fire up to a millisecond late, and a busy engine is another millisecond later.
constexpr Duration kSlack = milliseconds(3);

BackendAnswer Raw(std::string bytes) {
  BackendAnswer answer;
  answer.garbage = std::move(bytes);
  return answer;
}

struct OutcomeCase {
  const char* name;
  std::function<void(ProberWorld&)> set_up;  // makes backend 1
  std::function<void(config::HealthCheck&)> change;
  CheckOutcome outcome;
  const char* detail;
};

void Answers(ProberWorld& world, std::string bytes) {
  world.AddBackend(1, [bytes](const BackendRequest&) { return Raw(bytes); });
}

std::vector<OutcomeCase> OutcomeCases() {
  const auto same = [](config::HealthCheck&) {};
  const auto wants_ready = [](config::HealthCheck& check) { check.expect_body = "ready"; };
  const auto answers = [](std::string bytes) {
    return [bytes](ProberWorld& world) { Answers(world, bytes); };
  };
  const auto misbehaves = [](Misbehaviour how, size_t after) {
    return [how, after](ProberWorld& world) {
      BackendAnswer answer;
      answer.misbehaviour = how;
      answer.after_bytes = after;
      world.AddBackend(1, [answer](const BackendRequest&) { return answer; });
    };
  };
  return {
      {"nobody listens", [](ProberWorld&) {}, same, CheckOutcome::kConnectRefused,
       "connect_refused"},
      {"no answer to the connect",
       [](ProberWorld& world) { world.world().network().BlackHole(world.Address(1)); }, same,
       CheckOutcome::kConnectTimeout, "connect_timeout"},
      {"no answer to the request", misbehaves(Misbehaviour::kStall, 0), same,
       CheckOutcome::kResponseTimeout, "response_timeout"},
      {"half a head", misbehaves(Misbehaviour::kStall, 20), same, CheckOutcome::kResponseTimeout,
       "response_timeout"},
      {"closed without an answer", misbehaves(Misbehaviour::kClose, 0), same, CheckOutcome::kReset,
       "reset: closed before the answer was whole"},
      {"closed within the head", misbehaves(Misbehaviour::kClose, 20), same, CheckOutcome::kReset,
       "reset: closed before the answer was whole"},
      {"another status", answers("HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n"), same,
       CheckOutcome::kStatus, "status 503, expected 200"},
      {"a status among several", answers("HTTP/1.1 204 No\r\n\r\n"),
       [](config::HealthCheck& check) { check.expect_status = {{200, 200}, {204, 206}}; },
       CheckOutcome::kPassed, "status 204"},
      {"not HTTP", answers("SSH-2.0-OpenSSH_9.2\r\n\r\n"), same, CheckOutcome::kBadResponse,
       nullptr},
      {"an interim answer first",
       answers("HTTP/1.1 103 Hint\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"), same,
       CheckOutcome::kPassed, "status 200"},
      {"HTTP/1.0", answers("HTTP/1.0 200 OK\r\n\r\nready"), same, CheckOutcome::kPassed,
       "status 200"},
      {"a body that is cut, and not looked at",
       answers("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nrea"), same, CheckOutcome::kPassed,
       "status 200"},
      {"the text in a body", answers("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nis ready."),
       wants_ready, CheckOutcome::kPassed, "status 200"},
      {"the text in two chunks",
       answers(
           "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nrea\r\n2\r\ndy\r\n0\r\n\r\n"),
       wants_ready, CheckOutcome::kPassed, "status 200"},
      {"the text at the end of the connection", answers("HTTP/1.0 200 OK\r\n\r\nready"),
       wants_ready, CheckOutcome::kPassed, "status 200"},
      {"the text in a body that is cut behind it",
       answers("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nready, but"), wants_ready,
       CheckOutcome::kPassed, "status 200"},
      {"another text", answers("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nsteady"), wants_ready,
       CheckOutcome::kBody, "body without the expected text"},
      {"no body", answers("HTTP/1.1 204 No\r\n\r\n"),
       [](config::HealthCheck& check) {
         check.expect_status = {{200, 299}};
         check.expect_body = "ready";
       },
       CheckOutcome::kBody, "body without the expected text"},
      {"a body that is cut before the text",
       answers("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nrea"), wants_ready,
       CheckOutcome::kReset, "reset: closed before the answer was whole"},
      {"a broken chunk", answers("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"),
       wants_ready, CheckOutcome::kBadResponse, nullptr},
      {"the text too far behind",
       answers("HTTP/1.1 200 OK\r\ncontent-length: 100005\r\n\r\n" + std::string(100'000, 'x') +
               "ready"),
       wants_ready, CheckOutcome::kBody, "body without the expected text"},
      {"the wrong status with the right text",
       answers("HTTP/1.1 500 No\r\ncontent-length: 5\r\n\r\nready"), wants_ready,
       CheckOutcome::kStatus, "status 500, expected 200"},
      {"HEAD", answers("HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n"),
       [](config::HealthCheck& check) { check.method = "HEAD"; }, CheckOutcome::kPassed,
       "status 200"},
      {"TCP", [](ProberWorld& world) { world.AddGood(1); },
       [](config::HealthCheck& check) { check.type = config::HealthCheck::Type::kTcp; },
       CheckOutcome::kPassed, "connected"},
      {"TCP, nobody listens", [](ProberWorld&) {},
       [](config::HealthCheck& check) { check.type = config::HealthCheck::Type::kTcp; },
       CheckOutcome::kConnectRefused, "connect_refused"},
      {"at its own port",
       [](ProberWorld& world) {
         SocketAddress address = world.Address(1);
         address.port = 9000;
         world.AddBackendAt(address, [](const BackendRequest&) { return BackendAnswer{}; });
       },
       [](config::HealthCheck& check) { check.port = 9000; }, CheckOutcome::kPassed, "status 200"},
  };
}

TEST(Prober, JudgesWhatABackendDoes) {
  for (const OutcomeCase& each : OutcomeCases()) {
    SCOPED_TRACE(each.name);
    for (uint64_t seed = 1; seed <= 5; ++seed) {
      // Pieces of any size, but nothing lost.
      FaultPlan faults;
      faults.short_receive = seed > 1 ? 0.7 : 0;
      faults.short_send = seed > 2 ? 0.5 : 0;
      ProberWorld world(seed, faults);
      each.set_up(world);
      auto check = world.Check(minutes(10));
      each.change(*check);
      world.Watch(1, check);
      world.world().RunUntil([&] { return !world.checks.empty(); }, seconds(30));
      ASSERT_EQ(world.checks.size(), 1u);
      const health::CheckResult& result = world.checks[0].result;
      EXPECT_EQ(CheckOutcomeName(result.outcome), CheckOutcomeName(each.outcome)) << result.detail;
      if (each.detail != nullptr) {
        EXPECT_EQ(result.detail, each.detail);
      }
      const bool timed_out = each.outcome == CheckOutcome::kConnectTimeout ||
                             each.outcome == CheckOutcome::kResponseTimeout;
      if (timed_out) {
        EXPECT_GE(result.took, seconds(2));
        EXPECT_LE(result.took, seconds(2) + kSlack);
      } else {
        EXPECT_LT(result.took, seconds(1));
      }
      EXPECT_EQ((*world.prober().counts(1))[static_cast<size_t>(each.outcome)], 1u);
      EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
    }
  }
}

TEST(Prober, ChecksUnixSockets) {
  ProberWorld world(18);
  SocketAddress address;
  address.kind = SocketAddress::Kind::kUnix;
  address.path = "/run/app.sock";
  auto check = world.Check();
  check->port = 9000;  // of no meaning here
  world.prober().Add({.serial = 1, .address = address, .check = check});
  world.engine().Wake();
  world.world().RunUntil([&] { return !world.checks.empty(); }, seconds(1));
  ASSERT_EQ(world.checks.size(), 1u);
  EXPECT_EQ(CheckOutcomeName(world.checks[0].result.outcome), "connect_refused");
  SimHttpBackend& backend =
      world.AddBackendAt(address, [](const BackendRequest&) { return BackendAnswer{}; });
  world.world().RunUntil([&] { return world.checks.size() == 2; }, seconds(10));
  ASSERT_EQ(world.checks.size(), 2u);
  EXPECT_TRUE(world.checks[1].result.passed()) << world.checks[1].result.detail;
  EXPECT_EQ(backend.requests()[0].head.Get("host"), "localhost");
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

TEST(Prober, LackOfDescriptorsSaysNothingAboutTheBackend) {
  FaultPlan faults;
  faults.open_fails = 1;
  ProberWorld world(6, faults);
  world.AddGood(1);
  world.Watch(1, world.Check(seconds(1)));
  world.world().RunFor(seconds(10));
  EXPECT_THAT(world.checks, IsEmpty());
  const uint64_t failed = (*world.prober().counts(1))[static_cast<size_t>(CheckOutcome::kLocal)];
  EXPECT_GE(failed, 9u);
  EXPECT_LE(failed, 13u);
  world.engine().faults().open_fails = 0;
  world.world().RunFor(seconds(2));
  ASSERT_FALSE(world.checks.empty());
  EXPECT_TRUE(world.checks[0].result.passed());
  EXPECT_THAT(world.StopAndListLeaks(), IsEmpty());
}

}  // namespace
}  // namespace rondo::sim
