// Backends come and go while traffic flows: the real workers, cluster and prober together, by seed.
// Not one request fails, and nothing reaches a backend after it is gone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cluster_world.h"

namespace rondo::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::IsEmpty;

constexpr uint64_t kNumbers = 6;

std::string FileWith(const std::vector<std::pair<uint64_t, uint32_t>>& backends,
                     std::string_view balance, bool checked) {
  std::string list;
  for (const auto& [number, weight] : backends) {
    list += (list.empty() ? "" : ", ") + std::string("{address: ") +
            ClusterWorld::BackendAddress(number).ToString() +
            ", weight: " + std::to_string(weight) + "}";
  }
  return "listeners:\n  web: {listen: [\"10.0.0.1:80\"], routes: [{upstream: api}]}\n"
         "timeouts: {keepalive: 60s}\n"
         "upstreams:\n  api:\n    balance: " +
         std::string(balance) + "\n    drain_timeout: 10s\n    slow_start: 2s\n" +
         (checked ? "    health_check: {path: /health, interval: 1s, timeout: 500ms}\n" : "") +
         "    backends: [" + list + ", {dns: svc, port: 80}]\n";
}

BackendAnswer AnswerAfter(Duration delay) {
  BackendAnswer answer;
  answer.delay = delay;
  answer.body_bytes = 100;
  return answer;
}

// Draws operations; one backend is never touched, so that there is always somewhere to go.
class Operator {
 public:
  Operator(ClusterWorld& world, bool checked, std::string balance)
      : world_(world), checked_(checked), balance_(std::move(balance)) {}

  void Operate() {
    Rng& rng = world_.world().rng();
    control::Cluster& cluster = world_.cluster();
    const uint64_t number = 1 + rng.Below(kNumbers - 1);
    const std::string id = ClusterWorld::BackendAddress(number).ToString();
    switch (rng.Below(7)) {
      case 0:
        cluster.AddBackend("api", ClusterWorld::BackendAt(number, Weight()));
        break;
      case 1:
        cluster.RemoveBackend("api", id);
        break;
      case 2: {
        config::BackendPatch patch;
        patch.weight = Weight();
        cluster.PatchBackend("api", id, patch);
        break;
      }
      case 3: {
        config::BackendPatch patch;
        patch.state = static_cast<config::WantedState>(rng.Below(3));
        cluster.PatchBackend("api", id, patch);
        break;
      }
      case 4: {
        std::vector<config::Backend> list = {ClusterWorld::BackendAt(0)};
        for (uint64_t i = 1; i < kNumbers; ++i) {
          if (rng.Below(2) == 0 || IsDiscovered(i))
            list.push_back(ClusterWorld::BackendAt(i, Weight()));
        }
        cluster.PutBackends("api", std::move(list));
        break;
      }
      case 5: {
        std::vector<std::pair<uint64_t, uint32_t>> base = {{0, 1}};
        for (uint64_t i = 1; i < kNumbers; ++i) {
          if (rng.Below(2) == 0) base.emplace_back(i, Weight());
        }
        world_.WriteFile(FileWith(base, balance_, checked_));
        cluster.Reload();
        break;
      }
      case 6: {
        std::vector<config::Backend> found;
        for (uint64_t i = 1; i < kNumbers; ++i) {
          if (rng.Below(3) == 0) found.push_back(ClusterWorld::BackendAt(i));
        }
        cluster.OnAddresses("api", 0, std::move(found));
        break;
      }
      default:
        break;
    }
  }

 private:
  uint32_t Weight() { return static_cast<uint32_t>(1 + world_.world().rng().Below(4)); }
  bool IsDiscovered(uint64_t number) {
    const auto* backend =
        world_.cluster().FindBackend("api", ClusterWorld::BackendAddress(number).ToString());
    return backend != nullptr && !backend->removing && backend->origin == control::Origin::kDns;
  }

  ClusterWorld& world_;
  const bool checked_;
  const std::string balance_;
};

// When each backend left for good, by its events: no request may begin there until it comes back.
void ExpectNothingAfterTheEnd(ClusterWorld& world) {
  for (const auto& [number, backend] : world.backends()) {
    EXPECT_THAT(backend->errors(), IsEmpty());
  }
}

class ClusterSim : public ::testing::TestWithParam<int> {};

