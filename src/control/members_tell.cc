// In which order workers learn of what was decided. Lists and routes first; what takes service away
// (a backend that leaves or is held, a source that is waited for no longer) only when every worker
// has them. Were it the other way round, a worker that is still at the old list would for a moment
// know of nobody to go to.
#include <algorithm>
#include <utility>

#include "control/members.h"

namespace rondo::control {
namespace {

using health::State;

// How soon to look again whether the queue of a removed upstream is empty: nobody rings for that.
constexpr Duration kQueueLook = std::chrono::milliseconds(10);

}  // namespace

void Members::Commit() {
  PublishLists();
  TellOfBackends();
  for (auto& upstream : upstreams_) {
    TellOfExpecting(*upstream);
    if (!upstream->states_moved) continue;
    upstream->states_moved = false;
    upstream->shared->StatesChanged();
  }
  PublishSteps();
  parts_.changed.NotifyAll();
}

void Members::PublishLists() {
  const bool lists_moved = config_moved_ || std::ranges::any_of(upstreams_, [](const auto& each) {
                             return each->list_moved;
                           });
  if (!lists_moved) return;
  std::shared_ptr<const upstream::Snapshot> next = BuildSnapshot();
  const upstream::Snapshot* current = parts_.publisher.current().get();
  // Listeners whose routes are the same, and lead to the same, are the same objects.
  const bool routes_moved = current == nullptr || next->listeners != current->listeners;
  const uint64_t epoch = parts_.publisher.Publish(std::move(next));
  if (routes_moved) routes_epoch_ = epoch;
  std::erase_if(announced_, [&](uint64_t serial) {
    BackendView* backend = Find(serial);
    if (backend == nullptr || backend->drain_step != DrainStep::kLeaving) return false;
    backend->drain_epoch = epoch;
    return true;
  });
}

// Steps about which there is nothing new to read but states: for the acknowledgement alone.
void Members::PublishSteps() {
  if (announced_.empty()) return;
  const uint64_t epoch = parts_.publisher.Publish(parts_.publisher.current());
  for (const uint64_t serial : announced_) {
    if (BackendView* backend = Find(serial)) backend->drain_epoch = epoch;
  }
  announced_.clear();
}

void Members::HoldBack(BackendView& backend) {
  if (backend.tell_epoch != 0) return;
  backend.tell_epoch = UINT64_MAX;
  untold_.push_back(backend.serial());
}

void Members::Tell(Upstream& upstream, BackendView& backend) {
  backend.tell_epoch = 0;
  backend.faltered = false;
  PutState(upstream, backend);
  if (backend.drain_step == DrainStep::kAnnounced) Announce(backend, DrainStep::kAnnounced);
}

void Members::TellOfBackends() {
  std::vector<uint64_t> before;
  before.swap(untold_);
  Replaced replaced;
  for (const uint64_t serial : before) {
    const auto found = by_serial_.find(serial);
    if (found == by_serial_.end() || found->second.backend->tell_epoch == 0) continue;
    const auto& [upstream, backend] = found->second;
    if (backend->tell_epoch == UINT64_MAX)
      backend->tell_epoch = std::max<uint64_t>({upstream->list_epoch, routes_epoch_, 1});
    if (MayTell(*upstream, *backend, replaced)) {
      Tell(*upstream, *backend);
    } else {
      untold_.push_back(serial);
    }
  }
}

void Members::TellOfExpecting(Upstream& upstream) {
  std::atomic<bool>& told = upstream.shared->expecting;
  if (told.load(std::memory_order_relaxed) == upstream.expecting) {
    upstream.expecting_epoch = 0;
    return;
  }
  if (!upstream.expecting) {
    if (upstream.expecting_epoch == 0) upstream.expecting_epoch = parts_.publisher.epoch();
    if (upstream.expecting_epoch > parts_.publisher.acknowledged()) return;
  }
  upstream.expecting_epoch = 0;
  told.store(upstream.expecting, std::memory_order_seq_cst);
  upstream.states_moved = true;
}

bool Members::MayTell(const Upstream& upstream, const BackendView& backend,
                      Replaced& replaced) const {
  if (backend.tell_epoch > parts_.publisher.acknowledged()) return false;
  if (!backend.removing || Now() >= backend.drain_until) return true;
  // Those that came for the upstream of before have nowhere else to go.
  if (upstream.removing) return upstream.shared->board.waiting() == 0;
  // Who serves and has not failed since goes on until somebody else can: in the time that those who
  // take its place need for their first check nobody has to wait.
  const State told = backend.shared->state.load(std::memory_order_relaxed);
  if (told != State::kUp || backend.faltered) return true;
  if (replaced.of != &upstream) replaced = Replaced{&upstream, IsReplaced(upstream)};
  return replaced.yes;
}

// Whether somebody who stays is up, or nobody is about to be.
bool Members::IsReplaced(const Upstream& upstream) const {
  bool coming = upstream.expecting;
  for (const auto& each : upstream.backends) {
    if (each->removing || each->settings.weight == 0) continue;
    const State state = each->machine.state();
    if (state == State::kUp) return true;
    coming = coming || state == State::kChecking || state == State::kWarming;
  }
  return !coming;
}

Instant Members::NextTell() const {
  Instant next = kNever;
  Replaced replaced;
  for (const uint64_t serial : untold_) {
    const auto found = by_serial_.find(serial);
    if (found == by_serial_.end()) continue;
    const auto& [upstream, backend] = found->second;
    if (backend->tell_epoch == 0 || backend->tell_epoch > parts_.publisher.acknowledged()) continue;
    if (MayTell(*upstream, *backend, replaced)) return Now();
    next = std::min(next, backend->drain_until);
    if (upstream->removing) next = std::min(next, Now() + kQueueLook);
  }
  return next;
}

}  // namespace rondo::control
