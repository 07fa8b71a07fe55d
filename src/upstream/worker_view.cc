// Which backends there are, and which of them may be picked now.
#include <algorithm>

#include "rondo/balance/stable_hash.h"
#include "rondo/base/rng.h"
#include "rondo/health/eligible.h"
#include "rondo/health/slow_start.h"
#include "rondo/upstream/worker_upstream.h"

namespace rondo::upstream {
namespace {

using health::Eligibility;

Instant RampOf(const BackendShared& shared) {
  return Instant(Duration(shared.ramp_since.load(std::memory_order_relaxed)));
}

// Weights as all members of a view have them: in hundredths where anybody ramps, else as
// configured.
class Weights {
 public:
  Weights(Duration slow_start, Instant now) : slow_start_(slow_start), now_(now) {}

  void Look(const WorkerBackend& backend) {
    if (slow_start_ == Duration::zero()) return;
    next_step_ = std::min(next_step_, health::NextStep(RampOf(*backend.shared), slow_start_, now_));
  }
  uint32_t Of(const WorkerBackend& backend) const {
    if (next_step_ == kNever) return backend.weight;
    return health::RampWeight(backend.weight, RampOf(*backend.shared), slow_start_, now_);
  }
  Instant next_step() const { return next_step_; }

 private:
  Duration slow_start_;
  Instant now_;
  Instant next_step_ = kNever;
};

}  // namespace

// The backends that may be picked, found in one pass over all; then put in force.
class WorkerUpstream::ViewBuilder {
 public:
  explicit ViewBuilder(WorkerUpstream& of)
      : of_(of), weights_(of.settings().slow_start, of.loop_.Now()) {}

  void Collect() {
    const size_t count = of_.backends_.size();
    std::vector<health::Member> members(count);
    for (size_t i = 0; i < count; ++i) {
      const WorkerBackend& backend = *of_.backends_[i];
      const health::State state = backend.shared->state.load(std::memory_order_relaxed);
      members[i] = health::Member{state, backend.backup};
      coming_ |= state == health::State::kChecking || state == health::State::kWarming;
    }
    std::vector<Eligibility> eligible(count);
    health::Evaluate(members, of_.settings().panic_percent, eligible);
    const bool sticky = of_.settings().sticky.has_value();
    for (size_t i = 0; i < count; ++i) {
      WorkerBackend& backend = *of_.backends_[i];
      backend.takes_sticky = sticky && eligible[i] != Eligibility::kNo;
      switch (eligible[i]) {
        case Eligibility::kNo:
          break;
        case Eligibility::kStickyOnly:
          if (sticky) sticky_only_.push_back(&backend);
          break;
        case Eligibility::kYes:
          weights_.Look(backend);
          (backend.backup ? backups_ : primaries_).push_back(&backend);
          break;
      }
      if (eligible[i] != Eligibility::kYes) backend.seat = {};
      if (MayPool(backend)) continue;
      while (backend.idle_count > 0) of_.Close(backend.idle.front());
      of_.DrainTrunks(backend);
    }
  }

  void PutInForce() {
    ++of_.view_;
    // To an upstream that was removed nothing comes any more, though its successor may expect
    // something.
    of_.coming_ =
        !of_.retired_ && (coming_ || of_.shared().expecting.load(std::memory_order_relaxed));
    of_.next_step_ = weights_.next_step();
    of_.unlimited_ = false;
    Seat(primaries_, of_.primaries_, of_.primary_policy_);
    Seat(backups_, of_.backups_, of_.backup_policy_);
    of_.sticky_only_ = std::move(sticky_only_);
    of_.sticky_.clear();
    for (const auto& backend : of_.backends_) {
      if (!backend->takes_sticky) continue;
      // An id that came back at another address while the old one drains: the cookie means the new
      // one.
      auto [at, is_new] = of_.sticky_.emplace(backend->sticky_hash, backend.get());
      if (!is_new && backend->seat.member != WorkerBackend::kNoMember) at->second = backend.get();
    }
  }

 private:
  using Tier = std::vector<WorkerBackend*>;

  // Where nothing that the policy looks at is different it stays, and with it whose turn it is.
  void Seat(Tier& now, Tier& before, std::unique_ptr<balance::Policy>& policy) {
    bool same = now.size() == before.size();
    std::vector<balance::Member> members;
    members.reserve(now.size());
    for (size_t i = 0; i < now.size(); ++i) {
      WorkerBackend& backend = *now[i];
      const WorkerBackend::Seat seat{i, weights_.Of(backend), backend.max_in_flight,
                                     backend.backup};
      same &= backend.seat == seat;
      backend.seat = seat;
      of_.unlimited_ |= seat.limit == 0;
      BackendShared& shared = *backend.shared;
      members.push_back(balance::Member{seat.weight, backend.id_hash, &shared.in_flight, seat.limit,
                                        &shared.latency});
    }
    before = std::move(now);
    if (same && of_.policy_kind_ == of_.settings().balance) return;
    // Views after the first begin anywhere, so that frequent changes do not favour who comes first.
    const uint64_t seed = of_.view_ == 1 ? of_.seed_ : Mix64(of_.seed_ + of_.view_);
    policy = before.empty() ? nullptr
                            : balance::MakePolicy(of_.settings().balance, std::move(members), seed);
  }

