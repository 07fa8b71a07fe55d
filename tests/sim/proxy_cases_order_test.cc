// One behaviour of the proxy a test, in virtual time: order, tunnels, the end of a worker.
#include "sim/proxy_case.h"

namespace rondo::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// -- order --

TEST_F(ProxyCase, PipelinedRequestsAreAnsweredInOrder) {
  Build();
  ConnectionPlan plan;
  plan.depth = 20;
  for (int i = 0; i < 20; ++i) {
    RequestPlan& request = Request();
    request.method = i % 3 == 0 ? "POST" : (i % 5 == 0 ? "HEAD" : "GET");
    if (i % 3 == 0) request.body = i % 2 == 0 ? Length(3000) : Chunked(3000);
    request.answers[0].body = i % 4 == 0 ? Chunked(5000) : Length(100);
    request.answers[0].delay = milliseconds(i % 7);
    plan.requests.push_back(&request);
  }
  world_->AddClient(std::move(plan));
  Finish();
  for (const RequestPlan& request : world_->scene().requests) ExpectAnswer(request, 200);
}

TEST_F(ProxyCase, AMalformedRequestEndsThePipelineBehindTheAnswersBefore) {
  Build();
  RequestPlan& good = Request();
  good.answers[0].delay = milliseconds(100);
  RequestPlan& bad = Request();
  bad.kind = RequestKind::kMalformed;
  bad.malformed = "GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
  RequestPlan& after = Request();
  ConnectionPlan plan;
  plan.depth = 3;
  plan.requests = {&good, &bad, &after};
  ProxyClient& client = world_->AddClient(std::move(plan));
  Finish();
  ExpectAnswer(good, 200);
  ExpectAnswer(bad, 400, "several_hosts");
  EXPECT_EQ(after.heads_at_backends, 0);
  EXPECT_FALSE(client.saw_reset());
}

// -- tunnels --

TEST_F(ProxyCase, ATunnelBringsAllBytesAndBothEnds) {
  for (const TunnelEnd end : {TunnelEnd::kHalfClose, TunnelEnd::kCloseWhenEchoed}) {
    for (const size_t early : {size_t{0}, size_t{1}, size_t{40'000}}) {
      Build();
      RequestPlan& request = Request();
      request.kind = RequestKind::kUpgrade;
      request.tunnel_bytes = 200'000;
      request.tunnel_early = early;
      request.tunnel_end = end;
      ProxyClient& client = world_->AddClient({&request});
      Finish();
      EXPECT_EQ(request.outcome.kind, OutcomeKind::kTunnelled);
      EXPECT_EQ(request.outcome.tunnel_echoed, request.tunnel_bytes);
      EXPECT_FALSE(client.saw_reset());
    }
  }
}

TEST_F(ProxyCase, ASilentTunnelEndsAtTheTunnelTimeout) {
  Build();
  RequestPlan& request = Request();
  request.kind = RequestKind::kUpgrade;
  request.tunnel_bytes = 100;
  request.answers[0].delay = milliseconds(1);
  request.tunnel_end = TunnelEnd::kCloseWhenEchoed;
  // Echoes but one byte, and keeps the connection.
  request.answers[0].tunnel_cut = 99;
  request.answers[0].tunnel_holds = true;
  ProxyClient& client = world_->AddClient({&request});
  Finish();
  EXPECT_EQ(request.outcome.tunnel_echoed, 99u);
  const Duration open = client.ended_at() - request.outcome.sent;
  EXPECT_GE(open, config_.upstreams[0].timeouts.tunnel);
  EXPECT_LE(open, config_.upstreams[0].timeouts.tunnel + milliseconds(100));
}

TEST_F(ProxyCase, ABackendThatVanishesEndsItsTunnel) {
  for (const bool reset : {false, true}) {
    Build();
    RequestPlan& request = Request();
    request.kind = RequestKind::kUpgrade;
    request.tunnel_bytes = 100'000;
    request.piece = 5000;
    request.pause = milliseconds(5);
    request.answers[0].tunnel_cut = 30'000;
    request.answers[0].tunnel_reset = reset;
    world_->AddClient({&request});
    Finish();
    EXPECT_EQ(request.outcome.kind, OutcomeKind::kTunnelled);
    EXPECT_LE(request.outcome.tunnel_echoed, 30'000u);
  }
}

TEST_F(ProxyCase, WhatABackendSaidBeforeItLeftReachesAClientThatStillTalks) {
  for (seed_ = 1; seed_ < 40; ++seed_) {
    Build();
    RequestPlan& request = Request();
    request.kind = RequestKind::kUpgrade;
    // Closes behind the fourth piece; the fifth is answered with a reset, the sixth cannot be sent,
    // while the client is still reading.
    request.tunnel_bytes = 30'000;
    request.piece = 5000;
    request.pause = milliseconds(100);
    request.answers[0].tunnel_cut = 20'000;
    ConnectionPlan plan;
    plan.requests = {&request};
    plan.read_bytes = 250;
    plan.read_pause = milliseconds(20);
    world_->AddClient(std::move(plan));
    Finish();
    // But for what the reset itself overtakes on the wire.
    EXPECT_GE(request.outcome.tunnel_echoed, 19'000u) << seed_;
  }
}

// -- the end --

TEST_F(ProxyCase, ADrainWaitsForRequestsAndTunnelsAndACutEndsThem) {
  Build();
  RequestPlan& request = Request();
  request.answers[0].delay = milliseconds(1500);
  RequestPlan& tunnel = Request();
  tunnel.kind = RequestKind::kUpgrade;
  tunnel.tunnel_bytes = 10;
  tunnel.tunnel_end = TunnelEnd::kCloseWhenEchoed;
  tunnel.answers[0].tunnel_cut = 9;
  tunnel.answers[0].tunnel_holds = true;
  world_->AddClient({&request});
  world_->AddClient({&tunnel});
  world_->world().After(milliseconds(100), [this] { world_->Drain(); });
  world_->world().After(seconds(3), [this] {
    EXPECT_FALSE(world_->workers_finished());
    world_->Cancel();
  });
  const RunEnd end =
      world_->world().RunUntil([this] { return world_->workers_finished(); }, seconds(4));
  EXPECT_EQ(end.stop, Stop::kPredicate) << end.why;
  EXPECT_LT(world_->world().now() - world_->drained_at(), seconds(3));
  Finish();
  ExpectAnswer(request, 200);
  EXPECT_EQ(tunnel.outcome.kind, OutcomeKind::kTunnelled);
}

TEST_F(ProxyCase, AnIdleConnectionMayBringOneMoreRequestInADrain) {
  Build();
  RequestPlan& before = Request();
  RequestPlan& late = Request();
  late.think = seconds(4);
  RequestPlan& too_late = Request();
  too_late.think = milliseconds(1);
  world_->AddClient({&before, &late, &too_late});
  world_->world().After(milliseconds(500), [this] { world_->Drain(); });
  Finish();
  ExpectAnswer(late, 200);
  EXPECT_EQ(too_late.outcome.kind, OutcomeKind::kNotSent);
}

}  // namespace
}  // namespace rondo::sim
