#include "proxy_client.h"

#include "absl/strings/str_cat.h"

namespace rondo::sim {
namespace {

constexpr Duration kContinuePatience = std::chrono::milliseconds(300);

// What stands in "code":"..." of an answer of the proxy's own.
std::string ReasonIn(const std::string& body) {
  constexpr std::string_view kKey = "\"code\":\"";
  const size_t at = body.find(kKey);
  if (at == std::string::npos) return "";
  const size_t from = at + kKey.size();
  return body.substr(from, body.find('"', from) - from);
}

}  // namespace

ProxyClient::ProxyClient(Scene& scene, SimEngine& engine, ConnectionPlan plan)
    : scene_(scene),
      engine_(engine),
      plan_(std::move(plan)),
      peer_(scene.world, engine),
      script_(scene.world, peer_) {
  if (plan_.read_bytes > 0) peer_.ReadSlowly(plan_.read_bytes, plan_.read_pause);
  reader_.on_head = [this](const WireHead& head) { return TakeHead(head); };
  reader_.on_body = [this](std::string_view bytes) { TakeBody(bytes); };
  reader_.on_message = [this](std::string_view trailers) { TakeMessage(trailers); };
  reader_.on_raw = [this](std::string_view bytes) { TakeTunnel(bytes); };
  peer_.on_connected = [this] {
    connected_at_ = scene_.world.now();
    if (secures_.accepted) {
      const uint16_t port = engine_.LocalAddress(peer_.fd()).port;
      peer_.SecureWith(TestChannelOf(port, false, secures_.chatter));
    }
    Proceed();
  };
  peer_.on_receive = [this](std::string_view bytes) {
    CheckReadingFault(bytes.size());
    if (hung_up_) return;
    reader_.Feed(bytes);
    if (!reader_.broken().empty()) {
      Report(waiting_.empty() ? nullptr : waiting_.front(), reader_.broken());
      peer_.Close();
    }
  };
  peer_.on_sent = [this] { script_.Run(); };
  script_.on_done = [this] { Proceed(); };
  peer_.on_end = [this] { TakeEnd(peer_.send_error() == 0); };
  peer_.on_error = [this](int) { TakeEnd(false); };
  peer_.on_send_error = [this](int) { script_.Drop(); };
  peer_.on_closed = [this] {
    finished_ = true;
    if (ended_at_ == Instant{}) ended_at_ = scene_.world.now();
  };
}

void ProxyClient::Start() {
  scene_.world.After(plan_.start, [this] { peer_.Connect(plan_.address); });
}

// Begins what may be begun now; closes when all is done.
void ProxyClient::Proceed() {
  script_.Run();
  while (script_.done() && !no_more_ && next_ < plan_.requests.size() &&
         waiting_.size() < plan_.depth) {
    BeginRequest(*plan_.requests[next_++]);
    script_.Run();
  }
  const bool all = next_ == plan_.requests.size() && waiting_.empty() && script_.done();
  if (all && tunnel_ == nullptr && !no_more_) peer_.CloseWhenSent();
}

void ProxyClient::BeginRequest(RequestPlan& request) {
  waiting_.push_back(&request);
  request.outcome.kind = OutcomeKind::kUnanswered;
  request.outcome.sent = scene_.world.now() + request.think;
  if (!request.wants_keep_alive) no_more_ = true;
  AddRequestSteps(request);
}

void ProxyClient::AddRequestSteps(RequestPlan& request) {
  scene_.Note(
      absl::StrCat("client ", plan_.requests.front()->number, " sends ", request.ToString()));
  script_.Pause(request.think);
  const std::string head = request.WriteHead();
  std::string body = WriteBody(request.body);
  if (request.kind == RequestKind::kUpgrade) {
    AppendBody(static_cast<uint64_t>(request.number), 0, request.tunnel_early, body);
  }
  switch (request.fault) {
    case ClientFault::kCloseInside:
    case ClientFault::kResetInside:
    case ClientFault::kStallInside: {
      script_.Send((head + body).substr(0, request.cut), request.piece, request.pause);
      no_more_ = true;
      if (request.fault == ClientFault::kCloseInside) script_.Add(Script::Act::kClose);
      if (request.fault == ClientFault::kResetInside) script_.Add(Script::Act::kReset);
      return;
    }
    case ClientFault::kHalfClose:
      no_more_ = true;
      break;
    case ClientFault::kNone:
    case ClientFault::kCloseReading:
    case ClientFault::kResetReading:
    case ClientFault::kStopReading:
      break;
  }
  if (request.expects_continue) {
    script_.Send(head, request.piece, request.pause);
    script_.Add(Script::Act::kHold);
    script_.Send(std::move(body), request.piece, request.pause);
    scene_.world.After(request.think + kContinuePatience, [this, &request] {
      if (!finished_ && !waiting_.empty() && waiting_.back() == &request) script_.Release();
    });
  } else {
    script_.Send(head + body, request.piece, request.pause);
  }
  if (request.fault == ClientFault::kHalfClose) script_.Add(Script::Act::kHalfClose);
}

WireReader::Then ProxyClient::TakeHead(const WireHead& head) {
  if (!peer_.open()) return WireReader::Then::kBody;  // what came in the same piece
  if (waiting_.empty()) {
    Report(nullptr, "an answer that nobody asked for: " + head.start[1]);
    return WireReader::Then::kBody;
  }
  RequestPlan& request = *waiting_.front();
  const int status = head.status();
  scene_.Note(absl::StrCat("client: ", status, " for ", request.number));
  const std::string number = head.Get("x-sim");
  if (!number.empty() && number != std::to_string(request.number)) {
    Report(&request, "the answer is that of request " + number);
  }
  if (status < 200 && status != 101) return TakeInterim(head, request);
  head_seen_ = true;
  body_bytes_ = 0;
  local_body_.clear();
  Outcome& outcome = request.outcome;
  outcome.kind = OutcomeKind::kTruncated;
  outcome.status = status;
  outcome.by_backend = !number.empty();
  outcome.attempt = outcome.by_backend ? std::atoi(head.Get("x-attempt").c_str()) : 0;
  CheckAnswerHead(head, request);
  // A client that waits for leave to send its body gets an answer instead: it may send or not.
  if (script_.holding() && status != 101) script_.Release();
  if (status == 101) {
    BeginTunnel(request);
    return WireReader::Then::kRaw;
  }
  const std::string connection = head.Get("connection");
  const bool no_body = request.method == "HEAD" || status == 204 || status == 304;
  body_expected_ = !no_body;
  const bool framed = head.Count("content-length") + head.Count("transfer-encoding") > 0;
  answer_closes_ = connection == "close" || (!no_body && !framed) ||
                   (request.minor_version == 0 && connection != "keep-alive");
  if (answer_closes_) no_more_ = true;
  return no_body ? WireReader::Then::kNoBody : WireReader::Then::kBody;
}

WireReader::Then ProxyClient::TakeInterim(const WireHead& head, RequestPlan& request) {
  if (request.minor_version == 0) Report(&request, "an interim answer to an HTTP/1.0 client");
  if (head.status() == 100) {
    if (!request.expects_continue) Report(&request, "a 100 that nobody waits for");
    if (waiting_.size() == 1) script_.Release();
  }
  if (head.Count("content-length") + head.Count("transfer-encoding") > 0) {
    Report(&request, "an interim answer with framing");
  }
  return WireReader::Then::kInterim;
}

void ProxyClient::CheckAnswerHead(const WireHead& head, RequestPlan& request) {
  const Outcome& outcome = request.outcome;
  if (head.start[0] != "HTTP/1.1") Report(&request, "an answer in version " + head.start[0]);
  if (head.Count("date") != 1) Report(&request, "an answer without one Date");
  if (head.Count("keep-alive") > 0) Report(&request, "a hop-by-hop field of the backend's");
  if (!outcome.by_backend) {
    if (outcome.status == 503 && head.Count("retry-after") != 1) Report(&request, "no Retry-After");
    return;
  }
  if (request.heads_at_backends == 0 || outcome.attempt >= request.heads_at_backends) {
    Report(&request, "an answer that no backend gave");
    return;
  }
  const AnswerPlan& answer = request.Answer(outcome.attempt);
  if (outcome.status !=
      (request.kind == RequestKind::kUpgrade && outcome.status == 101 ? 101 : answer.status)) {
    Report(&request, "another status than the backend's");
  }
  if (outcome.status != 101 && head.Get("x-pad").size() != answer.padding) {
    Report(&request, "wrong padding");
  }
  if (request.minor_version == 0 && head.Count("transfer-encoding") > 0) {
    Report(&request, "chunked to an HTTP/1.0 client");
  }
}

void ProxyClient::TakeBody(std::string_view bytes) {
  if (waiting_.empty()) return;
  RequestPlan& request = *waiting_.front();
  const Outcome& outcome = request.outcome;
  if (outcome.by_backend) {
    const AnswerPlan& answer = request.Answer(outcome.attempt);
    if (body_bytes_ + bytes.size() > answer.body.bytes ||
        !IsBody(answer.body.seed, body_bytes_, bytes)) {
      Report(&request, absl::StrCat("wrong bytes in the body behind ", body_bytes_));
    }
  } else if (local_body_.size() < 8192) {
    local_body_ += bytes;
  }
  body_bytes_ += bytes.size();
}

bool ProxyClient::HasWholeBody(const RequestPlan& request) const {
  return head_seen_ && request.outcome.by_backend &&
         body_bytes_ == request.Answer(request.outcome.attempt).body.bytes;
}

void ProxyClient::TakeMessage(std::string_view trailers) {
  if (waiting_.empty()) return;
  RequestPlan& request = *waiting_.front();
  Outcome& outcome = request.outcome;
  waiting_.pop_front();
  head_seen_ = false;
  outcome.kind = OutcomeKind::kAnswered;
  outcome.ended = scene_.world.now();
  if (outcome.by_backend) {
    const AnswerPlan& answer = request.Answer(outcome.attempt);
    const size_t expected = body_expected_ ? answer.body.bytes : 0;
    if (body_bytes_ != expected) {
      Report(&request,
             absl::StrCat("the body looks whole with ", body_bytes_, " of ", expected, " bytes"));
    }
    const bool trailed = body_expected_ && request.minor_version == 1;
    if (trailers != (trailed ? TrailerOf(answer.body) : "")) Report(&request, "wrong trailers");
    if (answer.kind != AnswerKind::kWhole)
      Report(&request, "an answer that the backend did not finish looks whole");
  } else {
    outcome.reason = ReasonIn(local_body_);
  }
  scene_.Note(absl::StrCat("client: request ", request.number, " answered ", outcome.status, " ",
                           outcome.reason));
  if (request.kind == RequestKind::kUpgrade && request.tunnel_early > 0) {
    // What it sent ahead for the tunnel would now be read as a request.
    no_more_ = true;
    peer_.Close();
    return;
  }
  Proceed();
}

void ProxyClient::BeginTunnel(RequestPlan& request) {
  request.outcome.kind = OutcomeKind::kTunnelled;
  if (request.kind != RequestKind::kUpgrade) Report(&request, "a 101 that was not asked for");
  tunnel_ = &request;
  waiting_.pop_front();
  head_seen_ = false;
  no_more_ = true;
  std::string rest;
  AppendBody(static_cast<uint64_t>(request.number), request.tunnel_early,
             request.tunnel_bytes - request.tunnel_early, rest);
  script_.Send(std::move(rest), request.piece, request.pause);
  switch (request.tunnel_end) {
    case TunnelEnd::kHalfClose:
      script_.Add(Script::Act::kHalfClose);
      break;
    case TunnelEnd::kReset:
      script_.Add(Script::Act::kReset);
      break;
    case TunnelEnd::kCloseWhenEchoed:
      if (request.tunnel_bytes == 0) script_.Add(Script::Act::kClose);
      break;
  }
  script_.Run();
}

void ProxyClient::TakeTunnel(std::string_view bytes) {
  Outcome& outcome = tunnel_->outcome;
  if (outcome.tunnel_echoed + bytes.size() > tunnel_->tunnel_bytes ||
      !IsBody(static_cast<uint64_t>(tunnel_->number), outcome.tunnel_echoed, bytes)) {
    Report(tunnel_, absl::StrCat("wrong bytes in the tunnel behind ", outcome.tunnel_echoed));
  }
  outcome.tunnel_echoed += bytes.size();
  if (tunnel_->tunnel_end == TunnelEnd::kCloseWhenEchoed &&
      outcome.tunnel_echoed == tunnel_->tunnel_bytes) {
    peer_.CloseWhenSent();
  }
}

void ProxyClient::CheckReadingFault(size_t bytes) {
  if (waiting_.empty() || hung_up_) return;
  const RequestPlan& request = *waiting_.front();
  answer_bytes_ += bytes;
  if (answer_bytes_ < request.cut) return;
  if (request.fault == ClientFault::kStopReading) {
    peer_.PauseReading();
    // Deaf, but still there: notices a minute later that the connection is gone.
    scene_.world.After(std::chrono::minutes(1), [this] { peer_.Close(); });
  } else if (request.fault == ClientFault::kCloseReading) {
    peer_.Close();
  } else if (request.fault == ClientFault::kResetReading) {
    peer_.Reset();
  } else {
    return;
  }
  hung_up_ = true;
  no_more_ = true;
  script_.Drop();
}

void ProxyClient::TakeEnd(bool orderly) {
  orderly_ = orderly;
  ended_at_ = scene_.world.now();
  scene_.Note(absl::StrCat("client ", plan_.requests.front()->number, ": end, ",
                           orderly ? "in order" : "broken"));
  // A reset that a send is about to be told of looks like an end to the receive: then only this
  // client, who knows the plan, can tell whether the body is whole.
  const bool certain =
      peer_.unsent() == 0 || (!waiting_.empty() && HasWholeBody(*waiting_.front()));
  if (orderly && certain && reader_.broken().empty()) reader_.End();
  script_.Drop();
  if (tunnel_ != nullptr) tunnel_->outcome.ended = ended_at_;
  for (RequestPlan* request : waiting_) request->outcome.ended = ended_at_;
  peer_.Close();
}

void ProxyClient::Report(const RequestPlan* request, const std::string& what) {
  scene_.Report(absl::StrCat("client, request ",
                             request == nullptr ? "none" : std::to_string(request->number), ": ",
                             what));
}

}  // namespace rondo::sim
