#include "control/probe_check.h"

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace rondo::control {
namespace {

using health::CheckOutcome;
using health::CheckResult;

// "connect_failed: Permission denied": the outcome's name, and what more there is to say.
CheckResult Failure(CheckOutcome outcome, std::string_view more = {}) {
  std::string detail(health::CheckOutcomeName(outcome));
  if (!more.empty()) detail.append(": ").append(more);
  return CheckResult{.outcome = outcome, .detail = std::move(detail)};
}

std::string ErrorText(int error) { return std::generic_category().message(error); }

CheckResult JudgeConnect(const ProbeConnection::Connected& connected) {
  const int error = connected.error;
  if (connected.local) return Failure(CheckOutcome::kLocal, ErrorText(error));
  if (!connected.tls_problem.empty())
    return Failure(CheckOutcome::kTlsFailed, connected.tls_problem);
  switch (error) {
    case ECONNREFUSED:
      return Failure(CheckOutcome::kConnectRefused);
    case ENOENT:  // no such unix socket
    case ECONNRESET:
    case EHOSTUNREACH:
    case ENETUNREACH:
      return Failure(CheckOutcome::kConnectRefused, ErrorText(error));
    case ECANCELED:
    case ETIMEDOUT:
      return Failure(CheckOutcome::kConnectTimeout);
    default:
      return Failure(CheckOutcome::kConnectFailed, ErrorText(error));
  }
}

// Nothing was answered, or not to its end.
CheckResult JudgeError(const ProbeConnection& connection, bool http2, int error) {
  if (error == ECANCELED) return Failure(CheckOutcome::kResponseTimeout);
  if (const char* failure = connection.failure(); failure != nullptr) {
    return Failure(CheckOutcome::kBadResponse, failure);
  }
  if (http2 && error == ECONNREFUSED) return Failure(CheckOutcome::kReset, "stream refused");
  return Failure(CheckOutcome::kReset, ErrorText(error));
}

CheckResult JudgeAnswer(const config::HealthCheck& check, const ProbeAnswer& answer) {
  switch (answer.progress()) {
    case ProbeAnswer::Progress::kBad:
      return Failure(CheckOutcome::kBadResponse, answer.problem());
    case ProbeAnswer::Progress::kNeedMore:
    case ProbeAnswer::Progress::kCut:
      return Failure(CheckOutcome::kReset, "closed before the answer was whole");
    case ProbeAnswer::Progress::kDecided:
      break;
  }
  if (check.type == config::HealthCheck::Type::kGrpc) {
    return answer.grpc().Judge(check, answer.status());
  }
  std::vector<health::StatusRange> expected;
  for (const config::StatusRange& range : check.expect_status) {
    expected.push_back({.first = range.first, .last = range.last});
  }
  CheckResult result{.status = answer.status()};
  if (!health::IsExpected(result.status, expected)) {
    result.outcome = CheckOutcome::kStatus;
    result.detail = health::StatusDetail(result.status, expected);
  } else if (!answer.text_found()) {
    result.outcome = CheckOutcome::kBody;
    result.detail = "body without the expected text";
  } else {
    result.detail = "status " + std::to_string(result.status);
  }
  return result;
}

}  // namespace

SocketAddress CheckAddress(const config::HealthCheck& check, const SocketAddress& backend) {
  SocketAddress to = backend;
  if (check.port && to.kind == SocketAddress::Kind::kIp) to.port = *check.port;
  return to;
}

ProbeAnswer::Wants CheckWants(const config::HealthCheck& check) {
  const bool grpc = check.type == config::HealthCheck::Type::kGrpc;
  return {.request_was_head = check.method == "HEAD",
          .text = check.expect_body,
          .whole_body = grpc,
          .grpc = grpc};
}

rt::Task<CheckResult> MakeCheck(ProbeConnection& connection, const config::HealthCheck& check,
                                const SocketAddress& to, const ProbeWire& wire,
                                std::string_view user_agent, ProbeAnswer& answer) {
  const ProbeConnection::Connected connected = co_await connection.Connect(to, wire);
  if (connected.error != 0) co_return JudgeConnect(connected);
  std::string request;
  switch (check.type) {
    case config::HealthCheck::Type::kTcp:
      co_return CheckResult{.detail = "connected"};
    case config::HealthCheck::Type::kHttp:
      request = CheckRequest(check, to, user_agent);
      break;
    case config::HealthCheck::Type::kGrpc:
      request = GrpcCheckRequest(check, to, user_agent);
      break;
  }
  const int error = co_await connection.Ask(request, answer);
  if (error != 0) co_return JudgeError(connection, wire.http2, error);
  co_return JudgeAnswer(check, answer);
}

}  // namespace rondo::control
