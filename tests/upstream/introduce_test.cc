// Connections that were introduced for a client, and those that began otherwise than new ones do.
#include "rondo/proxyproto/header.h"
#include "upstream/pool_suite.h"

namespace rondo::upstream::testing {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kAny = Duration::max();

ClientEndpoints From(const char* ip, uint16_t port) {
  return {{*IpAddress::Parse(ip), port}, {*IpAddress::Parse("10.0.0.9"), 443}};
}

class IntroducingPool : public ::testing::Test {
 protected:
  void Start(config::SendProxy send) {
    pool.settings.send_proxy = send;
    pool.AddOrigin("10.0.0.1:80");
    pool.Start();
  }
  static rt::Task<> Flow(PoolWorld& pool, WorkerBackend* backend, const ClientEndpoints* client,
                         rt::CancelToken* token, ConnectResult* out) {
    *out = co_await pool.upstream->Connect(*backend, *token, client);
  }
  ConnectResult Try(const ClientEndpoints* client, Duration patience = seconds(10)) {
    rt::CancelToken token(*pool.engine);
    rt::Deadline deadline(pool.loop->wheel(), token);
    deadline.Set(pool.engine->Now() + patience);
    ConnectResult result;
    pool.scope.Spawn(Flow(pool, &pool.PickAny(), client, &token, &result));
    pool.RunUntil([&] { return pool.scope.count() == 0; });
    return result;
  }
  BackendConnection& For(const ClientEndpoints* client) {
    const ConnectResult result = Try(client);
    RONDO_CHECK(result.connection != nullptr);
    return *result.connection;
  }
  BackendConnection* Take(const ClientEndpoints* client) {
    return pool.upstream->TakeIdle(pool.PickAny(), kAny, client);
  }

  PoolWorld pool;
};

TEST_F(IntroducingPool, AnIdleConnectionIsThatClientsAlone) {
  Start(config::SendProxy::kV2);
  const ClientEndpoints a = From("192.0.2.1", 1000);
  const ClientEndpoints other_port = From("192.0.2.1", 1001);
  const ClientEndpoints other_ip = From("192.0.2.2", 1000);
  BackendConnection& of_a = For(&a);
  BackendConnection& of_nobody = For(nullptr);
  pool.upstream->Release(of_a);
  pool.upstream->Release(of_nobody);
  EXPECT_EQ(Take(&other_port), nullptr);
  EXPECT_EQ(Take(&other_ip), nullptr);
  // Also where it is not the warmest; and who is unknown gets what was introduced for nobody.
  EXPECT_EQ(Take(&a), &of_a);
  EXPECT_EQ(Take(&a), nullptr);
  EXPECT_EQ(Take(nullptr), &of_nobody);
  pool.upstream->Close(of_a);
  pool.upstream->Close(of_nobody);
}

TEST_F(IntroducingPool, AFullPoolLetsItsOldestGo) {
  pool.settings.keepalive.idle = 2;
  Start(config::SendProxy::kV1);
  const ClientEndpoints clients[] = {From("192.0.2.1", 1), From("192.0.2.2", 2),
                                     From("192.0.2.3", 3)};
  for (const ClientEndpoints& client : clients) {
    pool.upstream->Release(For(&client));
    pool.RunFor(milliseconds(10));
  }
  EXPECT_EQ(pool.upstream->idle_connections(), 2u);
  EXPECT_EQ(Take(&clients[0]), nullptr);
  for (const size_t i : {1, 2}) {
    BackendConnection* taken = Take(&clients[i]);
    ASSERT_NE(taken, nullptr);
    pool.upstream->Close(*taken);
  }
}

TEST_F(IntroducingPool, WhatBeganOtherwiseIsUsedUp) {
  Start(config::SendProxy::kOff);
  BackendConnection& idle = For(nullptr);
  BackendConnection& in_use = For(nullptr);
  pool.upstream->Release(idle);
  pool.settings.send_proxy = config::SendProxy::kV1;
  pool.Change();
  EXPECT_EQ(pool.upstream->idle_connections(), 0u);
  pool.upstream->Release(in_use);  // its answer came meanwhile
  EXPECT_EQ(pool.upstream->idle_connections(), 0u);
  // The next one begins as is asked now, and stays.
  const ClientEndpoints client = From("192.0.2.1", 1000);
  pool.upstream->Release(For(&client));
  EXPECT_EQ(pool.upstream->idle_connections(), 1u);
  pool.settings.keepalive.idle_timeout = seconds(50);  // concerns no connection's beginning
  pool.Change();
  EXPECT_EQ(pool.upstream->idle_connections(), 1u);
}

TEST_F(IntroducingPool, ABackendThatGoesAwayAtOnceHasRefused) {
  Start(config::SendProxy::kV2);
  const ClientEndpoints client = From("192.0.2.1", 1000);
  // However far it came: there is a connection, or an error that may be tried elsewhere.
  pool.origins[0]->Stop();
  const ConnectResult result = Try(&client);
  EXPECT_EQ(result.connection, nullptr);
  EXPECT_TRUE(result.error == ECONNREFUSED || result.error == ECONNRESET) << result.error;
  EXPECT_EQ(result.tls_failure, nullptr);
}

}  // namespace
}  // namespace rondo::upstream::testing
