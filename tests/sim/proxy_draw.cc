#include "proxy_draw.h"

#include <algorithm>
#include <bit>

#include "absl/strings/str_cat.h"
#include "draw.h"
#include "proxy_change.h"

namespace rondo::sim {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;

// In [1, high], evenly over orders of magnitude.
int64_t DrawEvenly(Rng& rng, int64_t high) {
  const int bits = static_cast<int>(std::bit_width(static_cast<uint64_t>(high)));
  const int64_t top = int64_t{1} << rng.Between(1, bits);
  return rng.Between(1, std::min(high, top));
}

Duration DrawPause(Rng& rng, int64_t microseconds_max) {
  return microseconds(DrawEvenly(rng, microseconds_max));
}

struct Malformed {
  const char* text;
  int status;
};
constexpr Malformed kMalformed[] = {
    {"GET /a HTTP/1.1\r\n\r\n", 400},
    {"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
    {"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 6\r\n\r\n", 400},
    {"GET /a HTTP/1.1\r\nHost : a\r\n\r\n", 400},
    {"GET /a/%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
    {"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
    {"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
};

class Drawer {
 public:
  Drawer(uint64_t seed, Weather weather) : rng_(Mix64(seed ^ 0x9a7)), weather_(weather) {}

  std::unique_ptr<ProxyWorld> Draw(uint64_t seed, std::string& faults);

 private:
  bool strict() const { return IsStrict(weather_); }
  FaultPlan DrawFaults();
  config::Config DrawConfig();
  config::Upstream DrawUpstream(const std::string& name);
  void DrawBackends();
  void DrawConnection();
  RequestPlan& DrawRequest(bool may_close);
  void DrawMessage(RequestPlan& request);
  void DrawUpgrade(RequestPlan& request);
  void DrawClientFault(RequestPlan& request);
  BodyPlan DrawBody(bool lengths_only);
  AnswerPlan DrawAnswer(const RequestPlan& request);
  void DrawAnswerFault(const RequestPlan& request, AnswerPlan& answer);
  void DrawEvents();
  void DrawPublications();
  // Up to what a receive buffer holds and beyond; in bad weather also more than is allowed.
  size_t DrawPadding() {
    const int64_t usual = strict() ? 30'000 : 40'000;
    const int64_t most = bytes_max_ < usual ? 200 : usual;  // crawling, it would be late
    return static_cast<size_t>(rng_.Below(2) == 0 ? DrawEvenly(rng_, most) : rng_.Between(1, most));
  }
  size_t DrawBytes() {
    return rng_.Below(10) == 0 ? 0 : static_cast<size_t>(DrawEvenly(rng_, bytes_max_));
  }

  Rng rng_;
  Weather weather_;
  int64_t bytes_max_ = 300'000;
  bool slow_ = false;  // the connection being drawn reads slowly
  ProxyWorld* world_ = nullptr;
};

FaultPlan Drawer::DrawFaults() {
  FaultPlan drawn = FaultPlan::Draw(rng_);
  switch (weather_) {
    case Weather::kCalm:
    case Weather::kOdd:
      return {};
    case Weather::kHarmless: {
      FaultPlan plan;
      plan.short_receive = drawn.short_receive;
      plan.short_send = drawn.short_send;
      plan.late_cancel = drawn.late_cancel;
      plan.accept_ends = drawn.accept_ends;
      plan.short_tick = drawn.short_tick;
      plan.spurious_wake = drawn.spurious_wake;
      plan.tiny_buffers = drawn.tiny_buffers;
      return plan;
    }
    case Weather::kStorm:
      return drawn;
  }
  return {};
}

std::unique_ptr<ProxyWorld> Drawer::Draw(uint64_t seed, std::string& faults) {
  ProxyWorldOptions options;
  options.workers = static_cast<size_t>(rng_.Below(2) == 0 ? 1 : rng_.Between(2, 3));
  options.worker_faults = DrawFaults();
  options.client_faults = DrawFaults();
  if (rng_.Chance(0.2))
    options.buffers_max =
        static_cast<size_t>(weather_ == Weather::kStorm ? rng_.Between(2, 40) : 130);
  if (rng_.Chance(0.2)) options.log_refusals = 0.5;
  // By a generator of its own: what else is drawn stays the same without it.
  Rng secures(Mix64(seed ^ 0x7c5));
  // Nothing is seen of a record before all of it is through: where few bytes have room on the way,
  // that takes longer than the short timeouts allow.
  const bool tiny = options.worker_faults.tiny_buffers + options.client_faults.tiny_buffers > 0;
  options.secures.accepted = !tiny && secures.Chance(0.3);
  options.secures.connected = !tiny && secures.Chance(0.3);
  // Who closes without having read what the other channel says by itself resets the connection.
  options.secures.chatter = weather_ == Weather::kStorm && secures.Chance(0.5) ? 0.1 : 0;
  faults = absl::StrCat("proxy: ", options.worker_faults.ToString(),
                        "; clients: ", options.client_faults.ToString(),
                        options.secures.accepted ? "; clients secured" : "",
                        options.secures.connected ? "; backends secured" : "",
                        options.secures.chatter > 0 ? "; chatter" : "");
  // Bodies that crawl through buffers of a few bytes would take most of the time.
  if (options.worker_faults.tiny_buffers + options.client_faults.tiny_buffers > 0) {
    bytes_max_ = 5000;
  }
  auto world = std::make_unique<ProxyWorld>(seed, DrawConfig(), options);
  world_ = world.get();
  DrawBackends();
  const int64_t connections = DrawSkewed(rng_, 1, 40);
  for (int64_t i = 0; i < connections; ++i) DrawConnection();
  DrawEvents();
  return world;
}

config::Config Drawer::DrawConfig() {
  config::Config config = ProxyWorld::BaseConfig();
  config.upstreams = {DrawUpstream("a"), DrawUpstream("b")};
  if (!strict() && rng_.Chance(0.2)) config.limits.body_bytes = 2000;
  if (!strict() && rng_.Chance(0.1)) config.limits.connections = 3;
  if (rng_.Chance(0.3)) config.listeners[0].via = "edge";
  if (rng_.Chance(0.3)) {
    config.listeners[0].trusted_proxies = {*Network::Parse("192.0.2.0/24")};
  }
  return config;
}

config::Upstream Drawer::DrawUpstream(const std::string& name) {
  config::Upstream upstream =
      ProxyWorld::MakeUpstream(name, static_cast<size_t>(rng_.Between(1, 4)));
  constexpr balance::PolicyKind kPolicies[] = {balance::PolicyKind::kRoundRobin,
                                               balance::PolicyKind::kLeastConnections,
                                               balance::PolicyKind::kIpHash};
  upstream.balance = kPolicies[rng_.Below(3)];
  for (config::Backend& backend : upstream.backends) {
    if (rng_.Chance(0.15)) {
      backend.id = "unix:/run/" + backend.id;
      backend.address = *SocketAddress::Parse(backend.id);
    } else if (rng_.Chance(0.15)) {
      backend.id = absl::StrCat("[fd00::", name, "]:", 1000 + rng_.Below(60000));
      backend.address = *SocketAddress::Parse(backend.id);
    }
    backend.weight = static_cast<uint32_t>(rng_.Between(1, 3));
    backend.backup = &backend != &upstream.backends.front() && rng_.Chance(0.2);
  }
  config::Keepalive& keepalive = upstream.keepalive;
  constexpr uint32_t kIdle[] = {0, 1, 64, 64, 64};
  keepalive.idle = kIdle[rng_.Below(5)];
  keepalive.idle_timeout = milliseconds(rng_.Between(100, 4000));
  if (rng_.Chance(0.2)) keepalive.max_requests = static_cast<uint32_t>(rng_.Between(1, 4));
  if (rng_.Chance(0.2)) keepalive.max_age = milliseconds(rng_.Between(1, 3000));
  config::Retries& retries = upstream.retries;
  retries.attempts = static_cast<uint32_t>(rng_.Below(4));
  constexpr uint64_t kBuffers[] = {0, 1000, 64 * 1024, 64 * 1024};
  retries.body_buffer = kBuffers[rng_.Below(4)];
  retries.budget_percent = rng_.Below(2) == 0 ? 20 : 100;
  retries.on.status_502 = rng_.Chance(0.2);
  retries.on.status_503 = rng_.Chance(0.3);
  retries.on.status_504 = rng_.Chance(0.2);
  if (!strict() && rng_.Chance(0.1)) retries.on.reset_before_response = false;
  return upstream;
}

void Drawer::DrawBackends() {
  for (const auto& upstream : world_->snapshot().upstreams) {
    for (const config::Backend& backend : upstream->settings.backends) {
      BackendOptions options;
      if (!strict() && rng_.Chance(0.3)) options.idle_close = milliseconds(rng_.Between(1, 3000));
      if (!strict() && rng_.Chance(0.1)) {
        world_->world().network().Refuse(backend.address);
      }
      world_->AddBackend(backend.address, options);
    }
  }
}

void Drawer::DrawConnection() {
  ConnectionPlan plan;
  plan.address = *SocketAddress::Parse(ProxyWorld::kAddress);
  plan.start = DrawPause(rng_, 2'000'000);
  slow_ = rng_.Chance(0.15);
  if (slow_) {
    plan.read_bytes = static_cast<size_t>(rng_.Between(200, 5000));
    plan.read_pause = DrawPause(rng_, 10'000);
  }
  if (!(slow_ && strict()) && rng_.Chance(0.35))
    plan.depth = static_cast<size_t>(rng_.Between(2, 5));
  const int64_t count = DrawSkewed(rng_, 1, 12);
  for (int64_t i = 0; i < count; ++i) {
    RequestPlan& request = DrawRequest(i + 1 == count || !strict());
    plan.requests.push_back(&request);
    if (plan.depth > 1) {
      // Who waits for a 100 does not send another request meanwhile.
      request.think = Duration::zero();
    }
    if (request.kind == RequestKind::kUpgrade || request.kind == RequestKind::kMalformed) break;
  }
  world_->AddClient(std::move(plan));
}

RequestPlan& Drawer::DrawRequest(bool may_close) {
  RequestPlan& request = world_->AddRequest(rng_.Below(3) == 0 ? "b" : "a");
  if (rng_.Chance(0.3)) request.think = DrawPause(rng_, strict() ? 1'500'000 : 6'000'000);
  const uint64_t kind = rng_.Below(100);
  if (kind < 5) {
    request.kind = RequestKind::kFixed;
    request.target = "/fixed";
    return request;
  }
  if (kind < 9) {
    request.kind = RequestKind::kNoRoute;
    request.target = absl::StrCat("/nowhere/", request.number);
    return request;
  }
  if (kind < 12) {
    const Malformed& malformed = kMalformed[rng_.Below(std::size(kMalformed))];
    request.kind = RequestKind::kMalformed;
    request.malformed = malformed.text;
    request.malformed_status = malformed.status;
    return request;
  }
  if (kind < 20) {
    DrawUpgrade(request);
  } else {
    DrawMessage(request);
    if (may_close && rng_.Chance(0.1)) request.wants_keep_alive = false;
  }
  request.answers.clear();
  const int64_t attempts = rng_.Between(1, 4);
  for (int64_t i = 0; i < attempts; ++i) request.answers.push_back(DrawAnswer(request));
  if (!strict() && rng_.Chance(0.12)) DrawClientFault(request);
  return request;
}

void Drawer::DrawMessage(RequestPlan& request) {
  constexpr const char* kMethods[] = {"GET", "GET",    "GET",   "GET",     "POST", "POST", "POST",
                                      "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "HEAD", "PURGE"};
  request.method = kMethods[rng_.Below(std::size(kMethods))];
  if (rng_.Chance(0.1)) {
    request.minor_version = 0;
    request.wants_keep_alive = rng_.Chance(0.5);
  }
  const bool usual = request.method[0] == 'P';
  if (rng_.Chance(usual ? 0.9 : 0.05)) request.body = DrawBody(request.minor_version == 0);
  const bool has_body = request.body.mode == BodyMode::kChunked || request.body.bytes > 0;
  if (has_body && request.minor_version == 1) request.expects_continue = rng_.Chance(0.15);
  request.idempotency_key = rng_.Chance(0.1);
  if (rng_.Chance(0.2)) {
    request.piece = std::max<size_t>(static_cast<size_t>(DrawEvenly(rng_, 5000)),
                                     (request.body.bytes + request.padding) / 100);
    // A head's deadline is one for all of it.
    request.pause = DrawPause(rng_, request.padding > 0 || request.piece < 4 ? 5000 : 20'000);
  }
}

void Drawer::DrawUpgrade(RequestPlan& request) {
  request.kind = RequestKind::kUpgrade;
  request.tunnel_bytes = DrawBytes();
  if (rng_.Chance(0.4)) {
    request.tunnel_early =
        std::min<size_t>(request.tunnel_bytes, static_cast<size_t>(DrawEvenly(rng_, 40'000)));
  }
  request.tunnel_end = rng_.Below(2) == 0 ? TunnelEnd::kHalfClose : TunnelEnd::kCloseWhenEchoed;
  if (!strict() && rng_.Chance(0.2)) request.tunnel_end = TunnelEnd::kReset;
  if (rng_.Chance(0.3)) {
    request.piece = request.tunnel_bytes / 50 + 1;
    request.pause = DrawPause(rng_, 20'000);
  }
}

void Drawer::DrawClientFault(RequestPlan& request) {
  request.fault = static_cast<ClientFault>(rng_.Between(1, 7));
  const size_t size = request.WriteHead().size() + WriteBody(request.body).size();
  switch (request.fault) {
    case ClientFault::kCloseInside:
    case ClientFault::kResetInside:
    case ClientFault::kStallInside:
      request.cut = static_cast<size_t>(rng_.Between(1, static_cast<int64_t>(size) - 1));
      break;
    case ClientFault::kHalfClose:
      if (request.kind == RequestKind::kUpgrade) request.fault = ClientFault::kNone;
      break;
    case ClientFault::kCloseReading:
    case ClientFault::kResetReading:
    case ClientFault::kStopReading:
      request.cut = static_cast<size_t>(DrawEvenly(rng_, 20'000));
      break;
    case ClientFault::kNone:
      break;
  }
}

BodyPlan Drawer::DrawBody(bool lengths_only) {
  BodyPlan body;
  body.mode = lengths_only || rng_.Below(2) == 0 ? BodyMode::kLength : BodyMode::kChunked;
  body.seed = rng_.Next();
  body.bytes = DrawBytes();
  body.trailer = rng_.Chance(0.3);
  return body;
}

AnswerPlan Drawer::DrawAnswer(const RequestPlan& request) {
  AnswerPlan answer;
  constexpr int kStatuses[] = {200, 200, 200, 200, 200, 200, 201, 404, 500, 503, 204, 304};
  answer.status = kStatuses[rng_.Below(std::size(kStatuses))];
  if (request.kind == RequestKind::kUpgrade)
    answer.status = request.tunnel_early > 0 || rng_.Chance(0.8) ? 200 : 426;
  if (answer.status == 304 && request.method != "GET" && request.method != "HEAD") {
    answer.status = 200;
  }
  const bool no_body = request.method == "HEAD" || answer.status == 204 || answer.status == 304;
  if (rng_.Chance(0.1)) answer.minor_version = 0;
  answer.body = DrawBody(answer.minor_version == 0);
  if (rng_.Chance(0.1)) answer.body.mode = BodyMode::kUntilClose;
  if (no_body && answer.body.mode == BodyMode::kUntilClose) answer.body.mode = BodyMode::kNone;
  const bool has_body = request.body.mode == BodyMode::kChunked || request.body.bytes > 0;
  if (has_body && rng_.Chance(0.1) && !(strict() && (slow_ || request.pause > Duration::zero()))) {
    answer.early = true;
    // Closing with the rest of the request unread would endanger the answer.
    if (strict()) {
      answer.minor_version = 1;
      if (answer.body.mode == BodyMode::kUntilClose) answer.body.mode = BodyMode::kLength;
    }
  }
  if (!(strict() && answer.early) && rng_.Chance(0.1)) answer.says_close = true;
  if (rng_.Chance(0.1)) answer.keepalive_hint = static_cast<int>(rng_.Between(0, 5));
  if (rng_.Chance(0.15)) {
    constexpr int kInterims[] = {100, 102, 103};
    const int64_t count = rng_.Between(1, 3);
    for (int64_t i = 0; i < count; ++i) answer.interims.push_back(kInterims[rng_.Below(3)]);
  }
  if (rng_.Chance(0.1)) answer.padding = DrawPadding();
  if (rng_.Chance(0.3)) answer.delay = DrawPause(rng_, 800'000);
  if (rng_.Chance(0.2)) {
    answer.piece =
        std::max<size_t>(static_cast<size_t>(DrawEvenly(rng_, 5000)),
                         (answer.body.bytes + request.tunnel_bytes + answer.padding) / 100 + 10);
    answer.pause = DrawPause(rng_, answer.padding > 0 ? 5000 : 20'000);
  }
  if (!strict() && rng_.Chance(0.15)) DrawAnswerFault(request, answer);
  return answer;
}

void Drawer::DrawAnswerFault(const RequestPlan& request, AnswerPlan& answer) {
  if (rng_.Chance(0.1)) {
    answer.closes_silently = true;
    return;
  }
  if (rng_.Chance(0.1)) {
    // Without the close they could meet the next request, and nobody could tell.
    answer.extra_bytes = answer.says_close = true;
    if (answer.body.mode == BodyMode::kUntilClose) answer.body.mode = BodyMode::kLength;
    return;
  }
  if (request.kind == RequestKind::kUpgrade && rng_.Chance(0.5)) {
    answer.tunnel_cut = static_cast<size_t>(DrawEvenly(rng_, 50'000));
    answer.tunnel_reset = rng_.Below(2) == 0;
    return;
  }
  answer.kind = static_cast<AnswerKind>(rng_.Between(1, 8));
  // A body that ends with its connection cannot be seen to be cut.
  if (answer.kind == AnswerKind::kTruncated && answer.body.mode == BodyMode::kUntilClose) {
    answer.body.mode = BodyMode::kLength;
  }
  if (request.kind == RequestKind::kUpgrade && answer.kind == AnswerKind::kUnasked101) {
    answer.kind = AnswerKind::kGarbage;
  }
  const size_t size =
      60 + answer.padding + WriteFraming(answer.body).size() + WriteBody(answer.body).size();
  answer.cut = static_cast<size_t>(rng_.Between(0, static_cast<int64_t>(size)));
}

void Drawer::DrawEvents() {
  ProxyWorld& world = *world_;
  if (rng_.Chance(0.35))
    world.world().After(DrawPause(rng_, 3'000'000), [&world] { world.Drain(); });
  if (!strict() && rng_.Chance(0.1)) {
    world.world().After(DrawPause(rng_, 5'000'000), [&world] {
      world.Drain();
      world.Cancel();
    });
  }
  if (rng_.Chance(0.5)) DrawPublications();
  if (weather_ != Weather::kStorm) return;
  world.scene().storms = true;
  const uint64_t count = rng_.Below(4);
  for (uint64_t i = 0; i < count; ++i) {
    const auto& backends = world.backends();
    const SocketAddress address = backends[rng_.Below(backends.size())]->address();
    const uint64_t what = rng_.Below(4);
    const Duration begin = DrawPause(rng_, 3'000'000);
    SimNetwork& network = world.world().network();
    world.world().After(begin, [&network, address, what] {
      if (what == 0) network.Refuse(address);
      if (what == 1) network.BlackHole(address);
      if (what == 2) network.ResetConnections(address);
      if (what == 3) network.Slow(address, 20'000);
    });
    world.world().After(begin + DrawPause(rng_, 5'000'000),
                        [&network, address] { network.Restore(address); });
  }
}

// The configuration changes under all that, as an operator, a health check or a scaler would have it.
void Drawer::DrawPublications() {
  const int64_t count = DrawSkewed(rng_, 1, 30);
  for (int64_t i = 0; i < count; ++i) {
    const auto kind = static_cast<PublicationKind>(rng_.Below(kPublicationKinds));
    const uint64_t seed = rng_.Next();
    ProxyWorld& world = *world_;
    // In good weather a drain has the time that its requests need.
    const Duration drain = strict() ? seconds(300) : milliseconds(rng_.Between(0, 5000));
    world.world().After(DrawPause(rng_, 3'000'000), [&world, kind, seed, drain] {
      if (!world.workers_finished()) PublishDrawn(world, kind, seed, drain);
    });
  }
}

}  // namespace

const char* NameOf(Weather weather) {
  switch (weather) {
    case Weather::kCalm:
      return "calm";
    case Weather::kHarmless:
      return "harmless";
    case Weather::kOdd:
      return "odd";
    case Weather::kStorm:
      return "storm";
  }
  return "";
}

DrawnRun DrawRun(uint64_t seed) {
  Rng rng(Mix64(seed ^ 0x3b1));
  constexpr Weather kWeathers[] = {Weather::kCalm, Weather::kHarmless, Weather::kOdd,
                                   Weather::kOdd,  Weather::kStorm,    Weather::kStorm};
  DrawnRun run{kWeathers[rng.Below(std::size(kWeathers))], nullptr, ""};
  Drawer drawer(seed, run.weather);
  run.world = drawer.Draw(seed, run.faults);
  return run;
}

}  // namespace rondo::sim
