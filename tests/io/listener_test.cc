#include <gtest/gtest.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "rondo/io/engine.h"
#include "rondo/io/limits.h"
#include "rondo/io/socket_address.h"

namespace rondo::io {
namespace {

SocketAddress Parse(const std::string& text) { return *SocketAddress::Parse(text, true); }

int Option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof(value);
  getsockopt(fd, level, name, &value, &length);
  return value;
}

bool CanConnect(const SocketAddress& address) {
  const RawAddress raw = ToRawAddress(address);
  const int fd = socket(raw.any.sa_family, SOCK_STREAM, 0);
  const bool connected = connect(fd, &raw.any, raw.length) == 0;
  close(fd);
  return connected;
}

TEST(OpenListener, OpensANonBlockingSocketAtAFreePort) {
  const auto fd = OpenListener(Parse("127.0.0.1:0"), ListenMode::kAlone);
  ASSERT_TRUE(fd.ok());
  EXPECT_NE(BoundAddress(*fd).port, 0);
  EXPECT_TRUE(CanConnect(BoundAddress(*fd)));
  EXPECT_EQ(Option(*fd, IPPROTO_TCP, TCP_NODELAY), 1);
  EXPECT_EQ(Option(*fd, SOL_SOCKET, SO_REUSEPORT), 0);
  const int accepted = accept(*fd, nullptr, nullptr);
  EXPECT_EQ(Option(accepted, IPPROTO_TCP, TCP_NODELAY), 1);
  close(accepted);
  close(*fd);
}

TEST(OpenListener, OneProcessMayOpenAnAddressSeveralTimes) {
  const auto first = OpenListener(Parse("127.0.0.1:0"), ListenMode::kFirst);
  ASSERT_TRUE(first.ok());
  const SocketAddress at = BoundAddress(*first);
  const auto second = OpenListener(at, ListenMode::kFurther);
  ASSERT_TRUE(second.ok());
  // A second owner, even of the same user, is refused by name.
  for (const ListenMode mode : {ListenMode::kFirst, ListenMode::kAlone}) {
    const auto stranger = OpenListener(at, mode);
    ASSERT_FALSE(stranger.ok());
    EXPECT_NE(std::string(stranger.status().message()).find("already in use"), std::string::npos);
    EXPECT_NE(std::string(stranger.status().message()).find(at.ToString()), std::string::npos);
  }
  close(*first);
  close(*second);
  const auto again = OpenListener(at, ListenMode::kFirst);
  EXPECT_TRUE(again.ok());
  close(*again);
}

TEST(OpenListener, AnAddressWithoutAHostTakesBothFamilies) {
  const auto fd = OpenListener(Parse(":0"), ListenMode::kFirst);
  ASSERT_TRUE(fd.ok());
  const std::string port = std::to_string(BoundAddress(*fd).port);
  EXPECT_TRUE(CanConnect(Parse("127.0.0.1:" + port)));
  EXPECT_TRUE(CanConnect(Parse("[::1]:" + port)));
  EXPECT_EQ(BoundAddress(*fd).ToString(), ":" + port);
  const auto further = OpenListener(BoundAddress(*fd), ListenMode::kFurther);
  EXPECT_TRUE(further.ok());
  close(*further);
  close(*fd);
}

TEST(OpenListener, AnIpv6AddressTakesIpv6Alone) {
  const auto fd = OpenListener(Parse("[::]:0"), ListenMode::kAlone);
  ASSERT_TRUE(fd.ok());
  const std::string port = std::to_string(BoundAddress(*fd).port);
  EXPECT_FALSE(CanConnect(Parse("127.0.0.1:" + port)));
  EXPECT_TRUE(CanConnect(Parse("[::1]:" + port)));
  close(*fd);
}

TEST(OpenListener, SaysWhichAddressItCouldNotHave) {
  const auto fd = OpenListener(Parse("192.0.2.1:80"), ListenMode::kAlone);
  ASSERT_FALSE(fd.ok());
  EXPECT_NE(std::string(fd.status().message()).find("192.0.2.1:80"), std::string::npos);
}

class UnixListener : public ::testing::Test {
 protected:
  void SetUp() override {
    char folder[] = "/tmp/rondo_listener_XXXXXX";
    folder_ = mkdtemp(folder);
    address_ = Parse("unix:" + folder_ + "/socket");
  }
  void TearDown() override {
    unlink(address_.path.c_str());
    rmdir(folder_.c_str());
  }
  std::string folder_;
  SocketAddress address_;
};

TEST_F(UnixListener, ReplacesAStaleFile) {
  const auto old = OpenListener(address_, ListenMode::kFirst);
  ASSERT_TRUE(old.ok());
  close(*old);  // the file stays
  const auto fresh = OpenListener(address_, ListenMode::kFirst);
  ASSERT_TRUE(fresh.ok());
  EXPECT_TRUE(CanConnect(address_));
  EXPECT_EQ(BoundAddress(*fresh), address_);
  close(*fresh);
}

TEST_F(UnixListener, RefusesAnAddressThatSomebodyServes) {
  const auto first = OpenListener(address_, ListenMode::kFirst);
  ASSERT_TRUE(first.ok());
  for (const ListenMode mode : {ListenMode::kAlone, ListenMode::kFirst, ListenMode::kFurther}) {
    EXPECT_FALSE(OpenListener(address_, mode).ok());
  }
  EXPECT_TRUE(CanConnect(address_));
  close(*first);
}

TEST_F(UnixListener, LeavesAFileThatIsNoSocketAlone) {
  std::FILE* file = std::fopen(address_.path.c_str(), "w");
  ASSERT_NE(file, nullptr);
  std::fclose(file);
  EXPECT_FALSE(OpenListener(address_, ListenMode::kFirst).ok());
  EXPECT_EQ(access(address_.path.c_str(), F_OK), 0);
}

TEST_F(UnixListener, AbstractNamesWorkAndLeaveNoFile) {
  const SocketAddress abstract = Parse("unix:@rondo-test-" + std::to_string(getpid()));
  const auto fd = OpenListener(abstract, ListenMode::kFirst);
  ASSERT_TRUE(fd.ok());
  EXPECT_TRUE(CanConnect(abstract));
  EXPECT_EQ(BoundAddress(*fd), abstract);
  EXPECT_FALSE(OpenListener(abstract, ListenMode::kFirst).ok());
  close(*fd);
}

TEST(RawAddress, EveryKindSurvivesTheWayThroughTheKernelsForm) {
  for (const char* text : {"127.0.0.1:80", "255.255.255.255:65535", "[::1]:443",
                           "[2001:db8::1:0]:0", "unix:/run/rondo.sock", "unix:@name"}) {
    const SocketAddress address = Parse(text);
    const RawAddress raw = ToRawAddress(address);
    EXPECT_EQ(FromRawAddress(&raw.any, raw.length), address) << text;
  }
  const SocketAddress longest = Parse("unix:/" + std::string(106, 'x'));
  const RawAddress raw = ToRawAddress(longest);
  EXPECT_EQ(FromRawAddress(&raw.any, raw.length), longest);
}

TEST(RawAddress, WhatIsUnknownOrTooShortIsTheUnspecifiedAddress) {
  RawAddress raw = ToRawAddress(Parse("1.2.3.4:5"));
  EXPECT_EQ(FromRawAddress(&raw.any, 4), SocketAddress());
  raw.any.sa_family = AF_NETLINK;
  EXPECT_EQ(FromRawAddress(&raw.any, raw.length), SocketAddress());
  EXPECT_EQ(FromRawAddress(&raw.any, 0), SocketAddress());
}

TEST(Limits, CpuMaxIsReadStrictly) {
  EXPECT_EQ(ParseCpuMax("150000 100000\n"), 1.5);
  EXPECT_EQ(ParseCpuMax("50000 100000"), 0.5);
  EXPECT_EQ(ParseCpuMax("400000"), 4.0);
  for (const char* text : {"max 100000\n", "max", "", " ", "-1 100000", "0 100000", "1 0",
                           "12x 100000", "100000 100000 1", "99999999999999999999 1"}) {
    EXPECT_EQ(ParseCpuMax(text), std::nullopt) << text;
  }
}

TEST(Limits, AtLeastOneCpuIsUsableAndNoMoreThanThereAre) {
  EXPECT_GE(UsableCpus(), 1);
  EXPECT_LE(UsableCpus(), sysconf(_SC_NPROCESSORS_CONF));
}

TEST(Limits, TheSoftDescriptorLimitIsRaisedToTheHardOne) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit low{64, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  EXPECT_EQ(RaiseDescriptorLimit(), before.rlim_max);
  rlimit after{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &after), 0);
  EXPECT_EQ(after.rlim_cur, before.rlim_max);
  setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace rondo::io
