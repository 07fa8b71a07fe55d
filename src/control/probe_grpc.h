// gRPC's health checks (grpc.health.v1.Health/Check): the call's bytes, and what its answer says.
// Pure: no I/O, no clock.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "rondo/base/address.h"
#include "rondo/config/config.h"
#include "rondo/health/check_result.h"

namespace rondo::control {

// One call, as HTTP/1.1 writes it; it leaves as HTTP/2. The check's headers take the place of ours
// of the same name.
std::string GrpcCheckRequest(const config::HealthCheck& check, const SocketAddress& to,
                             std::string_view user_agent);

// What is kept of an answer to it.
class GrpcAnswer {
 public:
  // Of the head, which has the outcome where there is no message.
  void AddField(std::string_view name, std::string_view value);
  void AddBody(std::string_view bytes);
  // "Name: value\r\n" lines.
  void AddTrailers(std::string_view lines);

  // What it says of the service that `check` names. The times are the caller's to fill in.
  health::CheckResult Judge(const config::HealthCheck& check, int http_status) const;

 private:
  // More than any answer has: what is cut is no answer.
  static constexpr size_t kBodyMax = 1024;

  health::CheckResult JudgeMessage() const;

  bool is_grpc_ = false;
  std::optional<int> code_;
  std::string message_;
  std::string body_;
};

}  // namespace rondo::control
