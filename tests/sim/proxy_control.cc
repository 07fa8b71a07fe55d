#include "proxy_control.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace rondo::sim {

using std::chrono::milliseconds;

namespace {

config::Backend* Find(config::Config& config, const std::string& upstream, const std::string& id) {
  for (config::Upstream& each : config.upstreams) {
    if (each.name != upstream) continue;
    for (config::Backend& backend : each.backends) {
      if (backend.id == id) return &backend;
    }
  }
  return nullptr;
}

}  // namespace

ProxyControl::ProxyControl(Scene& scene, const config::Config& config, size_t workers)
    : scene_(scene), config_(config), worker_count_(workers) {
  Build();
}

void ProxyControl::AddWorker(proxy::Worker& worker, SimEngine& engine) {
  workers_.push_back(WorkerPort{&worker, &engine, {}});
}

std::shared_ptr<const upstream::UpstreamConfig> ProxyControl::MakeUpstream(
    const config::Upstream& upstream) {
  auto& shared = upstreams_[upstream.name];
  std::shared_ptr<const upstream::UpstreamConfig> previous;
  if (shared == nullptr) {
    shared = std::make_shared<upstream::UpstreamShared>(upstream.name, worker_count_);
  } else if (const size_t at = snapshot_->FindUpstream(upstream.name); at != SIZE_MAX) {
    previous = snapshot_->upstreams[at];
  }
  std::vector<std::shared_ptr<upstream::BackendShared>> backends;
  for (const config::Backend& each : upstream.backends) {
    auto& backend = backends_[{upstream.name, each.id}];
    if (backend == nullptr) {
      backend = std::make_shared<upstream::BackendShared>(
          each.id, each.address, upstream::BackendShared::NextSerial(), worker_count_);
      all_backends_.push_back(backend);
    }
    backends.push_back(backend);
  }
  return upstream::ReuseOrMake(previous, upstream, shared, std::move(backends));
}

// The next snapshot; what is no longer in it is forgotten, so that the same name is another next
// time.
void ProxyControl::Build() {
  upstream::SnapshotParts parts;
  parts.revision = ++revision_;
  parts.config = &config_;
  for (const config::Upstream& each : config_.upstreams) {
    parts.upstreams.push_back(MakeUpstream(each));
  }
  auto next = std::make_shared<const upstream::Snapshot>(std::move(parts), snapshot_.get());
  if (snapshot_ != nullptr) held_.push_back(Held{epoch_, snapshot_});
  snapshot_ = std::move(next);
  std::erase_if(upstreams_, [this](const auto& entry) {
    return snapshot_->FindUpstream(entry.first) == SIZE_MAX;
  });
  std::erase_if(backends_, [this](const auto& entry) {
    return Find(config_, entry.first.first, entry.first.second) == nullptr;
  });
}

uint64_t ProxyControl::Publish() {
  ++epoch_;
  for (WorkerPort& port : workers_) {
    auto publication = std::make_unique<proxy::Publication>();
    publication->snapshot = snapshot_;
    publication->epoch = epoch_;
    publication->open = std::exchange(port.open, {});
    publication->close = close_;
    port.worker->Publish(std::move(publication));
  }
  close_.clear();
  (void)snapshots_held();
  return epoch_;
}

std::vector<config::Listener> ProxyControl::Differences(
    const std::vector<config::Listener>& from, const std::vector<config::Listener>& to) const {
  std::vector<config::Listener> missing;
  for (const config::Listener& each : from) {
    const auto same = [&each](const config::Listener& other) { return other.name == each.name; };
    if (std::none_of(to.begin(), to.end(), same)) missing.push_back(each);
  }
  return missing;
}

uint32_t ProxyControl::IdOf(const config::Listener& listener, size_t address) {
  const auto next = static_cast<uint32_t>(socket_ids_.size() + 1);
  return socket_ids_.try_emplace(absl::StrCat(listener.name, "/", address), next).first->second;
}

uint64_t ProxyControl::Change(const std::function<void(config::Config&)>& change) {
  const std::vector<config::Listener> before = config_.listeners;
  change(config_);
  Build();
  for (const config::Listener& gone : Differences(before, config_.listeners)) {
    for (size_t i = 0; i < gone.listen.size(); ++i) close_.push_back(IdOf(gone, i));
  }
  for (const config::Listener& added : Differences(config_.listeners, before)) {
    uint32_t slot = 0;
    for (const auto& listener : snapshot_->listeners) {
      if (listener->settings.name == added.name) slot = listener->slot;
    }
    for (size_t i = 0; i < added.listen.size(); ++i) {
      for (WorkerPort& port : workers_) {
        const bool first = &port == &workers_.front();
        const int fd = port.engine->Listen(
            added.listen[i], first ? io::ListenMode::kFirst : io::ListenMode::kFurther);
        if (fd >= 0) port.open.push_back(proxy::ListenFd{fd, slot, IdOf(added, i)});
      }
    }
  }
  scene_.Note(absl::StrCat("publishes revision ", revision_));
  return Publish();
}

