// The resolver on real sockets: against dnsmasq, and against a server that fails in every way.
#include "control/cares_resolver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>

#include "control/dns_servers.h"

namespace rondo::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Dnsmasq;
using ::testing::ElementsAre;
using testing::Folder;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using testing::ScriptedDns;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;
using Status = Answer::Status;

class Asked : public Query {
 public:
  Asked(Type asked_type, std::string asked_name)
      : Query(asked_type, std::move(asked_name),
              [](Query& query) { ++static_cast<Asked&>(query).times; }) {}
  int times = 0;
};

class CaresResolverTest : public ::testing::Test {
 protected:
  void SetUp() override {
    descriptors_before_ = OpenDescriptors();
    auto made = io::MakeEngine(io::EngineKind::kEpoll, io::EngineOptions{.buffers_max = 4});
    ASSERT_TRUE(made.ok());
    engine_ = *std::move(made);
    loop_ = std::make_unique<rt::Loop>(*engine_);
    settings_.timeout = milliseconds(200);
    settings_.attempts = 1;
  }
  void TearDown() override {
    if (resolver_ != nullptr) {
      resolver_->Stop();
      RunUntil([&] { return resolver_->stopped(); });
      resolver_.reset();
    }
    loop_.reset();
    engine_.reset();
    EXPECT_EQ(OpenDescriptors(), descriptors_before_);
  }
  static size_t OpenDescriptors() {
    const std::filesystem::directory_iterator all("/proc/self/fd");
    return static_cast<size_t>(std::distance(begin(all), end(all)));
  }

  // Asks these servers, in order.
  void UseServers(const std::vector<SocketAddress>& servers) {
    settings_.servers = servers;
    resolver_ = std::make_unique<CaresResolver>(*loop_, settings_);
  }
  // Reads these files in the place of those in /etc.
  void UseFiles(const std::string& resolv_conf, const std::string& hosts, uint16_t port = 53) {
    files_.Put("resolv.conf", resolv_conf);
    files_.Put("hosts", hosts);
    resolver_ = std::make_unique<CaresResolver>(
        *loop_, settings_, ResolverFiles{files_.Path("resolv.conf"), files_.Path("hosts"), port});
  }
  template <class Condition>
  void RunUntil(Condition condition) {
    loop_->engine().Run(Instant::min());
    const Instant limit = loop_->Now() + seconds(30);
    while (!condition()) {
      ASSERT_LT(loop_->Now(), limit) << "nothing happened for thirty seconds";
      loop_->Tick(limit);
    }
  }
  const Answer& Ask(Query::Type type, const std::string& name) {
    asked_ = std::make_unique<Asked>(type, name);
    resolver_->Resolve(*asked_);
    EXPECT_EQ(asked_->times, 0) << "never from within";
    RunUntil([&] { return asked_->times > 0; });
    return asked_->answer;
  }
  const Answer& Addresses(const std::string& name) { return Ask(Query::Type::kAddresses, name); }
  const Answer& Services(const std::string& name) { return Ask(Query::Type::kService, name); }
  // "ip" of each, or "ip:port priority weight target".
  static std::vector<std::string> Shown(const Answer& answer) {
    std::vector<std::string> shown;
    for (const ResolvedRecord& record : answer.records) {
      std::string text = record.ip.ToString();
      if (record.port != 0) {
        text += ":" + std::to_string(record.port) + " " + std::to_string(record.priority) + " " +
                std::to_string(record.weight) + " " + record.target;
      }
      shown.push_back(text);
    }
    return shown;
  }

  config::Resolver settings_;
  Folder files_;
  std::unique_ptr<io::Engine> engine_;
  std::unique_ptr<rt::Loop> loop_;
  std::unique_ptr<CaresResolver> resolver_;
  std::unique_ptr<Asked> asked_;
  size_t descriptors_before_ = 0;
};

