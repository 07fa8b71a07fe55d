// One behaviour of the proxy a test, in virtual time: what drawn runs have found, deadlines,
// what a cut looks like, repeats.
#include "sim/proxy_case.h"

namespace rondo::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// -- found by seeds --

TEST_F(ProxyCase, AnAnswerThatDidNotSayCloseLeavesTheConnectionOpenInADrain) {
  Build();
  RequestPlan& slow = Request();
  slow.answers[0].body = Length(2000);
  slow.answers[0].piece = 200;
  slow.answers[0].pause = milliseconds(50);
  RequestPlan& next = Request();
  ProxyClient& client = world_->AddClient({&slow, &next});
  world_->world().After(milliseconds(200), [this] { world_->Drain(); });
  Finish();
  ExpectAnswer(slow, 200);
  ExpectAnswer(next, 200);
  EXPECT_FALSE(client.saw_reset());
}

TEST_F(ProxyCase, ALateSecondHeadIsAnsweredOnceAndEndsTheConnection) {
  Build();
  RequestPlan& first = Request();
  first.method = "HEAD";
  RequestPlan& late = Request();
  late.fault = ClientFault::kStallInside;
  late.cut = 10;
  first.answers[0].delay = milliseconds(50);  // so that the bytes of the second are here before
  ConnectionPlan plan;
  plan.depth = 2;
  plan.requests = {&first, &late};
  ProxyClient& client = world_->AddClient(std::move(plan));
  Finish();
  ExpectAnswer(first, 200);
  // With its reason, though the request before was a HEAD.
  ExpectAnswer(late, 408, "request_header_timeout");
  ExpectTook(late, config_.timeouts.request_header + milliseconds(50));
  EXPECT_LT(client.ended_at() - late.outcome.ended, milliseconds(20));
}

