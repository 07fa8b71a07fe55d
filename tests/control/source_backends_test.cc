#include "control/source_backends.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

namespace rondo::control {
namespace {

using config::BackendSource;
using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

ResolvedRecord At(std::string_view ip, uint16_t port = 0, uint16_t priority = 0,
                  uint16_t weight = 0, std::string target = "") {
  return ResolvedRecord{*IpAddress::Parse(ip), port, priority, weight, std::move(target)};
}

BackendSource Source(BackendSource::Kind kind) {
  BackendSource source;
  source.kind = kind;
  source.name = "api.test";
  source.port = kind == BackendSource::Kind::kSrv ? 0 : 3000;
  if (kind == BackendSource::Kind::kName) source.id = "api.test:3000";
  source.weight = 7;
  source.max_connections = 9;
  return source;
}

// "id@address weight backup" of each.
std::vector<std::string> Shown(const std::vector<config::Backend>& backends) {
  std::vector<std::string> shown;
  for (const config::Backend& backend : backends) {
    std::string text = backend.id == backend.address.ToString() ? "" : backend.id + "@";
    text += backend.address.ToString() + " " + std::to_string(backend.weight);
    shown.push_back(text + (backend.backup ? " backup" : ""));
  }
  return shown;
}

TEST(SourceBackends, EachAddressOfANameIsOneInOrderOfAddresses) {
  std::optional<IpAddress> chosen;
  const auto backends =
      BackendsOf(Source(BackendSource::Kind::kDns),
                 {At("10.0.0.2"), At("2001:db8::1"), At("10.0.0.1"), At("10.0.0.2")}, chosen);
  EXPECT_THAT(Shown(backends),
              ElementsAre("10.0.0.1:3000 7", "10.0.0.2:3000 7", "[2001:db8::1]:3000 7"));
  EXPECT_EQ(backends[0].max_connections, 9u);
  EXPECT_FALSE(chosen);
}

TEST(SourceBackends, AHostNameIsOneAndStaysWhereItIs) {
  const BackendSource source = Source(BackendSource::Kind::kName);
  std::optional<IpAddress> chosen;
  EXPECT_THAT(BackendsOf(source, {}, chosen), IsEmpty());
  EXPECT_THAT(Shown(BackendsOf(source, {At("10.0.0.2"), At("10.0.0.1")}, chosen)),
              ElementsAre("api.test:3000@10.0.0.2:3000 7"));
  EXPECT_THAT(Shown(BackendsOf(source, {At("10.0.0.1"), At("10.0.0.2")}, chosen)),
              ElementsAre("api.test:3000@10.0.0.2:3000 7"));
  EXPECT_THAT(Shown(BackendsOf(source, {At("10.0.0.3"), At("10.0.0.1")}, chosen)),
              ElementsAre("api.test:3000@10.0.0.3:3000 7"));
}

TEST(SourceBackends, ServicesSayPortWeightAndBackup) {
  std::optional<IpAddress> chosen;
  const auto backends =
      BackendsOf(Source(BackendSource::Kind::kSrv),
                 {At("10.0.0.3", 80, 20, 5), At("10.0.0.1", 8080, 10, 0),
                  At("10.0.0.2", 8081, 10, 60), At("2001:db8::1", 8080, 10, 1), At("10.0.0.9", 0)},
                 chosen);
  EXPECT_THAT(Shown(backends), ElementsAre("10.0.0.1:8080 1", "10.0.0.2:8081 60",
                                           "10.0.0.3:80 5 backup", "[2001:db8::1]:8080 1"));
}

TEST(SourceBackends, AServiceNamedTwiceCountsAsWhatIsUsedFirst) {
  std::optional<IpAddress> chosen;
  const auto backends = BackendsOf(Source(BackendSource::Kind::kSrv),
                                   {At("10.0.0.1", 80, 20, 5), At("10.0.0.1", 80, 10, 3)}, chosen);
  EXPECT_THAT(Shown(backends), ElementsAre("10.0.0.1:80 3"));
}

TEST(SourceBackends, AHoleIsFilledWithWhatWasKnownOfThatFamilyAndHost) {
  Answer answer;
  answer.status = Answer::Status::kOk;
  answer.records = {At("10.0.0.1", 80, 1, 1, "a"), At("10.0.1.1", 80, 1, 1, "b")};
  answer.holes = {{true, At("::", 81, 2, 3, "a")}};
  FillHoles(answer, {At("10.0.0.9", 80, 1, 1, "a"), At("2001:db8::1", 80, 1, 1, "a"),
                     At("2001:db8::2", 80, 1, 1, "b")});
  EXPECT_EQ(answer.status, Answer::Status::kOk);
  EXPECT_THAT(answer.records,
              ElementsAre(At("10.0.0.1", 80, 1, 1, "a"), At("10.0.1.1", 80, 1, 1, "b"),
                          At("2001:db8::1", 81, 2, 3, "a")));
}

TEST(SourceBackends, AnAnswerOfHolesAloneIsAFailure) {
  Answer answer;
  answer.status = Answer::Status::kOk;
  answer.holes = {{false, At("::", 80, 1, 1, "a")}};
  answer.problem = "no DNS server answered in time";
  FillHoles(answer, {At("2001:db8::1", 80, 1, 1, "a")});
  EXPECT_EQ(answer.status, Answer::Status::kFailed);
  EXPECT_EQ(answer.problem, "no DNS server answered in time");
}

TEST(SourceBackends, AnAnswerHoldsForItsTtlWithinBounds) {
  EXPECT_EQ(UntilNextAsk(seconds(0), seconds(5)), seconds(1));
  EXPECT_EQ(UntilNextAsk(milliseconds(999), seconds(5)), seconds(1));
  EXPECT_EQ(UntilNextAsk(seconds(3), seconds(5)), seconds(3));
  EXPECT_EQ(UntilNextAsk(seconds(600), seconds(5)), seconds(5));
  EXPECT_EQ(UntilNextAsk(seconds(600), milliseconds(1)), seconds(1));
}

TEST(SourceBackends, RetriesAreDoubledUpToTheLongestTtl) {
  const Duration expected[] = {seconds(1), seconds(2), seconds(4), seconds(8), seconds(10)};
  for (uint32_t i = 0; i < 5; ++i) EXPECT_EQ(UntilRetry(i + 1, seconds(10)), expected[i]);
  EXPECT_EQ(UntilRetry(4'000'000'000u, seconds(10)), seconds(10));
}

TEST(SourceBackends, TheFirstOfTheSameIdOrAddressStays) {
  std::vector<config::Backend> backends(3);
  backends[0].address = *SocketAddress::Parse("10.0.0.1:1");
  backends[0].id = "a";
  backends[1].address = *SocketAddress::Parse("10.0.0.2:1");
  backends[1].id = "a";
  backends[2].address = *SocketAddress::Parse("10.0.0.1:1");
  backends[2].id = "b";
  DropDuplicates(backends);
  EXPECT_THAT(Shown(backends), ElementsAre("a@10.0.0.1:1 1"));
}

}  // namespace
}  // namespace rondo::control
