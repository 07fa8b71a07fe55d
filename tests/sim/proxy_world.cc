#include "proxy_world.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "proxy_numbers.h"

namespace rondo::sim {

using std::chrono::seconds;

bool LogCollector::Offer(size_t, std::string& lines) {
  if (rng_.Chance(refusals_)) return false;
  lines_ += lines;
  lines.clear();
  return true;
}

config::Config ProxyWorld::BaseConfig() {
  config::Config config;
  config::Listener listener;
  listener.name = "web";
  listener.listen = {*SocketAddress::Parse(kAddress)};
  for (const char* name : {"a", "b"}) {
    config::RouteConfig route;
    route.match.path_prefix = absl::StrCat("/", name);
    route.upstream = name;
    route.upgrades = {"websocket"};
    listener.routes.push_back(route);
  }
  config::RouteConfig fixed;
  fixed.match.path_prefix = "/fixed";
  fixed.respond = config::Respond{200, "pong\n"};
  listener.routes.push_back(fixed);
  config.listeners.push_back(listener);
  config.timeouts = {seconds(2), seconds(2), seconds(5)};
  return config;
}

config::Upstream ProxyWorld::MakeUpstream(const std::string& name, size_t backends) {
  config::Upstream upstream;
  upstream.name = name;
  for (size_t i = 0; i < backends; ++i) {
    config::Backend backend;
    backend.id = absl::StrCat("10.0.", name == "a" ? 1 : 2, ".", i + 1, ":80");
    backend.address = *SocketAddress::Parse(backend.id);
    upstream.backends.push_back(backend);
  }
  upstream.timeouts = {seconds(1), seconds(3), seconds(2), seconds(6)};
  return upstream;
}

ProxyWorld::ProxyWorld(uint64_t seed, const config::Config& config,
                       const ProxyWorldOptions& options)
    : world_(seed),
      scene_{.world = world_, .requests = {}, .findings = {}, .closed_backends = {}},
      control_(scene_, config, options.workers),
      log_(world_.rng(), options.log_refusals),
      secures_(options.secures) {
  const SocketAddress address = config.listeners.front().listen.front();
  for (size_t i = 0; i < options.workers; ++i) {
    SimEngineOptions engine_options;
    engine_options.process = "rondo";
    engine_options.faults = options.worker_faults;
    engine_options.buffers_max = options.buffers_max;
    SimEngine& engine = world_.AddEngine(absl::StrCat("worker", i), engine_options);
    const int fd =
        engine.Listen(address, i == 0 ? io::ListenMode::kFirst : io::ListenMode::kFurther);
    io::Engine* workers_engine = &engine;
    if (secures_.accepted || secures_.connected) {
      securing_.push_back(std::make_unique<SecuringEngine>(engine, secures_));
      workers_engine = securing_.back().get();
    }
    workers_.push_back(std::make_unique<proxy::Worker>(
        *workers_engine, control_.snapshot(), std::vector<proxy::ListenFd>{{fd, 0, 0}}, counters_, &log_,
        proxy::WorkerOptions{i, options.workers, world_.rng().Next(), nullptr, 0}));
    proxy::Worker* worker = workers_.back().get();
    control_.AddWorker(*worker, engine);
    engines_.push_back(&engine);
    actors_.push_back(world_.AddActor(
        engine, [worker] { worker->Tick(); }, [worker] { return worker->NextDeadline(); }));
    worker->Start();
  }
  SimEngineOptions peer_options;
  peer_options.faults = options.client_faults;
  peer_options.buffers_max = 1000;
  peer_options.source_v4 = *IpAddress::Parse("192.0.2.7");
  client_engine_ = &world_.AddThread("clients", peer_options);
  peer_options.faults = FaultPlan{};
  backend_engine_ = &world_.AddThread("backends", peer_options);
}

ProxyWorld::~ProxyWorld() {
  socket_clients_.clear();
  socket_backends_.clear();
  clients_.clear();
  backends_.clear();
}

ProxyBackend& ProxyWorld::AddBackend(const SocketAddress& address, const BackendOptions& options) {
  backends_.push_back(std::make_unique<ProxyBackend>(scene_, *backend_engine_, address, options));
  backends_.back()->Secure(secures_);
  return *backends_.back();
}

SocketBackend& ProxyWorld::AddSocketBackend(const SocketAddress& address) {
  socket_backends_.push_back(std::make_unique<SocketBackend>(scene_, *backend_engine_, address));
  return *socket_backends_.back();
}

SocketEnd& ProxyWorld::AddSocketClient(const std::string& target, const std::string& fields) {
  socket_clients_.push_back(
      std::make_unique<SocketEnd>(scene_, *client_engine_, SocketEnd::Role::kClient));
  socket_clients_.back()->Connect(*SocketAddress::Parse(kAddress), target, fields);
  return *socket_clients_.back();
}

RequestPlan& ProxyWorld::AddRequest(const std::string& upstream) {
  RequestPlan& request = scene_.requests.emplace_back();
  request.number = static_cast<int>(scene_.requests.size()) - 1;
  request.target = absl::StrCat("/", upstream, "/", request.number, "?x");
  request.answers.emplace_back();
  return request;
}

ProxyClient& ProxyWorld::AddClient(ConnectionPlan plan) {
  if (plan.address == SocketAddress{}) plan.address = *SocketAddress::Parse(kAddress);
  clients_.push_back(std::make_unique<ProxyClient>(scene_, *client_engine_, std::move(plan)));
  clients_.back()->Secure(secures_);
  clients_.back()->Start();
  return *clients_.back();
}

ProxyClient& ProxyWorld::AddClient(std::vector<RequestPlan*> requests) {
  ConnectionPlan plan;
  plan.requests = std::move(requests);
  return AddClient(std::move(plan));
}

bool ProxyWorld::clients_finished() const {
  for (const auto& client : clients_) {
    if (!client->finished()) return false;
  }
  return true;
}

void ProxyWorld::Drain(Instant until) {
  if (draining()) return;
  scene_.Note("drain");
  drained_at_ = world_.now();
  for (auto& worker : workers_) worker->RequestDrain(until);
}

void ProxyWorld::Cancel() {
  scene_.Note("cancel");
  cancelled_ = true;
  for (auto& worker : workers_) worker->RequestCancel();
}

bool ProxyWorld::workers_finished() const {
  for (const auto& worker : workers_) {
    if (!worker->finished()) return false;
  }
  // A finished worker leaves nothing on its way; this engine below it is our own.
  return std::none_of(securing_.begin(), securing_.end(),
                      [](const auto& engine) { return engine->busy(); });
}

void ProxyWorld::Finish(Duration clients_max, Duration grace) {
  const RunEnd served = world_.RunUntil(
      [this] { return clients_finished() || (draining() && workers_finished()); }, clients_max);
  if (served.stop != Stop::kPredicate) {
    scene_.Report("a client still waits for something: " + served.why);
  }
  Drain();
  const RunEnd drained =
      world_.RunUntil([this] { return workers_finished() && clients_finished(); }, grace);
  if (drained.stop != Stop::kPredicate) {
    Cancel();
    const RunEnd cut = world_.RunUntil([this] { return workers_finished(); }, seconds(3));
    if (cut.stop != Stop::kPredicate) {
      scene_.Report("a worker does not finish when it is cut: " + cut.why);
    }
  }
  EndWorkers();
}

void ProxyWorld::EndWorkers() {
  if (!workers_finished()) {
    // Its ops and frames cannot be taken back: it stays, for the report's sake.
    for (auto& worker : workers_) (void)worker.release();
    for (auto& engine : securing_) (void)engine.release();
    return;
  }
  CheckLeaks();
  CheckGauges(scene_, workers_, control_.all_backends());
  // Those that are cut do not wait for their log to be taken.
  if (!cancelled_) CheckNumbers(scene_, workers_, log_.lines());
  control_.Forget();
  for (const int actor : actors_) world_.RemoveActor(actor);
  workers_.clear();
  securing_.clear();
  // What is left after that are the others' ends.
  (void)world_.RunUntil([this] { return clients_finished(); }, seconds(200));
  for (auto& backend : backends_) backend->Stop();
  for (auto& client : socket_clients_) client->Close();
  for (auto& backend : socket_backends_) backend->Stop();
  const RunEnd end = world_.RunUntilQuiet(seconds(700));
  if (end.stop != Stop::kQuiet) scene_.Report("no quiet at the end: " + end.why);
  for (const std::string& leak : world_.Leaks()) scene_.Report("left over: " + leak);
}

void ProxyWorld::CheckLeaks() {
  if (const uint32_t leases = control_.in_flight(); leases != 0) {
    scene_.Report(absl::StrCat(leases, " leases are left"));
  }
  if (const uint32_t tunnels = control_.tunnels(); tunnels != 0) {
    scene_.Report(absl::StrCat(tunnels, " tunnels are counted"));
  }
  if (const size_t held = control_.snapshots_held(); held != 1) {
    scene_.Report(absl::StrCat(held, " snapshots are in use"));
  }
  if (counters_.connections.load() != 0) {
    scene_.Report(absl::StrCat(counters_.connections.load(), " client connections are counted"));
  }
  for (size_t i = 0; i < workers_.size(); ++i) {
    if (const size_t frames = workers_[i]->frames().blocks_out(); frames != 0) {
      scene_.Report(absl::StrCat("worker ", i, " holds ", frames, " blocks"));
    }
    if (engines_[i]->in_flight() != 0) {
      scene_.Report(absl::StrCat("worker ", i, " has ", engines_[i]->in_flight(), " ops"));
    }
    if (const size_t buffers = engines_[i]->buffers().buffers_out(); buffers != 0) {
      scene_.Report(absl::StrCat("worker ", i, " holds ", buffers, " buffers"));
    }
  }
}

std::string ProxyWorld::Findings() const {
  std::string text;
  for (const std::string& each : scene_.findings) absl::StrAppend(&text, "  ", each, "\n");
  return text;
}

}  // namespace rondo::sim
