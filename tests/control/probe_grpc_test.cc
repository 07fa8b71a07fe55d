// The bytes of gRPC's health checks, and what their answers say.
#include "control/probe_grpc.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "control/probe_http.h"

namespace rondo::control {
namespace {

using health::CheckOutcome;
using std::string_literals::operator""s;

const SocketAddress kGrpcBackend = *SocketAddress::Parse("10.0.0.1:3000");

config::HealthCheck CheckOf(std::string service = "") {
  config::HealthCheck check;
  check.type = config::HealthCheck::Type::kGrpc;
  check.service = std::move(service);
  return check;
}

TEST(GrpcCheck, AsksForTheServerAsAWhole) {
  EXPECT_EQ(GrpcCheckRequest(CheckOf(), kGrpcBackend, "rondo-health/1"),
            "POST /grpc.health.v1.Health/Check HTTP/1.1\r\n"
            "Host: 10.0.0.1:3000\r\n"
            "User-Agent: rondo-health/1\r\n"
            "Content-Type: application/grpc\r\n"
            "TE: trailers\r\n"
            "grpc-timeout: 2000m\r\n"
            "Connection: TE\r\n"
            "Transfer-Encoding: chunked\r\n"
            "\r\n"
            "5\r\n\0\0\0\0\0\r\n"
            "0\r\n\r\n"s);
}

TEST(GrpcCheck, AsksForAServiceByItsName) {
  config::HealthCheck check = CheckOf("a.B");
  check.host = "rpc.example";
  check.headers = {{"user-agent", "lb"}, {"X-Token", "t"}};
  const std::string request = GrpcCheckRequest(check, kGrpcBackend, "rondo-health/1");
  EXPECT_NE(request.find("Host: rpc.example\r\n"), std::string::npos);
  EXPECT_NE(request.find("user-agent: lb\r\nX-Token: t\r\n"), std::string::npos);
  EXPECT_EQ(request.find("rondo-health"), std::string::npos);
  EXPECT_TRUE(request.ends_with("\r\n\r\na\r\n\0\0\0\0\x05\x0a\x03"s + "a.B\r\n0\r\n\r\n"))
      << request;
}

TEST(GrpcCheck, AsksForAServiceWithALongName) {
  const std::string name(200, 's');
  const std::string request = GrpcCheckRequest(CheckOf(name), kGrpcBackend, "x");
  EXPECT_TRUE(request.ends_with("\0\0\0\0\xcb\x0a\xc8\x01"s + name + "\r\n0\r\n\r\n"));
}

// A message with its prefix.
std::string Framed(const std::string& message) {
  return "\0\0\0\0"s + static_cast<char>(message.size()) + message;
}

struct GrpcAnswerCase {
  const char* what;
  int status;
  const char* content_type;
  std::string body;
  std::string trailers;
  CheckOutcome outcome;
  const char* detail;
};

TEST(GrpcCheck, AnswersAreJudged) {
  constexpr const char* kGrpc = "application/grpc";
  const std::string ok = "grpc-status: 0\r\n";
  const std::string serving = Framed("\x08\x01");
  using enum CheckOutcome;
  const GrpcAnswerCase cases[] = {
      {"serving", 200, kGrpc, serving, ok, kPassed, "SERVING"},
      {"serving, with a subtype", 200, "application/grpc+proto", serving, ok, kPassed, "SERVING"},
      {"not serving", 200, kGrpc, Framed("\x08\x02"), ok, kStatus, "NOT_SERVING"},
      {"not known there", 200, kGrpc, Framed("\x08\x03"), ok, kStatus, "SERVICE_UNKNOWN"},
      {"nothing said", 200, kGrpc, Framed(""), ok, kStatus, "UNKNOWN"},
      {"a status of a later version", 200, kGrpc, Framed("\x08\x09"), ok, kStatus,
       "serving status 9"},
      {"fields of a later version", 200, kGrpc,
       Framed("\x12\x02hi\x08\x01\x1d\x01\x02\x03\x04"s + "\x21\1\2\3\4\5\6\7\x08\x28\x05"), ok,
       kPassed, "SERVING"},
      {"the last one counts", 200, kGrpc, Framed("\x08\x01\x08\x02"), ok, kStatus, "NOT_SERVING"},
      {"no such service", 200, kGrpc, "", "grpc-status: 5\r\ngrpc-message: unknown%20%22s%22\r\n",
       kStatus, "grpc-status 5 NOT_FOUND: it does not know the service s: unknown \"s\""},
      {"no health service", 200, kGrpc, "", "grpc-status: 12\r\n", kStatus,
       "grpc-status 12 UNIMPLEMENTED: it has no grpc.health.v1.Health"},
      {"too late", 200, kGrpc, serving, "grpc-status: 4\r\n", kStatus,
       "grpc-status 4 DEADLINE_EXCEEDED"},
      {"no code of theirs", 200, kGrpc, "", "grpc-status: 99\r\n", kStatus,
       "grpc-status 99 not a code of gRPC"},
      {"a message that is not for eyes", 200, kGrpc, "",
       "grpc-status: 14\r\ngrpc-message: a%0Ab%1\r\n", kStatus,
       "grpc-status 14 UNAVAILABLE: a?b%1"},
      {"not a number", 200, kGrpc, serving, "grpc-status: 0x\r\n", kBadResponse,
       "bad_response: malformed grpc-status"},
      {"less than nothing", 200, kGrpc, serving, "grpc-status: -1\r\n", kBadResponse,
       "bad_response: malformed grpc-status"},
      {"no trailers", 200, kGrpc, serving, "", kBadResponse, "bad_response: no grpc-status"},
      {"no message", 200, kGrpc, "", ok, kBadResponse, "bad_response: no message"},
      {"half a message", 200, kGrpc, serving.substr(0, 6), ok, kBadResponse,
       "bad_response: not one message"},
      {"two messages", 200, kGrpc, serving + serving, ok, kBadResponse,
       "bad_response: not one message"},
      {"compressed", 200, kGrpc, "\1\0\0\0\0"s, ok, kBadResponse,
       "bad_response: a compressed message"},
      {"malformed", 200, kGrpc, Framed("\x08"), ok, kBadResponse,
       "bad_response: a malformed message"},
      {"malformed number", 200, kGrpc, Framed("\x08" + std::string(11, '\xff')), ok, kBadResponse,
       "bad_response: a malformed message"},
      {"a field that is too long", 200, kGrpc, Framed("\x12\x7fhi"), ok, kBadResponse,
       "bad_response: a malformed message"},
      {"longer than any answer", 200, kGrpc, "\0\0\0\x08\0"s + std::string(2048, '\0'), ok,
       kBadResponse, "bad_response: not one message"},
      {"a page", 200, "text/html", "hello", "", kBadResponse, "bad_response: not gRPC"},
      {"no type", 200, nullptr, serving, ok, kBadResponse, "bad_response: not gRPC"},
      {"a proxy's error", 503, "text/html", "sorry", "", kStatus, "status 503, expected 200"},
  };
  for (const GrpcAnswerCase& c : cases) {
    SCOPED_TRACE(c.what);
    GrpcAnswer answer;
    if (c.content_type != nullptr) answer.AddField("content-type", c.content_type);
    for (const char byte : c.body) answer.AddBody({&byte, 1});
    answer.AddTrailers(c.trailers);
    const health::CheckResult result = answer.Judge(CheckOf("s"), c.status);
    EXPECT_EQ(result.outcome, c.outcome);
    EXPECT_EQ(result.detail, c.detail);
    EXPECT_EQ(result.status, c.status);
  }
}

// As ResponseBuilder gives them.
TEST(GrpcCheck, AnswersAreReadToTheirEnd) {
  std::string text =
      "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n"
      "7\r\n\0\0\0\0\2\x08\1\r\n0\r\ngrpc-status: 0\r\n\r\n"s;
  ProbeAnswer answer({.whole_body = true, .grpc = true});
  for (char& byte : text) answer.Feed(&byte, 1);
  EXPECT_EQ(answer.progress(), ProbeAnswer::Progress::kDecided);
  EXPECT_TRUE(answer.grpc().Judge(CheckOf(), answer.status()).passed());
}

TEST(GrpcCheck, AnOutcomeMayStandInTheHead) {
  std::string text =
      "HTTP/1.1 200 OK\r\ncontent-type: application/grpc\r\ngrpc-status: 12\r\n"
      "Content-Length: 0\r\n\r\n";
  ProbeAnswer answer({.whole_body = true, .grpc = true});
  answer.Feed(text.data(), text.size());
  EXPECT_EQ(answer.progress(), ProbeAnswer::Progress::kDecided);
  EXPECT_EQ(answer.grpc().Judge(CheckOf(), answer.status()).detail,
            "grpc-status 12 UNIMPLEMENTED: it has no grpc.health.v1.Health");
}

}  // namespace
}  // namespace rondo::control
