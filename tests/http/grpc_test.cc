#include "rondo/http/grpc.h"

#include <gtest/gtest.h>

#include <string>

namespace rondo::http {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::nanoseconds;
using std::chrono::seconds;

TEST(Grpc, IsKnownByItsContentType) {
  for (const char* type : {"application/grpc", "application/grpc+proto", "Application/gRPC",
                           "application/grpc; charset=utf-8", "application/grpc+json;x=y"}) {
    EXPECT_TRUE(IsGrpc(type)) << type;
  }
  for (const char* type :
       {"", "application/grp", "application/grpc-web", "application/grpc-web+proto",
        "application/grpcx", "application/json", "text/application/grpc"}) {
    EXPECT_FALSE(IsGrpc(type)) << type;
  }
}

TEST(Grpc, TimeoutsAreANumberAndAUnit) {
  EXPECT_EQ(ParseGrpcTimeout("2H"), hours(2));
  EXPECT_EQ(ParseGrpcTimeout("3M"), minutes(3));
  EXPECT_EQ(ParseGrpcTimeout("1S"), seconds(1));
  EXPECT_EQ(ParseGrpcTimeout("99999999S"), seconds(99999999));
  EXPECT_EQ(ParseGrpcTimeout("99999999M"), minutes(99999999));
  EXPECT_EQ(ParseGrpcTimeout("0100m"), milliseconds(100));
  EXPECT_EQ(ParseGrpcTimeout("7u"), microseconds(7));
  EXPECT_EQ(ParseGrpcTimeout("0n"), nanoseconds(0));
}

TEST(Grpc, WhatIsNoTimeoutBoundsNothing) {
  for (const char* text :
       {"", "S", "1", "1s", "-1S", "1.5S", " 1S", "1S ", "123456789S", "99999999H", "0x1S"}) {
    EXPECT_EQ(ParseGrpcTimeout(text), std::nullopt) << text;
  }
}

TEST(Grpc, CodesSayWhatStatusesSay) {
  const struct {
    int status;
    int code;
  } cases[] = {{400, 13}, {401, 16}, {403, 7},  {404, 12}, {408, 4}, {413, 8}, {429, 14},
               {431, 8},  {501, 12}, {502, 14}, {503, 14}, {504, 4}, {414, 2}, {505, 2}};
  for (const auto& [status, code] : cases) EXPECT_EQ(GrpcStatusOf(status), code) << status;
}

TEST(Grpc, MessagesArePercentEncoded) {
  const std::string text = "a b%\r\n~\x7f\xff";
  char out[64];
  const size_t size = WriteGrpcMessage(text, out);
  EXPECT_EQ(std::string(out, size), "a b%25%0D%0A~%7F%FF");
  EXPECT_EQ(GrpcMessageSize(text), size);
}

}  // namespace
}  // namespace rondo::http
