// What protects the proxy and its backends, in virtual time: rates, networks, connections, and
// clients that are too slow.
#include "sim/proxy_case.h"

namespace rondo::sim {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class ProxyProtection : public ProxyCase {
 protected:
  // A request of its own connection, begun at `at`.
  RequestPlan& RequestAt(Duration at, const std::string& fields = "") {
    RequestPlan& request = Request();
    request.fields = fields;
    ConnectionPlan plan;
    plan.start = at;
    plan.requests = {&request};
    client_ = &world_->AddClient(std::move(plan));
    return request;
  }
  void Limit(config::HashKey key = {}) {
    tune_ = [key](config::Config& config) {
      config::RateLimit limit;
      limit.requests = 1;
      limit.per = seconds(1);
      limit.burst = 3;
      limit.key = key;
      config.listeners[0].routes[0].rate_limit = limit;
    };
  }
  void Change(Duration at, std::function<void(config::Config&)> change) {
    world_->world().After(
        at, [this, change = std::move(change)] { (void)world_->control().Change(change); });
  }
  ProxyClient* client_ = nullptr;  // of the latest RequestAt
};

// All clients of a simulation have one address; behind a trusted proxy they have many.
void TrustAll(config::Config& config) {
  config.listeners[0].trusted_proxies = {*Network::Parse("0.0.0.0/0")};
}
std::string From(const std::string& address) { return "X-Forwarded-For: " + address + "\r\n"; }

TEST_F(ProxyProtection, ARateIsForEachClientAndComesBackWithTime) {
  Limit();
  Build();
  std::vector<RequestPlan*> requests;
  for (int i = 0; i < 5; ++i) requests.push_back(&RequestAt(milliseconds(i * 100)));
  RequestPlan& later = RequestAt(milliseconds(1200));
  RequestPlan& too_soon = RequestAt(milliseconds(1400));
  Finish();
  for (size_t i = 0; i < 3; ++i) ExpectAnswer(*requests[i], 200);
  for (size_t i = 3; i < 5; ++i) ExpectAnswer(*requests[i], 429, "rate_limited");
  EXPECT_EQ(requests[4]->heads_at_backends, 0);
  ExpectAnswer(later, 200);
  ExpectAnswer(too_soon, 429, "rate_limited");
}

TEST_F(ProxyProtection, ARateIsForEachKeyAndWithoutOneForTheAddress) {
  Limit({.source = config::HashKey::Source::kHeader, .name = "x-api-key"});
  Build();
  std::vector<RequestPlan*> requests;
  for (const char* key : {"X-Api-Key: a\r\n", "X-API-Key: b\r\n", ""}) {
    for (int i = 0; i < 4; ++i) requests.push_back(&RequestAt(milliseconds(i * 100), key));
  }
  Finish();
  for (size_t i = 0; i < requests.size(); ++i) {
    ExpectAnswer(*requests[i], i % 4 < 3 ? 200 : 429, i % 4 < 3 ? "" : "rate_limited");
  }
}

TEST_F(ProxyProtection, BehindATrustedProxyARateIsTheClientsOwn) {
  Limit();
  const auto limit = tune_;
  tune_ = [limit](config::Config& config) {
    limit(config);
    TrustAll(config);
  };
  Build();
  std::vector<RequestPlan*> requests;
  for (int i = 0; i < 8; ++i) {
    requests.push_back(&RequestAt(milliseconds(i * 50), From(i % 2 == 0 ? "1.2.3.4" : "5.6.7.8")));
  }
  Finish();
  for (size_t i = 0; i < 6; ++i) ExpectAnswer(*requests[i], 200);
  for (size_t i = 6; i < 8; ++i) ExpectAnswer(*requests[i], 429, "rate_limited");
}

TEST_F(ProxyProtection, BucketsSurviveAReloadThatLeavesThemAlone) {
  Limit();
  Build();
  for (int i = 0; i < 3; ++i) RequestAt(milliseconds(i * 20));
  Change(milliseconds(100), [](config::Config& config) {
    config.listeners[0].via = "rondo";
    config.listeners[0].routes.insert(config.listeners[0].routes.begin(),
                                      config.listeners[0].routes.back());
  });
  RequestPlan& same = RequestAt(milliseconds(200));
  Change(milliseconds(300),
         [](config::Config& config) { config.listeners[0].routes[1].rate_limit->requests = 2; });
  RequestPlan& afresh = RequestAt(milliseconds(400));
  Finish();
  ExpectAnswer(same, 429, "rate_limited");
  ExpectAnswer(afresh, 200);
}

TEST_F(ProxyProtection, ADryRunRefusesNobody) {
  Limit();
  const auto limit = tune_;
  tune_ = [limit](config::Config& config) {
    limit(config);
    config.listeners[0].routes[0].rate_limit->dry_run = true;
  };
  Build();
  std::vector<RequestPlan*> requests;
  for (int i = 0; i < 6; ++i) requests.push_back(&RequestAt(milliseconds(i)));
  Finish();
  for (const RequestPlan* request : requests) ExpectAnswer(*request, 200);
}

TEST_F(ProxyProtection, ARefusedRequestLeavesItsConnectionOpen) {
  Limit();
  Build();
  std::vector<RequestPlan*> requests;
  for (int i = 0; i < 5; ++i) requests.push_back(&Request());
  RequestPlan& other = world_->AddRequest("b");
  other.kind = RequestKind::kFixed;
  other.target = "/fixed";
  requests.push_back(&other);
  world_->AddClient(requests);
  Finish();
  ExpectAnswer(*requests[4], 429, "rate_limited");
  ExpectAnswer(other, 200);
}

TEST_F(ProxyProtection, NetworksOfRoutesAndListenersAreJudgedByTheClient) {
  struct Case {
    const char* allow;
    const char* deny;
    const char* client;
    bool comes;
  };
  const Case cases[] = {
      {nullptr, "1.2.0.0/16", "1.2.3.4", false},  {nullptr, "1.2.0.0/16", "1.3.3.4", true},
      {"1.2.0.0/16", nullptr, "1.2.3.4", true},   {"1.2.0.0/16", nullptr, "1.3.3.4", false},
      {"1.0.0.0/8", "1.2.3.4", "1.2.3.4", false}, {"1.0.0.0/8", "1.2.3.4", "1.2.3.5", true},
  };
  for (const bool by_route : {true, false}) {
    for (const Case& each : cases) {
      tune_ = [&](config::Config& config) {
        config = ProxyWorld::BaseConfig();
        config.upstreams = {ProxyWorld::MakeUpstream("a", 1), ProxyWorld::MakeUpstream("b", 1)};
        TrustAll(config);
        config::Listener& listener = config.listeners[0];
        std::vector<Network>& allow = by_route ? listener.routes[0].allow : listener.allow;
        std::vector<Network>& deny = by_route ? listener.routes[0].deny : listener.deny;
        if (each.allow != nullptr) allow = {*Network::Parse(each.allow)};
        if (each.deny != nullptr) deny = {*Network::Parse(each.deny)};
      };
      SCOPED_TRACE(testing::Message() << by_route << " " << each.client << " " << each.comes);
      Build();
      RequestPlan& request = RequestAt(Duration::zero(), From(each.client));
      Finish();
      ExpectAnswer(request, each.comes ? 200 : 403, each.comes ? "" : "denied");
    }
  }
}

TEST_F(ProxyProtection, ADeniedAddressIsSentAwayAtTheDoor) {
  tune_ = [](config::Config& config) { config.listeners[0].deny = {*Network::Parse("0.0.0.0/0")}; };
  Build();
  RequestPlan& request = RequestAt(Duration::zero());
  world_->Finish(seconds(10), seconds(10));
  EXPECT_EQ(request.outcome.kind, OutcomeKind::kUnanswered);
  // There is no line in the log for a connection that was not let in.
  EXPECT_EQ(world_->Findings(), "  counted 1 of 'web  denied', logged 0\n");
}

TEST_F(ProxyProtection, AReloadThatDeniesReachesConnectionsThatAreThere) {
  Build();
  RequestPlan& before = Request();
  RequestPlan& after = Request();
  after.think = seconds(1);
  world_->AddClient({&before, &after});
  Change(milliseconds(500),
         [](config::Config& config) { config.listeners[0].deny = {*Network::Parse("0.0.0.0/0")}; });
  Finish();
  ExpectAnswer(before, 200);
  ExpectAnswer(after, 403, "denied");
}

TEST_F(ProxyProtection, ConnectionsBeyondTheLimitAreSentAwayUntilOthersEnd) {
  for (const bool by_address : {false, true}) {
    tune_ = [by_address](config::Config& config) {
      config::Listener& listener = config.listeners[0];
      listener.connections_total = listener.connections_per_address = 0;
      (by_address ? listener.connections_per_address : listener.connections_total) = 2;
    };
    Build();
    std::vector<RequestPlan*> requests;
    for (int i = 0; i < 3; ++i) {
      requests.push_back(&RequestAt(milliseconds(100 * i)));
      requests.back()->answers[0].delay = seconds(1);
    }
    RequestPlan& later = RequestAt(seconds(3));
    Finish();
    ExpectAnswer(*requests[0], 200);
    ExpectAnswer(*requests[1], 200);
    EXPECT_EQ(requests[2]->outcome.kind, OutcomeKind::kUnanswered);
    ExpectAnswer(later, 200);
  }
}

TEST_F(ProxyProtection, ATunnelKeepsItsPlaceUntilItEnds) {
  tune_ = [](config::Config& config) { config.listeners[0].connections_per_address = 1; };
  Build();

  RequestPlan& tunnel = Request();
  tunnel.kind = RequestKind::kUpgrade;
  tunnel.tunnel_bytes = 10;
  tunnel.tunnel_end = TunnelEnd::kCloseWhenEchoed;
  tunnel.answers[0].tunnel_cut = 9;  // until the tunnel timeout
  tunnel.answers[0].tunnel_holds = true;
  world_->AddClient({&tunnel});
  RequestPlan& meanwhile = RequestAt(seconds(2));
  RequestPlan& later = RequestAt(seconds(30));
  Finish();
  EXPECT_EQ(tunnel.outcome.kind, OutcomeKind::kTunnelled);
  EXPECT_EQ(meanwhile.outcome.kind, OutcomeKind::kUnanswered);
  ExpectAnswer(later, 200);
}

TEST_F(ProxyProtection, PlacesOutliveAReloadAndTheListenerThatGaveThem) {
  tune_ = [](config::Config& config) { config.listeners[0].connections_total = 1; };
  Build();
  RequestPlan& slow = RequestAt(Duration::zero());
  slow.answers[0].delay = seconds(2);
  Change(milliseconds(500), [](config::Config& config) { config.listeners[0].via = "rondo"; });
  RequestPlan& meanwhile = RequestAt(seconds(1));
  RequestPlan& later = RequestAt(seconds(4));
  Finish();
  ExpectAnswer(slow, 200);
  EXPECT_EQ(meanwhile.outcome.kind, OutcomeKind::kUnanswered);
  ExpectAnswer(later, 200);
}

TEST_F(ProxyProtection, ALongTargetIsRefusedWhereItsRouteSaysSo) {
  tune_ = [](config::Config& config) { config.listeners[0].routes[0].uri_bytes = 40; };
  Build();
  RequestPlan& fits = Request();
  fits.target = "/a/" + std::string(37, 'x');
  RequestPlan& too_long = Request();
  too_long.target = "/a/" + std::string(38, 'x');
  world_->AddClient({&fits, &too_long});
  Finish();
  ExpectAnswer(fits, 200);
  ExpectAnswer(too_long, 414, "uri_too_long");
}

// -- min_rate --

TEST_F(ProxyProtection, ABodyThatDribblesIsTooSlow) {
  tune_ = [](config::Config& config) { config.listeners[0].min_rate_request = 1000; };
  for (const BodyPlan& body : {Length(50'000), Chunked(50'000)}) {
    Build();
    RequestPlan& request = Request();
    request.method = "POST";
    request.body = body;
    request.piece = 90;
    request.pause = milliseconds(100);
    world_->AddClient({&request});
    Finish();
    ExpectAnswer(request, 408, "request_too_slow");
    ExpectTook(request, seconds(10), milliseconds(200));
    EXPECT_EQ(request.wholes_at_backends, 0);
  }
}

TEST_F(ProxyProtection, ABodyThatKeepsTheRateIsNot) {
  tune_ = [](config::Config& config) { config.listeners[0].min_rate_request = 1000; };
  Build();
  RequestPlan& request = Request();
  request.method = "POST";
  request.body = Length(50'000);
  request.piece = 120;
  request.pause = milliseconds(100);
  world_->AddClient({&request});
  Finish();
  ExpectAnswer(request, 200);
  EXPECT_GT(Took(request), seconds(40));
}

TEST_F(ProxyProtection, AHeadThatDribblesIsTooSlow) {
  tune_ = [](config::Config& config) {
    config.listeners[0].min_rate_request = 1000;
    config.timeouts.request_header = seconds(60);
  };
  Build();
  RequestPlan& request = Request();
  request.padding = 20'000;
  request.piece = 50;
  request.pause = milliseconds(100);
  world_->AddClient({&request});
  Finish();
  ExpectAnswer(request, 408, "request_too_slow");
  ExpectTook(request, seconds(10), milliseconds(200));
}

TEST_F(ProxyProtection, WhoWaitsForTheBackendIsNotTooSlow) {
  tune_ = [](config::Config& config) {
    config.listeners[0].min_rate_request = 1'000'000;
    config.listeners[0].min_rate_response = 1'000'000;
    config.upstreams[0].timeouts.response = seconds(60);
    config.upstreams[0].timeouts.idle = seconds(60);
  };
  Build();
  RequestPlan& late = Request();
  late.answers[0].delay = seconds(30);
  RequestPlan& dribbled = Request();  // by the backend
  dribbled.method = "POST";
  dribbled.body = Length(2000);
  dribbled.answers[0].body = Length(3000);
  dribbled.answers[0].piece = 100;
  dribbled.answers[0].pause = seconds(1);
  world_->AddClient({&late, &dribbled});
  Finish();
  ExpectAnswer(late, 200);
  ExpectAnswer(dribbled, 200);
  EXPECT_GT(Took(dribbled), seconds(30));
}

TEST_F(ProxyProtection, AClientThatReadsTooSlowlyIsReset) {
  tune_ = [](config::Config& config) {
    config.listeners[0].min_rate_response = 50'000;
    config.upstreams[0].timeouts.idle = seconds(30);
  };
  for (const BodyPlan& body : {Length(5'000'000), Chunked(5'000'000)}) {
    Build();
    RequestPlan& request = Request();
    request.answers[0].body = body;
    ConnectionPlan plan;
    plan.requests = {&request};
    plan.read_bytes = 2000;
    plan.read_pause = milliseconds(100);
    ProxyClient& client = world_->AddClient(std::move(plan));
    const RunEnd end = world_->world().RunUntil(
        [this, &request] {
          return request.heads_at_backends > 0 && world_->control().in_flight() == 0;
        },
        seconds(60));
    EXPECT_EQ(end.stop, Stop::kPredicate) << end.why;
    EXPECT_LT(world_->world().now() - request.outcome.sent, seconds(25));
    Finish(seconds(400));
    EXPECT_EQ(request.outcome.kind, OutcomeKind::kTruncated);
    EXPECT_TRUE(client.saw_reset());
  }
}

TEST_F(ProxyProtection, AClientThatReadsFastEnoughGetsAll) {
  tune_ = [](config::Config& config) { config.listeners[0].min_rate_response = 1000; };
  Build();
  RequestPlan& request = Request();
  request.answers[0].body = Length(300'000);
  ConnectionPlan plan;
  plan.requests = {&request};
  plan.read_bytes = 4000;
  plan.read_pause = milliseconds(100);
  world_->AddClient(std::move(plan));
  Finish();
  ExpectAnswer(request, 200);
  EXPECT_GT(Took(request), seconds(40));
}

}  // namespace
}  // namespace rondo::sim