TEST_F(CaresResolverTest, HasBothFamiliesFromDnsmasqAndSeesChanges) {
  Dnsmasq dns("10.0.0.1 api.test\n10.0.0.2 api.test\n2001:db8::1 api.test\n", {"--local-ttl=2"});
  UseServers({dns.address});
  const Answer& answer = Addresses("api.test");
  EXPECT_EQ(answer.status, Status::kOk) << answer.problem;
  EXPECT_THAT(Shown(answer), UnorderedElementsAre("10.0.0.1", "10.0.0.2", "2001:db8::1"));
  EXPECT_EQ(answer.ttl, seconds(2));
  EXPECT_THAT(answer.holes, IsEmpty());
  dns.Reload("10.0.0.3 api.test\n");
  EXPECT_THAT(Shown(Addresses("api.test")), ElementsAre("10.0.0.3"));
  dns.Reload("10.0.0.3 other.test\n");
  EXPECT_EQ(Addresses("api.test").status, Status::kEmpty);
  EXPECT_EQ(Addresses("api.test").problem, "no such name");
}

TEST_F(CaresResolverTest, HasServicesFromDnsmasq) {
  Dnsmasq dns(
      "10.0.0.1 web1.test\n10.0.0.2 web2.test\n2001:db8::2 web2.test\n",
      {"--local-ttl=3", "--srv-host=_http._tcp.api.test,web1.test,8080,0,10",
       "--srv-host=_http._tcp.api.test,web2.test,8081,1,0", "--srv-host=_none._tcp.api.test"});
  UseServers({dns.address});
  const Answer& answer = Services("_http._tcp.api.test");
  EXPECT_EQ(answer.status, Status::kOk) << answer.problem;
  EXPECT_THAT(Shown(answer),
              UnorderedElementsAre("10.0.0.1:8080 0 10 web1.test", "10.0.0.2:8081 1 0 web2.test",
                                   "2001:db8::2:8081 1 0 web2.test"));
  // "There is no such service here", by a target of ".".
  EXPECT_EQ(Services("_none._tcp.api.test").status, Status::kEmpty);
  EXPECT_EQ(Services("_other._tcp.api.test").status, Status::kEmpty);
}

TEST_F(CaresResolverTest, TakesByTcpWhatDoesNotFitADatagram) {
  std::string hosts;
  for (int i = 0; i < 300; ++i) {
    hosts += "10.1." + std::to_string(i / 200) + "." + std::to_string(i % 200) + " many.test\n";
  }
  Dnsmasq dns(hosts);
  UseServers({dns.address});
  const Answer& answer = Addresses("many.test");
  EXPECT_EQ(answer.status, Status::kOk) << answer.problem;
  EXPECT_THAT(answer.records, SizeIs(300));
}

TEST_F(CaresResolverTest, ComesByTcpWhereTheServerSaysSo) {
  ScriptedDns dns(R"({"api.test": {"A": ["10.0.0.1"], "ttl": 9, "fail": "truncate"}})");
  UseServers({dns.address});
  const Answer& answer = Addresses("api.test");
  EXPECT_EQ(answer.status, Status::kOk) << answer.problem;
  EXPECT_THAT(Shown(answer), ElementsAre("10.0.0.1"));
  EXPECT_EQ(answer.ttl, seconds(9));
  EXPECT_THAT(dns.asked(), HasSubstr("tcp A api.test\n"));
  EXPECT_THAT(dns.asked(), HasSubstr("tcp AAAA api.test\n"));
}

