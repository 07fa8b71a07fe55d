// What protects a listener, in snapshots: counts and buckets that outlive a reload, and what TLS
// adds to the fields of heads.
#include <gtest/gtest.h>

#include "rondo/upstream/snapshot.h"

namespace rondo::upstream {
namespace {

using std::chrono::hours;

config::RouteConfig Limited(const std::string& prefix, uint32_t requests = 10) {
  config::RouteConfig route;
  route.match.path_prefix = prefix;
  route.respond = config::Respond{};
  config::RateLimit limit;
  limit.requests = requests;
  limit.burst = 5;
  route.rate_limit = limit;
  return route;
}

config::Listener ListenerWith(std::vector<config::RouteConfig> routes,
                              const std::string& name = "web") {
  config::Listener listener;
  listener.name = name;
  listener.routes = std::move(routes);
  return listener;
}

config::Config ConfigWith(std::vector<config::Listener> listeners) {
  config::Config config;
  config.listeners = std::move(listeners);
  return config;
}

std::shared_ptr<const Snapshot> After(const Snapshot* before, const config::Config& config) {
  SnapshotParts parts;
  parts.config = &config;
  return std::make_shared<const Snapshot>(std::move(parts), before);
}

TEST(Protection, BucketsGoOverToTheRouteThatTheyBelongTo) {
  const config::Config config = ConfigWith({ListenerWith({Limited("/a"), Limited("/b")})});
  const auto first = After(nullptr, config);
  config::Config changed = config;
  auto& routes = changed.listeners[0].routes;
  std::swap(routes[0], routes[1]);
  routes[0].rate_limit->burst = 7;
  routes[1].rate_limit->dry_run = true;
  const auto second = After(first.get(), changed);
  const auto& before = first->listeners[0]->actions;
  const auto& after = second->listeners[0]->actions;
  EXPECT_NE(before[0].rate_table, before[1].rate_table);
  EXPECT_EQ(after[0].rate_table, before[1].rate_table);
  EXPECT_EQ(after[1].rate_table, before[0].rate_table);
}

TEST(Protection, BucketsOfAnotherRateOrKeyBeginAfresh) {
  const config::Config config = ConfigWith({ListenerWith({Limited("/a"), Limited("/b")})});
  const auto first = After(nullptr, config);
  config::Config changed = config;
  changed.listeners[0].routes[0].rate_limit->requests = 11;
  changed.listeners[0].routes[1].rate_limit->key.source = config::HashKey::Source::kHeader;
  const auto second = After(first.get(), changed);
  for (const size_t i : {0, 1}) {
    EXPECT_NE(second->listeners[0]->actions[0].rate_table,
              first->listeners[0]->actions[i].rate_table);
    EXPECT_NE(second->listeners[0]->actions[1].rate_table,
              first->listeners[0]->actions[i].rate_table);
  }
}

TEST(Protection, RoutesThatSayTheSameShareNoBuckets) {
  const config::Config one = ConfigWith({ListenerWith({Limited("/a")})});
  const auto first = After(nullptr, one);
  const auto second =
      After(first.get(), ConfigWith({ListenerWith({Limited("/a"), Limited("/a")})}));
  const auto& after = second->listeners[0]->actions;
  EXPECT_EQ(after[0].rate_table, first->listeners[0]->actions[0].rate_table);
  EXPECT_NE(after[1].rate_table, after[0].rate_table);
}

TEST(Protection, OnlyRoutesThatAskAreGuarded) {
  config::RouteConfig plain = Limited("/");
  plain.rate_limit.reset();
  config::RouteConfig networks = plain;
  networks.deny = {*Network::Parse("10.0.0.0/8")};
  config::RouteConfig length = plain;
  length.uri_bytes = 1;
  const auto snapshot =
      After(nullptr, ConfigWith({ListenerWith({plain, networks, length, Limited("/")})}));
  const auto& actions = snapshot->listeners[0]->actions;
  EXPECT_FALSE(actions[0].guarded);
  EXPECT_EQ(actions[0].rate_table, nullptr);
  for (const size_t i : {1, 2, 3}) EXPECT_TRUE(actions[i].guarded) << i;
  EXPECT_FALSE(snapshot->listeners[0]->guarded);
}

TEST(Protection, CountsAreThoseOfAListenerForEver) {
  config::Listener listener = ListenerWith({Limited("/")});
  listener.connections_total = 1;
  const auto first = After(nullptr, ConfigWith({listener}));
  listener.connections_per_address = 3;
  const auto second = After(first.get(), ConfigWith({listener}));
  const auto gone = After(second.get(), ConfigWith({ListenerWith({Limited("/")}, "other")}));
  const auto back =
      After(gone.get(), ConfigWith({ListenerWith({Limited("/")}, "other"), listener}));
  EXPECT_TRUE(first->listeners[0]->guarded);
  EXPECT_EQ(first->listeners[0]->shared, second->listeners[0]->shared);
  EXPECT_NE(gone->listeners[0]->shared, second->listeners[0]->shared);
  EXPECT_EQ(back->listeners[1]->shared, second->listeners[0]->shared);
  EXPECT_NE(second->listeners[0]->shared->addresses, nullptr);
}

TEST(Protection, APlaceIsGivenBackOnce) {
  const auto shared = std::make_shared<ListenerShared>();
  shared->addresses = std::make_unique<protect::AddressCounts>(64);
  const IpAddress a = *IpAddress::Parse("10.0.0.1");
  const IpAddress b = *IpAddress::Parse("10.0.0.2");
  {
    Place first;
    EXPECT_EQ(first.Take(shared, {2, 1}, &a), nullptr);
    Place second;
    EXPECT_STREQ(second.Take(shared, {2, 1}, &a), "address_connection_limit");
    EXPECT_EQ(shared->connections, 1u);  // what was refused holds nothing
    Place third(std::move(first));
    Place other;
    EXPECT_EQ(other.Take(shared, {2, 1}, &b), nullptr);
    Place fourth;
    EXPECT_STREQ(fourth.Take(shared, {2, 1}, nullptr), "connection_limit");
    EXPECT_EQ(shared->connections, 2u);
  }
  EXPECT_EQ(shared->connections, 0u);
  EXPECT_EQ(shared->addresses->CountOf(a), 0u);
  EXPECT_EQ(shared->addresses->CountOf(b), 0u);
}

TEST(Protection, HstsStandsInEveryAnswerButWhereItsRouteSaysAnother) {
  config::Listener listener = ListenerWith({Limited("/a"), Limited("/b"), Limited("/c")});
  listener.routes[1].response_headers.set = {{"strict-transport-security", "max-age=1"}};
  listener.routes[2].response_headers.remove = {"Strict-Transport-Security"};
  listener.tls = config::ListenerTls{};
  listener.tls->hsts = hours(24);
  const auto snapshot = After(nullptr, ConfigWith({listener}));
  const ListenerSnapshot& web = *snapshot->listeners[0];
  const std::string line = "Strict-Transport-Security: max-age=86400\r\n";
  EXPECT_EQ(web.reply_fields, line);
  EXPECT_EQ(web.actions[0].response_edits.lines(), line);
  EXPECT_TRUE(web.actions[0].response_edits.Drops(http::FieldIdOf("strict-transport-security"),
                                                  "strict-transport-security"));
  EXPECT_EQ(web.actions[1].response_edits.lines(), "strict-transport-security: max-age=1\r\n");
  EXPECT_EQ(web.actions[2].response_edits.lines(), "");

  listener.tls.reset();
  const auto plain = After(nullptr, ConfigWith({listener}));
  EXPECT_EQ(plain->listeners[0]->reply_fields, "");
  EXPECT_TRUE(plain->listeners[0]->actions[0].response_edits.empty());
}

TEST(Protection, ClientsMaySayNothingOfCertificatesWhereTheyAreAskedForOne) {
  config::Listener listener = ListenerWith({Limited("/a")});
  listener.routes[0].request_headers.remove = {"X-Client-Issuer"};
  listener.tls = config::ListenerTls{};
  const auto drops = [](const Snapshot& snapshot, std::string_view name) {
    return snapshot.listeners[0]->actions[0].request_edits.Drops(http::FieldIdOf(name), name);
  };
  const auto without = After(nullptr, ConfigWith({listener}));
  EXPECT_FALSE(drops(*without, "X-Client-Subject"));
  listener.tls->client_ca = "clients.pem";
  const auto with = After(nullptr, ConfigWith({listener}));
  for (const char* name : {"x-client-subject", "X_Client_Verified", "X-Client_Serial"}) {
    EXPECT_TRUE(drops(*with, name)) << name;
  }
  EXPECT_EQ(with->listeners[0]->actions[0].own_client_fields, 1u << 2);
}

}  // namespace
}  // namespace rondo::upstream
