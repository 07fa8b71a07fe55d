// The bytes of checks and warm-ups, and answers in pieces of any size.
#include "control/probe_http.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace rondo::control {
namespace {

using Progress = ProbeAnswer::Progress;

const SocketAddress kBackend = *SocketAddress::Parse("10.0.0.1:3000");

TEST(ProbeRequest, SaysWhoAsksAndThatTheConnectionEnds) {
  config::HealthCheck check;
  check.path = "/health?deep=1";
  EXPECT_EQ(CheckRequest(check, kBackend, "rondo-health/1"),
            "GET /health?deep=1 HTTP/1.1\r\n"
            "Host: 10.0.0.1:3000\r\n"
            "User-Agent: rondo-health/1\r\n"
            "Accept: */*\r\n"
            "Connection: close\r\n\r\n");
}

TEST(ProbeRequest, TheChecksOwnHeadersComeInPlaceOfOurs) {
  config::HealthCheck check;
  check.method = "POST";
  check.host = "api.example.com";
  check.headers = {{"user-agent", "lb"}, {"X-Token", "s3cret"}};
  EXPECT_EQ(CheckRequest(check, kBackend, "rondo-health/1"),
            "POST / HTTP/1.1\r\n"
            "Host: api.example.com\r\n"
            "Accept: */*\r\n"
            "user-agent: lb\r\n"
            "X-Token: s3cret\r\n"
            "Content-Length: 0\r\n"
            "Connection: close\r\n\r\n");
}

TEST(ProbeRequest, HostIsTheAddressWhereNoNameIsGiven) {
  EXPECT_EQ(ProbeHost(kBackend), "10.0.0.1:3000");
  EXPECT_EQ(ProbeHost(*SocketAddress::Parse("[2001:db8::1]:80")), "[2001:db8::1]:80");
  EXPECT_EQ(ProbeHost(*SocketAddress::Parse("unix:/run/app.sock")), "localhost");
}

TEST(ProbeRequest, AWarmUpKeepsItsConnection) {
  const config::WarmUp warm_up{.path = "/warm"};
  EXPECT_EQ(WarmUpRequest(warm_up, "", kBackend, "rondo-health/1"),
            "GET /warm HTTP/1.1\r\n"
            "Host: 10.0.0.1:3000\r\n"
            "User-Agent: rondo-health/1\r\n"
            "Accept: */*\r\n\r\n");
  EXPECT_EQ(WarmUpRequest(warm_up, "app.example", kBackend, "x").find("Host: app.example\r\n"),
            20u);
}

struct AnswerCase {
  const char* name;
  std::string bytes;
  ProbeAnswer::Wants wants;
  bool end = false;  // then the connection ends
  Progress progress = Progress::kDecided;
  int status = 200;
  bool text_found = true;
  bool reusable = false;
};

const AnswerCase kAnswers[] = {
    {.name = "length, kept",
     .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nready",
     .wants = {.whole_body = true},
     .reusable = true},
    {.name = "chunked, kept",
     .bytes =
         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nrea\r\n2\r\ndy\r\n0\r\n\r\n",
     .wants = {.whole_body = true},
     .reusable = true},
    {.name = "no body, kept",
     .bytes = "HTTP/1.1 204 No\r\n\r\n",
     .wants = {.whole_body = true},
     .status = 204,
     .reusable = true},
    {.name = "says close",
     .bytes = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
     .wants = {.whole_body = true}},
    {.name = "HTTP/1.0",
     .bytes = "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
     .wants = {.whole_body = true}},
    {.name = "until close",
     .bytes = "HTTP/1.1 200 OK\r\n\r\nready",
     .wants = {.whole_body = true},
     .end = true},
    {.name = "until close, not closed",
     .bytes = "HTTP/1.1 200 OK\r\n\r\nready",
     .wants = {.whole_body = true},
     .progress = Progress::kNeedMore},
    {.name = "half a body",
     .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nready",
     .wants = {.whole_body = true},
     .end = true,
     .progress = Progress::kCut},
    {.name = "half a head",
     .bytes = "HTTP/1.1 200 OK\r\nContent-Le",
     .wants = {},
     .end = true,
     .progress = Progress::kCut,
     .status = 0},
    {.name = "interim ones first",
     .bytes = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: <a>\r\n\r\n"
              "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
     .wants = {.whole_body = true},
     .status = 503,
     .reusable = true},
    {.name = "the head is enough",
     .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
     .wants = {}},
    {.name = "text found",
     .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nis ready.",
     .wants = {.text = "ready"}},
    {.name = "text in the middle of more",
     .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\nis ready.",
     .wants = {.text = "ready"}},
    {.name = "text not found",
     .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nis steady",
     .wants = {.text = "ready"},
     .text_found = false},
    {.name = "text across the bound",
     .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nis ready.",
     .wants = {.text = "ready", .body_bytes_max = 7},
     .text_found = false},
    {.name = "text up to the bound",
     .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nis ready.",
     .wants = {.text = "ready", .body_bytes_max = 8}},
    {.name = "HEAD",
     .bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
     .wants = {.request_was_head = true, .whole_body = true},
     .reusable = true},
    {.name = "not HTTP",
     .bytes = "220 mail.example ESMTP\r\n\r\n",
     .wants = {},
     .progress = Progress::kBad,
     .status = 0},
    {.name = "a broken chunk",
     .bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz\r\n",
     .wants = {.text = "ready"},
     .progress = Progress::kBad,
     .text_found = false},
};

// In pieces of `step` bytes, each in memory of its own size: to see that nothing is read behind its
// end.
void Check(const AnswerCase& each, size_t step) {
  SCOPED_TRACE(std::string(each.name) + ", " + std::to_string(step) + " bytes at a time");
  ProbeAnswer answer(each.wants);
  for (size_t at = 0; at < each.bytes.size(); at += step) {
    std::string piece = each.bytes.substr(at, step);
    piece.shrink_to_fit();
    answer.Feed(piece.data(), piece.size());
  }
  if (each.end) answer.End();
  EXPECT_EQ(answer.progress(), each.progress);
  EXPECT_EQ(answer.status(), each.status);
  EXPECT_EQ(answer.reusable(), each.reusable);
  if (each.progress == Progress::kDecided) {
    EXPECT_EQ(answer.text_found(), each.text_found);
  }
  EXPECT_EQ(answer.problem() != nullptr, each.progress == Progress::kBad);
}

TEST(ProbeAnswer, IsReadAlikeInPiecesOfAnySize) {
  for (const AnswerCase& each : kAnswers) {
    for (size_t step = 1; step <= each.bytes.size(); ++step) Check(each, step);
  }
}

TEST(ProbeAnswer, EndlessInterimAnswersAreRefused) {
  ProbeAnswer answer({});
  std::string one = "HTTP/1.1 103 Hints\r\n\r\n";
  for (int i = 0; i < 1000 && answer.progress() == Progress::kNeedMore; ++i) {
    std::string piece = one;
    answer.Feed(piece.data(), piece.size());
  }
  EXPECT_EQ(answer.progress(), Progress::kBad);
  EXPECT_STREQ(answer.problem(), "too_many_interim_responses");
}

TEST(ProbeAnswer, AnEndlessHeadIsRefused) {
  ProbeAnswer answer({});
  std::string start = "HTTP/1.1 200 OK\r\n";
  answer.Feed(start.data(), start.size());
  for (int i = 0; i < 10'000 && answer.progress() == Progress::kNeedMore; ++i) {
    std::string line = "X-Filler: " + std::string(80, 'x') + "\r\n";
    answer.Feed(line.data(), line.size());
  }
  EXPECT_EQ(answer.progress(), Progress::kBad);
}

TEST(ProbeAnswer, WhatComesAfterTheDecisionChangesNothing) {
  ProbeAnswer answer({});
  std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(answer.Feed(head.data(), head.size()), Progress::kDecided);
  std::string broken = "this is no chunk\r\n";
  EXPECT_EQ(answer.Feed(broken.data(), broken.size()), Progress::kDecided);
  EXPECT_EQ(answer.End(), Progress::kDecided);
  EXPECT_EQ(answer.status(), 200);
}

}  // namespace
}  // namespace rondo::control
