// What a publication does and does not do to traffic: snapshots, listeners, upstreams and settings
// that change under connections, requests and tunnels.
#include "sim/proxy_case.h"

namespace rondo::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kFirst = "10.0.1.1:80";
constexpr const char* kSecond = "10.0.1.2:80";

class ProxyReload : public ProxyCase {
 protected:
  void Change(Duration at, std::function<void(config::Config&)> change) {
    world_->world().After(
        at, [this, change = std::move(change)] { (void)world_->control().Change(change); });
  }
  // A request of its own connection, begun at `at`.
  RequestPlan& RequestAt(Duration at, const std::string& upstream = "a") {
    RequestPlan& request = world_->AddRequest(upstream);
    ConnectionPlan plan;
    plan.start = at;
    plan.requests = {&request};
    world_->AddClient(std::move(plan));
    return request;
  }
  static void Redirect(config::Config& config, const std::string& to) {
    config.listeners[0].routes[0].upstream = to;
  }
};

TEST_F(ProxyReload, AWorkerAcknowledgesAnEpochOnceItHasIt) {
  Build();
  const uint64_t first = world_->control().Change([](config::Config&) {});
  EXPECT_FALSE(world_->control().Acknowledged(first));
  // What it has not taken yet goes into the next.
  const uint64_t second = world_->control().Change([](config::Config&) {});
  EXPECT_GT(second, first);
  (void)world_->world().RunFor(milliseconds(10));
  EXPECT_TRUE(world_->control().Acknowledged(second));
  EXPECT_EQ(world_->control().snapshots_held(), 1u);
  Finish();
}

TEST_F(ProxyReload, AnIdleConnectionFollowsTheRoutesOfTheDay) {
  Build();
  world_->AddBackend(config_.upstreams[1].backends[0].address);
  RequestPlan& before = Request();
  RequestPlan& after = Request();
  after.think = seconds(1);
  world_->AddClient({&before, &after});
  Change(milliseconds(500), [](config::Config& config) { Redirect(config, "b"); });
  Finish();
  ExpectAnswer(before, 200);
  ExpectAnswer(after, 200);
  EXPECT_EQ(before.backends, std::vector<std::string>{kFirst});
  EXPECT_EQ(after.backends, std::vector<std::string>{"10.0.2.1:80"});
}