TEST_F(CaresResolverTest, SaysHowItFailed) {
  ScriptedDns dns(R"({"servfail.test": {"fail": "servfail"}, "refused.test": {"fail": "refused"},
    "drop.test": {"fail": "drop"}, "garbage.test": {"fail": "garbage"},
    "cut.test": {"A": ["10.0.0.1"], "AAAA": ["2001:db8::1"], "fail": "cut"},
    "question.test": {"A": ["10.0.0.1"], "fail": "question"},
    "wrong.test": {"A": ["10.0.0.1"], "fail": "wrong_id"},
    "hangup.test": {"A": ["10.0.0.1"], "fail": "truncate_and_hang_up"},
    "empty.test": {"A": []}, "nxdomain.test": {"fail": "nxdomain"}})");
  UseServers({dns.address});
  const struct {
    const char* name;
    Status status;
    const char* problem;
  } cases[] = {
      {"servfail.test", Status::kFailed, "SERVFAIL"},
      {"refused.test", Status::kFailed, "REFUSED"},
      {"drop.test", Status::kFailed, "in time"},
      {"garbage.test", Status::kFailed, ""},
      {"cut.test", Status::kFailed, ""},
      {"question.test", Status::kFailed, ""},
      {"wrong.test", Status::kFailed, "in time"},
      {"hangup.test", Status::kFailed, ""},
      {"empty.test", Status::kEmpty, "no address"},
      {"nxdomain.test", Status::kEmpty, "no such name"},
      {"other.test", Status::kEmpty, "no such name"},
  };
  for (const auto& each : cases) {
    const Answer& answer = Addresses(each.name);
    EXPECT_EQ(answer.status, each.status) << each.name << ": " << answer.problem;
    EXPECT_THAT(answer.problem, HasSubstr(each.problem)) << each.name;
    EXPECT_THAT(answer.records, IsEmpty()) << each.name;
  }
}

TEST_F(CaresResolverTest, AsksAgainWhereAnAnswerWasLost) {
  settings_.attempts = 3;
  ScriptedDns dns(R"({"api.test": {"A": ["10.0.0.1"], "fail": "drop_first"}})");
  UseServers({dns.address});
  EXPECT_THAT(Shown(Addresses("api.test")), ElementsAre("10.0.0.1"));
}

TEST_F(CaresResolverTest, TakesTheNextServerWhereTheFirstFails) {
  ScriptedDns good(R"({"api.test": {"A": ["10.0.0.1"]}})");
  ScriptedDns bad(R"({"*": {"fail": "servfail"}})");
  ScriptedDns mute(R"({"*": {"fail": "drop"}})");
  SocketAddress nobody = *SocketAddress::Parse("127.0.0.1:9");
  for (const SocketAddress& first : {bad.address, mute.address, nobody}) {
    if (resolver_ == nullptr) UseServers({first, good.address});
    settings_.servers = {first, good.address};
    resolver_->SetSettings(settings_);
    EXPECT_THAT(Shown(Addresses("api.test")), ElementsAre("10.0.0.1")) << first.ToString();
  }
}

TEST_F(CaresResolverTest, ReachesServersByIpv6) {
  ScriptedDns dns(R"({"api.test": {"AAAA": ["2001:db8::1"]}})", "::1");
  UseServers({dns.address});
  EXPECT_THAT(Shown(Addresses("api.test")), ElementsAre("2001:db8::1"));
}

TEST_F(CaresResolverTest, FollowsAliases) {
  ScriptedDns dns(R"({"www.test": {"CNAME": "api.test", "ttl": 2},
    "api.test": {"A": ["10.0.0.1"], "AAAA": ["2001:db8::1"], "ttl": 60}})");
  UseServers({dns.address});
  const Answer& answer = Addresses("www.test");
  EXPECT_THAT(Shown(answer), ElementsAre("10.0.0.1", "2001:db8::1"));
  EXPECT_EQ(answer.ttl, seconds(2));
}

TEST_F(CaresResolverTest, LeavesAHoleWhereOneFamilyFailed) {
  ScriptedDns dns(R"({"api.test": {"A": ["10.0.0.1"]}, "AAAA api.test": {"fail": "servfail"},
    "_http._tcp.test": {"SRV": [[1, 2, 80, "api.test"], [1, 2, 81, "gone.test"]]},
    "gone.test": {"fail": "drop"}})");
  UseServers({dns.address});
  const Answer& answer = Addresses("api.test");
  EXPECT_EQ(answer.status, Status::kOk);
  EXPECT_THAT(Shown(answer), ElementsAre("10.0.0.1"));
  EXPECT_THAT(answer.holes, ElementsAre(Answer::Hole{true, {}}));
  const Answer& services = Services("_http._tcp.test");
  EXPECT_EQ(services.status, Status::kOk);
  EXPECT_THAT(Shown(services), ElementsAre("10.0.0.1:80 1 2 api.test"));
  EXPECT_THAT(services.holes, SizeIs(3));
}