  WorkerUpstream& of_;
  Weights weights_;
  bool coming_ = false;
  Tier primaries_;
  Tier backups_;
  Tier sticky_only_;
};

void WorkerUpstream::MakeView() {
  seen_generation_ = generation_.load(std::memory_order_acquire);
  ViewBuilder builder(*this);
  builder.Collect();
  builder.PutInForce();
  policy_kind_ = settings().balance;
}

void WorkerUpstream::Adopt(std::shared_ptr<const UpstreamConfig> config) {
  RONDO_CHECK(config->shared == config_->shared && !retired_);
  if (config == config_) return;
  // What is open then was begun otherwise than it would be now: it serves what it serves, and no
  // more.
  const bool same_way = config->tls == config_->tls &&
                        config->settings.protocol == settings().protocol &&
                        config->settings.send_proxy == settings().send_proxy;
  config_ = std::move(config);
  if (!same_way) {
    ++way_;
    CloseIdle();
  }
  Backends left;
  TakeConfig(left);
  MakeView();
  // Only now: the view before named them.
  while (!left.empty()) RetireBackend(left.PopFront());
  // Limits may be others, for those who wait here and, since this worker frees places by the new
  // ones from now on, for those who wait elsewhere.
  if (board_.waiting() > 0) board_.PokeAll();
}

void WorkerUpstream::Retire() {
  if (retired_) return;
  retired_ = true;
  std::vector<std::unique_ptr<WorkerBackend>> backends = std::move(backends_);
  backends_.clear();
  by_serial_.clear();
  MakeView();
  for (auto& each : backends) RetireBackend(*each.release());
  Dismiss();
}

// Settings as the configuration in force has them; backends that are no longer in it go to `left`.
void WorkerUpstream::TakeConfig(Backends& left) {
  budget_.set_percent(settings().retries.budget_percent);
  const auto idle = static_cast<size_t>(settings().keepalive.idle);
  // Shared out over the workers so that the sum is the configured bound; at least one each.
  idle_max_ =
      idle == 0 ? 0 : std::max<size_t>(1, idle / workers_ + (worker_ < idle % workers_ ? 1 : 0));
  MatchBackends(left);
  for (size_t i = 0; i < backends_.size(); ++i) {
    WorkerBackend& backend = *backends_[i];
    const config::Backend& of = settings().backends[i];
    backend.position = i;
    backend.weight = of.weight;
    backend.backup = of.backup;
    backend.max_in_flight = of.max_connections;
    backend.watched = of.max_connections != 0;
    if (settings().sticky && backend.sticky_hash == 0) {
      backend.sticky_hash = balance::StickyHash(settings().name, backend.shared->id);
    }
    while (backend.idle_count > idle_max_) Close(backend.idle.back());
  }
}

// Puts the records of backends that stay in the new order, and makes those of new ones.
void WorkerUpstream::MatchBackends(Backends& left) {
  std::vector<std::unique_ptr<WorkerBackend>> before = std::move(backends_);
  backends_.clear();
  backends_.reserve(config_->backends.size());
  for (const auto& shared : config_->backends) {
    // Nearly always it stands where it stood.
    size_t at = backends_.size();
    if (at >= before.size() || before[at] == nullptr || before[at]->shared != shared) {
      const auto found = by_serial_.find(shared->serial);
      at = found == by_serial_.end() ? before.size() : found->second->position;
    }
    if (at < before.size()) {
      RONDO_CHECK(before[at] != nullptr);  // else the configuration names it twice
      backends_.push_back(std::move(before[at]));
      continue;
    }
    backends_.push_back(std::make_unique<WorkerBackend>(*this, shared));
    WorkerBackend& made = *backends_.back();
    made.id_hash = balance::StableHash(shared->id);
    made.position = before.size();
    RONDO_CHECK(by_serial_.emplace(shared->serial, &made).second);
  }
  for (auto& each : before) {
    if (each == nullptr) continue;
    by_serial_.erase(each->shared->serial);
    left.PushBack(*each.release());
  }
}

void WorkerUpstream::RetireBackend(WorkerBackend& backend) {
  backend.retired = backend.watched = true;
  backend.takes_sticky = false;
  backend.seat = {};
  retired_backends_.PushBack(backend);
  // Held, so that it does not go with its last connection in the middle of this.
  const BackendRef hold(backend);
  while (!backend.idle.empty()) Close(backend.idle.front());
  DrainTrunks(backend);
}

// Finds the members of this view that `state` has tried.
void WorkerUpstream::Sync(PickState& state) const {
  if (state.view_ == view_) return;
  state.view_ = view_;
  state.primary_ = {};
  state.backup_ = {};
  for (size_t i = 0; i < state.count_; ++i) {
    const auto found = by_serial_.find(state.entries()[i].serial);
    if (found == by_serial_.end()) continue;
    const WorkerBackend::Seat& seat = found->second->seat;
    if (seat.member == WorkerBackend::kNoMember) continue;
    (seat.backup ? state.backup_ : state.primary_).Add(seat.member);
  }
}

}  // namespace rondo::upstream