TEST_F(ProxyReload, ARequestKeepsTheRouteAndTheLimitsThatItBeganWith) {
  Build();
  RequestPlan& request = Request();
  request.method = "POST";
  request.body = Length(10'000);
  request.piece = 1000;
  request.pause = milliseconds(50);
  world_->AddClient({&request});
  Change(milliseconds(200), [](config::Config& config) {
    config.listeners[0].routes.erase(config.listeners[0].routes.begin());
    config.limits.body_bytes = 10;
  });
  RequestPlan& later = RequestAt(milliseconds(300));
  Finish();
  ExpectAnswer(request, 200);
  ExpectAnswer(later, 404, "no_route");
}

TEST_F(ProxyReload, AnOldSnapshotIsInUseUntilTheLastRequestThatBeganWithItHasEnded) {
  Build();
  RequestPlan& slow = Request();
  slow.answers[0].delay = seconds(2);
  world_->AddClient({&slow});
  Change(milliseconds(100), [](config::Config& config) { config.limits.header_count = 50; });
  Change(milliseconds(200), [](config::Config& config) { config.limits.header_count = 60; });
  (void)world_->world().RunFor(seconds(1));
  // That which nobody began with has gone.
  EXPECT_EQ(world_->control().snapshots_held(), 3u);
  (void)world_->world().RunFor(seconds(2));
  EXPECT_EQ(world_->control().snapshots_held(), 1u);
  Finish();
  ExpectAnswer(slow, 200);
}

TEST_F(ProxyReload, AWorkerThatHasFinishedKeepsNoSnapshotAndHoldsNobodyUp) {
  Build();
  world_->Drain();
  (void)world_->world().RunFor(seconds(1));
  ASSERT_TRUE(world_->workers_finished());
  const uint64_t epoch = world_->control().Change([](config::Config&) {});
  for (int round = 0; round < 2; ++round) {
    EXPECT_TRUE(world_->control().Acknowledged(epoch + 1));
    EXPECT_EQ(world_->control().snapshots_held(), 1u);
    (void)world_->world().RunFor(seconds(1));
  }
  Finish();
}

TEST_F(ProxyReload, ABackendThatIsAddedGetsItsShareAndOneThatIsDrainedFinishesItsRequests) {
  Build(1);
  world_->AddBackend(*SocketAddress::Parse(kSecond));
  RequestPlan& slow = Request();
  slow.answers[0].delay = seconds(1);
  world_->AddClient({&slow});
  Change(milliseconds(100), [](config::Config& config) {
    config::Backend added = config.upstreams[0].backends[0];
    added.id = kSecond;
    added.address = *SocketAddress::Parse(kSecond);
    config.upstreams[0].backends.push_back(added);
  });
  world_->world().After(milliseconds(200),
                        [this] { world_->control().Drain("a", kFirst, seconds(30), true); });
  std::vector<RequestPlan*> later;
  for (int i = 0; i < 10; ++i) later.push_back(&RequestAt(milliseconds(300 + 300 * i)));
  Finish();
  ExpectAnswer(slow, 200);
  for (const RequestPlan* request : later) {
    ExpectAnswer(*request, 200);
    EXPECT_EQ(request->backends, std::vector<std::string>{kSecond});
  }
  ASSERT_EQ(world_->snapshot().upstreams[0]->backends.size(), 1u);
  EXPECT_EQ(world_->snapshot().upstreams[0]->backends[0]->id, kSecond);
}

TEST_F(ProxyReload, ARetryPicksByTheConfigurationOfTheMoment) {
  Build(1);
  world_->AddBackend(*SocketAddress::Parse(kSecond));
  RequestPlan& request = Request();
  AnswerPlan reset = Answer(AnswerKind::kResetAtOnce);
  reset.kind = AnswerKind::kResetInside;
  reset.cut = 0;
  reset.delay = milliseconds(500);
  request.answers = {reset, AnswerPlan()};
  world_->AddClient({&request});
  Change(milliseconds(200), [](config::Config& config) {
    config.upstreams[0].backends[0].id = kSecond;
    config.upstreams[0].backends[0].address = *SocketAddress::Parse(kSecond);
  });
  Finish();
  ExpectAnswer(request, 200);
  EXPECT_EQ(request.backends, (std::vector<std::string>{kFirst, kSecond}));
}

TEST_F(ProxyReload, WhoWaitsForAnUpstreamThatIsRemovedIsToldThatNoBackendIsUp) {
  tune_ = [](config::Config& config) {
    config.upstreams[0].backends[0].max_connections = 1;
    config.upstreams[0].queue.timeout = seconds(10);
  };
  Build(1);
  world_->AddBackend(config_.upstreams[1].backends[0].address);
  RequestPlan& holds = Request();
  holds.answers[0].delay = seconds(2);
  world_->AddClient({&holds});
  RequestPlan& waits = RequestAt(milliseconds(100));
  Change(milliseconds(500), [](config::Config& config) {
    Redirect(config, "b");
    config.upstreams.erase(config.upstreams.begin());
  });
  RequestPlan& later = RequestAt(milliseconds(700));
  Finish();
  ExpectAnswer(holds, 200);
  ExpectAnswer(waits, 503, "no_backend_up");
  ExpectTook(waits, milliseconds(390), milliseconds(20));
  ExpectAnswer(later, 200);
}

TEST_F(ProxyReload, AnUpstreamWithoutBackendsHasNoneUpAndSaysWhenToComeBack) {
  tune_ = [](config::Config& config) { config.upstreams[0].backends.clear(); };
  Build(1);
  RequestPlan& request = Request();
  RequestPlan& old = Request();
  old.minor_version = 0;
  old.wants_keep_alive = false;
  world_->AddClient({&request, &old});
  Finish();
  ExpectAnswer(request, 503, "no_backend_up");
  ExpectAnswer(old, 503, "no_backend_up");
}

TEST_F(ProxyReload, RequestsWaitForABackendThatIsBeingChecked) {
  Build(1);
  world_->control().Flip("a", kFirst, health::State::kChecking);
  RequestPlan& request = RequestAt(milliseconds(100));
  world_->world().After(seconds(1),
                        [this] { world_->control().Flip("a", kFirst, health::State::kUp); });
  Finish();
  ExpectAnswer(request, 200);
  ExpectTook(request, milliseconds(890), milliseconds(50));
}

TEST_F(ProxyReload, AListenerThatIsAddedServesAndOneThatIsRemovedLetsItsClientsFinish) {
  Build();
  const Instant began = world_->world().now();
  constexpr const char* kOther = "10.0.0.1:81";
  Change(milliseconds(100), [](config::Config& config) {
    config::Listener other = config.listeners[0];
    other.name = "other";
    other.listen = {*SocketAddress::Parse(kOther)};
    config.listeners.push_back(other);
  });
  Change(seconds(2), [](config::Config& config) { config.listeners.pop_back(); });
  const auto connect = [&](Duration start, std::vector<RequestPlan*> requests) -> ProxyClient& {
    ConnectionPlan plan;
    plan.address = *SocketAddress::Parse(kOther);
    plan.start = start;
    plan.requests = std::move(requests);
    return world_->AddClient(std::move(plan));
  };
  // One that is being answered, one that asks once more soon, one that is late, and one that comes
  // too late.
  RequestPlan& running = Request();
  running.answers[0].delay = milliseconds(2500);
  RequestPlan& behind = Request();
  connect(seconds(1), {&running, &behind});
  RequestPlan& first = Request();
  RequestPlan& soon = Request();
  soon.think = seconds(3);
  RequestPlan& not_any_more = Request();
  connect(seconds(1), {&first, &soon, &not_any_more});
  RequestPlan& early = Request();
  ProxyClient& idle = connect(seconds(1), {&early, &Request()});
  world_->scene().requests.back().think = seconds(10);
  RequestPlan& refused = Request();
  connect(seconds(3), {&refused});
  RequestPlan& other_listener = RequestAt(seconds(4));
  Finish();
  ExpectAnswer(running, 200);
  EXPECT_EQ(behind.outcome.kind, OutcomeKind::kNotSent);
  ExpectAnswer(first, 200);
  ExpectAnswer(soon, 200);
  EXPECT_EQ(not_any_more.outcome.kind, OutcomeKind::kNotSent);
  ExpectAnswer(early, 200);
  // At the removal it had five seconds more.
  EXPECT_GE(idle.ended_at() - began, seconds(7));
  EXPECT_LE(idle.ended_at() - began, seconds(7) + milliseconds(50));
  EXPECT_EQ(refused.outcome.kind, OutcomeKind::kNotSent);
  ExpectAnswer(other_listener, 200);
}

TEST_F(ProxyReload, TimeoutsAndTheLogsFormatApplyToWhatBeginsAfterwards) {
  Build();
  RequestPlan& before = Request();
  before.answers[0].delay = seconds(2);
  world_->AddClient({&before});
  Change(milliseconds(100), [](config::Config& config) {
    config.logging.access.format = config::AccessLog::Format::kCombined;
    config.upstreams[0].timeouts.response = seconds(1);
    config.timeouts.keepalive = milliseconds(300);
  });
  RequestPlan& after = RequestAt(milliseconds(200));
  after.answers[0].delay = seconds(2);
  RequestPlan& keeps = Request();
  RequestPlan& late = Request();
  late.think = seconds(1);
  ConnectionPlan plan;
  plan.start = seconds(3);
  plan.requests = {&keeps, &late};
  world_->AddClient(std::move(plan));
  Finish();
  ExpectAnswer(before, 200);
  ExpectAnswer(after, 504, "response_timeout");
  ExpectAnswer(keeps, 200);
  EXPECT_NE(late.outcome.kind, OutcomeKind::kAnswered);
  EXPECT_NE(world_->log().lines().find("\"GET /a/1?x HTTP/1.1\" 504"), std::string::npos)
      << world_->log().lines();
}

TEST_F(ProxyReload, AThousandPublicationsUnderLoadLoseNothingAndLeaveNothing) {
  Build(2);
  for (int i = 0; i < 300; ++i) {
    std::vector<RequestPlan*> requests;
    for (int j = 0; j < 5; ++j) {
      RequestPlan& request = Request();
      request.answers[0].delay = milliseconds(50);
      requests.push_back(&request);
    }
    ConnectionPlan plan;
    plan.start = milliseconds(10 * i);
    plan.requests = requests;
    world_->AddClient(std::move(plan));
  }
  for (int i = 0; i < 1000; ++i) {
    Change(milliseconds(3 * i + 1), [i](config::Config& config) {
      config.upstreams[0].backends[static_cast<size_t>(i % 2)].weight =
          static_cast<uint32_t>(1 + i % 5);
      if (i % 3 == 0) config.limits.header_count = static_cast<uint32_t>(50 + i % 40);
      if (i % 7 == 0) config.listeners[0].routes[0].timeout = seconds(10 + i % 5);
    });
  }
  Finish();
  for (const RequestPlan& request : world_->scene().requests) ExpectAnswer(request, 200);
}

}  // namespace
}  // namespace rondo::sim