TEST_F(ProxyCase, AnInterimAnswerDoesNotShortenTheWaitForTheFinalOne) {
  tune_ = [](config::Config& config) {
    config.upstreams[0].timeouts.idle = milliseconds(300);
    config.upstreams[0].timeouts.response = seconds(2);
  };
  for (const bool uploads : {false, true}) {
    SCOPED_TRACE(uploads);
    Build();
    RequestPlan& before = Request();
    RequestPlan& request = Request();
    request.method = "POST";
    if (uploads) {
      // Longer than the idle timeout, but never silent for so long.
      request.body = Length(10'000);
      request.expects_continue = true;
      request.piece = 1000;
      request.pause = milliseconds(100);
    } else {
      request.answers[0].interims = {103};
      request.answers[0].piece = 70;  // the interim answer, then silence
      request.answers[0].pause = milliseconds(900);
    }
    world_->AddClient({&before, &request});
    Finish();
    ExpectAnswer(before, 200);
    ExpectAnswer(request, 200);
  }
}

TEST_F(ProxyCase, AnEarlyAnswerStopsALongUploadWithoutLeavingAReceiveBehind) {
  for (seed_ = 1; seed_ < 60; ++seed_) {
    Build();
    for (size_t i = 0; i < 10; ++i) {
      RequestPlan& request = Request();
      request.method = "POST";
      request.body = i % 2 == 0 ? Length(400'000) : Chunked(400'000);
      request.answers[0].early = true;
      request.answers[0].delay = milliseconds(i);
      world_->AddClient({&request});
    }
    Finish();
    for (const RequestPlan& request : world_->scene().requests) ExpectAnswer(request, 200);
  }
}

TEST_F(ProxyCase, ARequestIsRepeatedOnlyWithAllOfItsBody) {
  // The answer that asks for a retry comes while the upload is about to pass what may be held of it.
  tune_ = [](config::Config& config) { config.upstreams[0].retries.on.status_503 = true; };
  int repeated = 0;
  int passed_on = 0;
  for (seed_ = 1; seed_ < 200; ++seed_) {
    Build(2);
    for (size_t i = 0; i < 10; ++i) {
      RequestPlan& request = Request();
      request.method = "PUT";
      request.body = i % 2 == 0 ? Length(90'000) : Chunked(90'000);
      request.piece = 4000;
      request.pause = std::chrono::microseconds(100);
      AnswerPlan early = request.answers[0];
      early.status = 503;
      early.early = true;
      early.delay = std::chrono::microseconds(300 * i);
      request.answers = {early, AnswerPlan()};
      world_->AddClient({&request});
    }
    Finish();
    for (const RequestPlan& request : world_->scene().requests) {
      EXPECT_EQ(request.outcome.kind, OutcomeKind::kAnswered) << request.ToString();
      // A second backend answers only what it got to the last byte.
      EXPECT_TRUE(request.outcome.status == 200 || request.outcome.status == 503);
      if (request.outcome.status == 200) EXPECT_EQ(request.wholes_at_backends, 1);
      ++(request.outcome.status == 200 ? repeated : passed_on);
    }
  }
  EXPECT_GT(repeated, 0);
  EXPECT_GT(passed_on, 0);
}

// -- deadlines --

TEST_F(ProxyCase, ABackendThatNeverAnswersIsAResponseTimeout) {
  Build();
  RequestPlan& request = Request();
  request.answers[0].kind = AnswerKind::kNever;
  world_->AddClient({&request});
  Finish();
  ExpectAnswer(request, 504, "response_timeout");
  ExpectTook(request, config_.upstreams[0].timeouts.response);
}

TEST_F(ProxyCase, ABackendThatCannotBeReachedIsAConnectTimeout) {
  tune_ = [](config::Config& config) { config.upstreams[0].retries.attempts = 0; };
  Build();
  world_->world().network().BlackHole(config_.upstreams[0].backends[0].address);
  RequestPlan& request = Request();
  world_->AddClient({&request});
  world_->world().After(seconds(20), [this] {
    world_->world().network().Restore(config_.upstreams[0].backends[0].address);
  });
  Finish();
  ExpectAnswer(request, 504, "connect_timeout");
  ExpectTook(request, config_.upstreams[0].timeouts.connect);
}

TEST_F(ProxyCase, AHeadThatDribblesIsARequestHeaderTimeout) {
  Build();
  RequestPlan& request = Request();
  request.piece = 1;
  request.pause = milliseconds(100);
  world_->AddClient({&request});
  Finish();
  ExpectAnswer(request, 408, "request_header_timeout");
  ExpectTook(request, config_.timeouts.request_header);
}

TEST_F(ProxyCase, ABodyThatStopsIsARequestBodyTimeout) {
  for (const BodyPlan& body : {Length(1000), Chunked(1000)}) {
    Build();
    RequestPlan& request = Request();
    request.method = "POST";
    request.body = body;
    request.fault = ClientFault::kStallInside;
    request.cut = request.WriteHead().size() + 500;
    world_->AddClient({&request});
    Finish();
    ExpectAnswer(request, 408, "request_body_timeout");
    ExpectTook(request, config_.timeouts.request_body);
    EXPECT_EQ(request.wholes_at_backends, 0);
  }
}

TEST_F(ProxyCase, AnAnswerThatStopsIsCutAtTheIdleTimeout) {
  for (const BodyPlan& body : {Length(50'000), Chunked(50'000)}) {
    Build();
    RequestPlan& request = Request();
    request.answers[0].kind = AnswerKind::kStallInside;
    request.answers[0].body = body;
    request.answers[0].cut = 20'000;
    ProxyClient& client = world_->AddClient({&request});
    Finish();
    EXPECT_EQ(request.outcome.kind, OutcomeKind::kTruncated);
    EXPECT_FALSE(client.saw_reset());  // the framing shows the cut; what came is not thrown away
    ExpectTook(request, config_.upstreams[0].timeouts.idle, milliseconds(40));
  }
}

TEST_F(ProxyCase, AClientThatReadsNothingIsGivenUpAtTheIdleTimeout) {
  Build();
  RequestPlan& request = Request();
  request.answers[0].body = Length(3'000'000);  // more than all buffers on the way hold
  request.fault = ClientFault::kStopReading;
  request.cut = 1;
  world_->AddClient({&request});
  const RunEnd end = world_->world().RunUntil(
      [this, &request] { return request.heads_at_backends > 0 && world_->control().in_flight() == 0; },
      seconds(30));
  EXPECT_EQ(end.stop, Stop::kPredicate) << end.why;
  EXPECT_LT(world_->world().now() - request.outcome.sent, seconds(5));
  Finish();
}

TEST_F(ProxyCase, AnIdleConnectionIsClosedInOrderAtTheKeepaliveTimeout) {
  Build();
  RequestPlan& request = Request();
  RequestPlan& late = Request();
  late.think = seconds(30);
  ProxyClient& client = world_->AddClient({&request, &late});
  Finish();
  ExpectAnswer(request, 200);
  EXPECT_FALSE(client.saw_reset());
  const Duration idle = client.ended_at() - request.outcome.ended;
  EXPECT_GE(idle + milliseconds(5), config_.timeouts.keepalive);
  EXPECT_LE(idle, config_.timeouts.keepalive + milliseconds(20));
}

// -- what a cut looks like --

TEST_F(ProxyCase, ACutAnswerNeverLooksWhole) {
  for (const int minor_version : {0, 1}) {
    for (const BodyPlan& body : {Length(3000), Chunked(3000)}) {
      for (const AnswerKind kind : {AnswerKind::kTruncated, AnswerKind::kResetInside}) {
        Build();
        for (size_t i = 0; i < 60; ++i) {
          RequestPlan& request = Request();
          request.method = "POST";
          request.minor_version = minor_version;
          request.answers[0] = Answer(kind, body);
          request.answers[0].cut = i * 53;
          world_->AddClient({&request});
        }
        Finish();
        for (const RequestPlan& request : world_->scene().requests) {
          const bool told = request.outcome.kind == OutcomeKind::kAnswered;
          if (told) EXPECT_EQ(request.outcome.status, 502) << request.ToString();
          EXPECT_EQ(request.heads_at_backends, 1);
        }
      }
    }
  }
}

TEST_F(ProxyCase, WhatIsNoAnswerIsABadResponse) {
  for (const AnswerKind kind : {AnswerKind::kGarbage, AnswerKind::kUnasked101}) {
    Build();
    RequestPlan& request = Request();
    request.answers[0].kind = kind;
    world_->AddClient({&request});
    Finish();
    ExpectAnswer(request, 502, "bad_response");
  }
}

// -- repeats --

TEST_F(ProxyCase, OnlyWhatMayBeRepeatedIsSentAgainAfterAReset) {
  struct Case {
    const char* method;
    bool key;
    int status;
    int heads;
  };
  for (const Case& each :
       {Case{"GET", false, 200, 2}, Case{"PUT", false, 200, 2}, Case{"POST", false, 502, 1},
        Case{"POST", true, 200, 2}, Case{"PATCH", false, 502, 1}, Case{"PURGE", false, 502, 1}}) {
    for (const AnswerKind kind : {AnswerKind::kCloseAtOnce, AnswerKind::kResetAtOnce}) {
      SCOPED_TRACE(each.method);
      Build(2);
      RequestPlan& request = Request();
      request.method = each.method;
      request.idempotency_key = each.key;
      request.answers = {Answer(kind), Answer(AnswerKind::kWhole)};
      world_->AddClient({&request});
      Finish();
      ExpectAnswer(request, each.status, each.status == 200 ? "" : "backend_reset");
      EXPECT_EQ(request.heads_at_backends, each.heads);
    }
  }
}

TEST_F(ProxyCase, ARefusedConnectionIsTriedAtEachBackend) {
  tune_ = [](config::Config& config) { config.upstreams[0].retries.attempts = 0; };
  Build(4);
  for (size_t i = 0; i < 3; ++i) {
    world_->world().network().Refuse(config_.upstreams[0].backends[i].address);
  }
  for (int i = 0; i < 8; ++i) {
    RequestPlan& request = Request();
    request.method = "POST";
    request.body = Length(5000);
    world_->AddClient({&request});
  }
  Finish();
  for (const RequestPlan& request : world_->scene().requests) ExpectAnswer(request, 200);
}

TEST_F(ProxyCase, WhereOurPortsToABackendAreUsedUpAnotherOneIsTried) {
  Build(2);
  world_->world().network().Refuse(config_.upstreams[0].backends[0].address, EADDRNOTAVAIL);
  for (int i = 0; i < 8; ++i) {
    RequestPlan& request = Request();
    request.method = "POST";
    request.body = Length(5000);
    world_->AddClient({&request});
  }
  (void)world_->world().RunFor(std::chrono::seconds(3));
  // It is no fault of the backend's.
  EXPECT_EQ(world_->control().backend("a", "10.0.1.1:80").failure_run.load(), 0u);
  EXPECT_EQ(world_->control().backend("a", "10.0.1.1:80").reports.load(), 0u);
  Finish();
  for (const RequestPlan& request : world_->scene().requests) ExpectAnswer(request, 200);
}

TEST_F(ProxyCase, AConnectionThatItsBackendClosedWhileIdleIsNotUsedAgain) {
  Build(1, {.idle_close = milliseconds(300)});
  RequestPlan& first = Request();
  RequestPlan& second = Request();
  second.method = "POST";  // may not be repeated
  second.body = Length(100);
  second.think = milliseconds(600);
  world_->AddClient({&first, &second});
  Finish();
  ExpectAnswer(first, 200);
  ExpectAnswer(second, 200);
  EXPECT_EQ(world_->backends()[0]->accepted(), 2u);
}

TEST_F(ProxyCase, ARequestBehindALongBodyInOnePieceIsKeptWhole) {
  for (seed_ = 1; seed_ < 40; ++seed_) {
    Build();
    ConnectionPlan plan;
    plan.depth = 12;
    for (size_t i = 0; i < 12; ++i) {
      RequestPlan& request = Request();
      request.method = "POST";
      request.body = i % 2 == 0 ? Length(17'000 * (i + 1)) : Chunked(17'000 * (i + 1));
      request.padding = 1000 * i;
      plan.requests.push_back(&request);
    }
    world_->AddClient(std::move(plan));
    Finish();
    for (const RequestPlan& request : world_->scene().requests) ExpectAnswer(request, 200);
  }
}

TEST_F(ProxyCase, ARepeatedBodyIsTheSameBody) {
  for (const BodyPlan& body : {Length(60'000), Chunked(60'000)}) {
    Build(2);
    RequestPlan& request = Request();
    request.method = "PUT";
    request.body = body;
    request.piece = 3000;
    request.pause = milliseconds(3);
    request.answers = {Answer(AnswerKind::kResetAtOnce), Answer(AnswerKind::kWhole, Chunked(100))};
    world_->AddClient({&request});
    Finish();
    ExpectAnswer(request, 200);
    EXPECT_EQ(request.heads_at_backends, 2);
    EXPECT_EQ(request.wholes_at_backends, 1);
  }
}

}  // namespace
}  // namespace rondo::sim
