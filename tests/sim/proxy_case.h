// What the tests of single behaviours of the proxy share.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "sim/proxy_world.h"

namespace rondo::sim {

// A proxy with one backend, and clients that the test adds.
class ProxyCase : public ::testing::Test {
 protected:
  void Build(size_t backends = 1, const BackendOptions& options = {}) {
    config_.upstreams = {ProxyWorld::MakeUpstream("a", backends), ProxyWorld::MakeUpstream("b", 1)};
    if (tune_) tune_(config_);
    world_ = std::make_unique<ProxyWorld>(seed_, config_, ProxyWorldOptions{});
    for (const config::Backend& backend : config_.upstreams[0].backends) {
      world_->AddBackend(backend.address, options);
    }
  }
  RequestPlan& Request() { return world_->AddRequest(); }
  // Lets all happen and checks that nothing is left.
  void Finish(Duration clients_max = std::chrono::seconds(120)) {
    world_->Finish(clients_max, std::chrono::seconds(30));
    EXPECT_EQ(world_->Findings(), "");
    EXPECT_TRUE(world_->workers_finished());
    if (!world_->workers_finished()) (void)world_.release();
  }
  Duration Took(const RequestPlan& request) { return request.outcome.ended - request.outcome.sent; }
  // The deadline's own time, plus what the wheel and the network may add.
  void ExpectTook(const RequestPlan& request, Duration least,
                  Duration slack = std::chrono::milliseconds(20)) {
    EXPECT_GE(Took(request), least);
    EXPECT_LE(Took(request), least + slack);
  }

  uint64_t seed_ = 1;
  config::Config config_ = ProxyWorld::BaseConfig();
  std::function<void(config::Config&)> tune_;
  std::unique_ptr<ProxyWorld> world_;
};

inline void ExpectAnswer(const RequestPlan& request, int status, const std::string& reason = "") {
  EXPECT_EQ(request.outcome.kind, OutcomeKind::kAnswered) << request.ToString();
  EXPECT_EQ(request.outcome.status, status);
  EXPECT_EQ(request.outcome.reason, reason);
}

inline AnswerPlan Answer(AnswerKind kind, const BodyPlan& body = {BodyMode::kLength}) {
  AnswerPlan answer;
  answer.kind = kind;
  answer.body = body;
  return answer;
}

inline BodyPlan Length(size_t bytes) { return {BodyMode::kLength, 77, bytes, false}; }
inline BodyPlan Chunked(size_t bytes) { return {BodyMode::kChunked, 78, bytes, true}; }

}  // namespace rondo::sim
