#include "proxy/versions.h"

#include <algorithm>

#include "absl/container/flat_hash_map.h"
#include "proxy/leaving.h"

namespace rondo::proxy {
namespace {

using BackendList = std::vector<std::shared_ptr<upstream::BackendShared>>;

// Whether each of `before` is still there. Both are in the file's order, so that a list to which
// some were added has the old one in order within it; one that was only put into another order
// counts as one that lost some, which costs a look and nothing else.
bool KeepsAll(const BackendList& before, const BackendList& after) {
  auto at = after.begin();
  for (const auto& each : before) {
    at = std::find(at, after.end(), each);
    if (at == after.end()) return false;
    ++at;
  }
  return true;
}

}  // namespace

Versions::Versions(rt::Loop& loop, const WorkerOptions& options, Rng& rng,
                   std::shared_ptr<const upstream::Snapshot> snapshot)
    : loop_(loop), options_(options), rng_(rng) {
  for (const auto& config : snapshot->upstreams) live_.push_back(Make(config));
  MakeCurrent(std::move(snapshot), options.epoch);
}

Versions::~Versions() {
  if (current_ != nullptr) End();
}

void Versions::End() {
  Remove(*std::exchange(current_, nullptr));
  RONDO_CHECK(versions_.empty());
}

Versions::Live Versions::Make(const std::shared_ptr<const upstream::UpstreamConfig>& config) {
  return Live{std::make_unique<upstream::WorkerUpstream>(loop_, config, options_.index,
                                                         options_.count, rng_.Next())};
}

void Versions::MakeCurrent(std::shared_ptr<const upstream::Snapshot> snapshot, uint64_t epoch) {
  auto* version = new Version(*this);
  version->snapshot = std::move(snapshot);
  version->epoch = epoch;
  version->upstreams.reserve(live_.size());
  const config::Limits& limits = version->snapshot->config.limits;
  for (const Live& live : live_) {
    live.upstream->SetHeadLimits({limits.header_bytes, limits.header_count});
    version->upstreams.emplace_back(*live.upstream);
  }
  versions_.PushBack(*version);
  current_ = version;
}

bool Versions::Adopt(std::shared_ptr<const upstream::Snapshot> snapshot, uint64_t epoch) {
  if (snapshot == current_->snapshot) return false;
  bool lost = false;
  absl::flat_hash_map<const upstream::UpstreamShared*, Live> before;
  for (Live& live : live_) before.emplace(&live.upstream->shared(), std::move(live));
  live_.clear();
  for (const auto& config : snapshot->upstreams) {
    const auto found = before.find(config->shared.get());
    if (found == before.end()) {
      live_.push_back(Make(config));
      continue;
    }
    upstream::WorkerUpstream& upstream = *found->second.upstream;
    if (upstream.config() != config) {
      lost |= !KeepsAll(upstream.config()->backends, config->backends);
      upstream.Adopt(config);
      found->second.seen_generation = 0;
    }
    live_.push_back(std::move(found->second));
    before.erase(found);
  }
  for (auto& [shared, live] : before) {
    live.upstream->Retire();
    retired_.push_back(std::move(live.upstream));
    lost = true;
  }
  Version& old = *current_;
  MakeCurrent(std::move(snapshot), epoch);
  if (old.pins == 0) Remove(old);
  return lost;
}

bool Versions::TakeHeld() {
  bool held = false;
  for (Live& live : live_) {
    const uint64_t generation = live.upstream->shared().generation.load(std::memory_order_acquire);
    if (generation == live.seen_generation) continue;
    live.seen_generation = generation;
    for (const auto& backend : live.upstream->config()->backends) held |= IsLeaving(*backend);
  }
  return held;
}

void Versions::Unpinned(Version& version) {
  if (&version != current_) Remove(version);
}

// Control holds the snapshot as well, and frees it when it learns that this was the last use here.
void Versions::Remove(Version& version) {
  version.Unlink();
  delete &version;
}

void Versions::SweepRetired() {
  std::erase_if(retired_, [](const auto& upstream) { return upstream->done(); });
}

size_t Versions::CloseIdle() {
  size_t open = 0;
  for (const Live& live : live_) {
    live.upstream->CloseIdle();
    open += live.upstream->connections();
  }
  for (const auto& upstream : retired_) open += upstream->connections();
  return open;
}

}  // namespace rondo::proxy
