#include "proxy_check.h"

#include <algorithm>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace rondo::sim {
namespace {

bool IsFaulty(const RequestPlan* request) {
  return request->fault != ClientFault::kNone && request->fault != ClientFault::kHalfClose;
}

class Checker {
 public:
  explicit Checker(DrawnRun& run) : run_(run), world_(*run.world) {}

  void Check() {
    for (const auto& client : world_.clients()) CheckConnection(*client);
    for (const RequestPlan& request : world_.scene().requests) {
      CheckRepeats(request);
      CheckLocalAnswer(request);
    }
    CheckLog();
  }

 private:
  void CheckConnection(const ProxyClient& client);
  void CheckPlanned(const ProxyClient& client, const RequestPlan& request);
  void CheckTunnel(const RequestPlan& request);
  void CheckRepeats(const RequestPlan& request);
  void CheckLocalAnswer(const RequestPlan& request);
  void CheckLog();
  // Its backend's drain came to its end with the request still there.
  bool WasLetGo(const RequestPlan& request) const {
    const auto& closed = world_.scene().closed_backends;
    return std::any_of(request.backends.begin(), request.backends.end(),
                       [&closed](const std::string& backend) { return closed.contains(backend); });
  }
  bool MayBeUnanswered(const ProxyClient& client, const RequestPlan& request, bool first) const;
  const upstream::UpstreamConfig& UpstreamOf(const RequestPlan& request) const {
    return *world_.snapshot().upstreams[request.target.starts_with("/a") ? 0 : 1];
  }
  void Report(const RequestPlan& request, const std::string& what) {
    world_.scene().Report(absl::StrCat("request ", request.number, " (", request.method, " ",
                                       request.target, "): ", what));
  }