TEST_F(CaresResolverTest, SearchesTheDomainsOfResolvConfAndSeesItChange) {
  ScriptedDns dns(R"({"api.one.test": {"A": ["10.0.0.1"]}, "web.two.test": {"A": ["10.0.0.2"]},
    "api": {"A": ["10.0.0.3"]}, "x.y": {"A": ["10.0.0.4"]}, "x.y.one.test": {"A": ["10.0.0.5"]},
    "flaky.one.test": {"fail": "servfail"}, "flaky.two.test": {"A": ["10.0.0.6"]},
    "gone.one.test": {"fail": "servfail"}, "mute.one.test": {"fail": "drop"},
    "_http._tcp.one.test": {"SRV": [[0, 0, 80, "api"]]}})");
  const std::string servers = "nameserver 127.0.0.1\n";
  UseFiles(servers + "search one.test two.test\n", "", dns.address.port);
  EXPECT_THAT(Shown(Addresses("api")), ElementsAre("10.0.0.1"));
  EXPECT_THAT(Shown(Addresses("api.")), ElementsAre("10.0.0.3"));
  EXPECT_THAT(Shown(Addresses("web")), ElementsAre("10.0.0.2"));
  EXPECT_THAT(Shown(Addresses("x.y")), ElementsAre("10.0.0.4"));
  EXPECT_THAT(Shown(Addresses("flaky")), ElementsAre("10.0.0.6"));
  // Names without an answer: a failure anywhere is no proof that there is none; silence ends the
  // search.
  EXPECT_EQ(Addresses("gone").status, Status::kFailed);
  EXPECT_EQ(Addresses("mute").status, Status::kFailed);
  EXPECT_THAT(dns.asked(), Not(HasSubstr("mute.two.test")));
  EXPECT_EQ(Addresses("other").status, Status::kEmpty);
  // A record's target is never searched for.
  EXPECT_THAT(Shown(Services("_http._tcp")), ElementsAre("10.0.0.3:80 0 0 api"));

  files_.Put("resolv.conf", servers + "search one.test\noptions ndots:2\n");
  EXPECT_EQ(Addresses("web").status, Status::kEmpty);
  EXPECT_THAT(Shown(Addresses("x.y")), ElementsAre("10.0.0.5"));
  files_.Put("resolv.conf", "nameserver 127.0.0.2\n");
  EXPECT_EQ(Addresses("x.y").status, Status::kFailed);
  // With servers in the settings no domain is searched.
  settings_.servers = {dns.address};
  resolver_->SetSettings(settings_);
  EXPECT_THAT(Shown(Addresses("api")), ElementsAre("10.0.0.3"));
  EXPECT_EQ(Addresses("web").status, Status::kEmpty);
}

TEST_F(CaresResolverTest, BelievesTheHostsFileFirst) {
  UseFiles("nameserver 127.0.0.1\n",
           "10.0.0.7 api api.test\n2001:db8::7 api\n127.0.0.1 localhost\n");
  EXPECT_THAT(Shown(Addresses("api")), ElementsAre("10.0.0.7", "2001:db8::7"));
  EXPECT_THAT(Shown(Addresses("API.test")), ElementsAre("10.0.0.7"));
  EXPECT_THAT(Shown(Addresses("localhost")), ElementsAre("127.0.0.1"));
  EXPECT_THAT(Shown(Addresses("a.localhost")), ElementsAre("127.0.0.1", "::1"));
  // As soon as it changes.
  files_.Put("hosts", "10.0.0.8 api\n");
  EXPECT_THAT(Shown(Addresses("api")), ElementsAre("10.0.0.8"));
}

