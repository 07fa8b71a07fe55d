// A client's connection to the proxy: sends the requests of its plan, reads the answers strictly
// and checks that each belongs to its request and came whole, or was seen not to be.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "proxy_plan.h"
#include "securing_engine.h"

namespace rondo::sim {

class ProxyClient {
 public:
  ProxyClient(Scene& scene, SimEngine& engine, ConnectionPlan plan);
  void Secure(const Secures& secures) { secures_ = secures; }  // before Start
  void Start();

  bool finished() const { return finished_; }
  const ConnectionPlan& plan() const { return plan_; }
  bool connected() const { return connected_at_ != Instant{}; }
  // The proxy said that it would close, or the plan asked for it.
  bool close_expected() const { return no_more_; }
  bool saw_reset() const { return !orderly_; }
  Instant ended_at() const { return ended_at_; }

 private:
  void Connect();
  void Proceed();
  void BeginRequest(RequestPlan& request);
  void AddRequestSteps(RequestPlan& request);
  WireReader::Then TakeHead(const WireHead& head);
  WireReader::Then TakeInterim(const WireHead& head, RequestPlan& request);
  void CheckAnswerHead(const WireHead& head, RequestPlan& request);
  void TakeBody(std::string_view bytes);
  bool HasWholeBody(const RequestPlan& request) const;
  void TakeMessage(std::string_view trailers);
  void BeginTunnel(RequestPlan& request);
  void TakeTunnel(std::string_view bytes);
  void CheckReadingFault(size_t bytes);
  void TakeEnd(bool orderly);
  void Report(const RequestPlan* request, const std::string& what);

  Scene& scene_;
  SimEngine& engine_;
  ConnectionPlan plan_;
  Secures secures_;
  SimPeer peer_;
  Script script_;
  WireReader reader_{WireReader::Role::kResponses};
  size_t next_ = 0;
  std::deque<RequestPlan*> waiting_;  // begun, not answered
  bool head_seen_ = false;            // of the answer to the first of waiting_
  size_t body_bytes_ = 0;
  std::string local_body_;  // of an answer that is the proxy's own
  bool answer_closes_ = false;
  bool body_expected_ = false;
  RequestPlan* tunnel_ = nullptr;
  size_t answer_bytes_ = 0;
  bool no_more_ = false;
  bool hung_up_ = false;  // by this client's own fault
  bool orderly_ = true;
  bool finished_ = false;
  Instant connected_at_{};
  Instant ended_at_{};
};

}  // namespace rondo::sim
