// The snapshots that a worker has in use: the current one, and older ones for as long as exchanges
// pin them; and the worker's own objects for the upstreams that they name. One thread.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "rondo/base/intrusive_list.h"
#include "rondo/base/rng.h"
#include "rondo/proxy/worker.h"
#include "rondo/upstream/worker_upstream.h"

namespace rondo::proxy {

class Versions;

// One snapshot. Its upstreams stay as long as it does, in the order of Snapshot::upstreams.
struct Version : ListHook<> {
  explicit Version(Versions& of) : owner(of) {}
  Versions& owner;
  std::shared_ptr<const upstream::Snapshot> snapshot;
  uint64_t epoch = 0;
  uint32_t pins = 0;
  std::vector<upstream::UpstreamRef> upstreams;
};

class Versions {
 public:
  Versions(rt::Loop& loop, const WorkerOptions& options, Rng& rng,
           std::shared_ptr<const upstream::Snapshot> snapshot);
  Versions(const Versions&) = delete;
  Versions& operator=(const Versions&) = delete;
  ~Versions();  // REQUIRES: nothing is pinned, no connection is left

  Version& current() { return *current_; }
  // Makes it the current one: WorkerUpstreams take over what changed, new ones are made, removed
  // ones retired. No effect where it is already. Whether a backend is gone, so that somebody may be
  // on one that is no longer listed.
  bool Adopt(std::shared_ptr<const upstream::Snapshot> snapshot, uint64_t epoch);
  // Whether states of backends have moved since this was asked last, and some is draining or
  // drained now.
  bool TakeHeld();

  // Of the oldest snapshot in use, the current one included.
  uint64_t oldest_epoch() { return versions_.front().epoch; }
  // Destroys upstreams that are retired and no longer used.
  void Sweep() {
    if (!retired_.empty()) SweepRetired();
  }
  void ServeQueues() {
    for (const Live& live : live_) live.upstream->ServeQueue();
  }
  // For a worker that ends: closes what is idle. How many connections are left, closing ones
  // included.
  size_t CloseIdle();
  // The worker has ended, and lets its last snapshot go. REQUIRES: nothing is pinned.
  void End();

 private:
  friend class Pin;
  struct Live {
    std::unique_ptr<upstream::WorkerUpstream> upstream;
    uint64_t seen_generation = 0;  // of TakeHeld
  };
  void MakeCurrent(std::shared_ptr<const upstream::Snapshot> snapshot, uint64_t epoch);
  Live Make(const std::shared_ptr<const upstream::UpstreamConfig>& config);
  void Unpinned(Version& version);
  void Remove(Version& version);
  void SweepRetired();

  rt::Loop& loop_;
  const WorkerOptions& options_;
  Rng& rng_;
  std::vector<Live> live_;  // in the order of the current snapshot
  std::vector<std::unique_ptr<upstream::WorkerUpstream>> retired_;
  IntrusiveList<Version> versions_;  // oldest first
  Version* current_ = nullptr;
};

// Keeps a version.
class Pin {
 public:
  Pin() = default;
  explicit Pin(Version& version) : version_(&version) { ++version.pins; }
  Pin(const Pin& other) : version_(other.version_) {
    if (version_ != nullptr) ++version_->pins;
  }
  Pin(Pin&& other) noexcept : version_(std::exchange(other.version_, nullptr)) {}
  Pin& operator=(Pin other) noexcept {
    std::swap(version_, other.version_);
    return *this;
  }
  ~Pin() { Reset(); }
  void Reset() {
    if (version_ == nullptr) return;
    Version& version = *std::exchange(version_, nullptr);
    if (--version.pins == 0) version.owner.Unpinned(version);
  }
  explicit operator bool() const { return version_ != nullptr; }
  Version& operator*() const { return *version_; }
  Version* operator->() const { return version_; }

 private:
  Version* version_ = nullptr;
};

}  // namespace rondo::proxy