TEST_F(CaresResolverTest, TakesWhatIsCancelledForNotAsked) {
  ScriptedDns dns(R"({"api.test": {"A": ["10.0.0.1"]}, "drop.test": {"fail": "drop"},
    "_http._tcp.test": {"SRV": [[1, 2, 80, "api.test"], [1, 2, 81, "drop.test"]]}})");
  UseServers({dns.address});
  for (const char* name : {"api.test", "drop.test", "localhost"}) {
    Asked query(Query::Type::kAddresses, name);
    resolver_->Resolve(query);
    resolver_->Cancel(query);
    resolver_->Cancel(query);
    EXPECT_FALSE(query.pending());
    // The same object again, while the first question is still on its way.
    resolver_->Resolve(query);
    for (int i = 0; i < 3; ++i) loop_->Tick(loop_->Now() + milliseconds(5));
    resolver_->Cancel(query);
  }
  {
    Asked query(Query::Type::kService, "_http._tcp.test");
    resolver_->Resolve(query);
    for (int i = 0; i < 20; ++i) loop_->Tick(loop_->Now() + milliseconds(5));
    resolver_->Cancel(query);
    EXPECT_EQ(query.times, 0);
  }
  EXPECT_THAT(Shown(Addresses("api.test")), ElementsAre("10.0.0.1"));
}

TEST_F(CaresResolverTest, AnswersManyAtOnce) {
  std::string zone = "{";
  for (int i = 0; i < 500; ++i) {
    zone += "\"n" + std::to_string(i) + ".test\": {\"A\": [\"10.0." + std::to_string(i / 250) +
            "." + std::to_string(i % 250) + "\"]}, ";
  }
  ScriptedDns dns(zone + "\"x.test\": {}}");
  settings_.timeout = seconds(5);
  UseServers({dns.address});
  std::vector<std::unique_ptr<Asked>> asked;
  for (int i = 0; i < 500; ++i) {
    asked.push_back(
        std::make_unique<Asked>(Query::Type::kAddresses, "n" + std::to_string(i) + ".test"));
    resolver_->Resolve(*asked.back());
  }
  for (const auto& each : asked) {
    RunUntil([&] { return each->times > 0; });
    EXPECT_EQ(each->answer.status, Status::kOk) << each->name << ": " << each->answer.problem;
    EXPECT_THAT(each->answer.records, SizeIs(1));
  }
}

TEST_F(CaresResolverTest, IsQuietWhenNobodyAsks) {
  ScriptedDns dns(R"({"api.test": {"A": ["10.0.0.1"]}})");
  UseServers({dns.address});
  const size_t idle = OpenDescriptors();
  EXPECT_EQ(Addresses("api.test").status, Status::kOk);
  for (int i = 0; i < 3; ++i) loop_->Tick(loop_->Now() + milliseconds(5));
  EXPECT_EQ(OpenDescriptors(), idle);
  EXPECT_EQ(loop_->wheel().NextDeadline(), kNever);
}

TEST_F(CaresResolverTest, StopsInTheMiddleOfQuestions) {
  ScriptedDns dns(
      R"({"*": {"fail": "drop"}, "tcp.test": {"fail": "truncate", "A": ["10.0.0.1"]}})");
  UseServers({dns.address});
  std::vector<std::unique_ptr<Asked>> asked;
  for (int i = 0; i < 100; ++i) {
    const std::string name = i % 2 == 0 ? "tcp.test" : "n" + std::to_string(i) + ".test";
    asked.push_back(std::make_unique<Asked>(Query::Type::kAddresses, name));
    resolver_->Resolve(*asked.back());
  }
  for (int i = 0; i < 10; ++i) loop_->Tick(loop_->Now() + milliseconds(2));
  for (const auto& each : asked) resolver_->Cancel(*each);
}

}  // namespace
}  // namespace rondo::control
