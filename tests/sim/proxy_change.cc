#include "proxy_change.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace rondo::sim {
namespace {

using std::chrono::seconds;

class Change {
 public:
  Change(ProxyWorld& world, uint64_t seed)
      : world_(world), control_(world.control()), rng_(Mix64(seed)) {
    config_ = control_.config();
    upstream_ = rng_.Below(2);
  }

  void Reweigh() {
    for (config::Backend& each : Backends())
      each.weight = static_cast<uint32_t>(rng_.Between(1, 5));
    Publish();
  }
  void AddBackend();
  void Drain(Duration timeout);
  void Flip();
  void ChangeRoutes();
  void ChangeSettings();
  void ToggleListener();
  void ToggleUpstream();
  void Publish() {
    (void)control_.Change([this](config::Config& config) { config = config_; });
  }

 private:
  std::vector<config::Backend>& Backends() { return config_.upstreams[upstream_].backends; }
  const std::string& name() const { return config_.upstreams[upstream_].name; }
  bool IsUp(const config::Backend& backend) {
    return control_.backend(name(), backend.id).state.load() == health::State::kUp;
  }
  // One that can be done without, or null.
  const config::Backend* Dispensable();

  ProxyWorld& world_;
  ProxyControl& control_;
  Rng rng_;
  config::Config config_;
  size_t upstream_;
};

const config::Backend* Change::Dispensable() {
  std::vector<const config::Backend*> up;
  for (const config::Backend& each : Backends()) {
    if (IsUp(each)) up.push_back(&each);
  }
  return up.size() < 2 ? nullptr : up[rng_.Below(up.size())];
}

void Change::AddBackend() {
  config::Backend backend;
  backend.id = absl::StrCat("10.1.", upstream_, ".", world_.backends().size(), ":80");
  backend.address = *SocketAddress::Parse(backend.id);
  backend.weight = static_cast<uint32_t>(rng_.Between(1, 5));
  world_.AddBackend(backend.address);
  auto& backends = Backends();
  backends.insert(backends.begin() + static_cast<std::ptrdiff_t>(rng_.Below(backends.size() + 1)),
                  backend);
  Publish();
}

void Change::Drain(Duration timeout) {
  const config::Backend* backend = Dispensable();
  if (backend != nullptr) control_.Drain(name(), backend->id, timeout, true);
}

void Change::Flip() {
  if (rng_.Chance(0.5)) {
    if (const config::Backend* backend = Dispensable()) {
      control_.Flip(name(), backend->id, health::State::kDown);
    }
    return;
  }
  for (const config::Backend& each : Backends()) {
    if (control_.backend(name(), each.id).state.load() == health::State::kDown) {
      control_.Flip(name(), each.id, health::State::kUp);
    }
  }
}

void Change::ChangeRoutes() {
  auto& routes = config_.listeners[0].routes;
  if (rng_.Chance(0.5) || routes.size() < 4) {
    config::RouteConfig route;
    route.match.path_prefix = absl::StrCat("/unused", rng_.Below(1000));
    route.upstream = rng_.Chance(0.5) ? "a" : "b";
    routes.insert(routes.begin() + static_cast<std::ptrdiff_t>(rng_.Below(routes.size() + 1)),
                  route);
  } else {
    const auto unused = std::find_if(routes.begin(), routes.end(), [](const auto& route) {
      return route.match.path_prefix.starts_with("/unused");
    });
    if (unused != routes.end()) routes.erase(unused);
  }
  Publish();
}

void Change::ChangeSettings() {
  config_.limits.header_count = static_cast<uint32_t>(rng_.Between(50, 200));
  config_.upstreams[upstream_].queue.size = static_cast<uint32_t>(rng_.Between(10, 2000));
  config_.upstreams[upstream_].keepalive.idle = static_cast<uint32_t>(rng_.Below(4));
  Publish();
}

void Change::ToggleListener() {
  if (config_.listeners.size() > 1) {
    config_.listeners.pop_back();
  } else {
    config::Listener other = config_.listeners[0];
    other.name = absl::StrCat("other", rng_.Below(2));
    other.listen = {*SocketAddress::Parse("10.0.0.1:81")};
    config_.listeners.push_back(other);
  }
  Publish();
}

void Change::ToggleUpstream() {
  if (config_.upstreams.size() > 2) {
    config_.upstreams.pop_back();
  } else {
    config_.upstreams.push_back(ProxyWorld::MakeUpstream("c", 1));
  }
  Publish();
}

}  // namespace

void PublishDrawn(ProxyWorld& world, PublicationKind kind, uint64_t seed, Duration drain) {
  Change change(world, seed);
  switch (kind) {
    case PublicationKind::kNothing:
      change.Publish();
      return;
    case PublicationKind::kReweigh:
      change.Reweigh();
      return;
    case PublicationKind::kAddBackend:
      change.AddBackend();
      return;
    case PublicationKind::kDrain:
      change.Drain(drain);
      return;
    case PublicationKind::kFlip:
      change.Flip();
      return;
    case PublicationKind::kRoutes:
      change.ChangeRoutes();
      return;
    case PublicationKind::kSettings:
      change.ChangeSettings();
      return;
    case PublicationKind::kListener:
      change.ToggleListener();
      return;
    case PublicationKind::kUpstream:
      change.ToggleUpstream();
      return;
  }
}

}  // namespace rondo::sim
