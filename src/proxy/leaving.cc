#include "proxy/leaving.h"

#include "absl/container/flat_hash_map.h"
#include "rondo/upstream/worker_upstream.h"

namespace rondo::proxy {
namespace {

struct Window {
  Instant from;
  Instant to;
};

// Who is asked to leave last still has the time for its answer.
Window LeavingTime(Instant from, Instant until) {
  const Instant to = until - Tunnel::kCloseMax;
  return {from, to > from ? to : from};
}

// A draining backend gives its tunnels the first half of its time to end by themselves.
Window SecondHalf(Instant now, Instant until) {
  return LeavingTime(until > now ? now + (until - now) / 2 : now, until);
}

// `share` of the time, in [0, 1].
Instant At(const Window& window, double share) {
  const auto span = static_cast<double>((window.to - window.from).count());
  return window.from + Duration(static_cast<int64_t>(span * share));
}

// Evenly over the time; where in its even part each closes differs from worker to worker.
class Spread {
 public:
  Spread(const Window& window, size_t tunnels, double phase)
      : window_(window), tunnels_(tunnels), phase_(phase) {}
  Instant Next() {
    return At(window_, (static_cast<double>(next_++) + phase_) / static_cast<double>(tunnels_));
  }

 private:
  Window window_;
  size_t tunnels_;
  size_t next_ = 0;
  double phase_;
};

double Phase(Worker& worker) {
  constexpr uint64_t kSteps = 1 << 20;
  return static_cast<double>(worker.rng().Below(kSteps)) / static_cast<double>(kSteps);
}

Instant DrainUntil(const upstream::BackendShared& backend) {
  const int64_t until = backend.drain_until.load(std::memory_order_acquire);
  return until == INT64_MAX ? kNever : Instant(Duration(until));
}

}  // namespace

bool IsLeaving(const upstream::BackendShared& backend) {
  switch (backend.state.load(std::memory_order_acquire)) {
    case health::State::kDraining:
    case health::State::kDrained:
      return true;
    case health::State::kMaintenance:
      return DrainUntil(backend) != kNever;
    case health::State::kChecking:
    case health::State::kWarming:
    case health::State::kUp:
    case health::State::kDown:
    case health::State::kEjected:
      return false;
  }
  return false;
}

void SpreadCloses(Worker& worker, IntrusiveList<Tunnel>& tunnels, Instant until) {
  if (until == kNever) return;
  size_t count = 0;
  tunnels.ForEach([&count](const Tunnel&) { ++count; });
  if (count == 0) return;
  Spread spread(LeavingTime(worker.loop().Now(), until), count, Phase(worker));
  tunnels.ForEach([&](Tunnel& tunnel) { tunnel.CloseWithProcess(spread.Next()); });
}

void AppointCloses(Worker& worker, IntrusiveList<Tunnel>& tunnels) {
  using State = health::State;
  absl::flat_hash_map<const upstream::BackendShared*, size_t> counts;
  tunnels.ForEach([&counts](Tunnel& tunnel) {
    const upstream::BackendShared& backend = tunnel.backend();
    if (backend.state.load(std::memory_order_acquire) == State::kDrained) {
      tunnel.Cut("drained");
    } else if (IsLeaving(backend) && tunnel.leaves_by() != DrainUntil(backend)) {
      ++counts[&backend];
    }
  });
  if (counts.empty()) return;
  absl::flat_hash_map<const upstream::BackendShared*, Spread> spreads;
  for (const auto& [backend, count] : counts) {
    const Instant until = DrainUntil(*backend);
    if (until == kNever) continue;
    spreads.emplace(backend, Spread(SecondHalf(worker.loop().Now(), until), count, Phase(worker)));
  }
  tunnels.ForEach([&spreads](Tunnel& tunnel) {
    const upstream::BackendShared& backend = tunnel.backend();
    const auto spread = spreads.find(&backend);
    if (spread == spreads.end() || tunnel.leaves_by() == DrainUntil(backend)) return;
    tunnel.CloseWithBackend(spread->second.Next(), DrainUntil(backend));
  });
}

void AppointClose(Worker& worker, Tunnel& tunnel) {
  using State = health::State;
  const upstream::BackendShared& backend = tunnel.backend();
  const Instant now = worker.loop().Now();
  if (backend.state.load(std::memory_order_acquire) == State::kDrained) {
    tunnel.Cut("drained");
  } else if (const Instant until = DrainUntil(backend); IsLeaving(backend) && until != kNever) {
    tunnel.CloseWithBackend(At(SecondHalf(now, until), Phase(worker)), until);
  }
  if (const Instant until = worker.tunnels_until(); worker.draining() && until != kNever) {
    tunnel.CloseWithProcess(At(LeavingTime(now, until), Phase(worker)));
  }
}

}  // namespace rondo::proxy
