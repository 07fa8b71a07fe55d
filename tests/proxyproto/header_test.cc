#include "rondo/proxyproto/header.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "proxyproto/crc32c.h"

namespace rondo::proxyproto {
namespace {

using std::string;
using std::string_literals::operator""s;

const string kSignature = "\r\n\r\n\0\r\nQUIT\n"s;

Endpoint At(const string& ip, uint16_t port) { return {*IpAddress::Parse(ip), port}; }

string Number16(size_t value) {
  return {static_cast<char>(value >> 8), static_cast<char>(value & 0xff)};
}

string V2(const string& command_and_family, const string& rest) {
  return kSignature + command_and_family + Number16(rest.size()) + rest;
}

Header Told(const Endpoint& source, const Endpoint& destination) {
  return {false, source, destination};
}
const Header kLocal{true, {}, {}};

string Tlv(char type, const string& value) { return type + Number16(value.size()) + value; }

const string kV4Pair =
    "\x0a\x01\x02\x03\xc0\xa8\x00\x01\x1f\x90\x01\xbb"s;  // 10.1.2.3:8080 192.168.0.1:443
const string kV6Pair =
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"s
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02"s
    "\xff\xff\0\x50"s;  // [2001:db8::1]:65535 [2001:db8::2]:80

// Whole, and then byte by byte: what is the beginning of a header is waited for, and what is behind
// one does not matter to it.
void ExpectHeader(const string& text, const Header& header) {
  SCOPED_TRACE(::testing::PrintToString(text));
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_EQ(ParseHeader(text.substr(0, size)).state, Parse::kNeedMore) << size;
  }
  for (const string& behind : {""s, "G"s, "GET / HTTP/1.1\r\n\r\n"s, string(5000, '\r')}) {
    const Parsed parsed = ParseHeader(text + behind);
    ASSERT_EQ(parsed.state, Parse::kDone) << parsed.reason;
    EXPECT_EQ(parsed.size, text.size());
    EXPECT_EQ(parsed.header.source, header.source);
    EXPECT_EQ(parsed.header.destination, header.destination);
    EXPECT_EQ(parsed.header.local, header.local);
  }
}

// It is refused at some byte, for one reason, and stays refused.
void ExpectBad(const string& text, const string& reason) {
  SCOPED_TRACE(::testing::PrintToString(text));
  bool bad = false;
  for (size_t size = 0; size <= text.size(); ++size) {
    const Parsed parsed = ParseHeader(text.substr(0, size));
    EXPECT_NE(parsed.state, Parse::kDone) << size;
    if (bad || size == text.size()) {
      EXPECT_EQ(parsed.state, Parse::kBad) << size;
    }
    bad = parsed.state == Parse::kBad;
    if (bad) EXPECT_EQ(parsed.reason, reason) << size;
  }
}

TEST(ProxyHeaderV1, SaysWhoTheClientIs) {
  ExpectHeader("PROXY TCP4 10.1.2.3 192.168.0.1 8080 443\r\n",
               Told(At("10.1.2.3", 8080), At("192.168.0.1", 443)));
  ExpectHeader("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
               Told(At("255.255.255.255", 65535), At("255.255.255.255", 65535)));
  ExpectHeader("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n", Told(At("0.0.0.0", 0), At("0.0.0.0", 0)));
  ExpectHeader("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", Told(At("2001:db8::1", 1), At("::1", 2)));
  ExpectHeader(
      "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
      Told(At("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535),
           At("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535)));
  // A mapped address is one of IPv4 to everything that compares them.
  ExpectHeader("PROXY TCP6 ::ffff:10.1.2.3 ::1 1 2\r\n", Told(At("10.1.2.3", 1), At("::1", 2)));
}

TEST(ProxyHeaderV1, SaysNothingWhereTheClientIsUnknown) {
  ExpectHeader("PROXY UNKNOWN\r\n", {});
  ExpectHeader("PROXY UNKNOWN whatever is here\r\n", {});
  ExpectHeader(
      "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
      "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
      {});
}

TEST(ProxyHeaderV1, RefusesALineThatIsNotOne) {
  for (const char* line : {"PROXY \r\n",
                           "PROXY TCP4\r\n",
                           "PROXY TCP4 \r\n",
                           "PROXY TCP4 10.0.0.1\r\n",
                           "PROXY TCP4 10.0.0.1 10.0.0.2\r\n",
                           "PROXY TCP4 10.0.0.1 10.0.0.2 1\r\n",
                           "PROXY TCP4 10.0.0.1 10.0.0.2 1 \r\n",
                           "PROXY TCP4 10.0.0.1 10.0.0.2 1 2 \r\n",
                           "PROXY TCP4 10.0.0.1 10.0.0.2 1 2 3\r\n",
                           "PROXY TCP4  10.0.0.1 10.0.0.2 1 2\r\n",
                           "PROXY  TCP4 10.0.0.1 10.0.0.2 1 2\r\n",
                           "PROXY tcp4 10.0.0.1 10.0.0.2 1 2\r\n",
                           "PROXY UDP4 10.0.0.1 10.0.0.2 1 2\r\n",
                           "PROXY TCP4 10.0.0.1 10.0.0.2 65536 2\r\n",
                           "PROXY TCP4 10.0.0.1 10.0.0.2 99999999999999999999 2\r\n",
                           "PROXY TCP4 10.0.0.1 10.0.0.2 01 2\r\n",
                           "PROXY TCP4 10.0.0.1 10.0.0.2 -1 2\r\n",
                           "PROXY TCP4 10.0.0.1 10.0.0.2 +1 2\r\n",
                           "PROXY TCP4 10.0.0.256 10.0.0.2 1 2\r\n",
                           "PROXY TCP4 10.0.0.01 10.0.0.2 1 2\r\n",
                           "PROXY TCP4 ::1 ::1 1 2\r\n",
                           "PROXY TCP6 10.0.0.1 10.0.0.2 1 2\r\n",
                           "PROXY TCP6 ::1 fe80::1%eth0 1 2\r\n",
                           "PROXY TCP6 [::1] ::1 1 2\r\n",
                           "PROXY UNKNOWNX\r\n",
                           "PROXY unknown\r\n",
                           "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\n",
                           "PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\r\n",
                           "PROXY TCP4 10.0.0.1 10.0.0.2 1\t2\r\n",
                           "PROXY UNKNOWN\n",
                           "PROXY \n"}) {
    ExpectBad(line, "proxy_header_malformed");
  }
  ExpectBad("PROXY TCP4 10.0.0.1 10.0.0.2 1 2\0\r\n"s, "proxy_header_malformed");
}

TEST(ProxyHeaderV1, EndsWithinItsLongestLine) {
  const string begin = "PROXY UNKNOWN ";
  ExpectHeader(begin + string(kV1Max - begin.size() - 2, 'x') + "\r\n", {});
  ExpectBad(begin + string(kV1Max - begin.size() - 1, 'x') + "\r\n", "proxy_header_too_long");
  ExpectBad(begin + string(5000, 'x'), "proxy_header_too_long");
}

TEST(ProxyHeader, IsMissingWhereSomethingElseComesFirst) {
  for (const char* text :
       {"G", "GET / HTTP/1.1\r\n\r\n", "POST / HTTP/1.1\r\n", "PROXYTCP4 ", "PROXY\r\n", "proxy ",
        "\x16\x03\x01", "\r\n\r\nGET", "\n", "\r\n\r\n\r"}) {
    ExpectBad(text, "proxy_header_missing");
  }
  ExpectBad("\r\n\r\n\0\r\nQUIT\r"s, "proxy_header_missing");
  ExpectBad("\0"s, "proxy_header_missing");
}

TEST(ProxyHeaderV2, SaysWhoTheClientIs) {
  ExpectHeader(V2("\x21\x11", kV4Pair), Told(At("10.1.2.3", 8080), At("192.168.0.1", 443)));
  ExpectHeader(V2("\x21\x21", kV6Pair), Told(At("2001:db8::1", 65535), At("2001:db8::2", 80)));
}

TEST(ProxyHeaderV2, SaysNothingOfItsOwnConnectionsAndWhatHasNoAddress) {
  ExpectHeader(V2("\x20\0"s, ""), kLocal);
  // What stands in a LOCAL header is thrown away, whatever it is.
  ExpectHeader(V2("\x20\x11", kV4Pair), kLocal);
  ExpectHeader(V2("\x20\x11", "abc"), kLocal);
  ExpectHeader(V2("\x20\xff", string(300, '\xff')), kLocal);
  ExpectHeader(V2("\x21\0"s, ""), {});
  ExpectHeader(V2("\x21\0"s, "whatever"), {});
  ExpectHeader(V2("\x21\x12", kV4Pair), {});  // datagrams
  ExpectHeader(V2("\x21\x31", string(216, '\0')), {});
  ExpectHeader(V2("\x21\x77", "later"), {});
}

TEST(ProxyHeaderV2, SkipsAdditionsBehindTheAddresses) {
  const Header header = Told(At("10.1.2.3", 8080), At("192.168.0.1", 443));
  ExpectHeader(V2("\x21\x11", kV4Pair + Tlv('\x01', "h2")), header);
  ExpectHeader(V2("\x21\x11", kV4Pair + Tlv('\x02', "example.com") + Tlv('\x04', "") +
                                  Tlv('\xea', string(300, 'v'))),
               header);
  ExpectHeader(V2("\x21\x11", kV4Pair + Tlv('\x04', string(kHeaderMax - 16 - 12 - 3, '\0'))),
               header);
}

TEST(ProxyHeaderV2, RefusesWhatDoesNotHoldTogether) {
  ExpectBad(kSignature + "\x11", "proxy_header_malformed");  // version 1 in binary
  ExpectBad(kSignature + "\x31", "proxy_header_malformed");
  ExpectBad(kSignature + "\x22", "proxy_header_malformed");  // no such command
  ExpectBad(kSignature + "\x2f", "proxy_header_malformed");
  ExpectBad(V2("\x21\x11", kV4Pair.substr(0, 11)), "proxy_header_malformed");
  ExpectBad(V2("\x21\x11", ""), "proxy_header_malformed");
  ExpectBad(V2("\x21\x21", kV4Pair), "proxy_header_malformed");
  ExpectBad(V2("\x21\x31", string(215, '\0')), "proxy_header_malformed");
  // Additions that end behind the header, or in their own heads.
  ExpectBad(V2("\x21\x11", kV4Pair + "\x01"), "proxy_header_malformed");
  ExpectBad(V2("\x21\x11", kV4Pair + "\x01\0"s), "proxy_header_malformed");
  ExpectBad(V2("\x21\x11", kV4Pair + "\x01\0\x02h"s), "proxy_header_malformed");
  ExpectBad(V2("\x21\x21", kV6Pair + Tlv('\x01', "h2") + "\x01\xff\xff"), "proxy_header_malformed");
  ExpectBad(V2("\x21\x11", kV4Pair + Tlv('\x03', "abc")), "proxy_header_malformed");
}

TEST(ProxyHeaderV2, RefusesMoreThanAHeaderNeeds) {
  ExpectBad(kSignature + "\x21\x11" + Number16(kHeaderMax - 15), "proxy_header_too_long");
  ExpectBad(kSignature + "\x20\0"s + Number16(65535), "proxy_header_too_long");
}

// The sum of the whole header, zeros where it stands, in front of `behind`.
string WithChecksum(const string& behind) {
  string header = V2("\x21\x11", kV4Pair + Tlv('\x03', string(4, '\0')) + behind);
  const uint32_t sum = Crc32c(kCrc32cStart, header) ^ kCrc32cStart;
  for (int i = 0; i < 4; ++i) header[16 + 12 + 3 + i] = static_cast<char>(sum >> (24 - 8 * i));
  return header;
}

TEST(ProxyHeaderV2, HoldsAChecksumToItsWord) {
  // RFC 3720, B.4.
  EXPECT_EQ(Crc32c(kCrc32cStart, string(32, '\0')) ^ kCrc32cStart, 0x8a9136aaU);
  EXPECT_EQ(Crc32c(kCrc32cStart, string(32, '\xff')) ^ kCrc32cStart, 0x62a8ab43U);
  EXPECT_EQ(Crc32c(kCrc32cStart, "123456789") ^ kCrc32cStart, 0xe3069283U);

  const Header header = Told(At("10.1.2.3", 8080), At("192.168.0.1", 443));
  for (const string& behind : {""s, Tlv('\x02', "example.com")}) {
    const string good = WithChecksum(behind);
    ExpectHeader(good, header);
    // Any bit of the addresses, the sum, or what is behind them.
    for (size_t at = 16; at < good.size(); ++at) {
      const bool length = at == 29 || at == 30 || (at > 35 && at < 38);
      if (at == 28 || length) continue;  // of an addition: another one then
      string bad = good;
      bad[at] = static_cast<char>(bad[at] ^ 4);
      EXPECT_EQ(ParseHeader(bad).reason, "proxy_header_checksum"s) << at;
    }
  }
}

TEST(ProxyHeader, IsWrittenAsItIsRead) {
  struct Case {
    Endpoint source, destination;
    string v1;
  };
  const Case cases[] = {
      {At("10.1.2.3", 8080), At("192.168.0.1", 443),
       "PROXY TCP4 10.1.2.3 192.168.0.1 8080 443\r\n"},
      {At("0.0.0.0", 0), At("255.255.255.255", 65535),
       "PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n"},
      {At("2001:db8::1", 1), At("::1", 2), "PROXY TCP6 2001:db8::1 ::1 1 2\r\n"},
      {At("10.1.2.3", 1), At("::1", 2), "PROXY TCP6 ::ffff:10.1.2.3 ::1 1 2\r\n"},
      {At("::1", 1), At("10.1.2.3", 2), "PROXY TCP6 ::1 ::ffff:10.1.2.3 1 2\r\n"},
      {At("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535),
       At("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 65535),
       "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
       "65535 65535\r\n"},
  };
  for (const Case& c : cases) {
    char out[kWrittenMax];
    const size_t v1 = WriteHeader(Version::kV1, &c.source, &c.destination, out);
    EXPECT_EQ(string(out, v1), c.v1);
    ExpectHeader(string(out, v1), Told(c.source, c.destination));
    const size_t v2 = WriteHeader(Version::kV2, &c.source, &c.destination, out);
    ExpectHeader(string(out, v2), Told(c.source, c.destination));
  }
  char out[kWrittenMax];
  const size_t size = WriteHeader(Version::kV2, &cases[0].source, &cases[0].destination, out);
  EXPECT_EQ(string(out, size), V2("\x21\x11", kV4Pair));
}

TEST(ProxyHeader, IsWrittenForConnectionsOfOurOwn) {
  char out[kWrittenMax];
  EXPECT_EQ(string(out, WriteHeader(Version::kV1, nullptr, nullptr, out)), "PROXY UNKNOWN\r\n");
  EXPECT_EQ(string(out, WriteHeader(Version::kV2, nullptr, nullptr, out)), V2("\x20\0"s, ""));
}

}  // namespace
}  // namespace rondo::proxyproto
