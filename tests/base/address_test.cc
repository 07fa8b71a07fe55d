#include "rondo/base/address.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <string>

#include "rondo/base/rng.h"

namespace rondo {
namespace {

using namespace std::string_literals;

TEST(IpAddress, WritesTheUsualForm) {
  const struct {
    const char* text;
    const char* written;
  } cases[] = {
      {"0.0.0.0", "0.0.0.0"},
      {"255.1.20.3", "255.1.20.3"},
      {"::", "::"},
      {"::1", "::1"},
      {"1::", "1::"},
      {"2001:DB8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},     // the first of two equal runs
      {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},  // one group alone is no run
      {"2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
      {"1:2:3:4:5:6:7:0", "1:2:3:4:5:6:7:0"},
      {"0:0:3:4:5:6:7:8", "::3:4:5:6:7:8"},
      {"1:2:3:4:5:6:0:0", "1:2:3:4:5:6::"},
      {"::ffff:1.2.3.4", "1.2.3.4"},
      {"fe80::00a0", "fe80::a0"},
      {"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
  };
  for (const auto& one : cases) {
    const auto address = IpAddress::Parse(one.text);
    ASSERT_TRUE(address.has_value()) << one.text;
    EXPECT_EQ(address->ToString(), one.written);
  }
}

TEST(IpAddress, RefusesWhatIsNotOne) {
  for (const std::string& text :
       {""s, "1.2.3"s, "1.2.3.4.5"s, "256.1.1.1"s, "01.2.3.4"s, "1.2.3.4 "s, " 1.2.3.4"s,
        "0x7f.0.0.1"s, "1.2.3.-4"s, "::1%eth0"s, "[::1]"s, ":::"s, "1::2::3"s, "12345::"s,
        "1:2:3:4:5:6:7"s, "localhost"s, "1.2.3.4\0"s, "::\0"s, std::string(100, '1')}) {
    EXPECT_FALSE(IpAddress::Parse(text).has_value()) << text;
  }
}

TEST(IpAddress, WritingIsUndoneByParsingForRandomAddresses) {
  Rng rng(7);
  for (int i = 0; i < 20'000; ++i) {
    IpAddress address;
    for (auto& byte : address.bytes) {
      byte = rng.Chance(0.6) ? uint8_t{0} : static_cast<uint8_t>(rng.Next());
    }
    const std::string text = address.ToString();
    ASSERT_LE(text.size(), IpAddress::kTextMax);
    const auto parsed = IpAddress::Parse(text);
    ASSERT_TRUE(parsed.has_value()) << text;
    ASSERT_EQ(*parsed, address) << text;
  }
}

TEST(IpAddress, V4IsKeptInItsMappedForm) {
  const IpAddress address = IpAddress::V4(0x0a000102);
  EXPECT_TRUE(address.is_v4());
  EXPECT_EQ(address.ToString(), "10.0.1.2");
  EXPECT_FALSE(IpAddress::Parse("::1")->is_v4());
}

TEST(SocketAddress, ParsesAndWritesEveryKind) {
  for (const char* text : {"127.0.0.1:80", "0.0.0.0:0", "[::1]:65535", "[2001:db8::1]:8080",
                           "unix:/run/x.sock", "unix:@name", "unix:x"}) {
    const auto address = SocketAddress::Parse(text);
    ASSERT_TRUE(address.has_value()) << text;
    EXPECT_EQ(address->ToString(), text);
  }
  EXPECT_FALSE(SocketAddress::Parse(":80").has_value());
  const auto any = SocketAddress::Parse(":80", true);
  ASSERT_TRUE(any.has_value());
  EXPECT_TRUE(any->both_families);
  EXPECT_EQ(any->ToString(), ":80");
  EXPECT_TRUE(SocketAddress::Parse("unix:" + std::string(107, 'p')).has_value());
}

TEST(SocketAddress, RefusesWhatIsNotOne) {
  for (const std::string& text : {""s,
                                  "80"s,
                                  "127.0.0.1"s,
                                  "127.0.0.1:"s,
                                  "127.0.0.1:65536"s,
                                  "127.0.0.1:080"s,
                                  "127.0.0.1:-1"s,
                                  "127.0.0.1:+1"s,
                                  "127.0.0.1:8 "s,
                                  "::1:80"s,
                                  "[::1]"s,
                                  "[127.0.0.1]:80"s,
                                  "[]:80"s,
                                  "[::1:80"s,
                                  "::1]:80"s,
                                  "host:80"s,
                                  "unix:"s,
                                  "unix:@"s,
                                  "unix:a\0b"s,
                                  "unix:" + std::string(108, 'p'),
                                  "UNIX:/x"s,
                                  "127.0.0.1:123456789012"s}) {
    EXPECT_FALSE(SocketAddress::Parse(text, true).has_value()) << text;
  }
}

TEST(Network, ContainsExactlyItsAddresses) {
  const struct {
    const char* network;
    const char* inside;
    const char* outside;
  } cases[] = {
      {"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
      {"10.1.128.0/17", "10.1.128.1", "10.1.127.255"},
      {"192.168.1.1", "192.168.1.1", "192.168.1.2"},
      {"192.168.1.1/32", "192.168.1.1", "192.168.1.0"},
      {"0.0.0.0/0", "1.2.3.4", "::1"},
      {"2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"},
      {"fe80::/10", "febf::1", "fec0::"},
      {"::1", "::1", "::2"},
      {"10.0.0.0/7", "11.1.1.1", "12.0.0.0"},
  };
  for (const auto& one : cases) {
    const auto network = Network::Parse(one.network);
    ASSERT_TRUE(network.has_value()) << one.network;
    EXPECT_TRUE(network->Contains(*IpAddress::Parse(one.inside))) << one.network;
    EXPECT_FALSE(network->Contains(*IpAddress::Parse(one.outside))) << one.network;
    EXPECT_EQ(*Network::Parse(network->ToString()), *network);
  }
  // All of IPv6 holds IPv4 too, in the form in which we keep it.
  EXPECT_TRUE(Network::Parse("::/0")->Contains(IpAddress::V4(1)));
}

TEST(Network, RefusesBitsBehindThePrefixAndBadLengths) {
  for (const char* text : {"10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/08",
                           "/8", "", "::1/127", "::/129", "10.0.0.0/8/8", "10.0.0.0/8 ", "a/8"}) {
    EXPECT_FALSE(Network::Parse(text).has_value()) << text;
  }
}

}  // namespace
}  // namespace rondo