TEST_P(ClusterSim, NoRequestFailsWhileBackendsComeAndGo) {
  const auto seed = static_cast<uint64_t>(GetParam());
  Rng draw(seed);
  const bool checked = draw.Below(2) == 0;
  const char* const balances[] = {"round_robin", "least_connections", "random_two", "ip_hash"};
  const std::string balance = balances[draw.Below(4)];
  ClusterWorld world(seed, FileWith({{0, 1}, {1, 2}, {2, 1}}, balance, checked), 1 + draw.Below(3));
  for (uint64_t i = 0; i < kNumbers; ++i) {
    world.AddBackend(i, [&world](const BackendRequest& request) {
      if (request.id.empty()) return AnswerAfter(milliseconds(1));  // a check
      return AnswerAfter(milliseconds(5 + world.world().rng().Below(80)));
    });
  }
  world.world().RunFor(milliseconds(200));
  for (int i = 0; i < 8; ++i) world.AddClient("c" + std::to_string(i), 150);
  Operator hands(world, checked, balance);
  for (int i = 0; i < 60 && !world.clients_done(); ++i) {
    hands.Operate();
    world.world().RunFor(milliseconds(draw.Below(250)));
  }
  world.world().RunUntil([&] { return world.clients_done(); }, std::chrono::minutes(5));
  EXPECT_THAT(world.Failures(), IsEmpty());
  ExpectNothingAfterTheEnd(world);
  // Everything that was begun comes to its end: drains, publications, old snapshots.
  world.world().RunFor(seconds(15));
  EXPECT_EQ(world.publisher().acknowledged(), world.publisher().epoch());
  EXPECT_EQ(world.publisher().Collect(), 0u);
  for (const auto& backend : world.cluster().FindUpstream("api")->backends) {
    EXPECT_FALSE(backend->removing) << backend->id;
    EXPECT_EQ(backend->shared->in_flight.load(), 0u) << backend->id;
  }
  EXPECT_THAT(world.Finish(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Seeds, ClusterSim, ::testing::Range(1, 61));

TEST(ClusterCases, NothingReachesABackendThatIsGone) {
  ClusterWorld world(7, FileWith({{0, 1}, {1, 1}}, "round_robin", false), 2);
  for (uint64_t i = 0; i < 2; ++i) {
    world.AddBackend(i, [](const BackendRequest&) { return AnswerAfter(milliseconds(50)); });
  }
  for (int i = 0; i < 4; ++i) world.AddClient("c" + std::to_string(i), 100);
  world.world().RunFor(seconds(1));
  ASSERT_EQ(world.cluster().RemoveBackend("api", "10.0.1.1:80").status, 202);
  const bool gone =
      world.world()
          .RunUntil([&] { return world.cluster().FindBackend("api", "10.0.1.1:80") == nullptr; },
                    seconds(1))
          .stop == Stop::kPredicate;
  EXPECT_TRUE(gone);
  const uint64_t served = world.Served(1);
  EXPECT_GT(served, 10u);
  // Its idle connections are closed with it.
  world.world().RunFor(milliseconds(100));
  EXPECT_EQ(world.backends().at(1)->open_connections(), 0u);
  world.world().RunUntil([&] { return world.clients_done(); }, std::chrono::minutes(1));
  EXPECT_EQ(world.Served(1), served);
  EXPECT_THAT(world.Failures(), IsEmpty());
  EXPECT_THAT(world.Finish(), IsEmpty());
}

TEST(ClusterCases, ANewBackendGetsItsFirstRequestAfterItsCheck) {
  ClusterWorld world(3, FileWith({{0, 1}}, "round_robin", true), 2);
  bool healthy = false;
  world.AddBackend(0, [](const BackendRequest&) { return AnswerAfter(milliseconds(20)); });
  world.AddBackend(1, [&](const BackendRequest& request) {
    BackendAnswer answer = AnswerAfter(milliseconds(1));
    if (request.id.empty() && !healthy) answer.status = 503;
    return answer;
  });
  world.world().RunFor(milliseconds(100));
  for (int i = 0; i < 4; ++i) world.AddClient("c" + std::to_string(i), 400);
  ASSERT_EQ(world.cluster().AddBackend("api", ClusterWorld::BackendAt(1)).status, 201);
  world.world().RunFor(seconds(3));
  EXPECT_EQ(world.Served(1), 0u);
  healthy = true;
  world.world().RunFor(seconds(4));
  EXPECT_GT(world.Served(1), 20u);
  world.world().RunUntil([&] { return world.clients_done(); }, std::chrono::minutes(1));
  EXPECT_THAT(world.Failures(), IsEmpty());
  EXPECT_THAT(world.Finish(), IsEmpty());
}

TEST(ClusterCases, RequestsOfAColdStartWaitForTheFirstCheck) {
  ClusterWorld world(5, FileWith({{0, 1}, {1, 1}}, "round_robin", true), 2);
  // Clients are there before any check has ended.
  for (int i = 0; i < 4; ++i) world.AddClient("c" + std::to_string(i), 10);
  for (uint64_t i = 0; i < 2; ++i) {
    world.AddBackend(i, [](const BackendRequest& request) {
      return AnswerAfter(request.id.empty() ? milliseconds(300) : milliseconds(5));
    });
  }
  world.world().RunUntil([&] { return world.clients_done(); }, std::chrono::minutes(1));
  EXPECT_THAT(world.Failures(), IsEmpty());
  EXPECT_THAT(world.Finish(), IsEmpty());
}

TEST(ClusterCases, FiveReplicasBecomeOneAndNoRequestFails) {
  for (const bool checked : {false, true}) {
    ClusterWorld world(
        11, FileWith({{0, 1}, {1, 1}, {2, 1}, {3, 1}, {4, 1}}, "round_robin", checked), 2);
    bool leaving = false;
    for (uint64_t i = 0; i < 5; ++i) {
      world.AddBackend(i, [&leaving, i](const BackendRequest&) {
        BackendAnswer answer = AnswerAfter(milliseconds(10));
        answer.close = leaving && i > 0;
        return answer;
      });
    }
    world.world().RunFor(milliseconds(200));
    for (int i = 0; i < 6; ++i) world.AddClient("c" + std::to_string(i), 300);
    world.world().RunFor(milliseconds(500));
    // Four of them finish what they have, and refuse all else.
    leaving = true;
    for (uint64_t i = 1; i < 5; ++i) world.backends().at(i)->StopListening();
    world.world().RunUntil([&] { return world.clients_done(); }, std::chrono::minutes(1));
    EXPECT_EQ(world.cluster().FindBackend("api", "10.0.1.0:80")->machine.state(),
              health::State::kUp);
    EXPECT_THAT(world.Failures(), IsEmpty());
    EXPECT_THAT(world.Finish(), IsEmpty());
  }
}

// One upstream of that name, with what is said about its backends.
std::string SmallFile(std::string_view upstream, bool checked, std::string_view backends) {
  return "listeners:\n  web: {listen: [\"10.0.0.1:80\"], routes: [{upstream: " +
         std::string(upstream) + "}]}\nupstreams:\n  " + std::string(upstream) +
         ":\n    drain_timeout: 10s\n" +
         // Almost nobody may wait: who would have to is seen at once.
         (checked ? "    queue: {size: 1}\n"
                    "    health_check: {path: /health, interval: 1s, timeout: 500ms}\n"
                  : "") +
         "    backends: [" + std::string(backends) + "]\n";
}

void AddBackends(ClusterWorld& world, uint64_t count) {
  for (uint64_t i = 0; i < count; ++i) {
    world.AddBackend(i, [](const BackendRequest& request) {
      return AnswerAfter(request.id.empty() ? milliseconds(200) : milliseconds(3));
    });
  }
}

class ReplaceSim : public ::testing::TestWithParam<int> {};

TEST_P(ReplaceSim, AllBackendsAtOnceGiveWayToOthersAndNoRequestFails) {
  const auto seed = static_cast<uint64_t>(GetParam());
  const bool checked = seed % 2 == 0;
  ClusterWorld world(seed, SmallFile("api", checked, "10.0.1.0:80, 10.0.1.1:80"), 2);
  AddBackends(world, 4);
  world.world().RunFor(seconds(1));
  for (int i = 0; i < 8; ++i) world.AddClient("c" + std::to_string(i), 400);
  for (uint64_t round = 1; round <= 6; ++round) {
    world.world().RunFor(milliseconds(checked ? 600 : 100));
    const uint64_t first = round % 2 == 0 ? 0 : 2;
    const auto put = world.cluster().PutBackends(
        "api", {ClusterWorld::BackendAt(first), ClusterWorld::BackendAt(first + 1)});
    EXPECT_EQ(put.status, 200) << put.message;
  }
  world.world().RunUntil([&] { return world.clients_done(); }, std::chrono::minutes(1));
  EXPECT_THAT(world.Failures(), IsEmpty());
  EXPECT_GT(world.Served(2), 50u);
  EXPECT_THAT(world.Finish(), IsEmpty());
}

TEST_P(ReplaceSim, ANameThatMovesTakesNoRequestWithIt) {
  const auto seed = static_cast<uint64_t>(GetParam());
  const bool checked = seed % 2 == 0;
  ClusterWorld world(seed, SmallFile("api", checked, "{dns: svc, port: 80}"), 2);
  AddBackends(world, 2);
  // These are there before the first answer is.
  for (int i = 0; i < (checked ? 1 : 8); ++i) world.AddClient("c" + std::to_string(i), 400);
  world.world().RunFor(milliseconds(200));
  for (uint64_t round = 0; round < 6; ++round) {
    world.cluster().OnAddresses("api", 0, {ClusterWorld::BackendAt(round % 2)});
    world.world().RunFor(milliseconds(checked ? 600 : 100));
  }
  world.world().RunUntil([&] { return world.clients_done(); }, std::chrono::minutes(1));
  EXPECT_THAT(world.Failures(), IsEmpty());
  EXPECT_THAT(world.Finish(), IsEmpty());
}

TEST_P(ReplaceSim, AReloadThatRenamesTheUpstreamLosesNothing) {
  const auto seed = static_cast<uint64_t>(GetParam());
  const char* const names[] = {"api", "better"};
  // With a bound, so that some wait in the queue of the upstream that goes.
  const std::string backend = seed % 2 == 0 ? "{address: 10.0.1.0:80, max_connections: 3}"
                                            : "10.0.1.0:80";
  ClusterWorld world(seed, SmallFile("api", false, backend), 2);
  AddBackends(world, 1);
  world.world().RunFor(milliseconds(100));
  for (int i = 0; i < 8; ++i) world.AddClient("c" + std::to_string(i), 300);
  for (uint64_t round = 1; round <= 6; ++round) {
    world.world().RunFor(milliseconds(100));
    world.WriteFile(SmallFile(names[round % 2], false, backend));
    const auto reloaded = world.cluster().Reload();
    EXPECT_EQ(reloaded.status, 200) << reloaded.message;
  }
  world.world().RunUntil([&] { return world.clients_done(); }, std::chrono::minutes(1));
  EXPECT_THAT(world.Failures(), IsEmpty());
  EXPECT_THAT(world.Finish(), IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(Seeds, ReplaceSim, ::testing::Range(1, 31));

TEST(ReplaceCases, ALongRequestKeepsOnlyTheSnapshotThatItBeganWith) {
  ClusterWorld world(4, SmallFile("api", false, "10.0.1.0:80"), 2);
  Duration delay = seconds(20);
  world.AddBackend(0, [&](const BackendRequest&) { return AnswerAfter(delay); });
  world.AddClient("long", 1);
  world.world().RunFor(milliseconds(500));
  delay = milliseconds(1);
  for (uint32_t i = 0; i < 50; ++i) {
    config::BackendPatch patch;
    patch.weight = 2 + i;
    ASSERT_EQ(world.cluster().PatchBackend("api", "10.0.1.0:80", patch).status, 200);
    world.world().RunFor(milliseconds(20));
  }
  EXPECT_LE(world.publisher().Collect(), 2u);
  world.world().RunUntil([&] { return world.clients_done(); }, std::chrono::minutes(1));
  EXPECT_THAT(world.Failures(), IsEmpty());
  EXPECT_EQ(world.publisher().Collect(), 0u);
  EXPECT_THAT(world.Finish(), IsEmpty());
}

TEST(ReplaceCases, WhoLeavesAndFailsDoesNotServeOnUntilItsSuccessorIsChecked) {
  ClusterWorld world(3, SmallFile("api", true, "10.0.1.0:80"), 2);
  AddBackends(world, 2);
  world.world().RunFor(seconds(1));
  world.backends().at(0)->StopListening();
  world.backends().at(0)->CloseAll();
  ASSERT_EQ(world.cluster().PutBackends("api", {ClusterWorld::BackendAt(1)}).status, 200);
  SimHttpClient& client = world.AddClient("c", 20);
  world.world().RunUntil([&] { return client.done(); }, seconds(5));
  EXPECT_THAT(world.Failures(), IsEmpty());
  EXPECT_EQ(world.Served(1), 20u);
  EXPECT_THAT(world.Finish(), IsEmpty());
}

}  // namespace
}  // namespace rondo::sim