void ProxyControl::Flip(const std::string& upstream, const std::string& id, health::State state) {
  scene_.Note(absl::StrCat(id, " becomes ", std::string(health::StateName(state))));
  backend(upstream, id).state.store(state);
  upstreams_.at(upstream)->StatesChanged();
}

uint64_t ProxyControl::SetState(const std::string& upstream, const std::string& id,
                                health::State state, Instant drain_until) {
  backend(upstream, id)
      .drain_until.store(drain_until == kNever ? INT64_MAX
                                               : drain_until.time_since_epoch().count());
  Flip(upstream, id, state);
  return Publish();
}

bool ProxyControl::Acknowledged(uint64_t epoch) const {
  return std::all_of(workers_.begin(), workers_.end(), [epoch](const WorkerPort& port) {
    return port.worker->acknowledged() >= epoch;
  });
}

void ProxyControl::WhenAcknowledged(uint64_t epoch, std::function<void()> then) {
  if (Acknowledged(epoch)) {
    then();
    return;
  }
  scene_.world.After(milliseconds(1), [this, epoch, then = std::move(then)]() mutable {
    WhenAcknowledged(epoch, std::move(then));
  });
}

void ProxyControl::Drain(const std::string& upstream, const std::string& id, Duration timeout,
                         bool remove) {
  const Key key{upstream, id};
  const Instant until = scene_.world.now() + timeout;
  const bool sticky =
      snapshot_->upstreams[snapshot_->FindUpstream(upstream)]->settings.sticky.has_value();
  const uint64_t epoch = SetState(upstream, id, health::State::kDraining, until);
  WhenAcknowledged(epoch, [this, key, until, remove, sticky] {
    if (!sticky) scene_.CloseBackend(backend(key.first, key.second).address.ToString());
    AwaitEnd(key, until, remove);
  });
}

void ProxyControl::AwaitEnd(const Key& key, Instant until, bool remove) {
  const bool over = scene_.world.now() >= until;
  if (workers_.empty()) return;
  if (!over && backends_.at(key)->in_flight.load() > 0) {
    scene_.world.After(milliseconds(10),
                       [this, key, until, remove] { AwaitEnd(key, until, remove); });
    return;
  }
  const uint64_t epoch = SetState(key.first, key.second, health::State::kDrained);
  WhenAcknowledged(epoch, [this, key, remove] { FinishDrain(key, remove); });
}

void ProxyControl::FinishDrain(const Key& key, bool remove) {
  scene_.CloseBackend(backends_.at(key)->address.ToString());
  if (!remove || workers_.empty()) return;
  (void)Change([&key](config::Config& config) {
    for (config::Upstream& upstream : config.upstreams) {
      if (upstream.name != key.first) continue;
      std::erase_if(upstream.backends,
                    [&key](const config::Backend& backend) { return backend.id == key.second; });
    }
  });
}

upstream::BackendShared& ProxyControl::backend(const std::string& upstream, const std::string& id) {
  return *backends_.at({upstream, id});
}

uint32_t ProxyControl::in_flight() const {
  uint32_t sum = 0;
  for (const auto& backend : all_backends_) sum += backend->in_flight.load();
  return sum;
}

uint32_t ProxyControl::tunnels() const {
  uint32_t sum = 0;
  for (const auto& backend : all_backends_) sum += backend->tunnels.load();
  return sum;
}

size_t ProxyControl::snapshots_held() {
  uint64_t oldest = UINT64_MAX;
  for (const WorkerPort& port : workers_) oldest = std::min(oldest, port.worker->oldest_pinned());
  for (const Held& each : held_) {
    // A worker never frees one: this is the last reference once nobody says to use it.
    if (oldest > each.last_epoch && each.snapshot.use_count() > 1) {
      scene_.Report(absl::StrCat("a worker still holds the snapshot of epoch ", each.last_epoch));
    }
  }
  std::erase_if(held_, [oldest](const Held& each) { return oldest > each.last_epoch; });
  return held_.size() + 1;
}

}  // namespace rondo::sim
