// What a worker reports of a backend, in virtual time.
#include "sim/proxy_case.h"

namespace rondo::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kFirst = "10.0.1.1:80";

class ProxyReports : public ProxyCase {
 protected:
  // Whether the only backend has failures after the one request.
  bool Failed() {
    world_->AddClient({&world_->scene().requests.front()});
    (void)world_->world().RunFor(seconds(30));
    // The run of failures, or that it has come to max_fails or was a refusal.
    const upstream::BackendShared& backend = world_->control().backend("a", kFirst);
    const bool failed = backend.failure_run.load() != 0 || backend.reports.load() != 0;
    Finish();
    return failed;
  }
};

TEST_F(ProxyReports, WhatABackendDidWrongCountsAndWhatClientsDidDoesNot) {
  struct Case {
    const char* what;
    std::function<void(RequestPlan&)> plan;
    bool failed;
  };
  const auto kind = [](AnswerKind answer) {
    return [answer](RequestPlan& request) { request.answers[0].kind = answer; };
  };
  const Case cases[] = {
      {"an answer", [](RequestPlan&) {}, false},
      {"a reset", kind(AnswerKind::kResetAtOnce), true},
      {"a close", kind(AnswerKind::kCloseAtOnce), true},
      {"no answer", kind(AnswerKind::kNever), true},
      {"what is not HTTP", kind(AnswerKind::kGarbage), true},
      {"an unasked 101", kind(AnswerKind::kUnasked101), true},
      {"a status of its own", [](RequestPlan& request) { request.answers[0].status = 500; }, false},
      {"a client that goes",
       [](RequestPlan& request) {
         request.answers[0].kind = AnswerKind::kNever;
         request.method = "POST";
         request.body = Length(1000);
         request.fault = ClientFault::kResetInside;
         request.cut = 500;
       },
       false},
      {"a client that is slow",
       [](RequestPlan& request) {
         request.method = "POST";
         request.body = Length(1000);
         request.fault = ClientFault::kStallInside;
         request.cut = 500;
       },
       false},
  };
  tune_ = [](config::Config& config) { config.upstreams[0].retries.attempts = 0; };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.what);
    Build(1);
    each.plan(Request());
    EXPECT_EQ(Failed(), each.failed);
  }
}

TEST_F(ProxyReports, AStatusThatRetriesNameCounts) {
  tune_ = [](config::Config& config) { config.upstreams[0].retries.on.status_503 = true; };
  Build(1);
  Request().answers[0].status = 503;
  EXPECT_TRUE(Failed());
}

TEST_F(ProxyReports, ARefusedConnectionCountsAndOneThatIsNotAnsweredToo) {
  for (const bool refuse : {true, false}) {
    Build(1);
    SimNetwork& network = world_->world().network();
    const SocketAddress address = *SocketAddress::Parse(kFirst);
    refuse ? network.Refuse(address) : network.BlackHole(address);
    Request();
    EXPECT_TRUE(Failed());
  }
}

TEST_F(ProxyReports, APooledConnectionThatWasClosedMeanwhileIsNobodysFailure) {
  Build(1);
  RequestPlan& first = Request();
  RequestPlan& second = Request();
  second.method = "POST";
  second.think = milliseconds(500);
  second.answers[0].kind = AnswerKind::kCloseAtOnce;
  world_->AddClient({&first, &second});
  (void)world_->world().RunFor(seconds(3));
  EXPECT_EQ(world_->control().backend("a", kFirst).failure_run.load(), 0u);
  Finish();
  ExpectAnswer(first, 200);
}

}  // namespace
}  // namespace rondo::sim
