// Snapshots: what is compiled, and what is the same object in the next one.
#include "rondo/upstream/snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <thread>

namespace rondo::upstream {
namespace {

using ::testing::ElementsAre;

config::Backend BackendAt(const std::string& address, bool backup = false) {
  config::Backend backend;
  backend.address = *SocketAddress::Parse(address);
  backend.id = address;
  backend.backup = backup;
  return backend;
}

config::RouteConfig RouteTo(std::string upstream) {
  config::RouteConfig route;
  route.upstream = std::move(upstream);
  if (route.upstream.empty()) route.respond = config::Respond{};
  return route;
}

config::Upstream UpstreamOf(const char* name) {
  config::Upstream upstream;
  upstream.name = name;
  upstream.backends = {BackendAt("10.0.0.1:80"), BackendAt("10.0.0.2:80", true)};
  return upstream;
}

config::Listener ListenerOf(const char* name, std::vector<config::RouteConfig> routes) {
  config::Listener listener;
  listener.name = name;
  listener.routes = std::move(routes);
  return listener;
}

config::Config ThreeUpstreams() {
  config::Config config;
  config.upstreams = {UpstreamOf("a"), UpstreamOf("b"), UpstreamOf("c")};
  return config;
}

// As control goes on from one to the next: upstreams that did not change are kept.
std::shared_ptr<const Snapshot> After(const std::shared_ptr<const Snapshot>& before,
                                      const config::Config& config) {
  SnapshotParts parts;
  parts.revision = before->revision + 1;
  parts.config = &config;
  for (const config::Upstream& each : config.upstreams) {
    const size_t old = before->FindUpstream(each.name);
    if (old == SIZE_MAX) {
      parts.upstreams.push_back(std::make_shared<const UpstreamConfig>(each, 1));
      continue;
    }
    const auto& kept = before->upstreams[old];
    std::vector<std::shared_ptr<BackendShared>> backends = kept->backends;
    backends.resize(each.backends.size());
    parts.upstreams.push_back(ReuseOrMake(kept, each, kept->shared, backends));
  }
  return std::make_shared<const Snapshot>(std::move(parts), before.get());
}

std::vector<size_t> UpstreamsOf(const ListenerSnapshot& listener) {
  std::vector<size_t> indices;
  for (const RouteAction& action : listener.actions) indices.push_back(action.upstream);
  return indices;
}

TEST(Snapshot, ResolvesTheUpstreamsOfRoutesByName) {
  config::Config config = ThreeUpstreams();
  const std::vector<config::RouteConfig> routes = {RouteTo("c"), RouteTo(""), RouteTo("a"),
                                                   RouteTo("c")};
  config.listeners = {ListenerOf("web", routes), ListenerOf("inner", routes)};
  const Snapshot snapshot(7, config);
  EXPECT_EQ(snapshot.revision, 7u);
  ASSERT_EQ(snapshot.listeners.size(), 2u);
  ASSERT_EQ(snapshot.upstreams.size(), 3u);
  for (const auto& each : snapshot.listeners) {
    EXPECT_THAT(UpstreamsOf(*each), ElementsAre(2, ListenerSnapshot::kNoUpstream, 0, 2));
    EXPECT_EQ(snapshot.FindListener(each->slot), each.get());
  }
  EXPECT_EQ(snapshot.FindListener(2), nullptr);
  EXPECT_EQ(snapshot.FindUpstream("b"), 1u);
  EXPECT_EQ(snapshot.FindUpstream("d"), SIZE_MAX);
  const UpstreamConfig& b = *snapshot.upstreams[1];
  EXPECT_EQ(b.settings.name, "b");
  EXPECT_EQ(b.shared->name, "b");
  ASSERT_EQ(b.backends.size(), 2u);
  EXPECT_EQ(b.backends[1]->id, "10.0.0.2:80");
  EXPECT_EQ(b.backends[1]->address, *SocketAddress::Parse("10.0.0.2:80"));
  EXPECT_EQ(b.backends[1]->state, health::State::kUp);
  EXPECT_TRUE(b.settings.backends[1].backup);
}

TEST(Snapshot, SharesWhatDidNotChangeWithTheOneBefore) {
  config::Config config = ThreeUpstreams();
  config.listeners = {ListenerOf("web", {RouteTo("a")}), ListenerOf("inner", {RouteTo("c")})};
  const auto first = std::make_shared<const Snapshot>(1, config);
  config.upstreams[0].backends[0].weight = 7;
  config.timeouts.keepalive = std::chrono::seconds(1);
  const auto second = After(first, config);
  EXPECT_NE(second->upstreams[0], first->upstreams[0]);
  EXPECT_EQ(second->upstreams[0]->backends, first->upstreams[0]->backends);
  EXPECT_EQ(second->upstreams[0]->shared, first->upstreams[0]->shared);
  EXPECT_EQ(second->upstreams[1], first->upstreams[1]);
  EXPECT_EQ(second->listeners, first->listeners);
  EXPECT_EQ(second->config.timeouts.keepalive, std::chrono::seconds(1));
}

TEST(Snapshot, AListenerIsCompiledAnewWhereItOrItsUpstreamsPlacesChanged) {
  config::Config config = ThreeUpstreams();
  config.listeners = {ListenerOf("web", {RouteTo("a")}), ListenerOf("inner", {RouteTo("c")})};
  const auto first = std::make_shared<const Snapshot>(1, config);
  config.upstreams.erase(config.upstreams.begin() + 1);
  const auto second = After(first, config);
  EXPECT_EQ(second->listeners[0], first->listeners[0]);
  ASSERT_NE(second->listeners[1], first->listeners[1]);
  EXPECT_THAT(UpstreamsOf(*second->listeners[1]), ElementsAre(1));
  EXPECT_THAT(UpstreamsOf(*first->listeners[1]), ElementsAre(2)) << "nothing of it may change";
  config.listeners[0].routes.push_back(RouteTo("c"));
  const auto third = After(second, config);
  EXPECT_THAT(UpstreamsOf(*third->listeners[0]), ElementsAre(0, 1));
  EXPECT_EQ(third->listeners[1], second->listeners[1]);
}

TEST(Snapshot, ASlotBelongsToOneNameForEver) {
  config::Config config = ThreeUpstreams();
  config.listeners = {ListenerOf("a", {RouteTo("a")}), ListenerOf("b", {RouteTo("a")})};
  const auto first = std::make_shared<const Snapshot>(1, config);
  const uint32_t a = first->listeners[0]->slot;
  const uint32_t b = first->listeners[1]->slot;
  config.listeners.erase(config.listeners.begin());
  const auto second = After(first, config);
  EXPECT_EQ(second->FindListener(a), nullptr);
  EXPECT_EQ(second->FindListener(b), first->listeners[1].get());
  config.listeners.insert(config.listeners.begin(), ListenerOf("c", {RouteTo("a")}));
  const auto third = After(second, config);
  EXPECT_EQ(third->FindListener(a), nullptr);
  EXPECT_EQ(third->FindListener(b), first->listeners[1].get());
  config.listeners.push_back(ListenerOf("a", {RouteTo("b")}));
  const auto fourth = After(third, config);
  ASSERT_NE(fourth->FindListener(a), nullptr);
  EXPECT_EQ(fourth->FindListener(a)->settings.name, "a");
  EXPECT_THAT(UpstreamsOf(*fourth->FindListener(a)), ElementsAre(1));
}

TEST(Snapshot, AnUpstreamMayHaveNoBackends) {
  config::Config config = ThreeUpstreams();
  config.upstreams[1].backends.clear();
  const Snapshot snapshot(1, config);
  EXPECT_TRUE(snapshot.upstreams[1]->backends.empty());
}

TEST(BackendShared, SerialsAreNeverGivenTwice) {
  std::vector<std::vector<uint64_t>> drawn(4);
  std::vector<std::thread> threads;
  for (auto& mine : drawn) {
    threads.emplace_back([&mine] {
      for (int i = 0; i < 1000; ++i) mine.push_back(BackendShared::NextSerial());
    });
  }
  for (std::thread& each : threads) each.join();
  std::set<uint64_t> all;
  for (const auto& mine : drawn) all.insert(mine.begin(), mine.end());
  EXPECT_EQ(all.size(), 4000u);
  EXPECT_FALSE(all.contains(0));
}

TEST(RecentCount, KnowsTheLastTenSeconds) {
  using std::chrono::milliseconds;
  RecentCount count;
  const Instant start(std::chrono::hours(100));
  EXPECT_EQ(count.Sum(start), 0u);
  for (int i = 0; i < 30; ++i) count.Add(start + milliseconds(500 * i));
  // Two a second: ten whole seconds, and the one that has begun.
  EXPECT_EQ(count.Sum(start + milliseconds(14'500)), 22u);
  EXPECT_EQ(count.Sum(start + milliseconds(20'000)), 10u);
  EXPECT_EQ(count.Sum(start + milliseconds(26'000)), 0u);
  EXPECT_EQ(count.Sum(start + std::chrono::hours(1000)), 0u);
}

}  // namespace
}  // namespace rondo::upstream
