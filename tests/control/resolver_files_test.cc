#include "control/resolver_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace rondo::control {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<std::string> Servers(const ResolvConf& conf) {
  std::vector<std::string> servers;
  for (const SocketAddress& server : conf.servers) servers.push_back(server.ToString());
  return servers;
}

TEST(ResolvConf, HasServersSearchAndDots) {
  const ResolvConf conf = ParseResolvConf(
      "# made by hand\n"
      "nameserver 10.0.0.1   # the first\n"
      "nameserver\t2001:db8::53\n"
      "search One.Example. two.example\n"
      "options timeout:1 ndots:5 rotate\n");
  EXPECT_THAT(Servers(conf), ElementsAre("10.0.0.1:53", "[2001:db8::53]:53"));
  EXPECT_THAT(conf.search, ElementsAre("one.example", "two.example"));
  EXPECT_EQ(conf.ndots, 5);
}

TEST(ResolvConf, TakesDockersForWhatItIs) {
  const ResolvConf conf =
      ParseResolvConf("nameserver 127.0.0.11\noptions edns0 trust-ad ndots:0\n");
  EXPECT_THAT(Servers(conf), ElementsAre("127.0.0.11:53"));
  EXPECT_THAT(conf.search, IsEmpty());
  EXPECT_EQ(conf.ndots, 0);
}

TEST(ResolvConf, LetsTheLastOfSearchAndDomainWin) {
  EXPECT_THAT(ParseResolvConf("search a b\ndomain c d\n").search, ElementsAre("c"));
  EXPECT_THAT(ParseResolvConf("domain c\nsearch a b").search, ElementsAre("a", "b"));
}

TEST(ResolvConf, PassesOverWhatItCannotUnderstand) {
  const ResolvConf conf = ParseResolvConf(
      "nameserver\nnameserver fe80::1%eth0\nnameserver x\nsearch\nsearch .\noptions ndots:x "
      "ndots:-1\nsortlist 10.0.0.0\n;nameserver 10.0.0.2\n\r\n");
  EXPECT_EQ(conf, ResolvConf());
}

TEST(ResolvConf, IsBounded) {
  std::string text = "options ndots:99\n";
  for (int i = 1; i < 100; ++i) text += "nameserver 10.0.0." + std::to_string(i) + "\n";
  text += "search";
  for (int i = 0; i < 100; ++i) text += " d" + std::to_string(i);
  const ResolvConf conf = ParseResolvConf(text);
  EXPECT_EQ(conf.servers.size(), ResolvConf::kServersMax);
  EXPECT_EQ(conf.search.size(), ResolvConf::kSearchMax);
  EXPECT_EQ(conf.ndots, 15);
}

TEST(HostsFile, GathersTheAddressesOfANameIpv4First) {
  const Hosts hosts = ParseHosts(
      "127.0.0.1 localhost\n::1 localhost ip6-localhost\n"
      "2001:db8::7 Web.test web # both\n10.0.0.7\tweb\n10.0.0.8 web web\nbad web\n10.0.0.9\n");
  std::vector<std::string> web;
  for (const IpAddress& ip : hosts.at("web")) web.push_back(ip.ToString());
  EXPECT_THAT(web, ElementsAre("10.0.0.7", "10.0.0.8", "2001:db8::7"));
  EXPECT_EQ(hosts.at("web.test").size(), 1u);
  EXPECT_EQ(hosts.at("localhost").size(), 2u);
  EXPECT_EQ(hosts.size(), 4u);
}

struct TryCase {
  const char* name;
  int ndots;
  std::vector<std::string> search;
  std::vector<std::string> expected;
};

TEST(NamesToTry, FollowsSearchAndDots) {
  const TryCase cases[] = {
      {"api", 1, {}, {"api"}},
      {"api", 1, {"x.test", "y.test"}, {"api.x.test", "api.y.test", "api"}},
      {"API.test", 1, {"x.test"}, {"api.test", "api.test.x.test"}},
      {"api.ns", 5, {"svc.local"}, {"api.ns.svc.local", "api.ns"}},
      {"api", 0, {"x.test"}, {"api", "api.x.test"}},
      {"api.", 1, {"x.test"}, {"api"}},
      {"api.test.", 5, {"x.test"}, {"api.test"}},
  };
  for (const TryCase& each : cases) {
    const ResolvConf conf{.servers = {}, .search = each.search, .ndots = each.ndots};
    EXPECT_EQ(NamesToTry(each.name, conf), each.expected) << each.name;
  }
}

TEST(NamesToTry, KnowsTheMachineItself) {
  EXPECT_TRUE(IsLocalhost("localhost"));
  EXPECT_TRUE(IsLocalhost("LocalHost."));
  EXPECT_TRUE(IsLocalhost("a.localhost"));
  EXPECT_FALSE(IsLocalhost("localhost.test"));
  EXPECT_FALSE(IsLocalhost("notlocalhost"));
}

}  // namespace
}  // namespace rondo::control