  DrawnRun& run_;
  ProxyWorld& world_;
};

// Requests up to the first that its client, or the answer before, ended the connection with.
void Checker::CheckConnection(const ProxyClient& client) {
  if (run_.weather == Weather::kStorm || world_.cancelled()) return;
  bool first = true;
  const auto& requests = client.plan().requests;
  // Whoever hangs up in a later request of a pipeline does not wait for the answers before it.
  if (client.plan().depth > 1 && std::any_of(requests.begin(), requests.end(), IsFaulty)) return;
  for (const RequestPlan* request : requests) {
    const bool faulty = IsFaulty(request);
    // A body that is found too large may cut an early answer.
    const uint64_t body_max = world_.snapshot().config.limits.body_bytes;
    if (faulty || (body_max > 0 && request->body.bytes > body_max)) return;
    const Outcome& outcome = request->outcome;
    if (outcome.kind == OutcomeKind::kUnanswered || outcome.kind == OutcomeKind::kNotSent) {
      if (!MayBeUnanswered(client, *request, first)) {
        Report(*request, "not answered, and nobody said why");
      }
      return;
    }
    if (IsStrict(run_.weather)) CheckPlanned(client, *request);
    if (outcome.kind == OutcomeKind::kTruncated && request->is_clean() &&
        (IsStrict(run_.weather) || !WasLetGo(*request))) {
      Report(*request, "the answer was cut, though nothing was wrong");
    }
    if (outcome.kind != OutcomeKind::kAnswered) return;
    first = false;
  }
}

bool Checker::MayBeUnanswered(const ProxyClient& client, const RequestPlan& request,
                              bool first) const {
  // An answer before it, or this client itself, said that nothing more would follow.
  if (!first && client.close_expected()) return true;
  if (world_.snapshot().config.limits.connections > 0) return true;
  // The beginning of an answer may be lost with the reset that says that it is not whole.
  if (client.saw_reset() && (!request.is_clean() || WasLetGo(request))) return true;
  if (world_.draining()) {
    // It may not have been accepted, or have come after the last call.
    if (first || request.outcome.sent + std::chrono::milliseconds(50) >
                     world_.drained_at() + std::chrono::seconds(5)) {
      return true;
    }
  }
  // Idle for longer than the proxy waits.
  return request.think + std::chrono::milliseconds(50) >
         world_.snapshot().config.timeouts.keepalive;
}

// In good weather all is as it was planned.
void Checker::CheckPlanned(const ProxyClient& client, const RequestPlan& request) {
  const Outcome& outcome = request.outcome;
  const auto expect = [&](int status, bool by_backend) {
    if (outcome.status != status || outcome.by_backend != by_backend) {
      Report(request,
             absl::StrCat("answered with ", outcome.status, " ", outcome.reason, ", not ", status));
    }
  };
  switch (request.kind) {
    case RequestKind::kFixed:
      expect(200, false);
      return;
    case RequestKind::kNoRoute:
      expect(404, false);
      if (outcome.reason != "no_route") Report(request, "reason " + outcome.reason);
      return;
    case RequestKind::kMalformed:
      expect(request.malformed_status, false);
      return;
    case RequestKind::kUpgrade:
      if (outcome.kind == OutcomeKind::kTunnelled) {
        CheckTunnel(request);
        return;
      }
      break;
    case RequestKind::kForward:
      break;
  }
  if (outcome.kind != OutcomeKind::kAnswered) Report(request, "no whole answer");
  expect(request.Answer(outcome.attempt).status, true);
  if (request.heads_at_backends != outcome.attempt + 1) Report(request, "sent once too often");
  if (client.saw_reset()) Report(request, "the connection was reset");
}

void Checker::CheckTunnel(const RequestPlan& request) {
  if (request.outcome.tunnel_echoed != request.tunnel_bytes) {
    Report(request, absl::StrCat("the tunnel brought ", request.outcome.tunnel_echoed, " of ",
                                 request.tunnel_bytes, " bytes"));
  }
}

void Checker::CheckRepeats(const RequestPlan& request) {
  if (request.kind != RequestKind::kForward && request.kind != RequestKind::kUpgrade) {
    if (request.heads_at_backends > 0) Report(request, "was forwarded");
    return;
  }
  const int attempts = static_cast<int>(UpstreamOf(request).settings.retries.attempts);
  const int most = request.idempotent() ? 1 + attempts : 1;
  if (request.heads_at_backends > most) {
    Report(request, absl::StrCat("reached backends ", request.heads_at_backends, " times of ", most,
                                 " allowed"));
  }
}

void Checker::CheckLocalAnswer(const RequestPlan& request) {
  const Outcome& outcome = request.outcome;
  if (outcome.kind != OutcomeKind::kAnswered || outcome.by_backend) return;
  if (request.kind == RequestKind::kFixed) return;
  if (outcome.reason.empty() && request.method != "HEAD") {
    Report(request,
           absl::StrCat("an answer of the proxy's own without a reason: ", outcome.status));
  }
  // No timeout comes before its time.
  const auto& timeouts = UpstreamOf(request).settings.timeouts;
  const Duration took = outcome.ended - outcome.sent;
  if ((outcome.reason == "response_timeout" && took < timeouts.response) ||
      (outcome.reason == "connect_timeout" && took < timeouts.connect) ||
      (outcome.reason == "request_header_timeout" &&
       took < world_.snapshot().config.timeouts.request_header)) {
    Report(request, outcome.reason + " before its time");
  }
}

// One line for each answered request, and none twice.
void Checker::CheckLog() {
  constexpr std::string_view kKey = "\"target\":\"";
  std::map<std::string, int, std::less<>> lines;
  for (const auto part : absl::StrSplit(world_.log().lines(), '\n', absl::SkipEmpty())) {
    const std::string_view line(part.data(), part.size());
    if (line.front() != '{' || line.back() != '}') {
      world_.scene().Report("a broken line in the log: " + std::string(line));
    }
    const size_t at = line.find(kKey);
    if (at == std::string_view::npos) continue;
    const size_t from = at + kKey.size();
    ++lines[std::string(line.substr(from, line.find('"', from) - from))];
  }
  for (const RequestPlan& request : world_.scene().requests) {
    if (request.kind != RequestKind::kForward && request.kind != RequestKind::kUpgrade) continue;
    const int count = lines[request.target];
    // What never became a request has no target either.
    const bool answered =
        (request.outcome.kind == OutcomeKind::kAnswered && request.outcome.status != 408) ||
        request.outcome.kind == OutcomeKind::kTunnelled;
    if (count > 1 || (answered && count == 0 && !world_.cancelled())) {
      Report(request, absl::StrCat(count, " lines in the log"));
    }
  }
}

}  // namespace

void CheckRun(DrawnRun& run) { Checker(run).Check(); }

}  // namespace rondo::sim
