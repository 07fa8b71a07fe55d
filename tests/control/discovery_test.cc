// Names: when they are asked again, what is kept, and what the listener is told. In virtual time.
#include "control/discovery.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "control/discovery_world.h"
#include "rondo/base/rng.h"

namespace rondo::control {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::DiscoveryWorld;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using testing::ScriptedResolver;
using ::testing::SizeIs;

class DiscoveryTest : public ::testing::Test {
 protected:
  void Answer(const std::string& name, const std::vector<std::string>& ips,
              Duration ttl = seconds(3)) {
    world.resolver->answers[name] = ScriptedResolver::Ok(ips, ttl);
  }
  // When a name was asked, since the first time, in milliseconds.
  std::vector<int64_t> TimesAsked() {
    std::vector<int64_t> times;
    for (const auto& each : world.resolver->asked) {
      const Duration since = each.at - world.resolver->asked.front().at;
      times.push_back(std::chrono::duration_cast<milliseconds>(since).count());
    }
    return times;
  }
  DiscoveryWorld world;
  testing::RememberingListener& told = world.listener;
};

TEST_F(DiscoveryTest, ANewSourceIsAskedAtOnceAndToldOnce) {
  Answer("api.test", {"10.0.0.2", "10.0.0.1"});
  world.Set({DiscoveryWorld::Dns("api.test")});
  EXPECT_THAT(world.resolver->asked, SizeIs(1));
  EXPECT_FALSE(world.discovery->settled());
  EXPECT_EQ(world.discovery->Known("api", 0), nullptr);
  world.RunFor(seconds(20));
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.1:80", "10.0.0.2:80"));
  EXPECT_THAT(told.told, SizeIs(1));
  EXPECT_TRUE(world.discovery->settled());
  ASSERT_NE(world.discovery->Known("api", 0), nullptr);
  EXPECT_THAT(*world.discovery->Known("api", 0), SizeIs(2));
  EXPECT_EQ(world.discovery->Known("api", 1), nullptr);
  EXPECT_EQ(world.discovery->Known("other", 0), nullptr);
}

TEST_F(DiscoveryTest, AnAnswerIsAskedForAgainAsItsTtlEndsWithinBounds) {
  const std::pair<Duration, int64_t> cases[] = {
      {seconds(0), 1000}, {milliseconds(1500), 1500}, {seconds(3), 3000}, {seconds(600), 5000}};
  for (const auto& [ttl, expected] : cases) {
    world.Set({});
    world.resolver->asked.clear();
    Answer("api.test", {"10.0.0.1"}, ttl);
    world.Set({DiscoveryWorld::Dns("api.test")});
    world.RunFor(seconds(11));
    const std::vector<int64_t> times = TimesAsked();
    ASSERT_GT(times.size(), 2u);
    for (size_t i = 1; i < times.size(); ++i) {
      // The answer took 5 ms; each timer is up to 1 ms late, and a posted call up to 1 ms more.
      const int64_t gap = times[i] - times[i - 1];
      EXPECT_GE(gap, expected + 5);
      EXPECT_LE(gap, expected + 8);
    }
  }
}

TEST_F(DiscoveryTest, ALongerBoundFromAReloadCounts) {
  Answer("api.test", {"10.0.0.1"}, seconds(600));
  world.settings.max_ttl = seconds(60);
  world.discovery->SetSettings(world.settings);
  world.Set({DiscoveryWorld::Dns("api.test")});
  world.RunFor(seconds(59));
  EXPECT_THAT(world.resolver->asked, SizeIs(1));
  world.RunFor(seconds(2));
  EXPECT_THAT(world.resolver->asked, SizeIs(2));
}

TEST_F(DiscoveryTest, FailureAndEmptinessKeepTheLastAnswerAndAreRetriedMoreAndMoreSlowly) {
  Answer("api.test", {"10.0.0.1"}, seconds(1));
  world.Set({DiscoveryWorld::Dns("api.test")});
  world.RunFor(milliseconds(500));
  for (const auto& wrong : {ScriptedResolver::Failed("SERVFAIL"), ScriptedResolver::Empty()}) {
    world.resolver->asked.clear();
    world.resolver->answers["api.test"] = wrong;
    world.RunFor(seconds(20));
    const std::vector<int64_t> times = TimesAsked();
    const int64_t gaps[] = {1000, 2000, 4000, 5000, 5000};
    ASSERT_GE(times.size(), 5u);
    for (size_t i = 0; i + 1 < std::min<size_t>(times.size(), 6); ++i) {
      EXPECT_NEAR(static_cast<double>(times[i + 1] - times[i]), static_cast<double>(gaps[i] + 5),
                  4);
    }
    EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.1:80"));
    Answer("api.test", {"10.0.0.1"}, seconds(1));
    world.RunFor(seconds(6));
  }
  EXPECT_EQ(told.TimesTold("api/0"), 1u);
}

TEST_F(DiscoveryTest, AProblemIsToldOnceForEachChangeAndWhenItIsOver) {
  world.Set({DiscoveryWorld::Dns("api.test")});
  world.RunFor(seconds(10));
  EXPECT_TRUE(world.discovery->settled());
  world.resolver->answers["api.test"] = ScriptedResolver::Failed("no DNS server answered in time");
  world.RunFor(seconds(20));
  Answer("api.test", {"10.0.0.1"});
  world.RunFor(seconds(20));
  std::vector<std::string> problems;
  for (const auto& each : told.told) problems.push_back(each.problem);
  EXPECT_THAT(problems, ElementsAre("api.test: no such name",
                                    "api.test: no DNS server answered in time", "", "over"));
  EXPECT_THAT(told.problems, IsEmpty());
}

TEST_F(DiscoveryTest, AnotherOrderIsNoChange) {
  Answer("api.test", {"10.0.0.1", "10.0.0.2", "2001:db8::1"}, seconds(1));
  world.Set({DiscoveryWorld::Dns("api.test")});
  world.RunFor(seconds(2));
  Answer("api.test", {"10.0.0.2", "10.0.0.1", "2001:db8::1"}, seconds(1));
  world.RunFor(seconds(4));
  EXPECT_EQ(told.TimesTold("api/0"), 1u);
  Answer("api.test", {"10.0.0.2", "2001:db8::1"}, seconds(1));
  world.RunFor(seconds(4));
  EXPECT_EQ(told.TimesTold("api/0"), 2u);
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.2:80", "[2001:db8::1]:80"));
}

TEST_F(DiscoveryTest, AHostNameStaysAtItsAddressWhileThatIsAnswered) {
  Answer("db.test", {"10.0.0.2", "10.0.0.1"}, seconds(1));
  world.Set({DiscoveryWorld::Host("db.test", 5432)});
  world.RunFor(seconds(2));
  const auto address = [&] { return told.now.at("api/0").at(0).address.ToString(); };
  EXPECT_EQ(address(), "10.0.0.2:5432");
  Answer("db.test", {"10.0.0.3", "10.0.0.1", "10.0.0.2"}, seconds(1));
  world.RunFor(seconds(2));
  EXPECT_EQ(address(), "10.0.0.2:5432");
  EXPECT_EQ(told.TimesTold("api/0"), 1u);
  Answer("db.test", {"10.0.0.1"}, seconds(1));
  world.RunFor(seconds(2));
  EXPECT_EQ(address(), "10.0.0.1:5432");
  EXPECT_THAT(told.Now("api/0"), ElementsAre("db.test:5432"));
}

TEST_F(DiscoveryTest, AServiceSaysPortsWeightsAndBackups) {
  const auto record = [](std::string_view ip, uint16_t port, uint16_t priority, uint16_t weight) {
    return ResolvedRecord{*IpAddress::Parse(ip), port, priority, weight, "web.test"};
  };
  world.resolver->answers["_http._tcp.api.test"] = ScriptedResolver::Ok(
      {record("10.0.0.1", 8080, 1, 10), record("10.0.0.2", 8081, 2, 0)}, seconds(1));
  world.Set({DiscoveryWorld::Service("_http._tcp.api.test")});
  world.RunFor(seconds(2));
  const auto& backends = told.now.at("api/0");
  ASSERT_THAT(backends, SizeIs(2));
  EXPECT_EQ(backends[0].address.ToString(), "10.0.0.1:8080");
  EXPECT_EQ(backends[0].weight, 10u);
  EXPECT_FALSE(backends[0].backup);
  EXPECT_TRUE(backends[1].backup);
  // A weight alone is a change too.
  world.resolver->answers["_http._tcp.api.test"] = ScriptedResolver::Ok(
      {record("10.0.0.1", 8080, 1, 20), record("10.0.0.2", 8081, 2, 0)}, seconds(1));
  world.RunFor(seconds(2));
  EXPECT_EQ(told.now.at("api/0")[0].weight, 20u);
  EXPECT_EQ(told.TimesTold("api/0"), 2u);
}

TEST_F(DiscoveryTest, AServiceWithoutPortsIsNoReasonToDropItsBackends) {
  const auto at_port = [](uint16_t port) {
    return ScriptedResolver::Ok({ResolvedRecord{IpAddress::V4(0x0a000001), port, 0, 0, "w.test"}},
                                seconds(1));
  };
  world.resolver->answers["_http._tcp.api.test"] = at_port(80);
  world.Set({DiscoveryWorld::Service("_http._tcp.api.test")});
  world.RunFor(seconds(2));
  world.resolver->answers["_http._tcp.api.test"] = at_port(0);
  world.RunFor(seconds(2));
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.1:80"));
  EXPECT_EQ(told.problems["api/0"], "_http._tcp.api.test: no record has a port");
  world.resolver->answers["_http._tcp.api.test"] = at_port(81);
  world.RunFor(seconds(2));
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.1:81"));
  EXPECT_THAT(told.problems, IsEmpty());
}

TEST_F(DiscoveryTest, TheFamilyThatFailedKeepsItsAddresses) {
  Answer("api.test", {"10.0.0.1", "2001:db8::1"}, seconds(1));
  world.Set({DiscoveryWorld::Dns("api.test")});
  world.RunFor(milliseconds(500));
  auto half = ScriptedResolver::Ok(std::vector<std::string>{"10.0.0.2"}, seconds(1));
  half.holes = {{true, {}}};
  world.resolver->answers["api.test"] = half;
  world.RunFor(seconds(5));
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.2:80", "[2001:db8::1]:80"));
  Answer("api.test", {"10.0.0.2"}, seconds(1));
  world.RunFor(seconds(2));
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.2:80"));
  EXPECT_THAT(told.problems, IsEmpty());
}

TEST_F(DiscoveryTest, SourcesOfOneNameShareItsQuestion) {
  Answer("api.test", {"10.0.0.1"}, seconds(1));
  config::Upstream first;
  first.name = "first";
  first.sources = {DiscoveryWorld::Dns("api.test", 80), DiscoveryWorld::Dns("api.test", 81)};
  config::Upstream second;
  second.name = "second";
  second.sources = {DiscoveryWorld::Host("api.test", 82)};
  world.discovery->SetSources({&first, &second});
  world.RunFor(milliseconds(100));
  EXPECT_THAT(world.resolver->asked, SizeIs(1));
  EXPECT_THAT(told.Now("first/0"), ElementsAre("10.0.0.1:80"));
  EXPECT_THAT(told.Now("first/1"), ElementsAre("10.0.0.1:81"));
  EXPECT_THAT(told.Now("second/0"), ElementsAre("api.test:82"));
  // One that joins later has the answer at once.
  second.sources.push_back(DiscoveryWorld::Dns("api.test", 83));
  world.discovery->SetSources({&first, &second});
  ASSERT_NE(world.discovery->Known("second", 1), nullptr);
  EXPECT_THAT(world.resolver->asked, SizeIs(1));
  EXPECT_EQ(told.TimesTold("second/1"), 0u);
  world.RunFor(milliseconds(10));
  EXPECT_THAT(told.Now("second/1"), ElementsAre("10.0.0.1:83"));
  EXPECT_EQ(told.TimesTold("second/0"), 1u);
}

TEST_F(DiscoveryTest, AReloadKeepsWhatIsKnownAndSaysWhatMoved) {
  Answer("a.test", {"10.0.0.1"});
  Answer("b.test", {"10.0.0.2", "10.0.0.3"});
  world.Set({DiscoveryWorld::Dns("a.test"), DiscoveryWorld::Host("b.test")});
  world.RunFor(seconds(1));
  const std::string chosen = told.now.at("api/1")[0].address.ToString();
  Answer("b.test", {"10.0.0.3", "10.0.0.2"});
  auto heavier = DiscoveryWorld::Host("b.test");
  heavier.weight = 5;
  world.Set({heavier, DiscoveryWorld::Dns("c.test")});
  EXPECT_THAT(world.resolver->asked, SizeIs(3));
  ASSERT_NE(world.discovery->Known("api", 0), nullptr);
  EXPECT_EQ(world.discovery->Known("api", 0)->at(0).weight, 5u);
  EXPECT_EQ(world.discovery->Known("api", 1), nullptr);
  world.RunFor(milliseconds(1));
  EXPECT_EQ(told.now.at("api/0")[0].address.ToString(), chosen);
  EXPECT_EQ(told.now.at("api/0")[0].weight, 5u);
  world.RunFor(seconds(10));
  EXPECT_EQ(world.resolver->CountOf("a.test"), 1u);
}

TEST_F(DiscoveryTest, TheSameSourcesAgainAreNoNews) {
  Answer("api.test", {"10.0.0.1"});
  world.Set({DiscoveryWorld::Dns("api.test"), DiscoveryWorld::Host("api.test")});
  world.RunFor(seconds(1));
  for (int i = 0; i < 100; ++i) {
    world.Set({DiscoveryWorld::Dns("api.test"), DiscoveryWorld::Host("api.test")});
    world.RunFor(milliseconds(1));
  }
  EXPECT_THAT(told.told, SizeIs(2));
  EXPECT_THAT(world.resolver->asked, SizeIs(1));
}

TEST_F(DiscoveryTest, NothingWakesUpWithoutASource) {
  Answer("api.test", {"10.0.0.1"});
  EXPECT_EQ(world.loop().wheel().NextDeadline(), kNever);
  world.Set({DiscoveryWorld::Dns("api.test"), DiscoveryWorld::File("/b.yaml")});
  world.RunFor(seconds(10));
  world.Set({});
  EXPECT_EQ(world.loop().wheel().NextDeadline(), kNever);
  EXPECT_EQ(world.files.watches(), 0u);
  // Also in the middle of a question.
  world.Set({DiscoveryWorld::Dns("api.test")});
  EXPECT_EQ(world.resolver->pending(), 1u);
  world.Set({});
  EXPECT_EQ(world.resolver->pending(), 0u);
  const size_t before = told.told.size();
  world.RunFor(seconds(10));
  EXPECT_EQ(told.told.size(), before);
}

TEST_F(DiscoveryTest, ASuspectsNameIsAskedAtOnceButOnceASecond) {
  Answer("api.test", {"10.0.0.1", "10.0.0.2"}, hours(1));
  world.Set({DiscoveryWorld::Dns("api.test")});
  world.RunFor(seconds(2));
  Answer("api.test", {"10.0.0.2"}, hours(1));
  world.discovery->ResolveNow("other");
  EXPECT_THAT(world.resolver->asked, SizeIs(1));
  world.discovery->ResolveNow("api");
  EXPECT_THAT(world.resolver->asked, SizeIs(2));
  world.RunFor(milliseconds(10));
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.2:80"));
  for (int i = 0; i < 105; ++i) {
    world.discovery->ResolveNow("api");
    world.RunFor(milliseconds(10));
  }
  EXPECT_THAT(world.resolver->asked, SizeIs(3));
  world.RunFor(milliseconds(950));
  EXPECT_THAT(world.resolver->asked, SizeIs(4));
  world.RunFor(milliseconds(4900));
  EXPECT_THAT(world.resolver->asked, SizeIs(4));
}

TEST_F(DiscoveryTest, OneQuestionAtATimeHoweverSlowTheAnswer) {
  Answer("api.test", {"10.0.0.1"}, seconds(1));
  world.resolver->delay = seconds(6);
  world.Set({DiscoveryWorld::Dns("api.test")});
  for (int i = 0; i < 50; ++i) {
    world.discovery->ResolveNow("api");
    world.RunFor(milliseconds(100));
    EXPECT_EQ(world.resolver->pending(), 1u);
  }
  EXPECT_THAT(world.resolver->asked, SizeIs(1));
}

TEST_F(DiscoveryTest, TheListenerMayChangeTheSources) {
  Answer("a.test", {"10.0.0.1"});
  Answer("b.test", {"10.0.0.2"});
  told.then_of = &world;
  told.then = [](void* of) {
    auto& again = *static_cast<DiscoveryWorld*>(of);
    again.listener.then = nullptr;
    again.Set({DiscoveryWorld::Dns("b.test")}, "other");
  };
  world.Set({DiscoveryWorld::Dns("a.test"), DiscoveryWorld::Host("a.test"),
             DiscoveryWorld::Dns("b.test")});
  world.RunFor(seconds(1));
  EXPECT_THAT(told.Now("other/0"), ElementsAre("10.0.0.2:80"));
  EXPECT_EQ(told.TimesTold("api/1") + told.TimesTold("api/2"), 0u);
}

TEST_F(DiscoveryTest, StoppingEndsEverythingAtOnce) {
  Answer("a.test", {"10.0.0.1"});
  world.Set({DiscoveryWorld::Dns("a.test"), DiscoveryWorld::Dns("b.test")});
  world.discovery->Stop();
  EXPECT_EQ(world.resolver->pending(), 0u);
  world.Set({DiscoveryWorld::Dns("a.test")});
  world.RunFor(seconds(5));
  EXPECT_THAT(told.told, IsEmpty());
  EXPECT_TRUE(world.discovery->stopped());
}

// Many names whose answers change, fail and vanish at random: what the listener was told last is
// the last good answer of each, always.
TEST(DiscoverySeeds, WhatWasToldLastIsTheLastGoodAnswer) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    DiscoveryWorld world(seed);
    Rng rng(seed);
    std::vector<config::BackendSource> sources;
    for (int i = 0; i < 30; ++i) {
      sources.push_back(DiscoveryWorld::Dns("n" + std::to_string(i) + ".test"));
    }
    world.Set(sources);
    std::map<std::string, std::set<std::string>> good;
    for (int round = 0; round < 60; ++round) {
      world.resolver->delay = milliseconds(rng.Between(1, 3000));
      const std::string name = "n" + std::to_string(rng.Below(30)) + ".test";
      const uint64_t what = rng.Below(4);
      if (what == 0) world.resolver->answers[name] = ScriptedResolver::Failed("SERVFAIL");
      if (what == 1) world.resolver->answers.erase(name);
      if (what >= 2) {
        std::vector<std::string> ips;
        const uint64_t count = 1 + rng.Below(6);
        for (uint64_t i = 0; i < count; ++i)
          ips.push_back("10.0.0." + std::to_string(1 + rng.Below(9)));
        world.resolver->answers[name] =
            ScriptedResolver::Ok(ips, milliseconds(rng.Between(0, 8000)));
        good[name] = {};
        for (const std::string& ip : ips) good[name].insert(ip + ":80");
        // Long enough for it to be asked and answered before the next change.
        world.RunFor(seconds(9));
      }
      if (rng.Chance(0.2)) world.discovery->ResolveNow("api");
    }
    world.RunFor(seconds(20));
    for (int i = 0; i < 30; ++i) {
      const auto found = good.find("n" + std::to_string(i) + ".test");
      const std::string key = "api/" + std::to_string(i);
      if (found == good.end()) {
        EXPECT_FALSE(world.listener.now.contains(key)) << "seed " << seed;
        continue;
      }
      const std::vector<std::string> now = world.listener.Now(key);
      EXPECT_EQ(std::set<std::string>(now.begin(), now.end()), found->second) << "seed " << seed;
    }
  }
}

}  // namespace
}  // namespace rondo::control
