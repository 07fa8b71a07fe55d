#include "control/dns_answer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "control/dns_message.h"

namespace rondo::control {
namespace {

using std::chrono::seconds;
using testing::DnsMessage;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr uint16_t kA = 1;
constexpr uint16_t kAaaa = 28;
constexpr uint16_t kSrv = 33;

std::optional<DnsAnswer> Parse(const DnsMessage& message, std::string_view name = "api.test",
                               DnsType type = DnsType::kA) {
  // A copy of the exact size, so that a sanitizer sees every byte too many.
  std::vector<uint8_t> bytes(message.bytes);
  bytes.shrink_to_fit();
  return ParseDnsAnswer(bytes, name, type, 100);
}

std::vector<std::string> Addresses(const std::optional<DnsAnswer>& answer) {
  std::vector<std::string> addresses;
  if (!answer) return {"unreadable"};
  for (const ResolvedRecord& record : answer->records) addresses.push_back(record.ip.ToString());
  return addresses;
}

TEST(DnsAnswer, HasTheAddressesAndTheSmallestTtl) {
  DnsMessage message("api.test", kA);
  message.A("api.test", 30, "10.0.0.1").A("api.test", 7, "10.0.0.2").A("api.test", 60, "10.0.0.3");
  const auto answer = Parse(message);
  EXPECT_THAT(Addresses(answer), ElementsAre("10.0.0.1", "10.0.0.2", "10.0.0.3"));
  EXPECT_EQ(answer->ttl, seconds(7));
}

TEST(DnsAnswer, HasIpv6Addresses) {
  DnsMessage message("api.test", kAaaa);
  message.Aaaa("api.test", 30, "2001:db8::1");
  EXPECT_THAT(Addresses(Parse(message, "api.test", DnsType::kAaaa)), ElementsAre("2001:db8::1"));
}

TEST(DnsAnswer, ComparesNamesInAnyCase) {
  DnsMessage message("API.test", kA);
  message.A("aPI.TEst", 30, "10.0.0.1");
  EXPECT_THAT(Addresses(Parse(message, "Api.Test")), ElementsAre("10.0.0.1"));
}

TEST(DnsAnswer, FollowsAliasesAndCountsTheirTtl) {
  DnsMessage message("api.test", kA);
  message.A("c.test", 50, "10.0.0.9").Alias("b.test", 4, "c.test").Alias("api.test", 40, "b.test");
  const auto answer = Parse(message);
  EXPECT_THAT(Addresses(answer), ElementsAre("10.0.0.9"));
  EXPECT_EQ(answer->ttl, seconds(4));
}

TEST(DnsAnswer, LeavesOutWhatBelongsToOthers) {
  DnsMessage message("api.test", kA);
  message.A("other.test", 1, "10.0.0.66").A("api.test", 30, "10.0.0.1");
  message.Aaaa("api.test", 1, "2001:db8::1").Record("api.test", 16, 1, {1, 'x'});
  message.Record("api.test", kA, 1, {10, 0, 0, 77}, /*of_class=*/3);
  const auto answer = Parse(message);
  EXPECT_THAT(Addresses(answer), ElementsAre("10.0.0.1"));
  EXPECT_EQ(answer->ttl, seconds(30));
}

TEST(DnsAnswer, EndsInACircleOfAliasesWithoutRecords) {
  DnsMessage message("api.test", kA);
  message.Alias("api.test", 5, "b.test").Alias("b.test", 5, "api.test");
  EXPECT_THAT(Addresses(Parse(message)), IsEmpty());
}

TEST(DnsAnswer, OfNothingIsAnAnswer) {
  EXPECT_THAT(Addresses(Parse(DnsMessage("api.test", kA))), IsEmpty());
}

TEST(DnsAnswer, LeavesOutAddressesThatMeanTheMachineItself) {
  DnsMessage message("api.test", kA);
  message.A("api.test", 1, "0.0.0.0").A("api.test", 30, "10.0.0.1");
  EXPECT_THAT(Addresses(Parse(message)), ElementsAre("10.0.0.1"));
  DnsMessage six("api.test", kAaaa);
  six.Aaaa("api.test", 1, "::");
  EXPECT_THAT(Addresses(Parse(six, "api.test", DnsType::kAaaa)), IsEmpty());
}

TEST(DnsAnswer, TakesATtlWithTheHighestBitForZero) {
  DnsMessage message("api.test", kA);
  message.A("api.test", 0x80000005u, "10.0.0.1");
  EXPECT_EQ(Parse(message)->ttl, seconds(0));
}

TEST(DnsAnswer, HasServicesWithAllThatTheySay) {
  DnsMessage message("_http._tcp.api.test", kSrv);
  message.Srv("_http._tcp.api.test", 20, 1, 5, 8080, "Web1.test");
  message.Srv("_http._tcp.api.test", 10, 2, 0, 8081, "web2.test");
  const auto answer = Parse(message, "_http._tcp.api.test", DnsType::kSrv);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->ttl, seconds(10));
  const ResolvedRecord first{{}, 8080, 1, 5, "web1.test"};
  const ResolvedRecord second{{}, 8081, 2, 0, "web2.test"};
  EXPECT_THAT(answer->records, ElementsAre(first, second));
}

TEST(DnsAnswer, LeavesOutServicesAtNoHost) {
  for (const char* target : {"", "web 1.test", "web/1.test", "w\xc3\xa4.test"}) {
    DnsMessage message("_http._tcp.api.test", kSrv);
    message.Srv("_http._tcp.api.test", 20, 1, 5, 8080, target);
    const auto answer = Parse(message, "_http._tcp.api.test", DnsType::kSrv);
    ASSERT_TRUE(answer) << target;
    EXPECT_THAT(answer->records, IsEmpty()) << target;
  }
}

TEST(DnsAnswer, ReadsCompressedNames) {
  DnsMessage message("api.test", kA);
  ++message.bytes[7];
  message.Pointer(12).Short(kA).Short(1).Long(9).Short(4).Byte(10).Byte(0).Byte(0).Byte(5);
  ++message.bytes[7];
  // An owner of which only the end is compressed: it is another one.
  message.Byte(1).Byte('x').Pointer(16).Short(kA).Short(1).Long(9).Short(4);
  message.Byte(10).Byte(0).Byte(0).Byte(6);
  EXPECT_THAT(Addresses(Parse(message)), ElementsAre("10.0.0.5"));
  EXPECT_THAT(Addresses(Parse(message, "x.test")), ElementsAre("10.0.0.6"));
}

TEST(DnsAnswer, RefusesPointersThatDoNotLeadBack) {
  for (const unsigned target : {26u, 27u, 28u, 200u, 0x3fffu}) {
    DnsMessage message("api.test", kA);  // 26 bytes
    ASSERT_EQ(message.bytes.size(), 26u);
    ++message.bytes[7];
    message.Pointer(target).Short(kA).Short(1).Long(9).Short(4).Long(0x0a000001);
    EXPECT_FALSE(Parse(message)) << target;
  }
}

TEST(DnsAnswer, RefusesLabelsThatAreNone) {
  for (const unsigned length : {0x40u, 0x80u, 0xbfu}) {
    DnsMessage message("api.test", kA);
    ++message.bytes[7];
    message.Byte(length).Short(kA).Short(1).Long(9).Short(4).Long(0x0a000001);
    message.bytes.resize(message.bytes.size() + 300);
    EXPECT_FALSE(Parse(message)) << length;
  }
}

TEST(DnsAnswer, RefusesEveryMessageThatIsCut) {
  DnsMessage message("_http._tcp.api.test", kSrv);
  message.Alias("_http._tcp.api.test", 4, "s.test").Srv("s.test", 20, 1, 5, 8080, "web1.test");
  ASSERT_TRUE(Parse(message, "_http._tcp.api.test", DnsType::kSrv));
  for (size_t size = 0; size < message.bytes.size(); ++size) {
    DnsMessage cut = message;
    cut.bytes.resize(size);
    EXPECT_FALSE(Parse(cut, "_http._tcp.api.test", DnsType::kSrv)) << size;
  }
}

TEST(DnsAnswer, RefusesDataThatDoesNotFillItsLength) {
  DnsMessage longer("api.test", kA);
  longer.Record("api.test", kA, 9, {10, 0, 0, 1, 0});
  EXPECT_FALSE(Parse(longer));
  DnsMessage shorter("api.test", kA);
  shorter.Record("api.test", kA, 9, {10, 0, 0}).A("api.test", 9, "10.0.0.1");
  EXPECT_FALSE(Parse(shorter));
}

TEST(DnsAnswer, RefusesAQuestion) {
  DnsMessage message("api.test", kA);
  message.bytes[2] = 0x01;
  EXPECT_FALSE(Parse(message));
}

TEST(DnsAnswer, TellsADotInALabelFromOneBetweenLabels) {
  DnsMessage message("api.test", kA);
  ++message.bytes[7];
  message.Byte(8);
  for (const char c : std::string_view("api.test")) message.Byte(static_cast<uint8_t>(c));
  message.Byte(0).Short(kA).Short(1).Long(9).Short(4).Long(0x0a000001);
  EXPECT_THAT(Addresses(Parse(message)), IsEmpty());
}

TEST(DnsAnswer, ReadsNoMoreRecordsThanAsked) {
  DnsMessage message("api.test", kA);
  for (int i = 1; i <= 20; ++i) message.A("api.test", 9, "10.0.0." + std::to_string(i));
  EXPECT_EQ(ParseDnsAnswer(message.bytes, "api.test", DnsType::kA, 7)->records.size(), 7u);
}

}  // namespace
}  // namespace rondo::control
