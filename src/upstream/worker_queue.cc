// Places at backends: taken, given back, and waited for.
#include <algorithm>

#include "rondo/health/passive.h"
#include "rondo/upstream/worker_upstream.h"

namespace rondo::upstream {

WorkerUpstream::Acquired WorkerUpstream::Acquire(const PickKey& key, PickState* state,
                                                 Lease* lease) {
  Refresh();
  // New requests do not overtake those that wait, but where nobody else may have the place.
  const bool others_wait = board_.waiting() > 0;
  if (!others_wait) {
    *lease = TryLease(key, state);
  } else if (StickyOnly(key) != nullptr) {
    if (state != nullptr) BeginRound(key, *state);
    *lease = TrySticky(key, state);
  }
  if (*lease) return Acquired::kLease;
  return Hopeless(key, state) ? Acquired::kNone : Acquired::kFull;
}

Lease WorkerUpstream::TryLease(const PickKey& key, PickState* state) {
  if (state != nullptr) BeginRound(key, *state);
  if (Lease lease = TrySticky(key, state)) return lease;
  return PickLease(balance::PickContext{key.hash, loop_.Now()}, state);
}

// Where all were tried, those that failed in another way than refusing may be tried once more. One
// that was not picked so far was full: how full it is by now says nothing about that, since others
// give places back all the time.
void WorkerUpstream::BeginRound(const PickKey& key, PickState& state) const {
  Sync(state);
  if (state.primary_.count() < primaries_.size() || state.backup_.count() < backups_.size()) return;
  // Where there is none at all some may come back: what was tried stays so.
  if (primaries_.empty() && backups_.empty() && StickyOnly(key) == nullptr) return;
  state.KeepRefused();
}

Lease WorkerUpstream::TrySticky(const PickKey& key, const PickState* state) {
  if (!key.sticky) return Lease();
  const auto found = sticky_.find(*key.sticky);
  if (found == sticky_.end()) return Lease();
  WorkerBackend& own = *found->second;
  if (state != nullptr && state->Contains(own.shared->serial)) return Lease();
  Lease lease = Lease::Take(own);
  const bool draining = own.seat.member == WorkerBackend::kNoMember;
  if (lease && draining) own.shared->sticky_requests.Add(loop_.Now());
  return lease;
}

Lease WorkerUpstream::PickLease(balance::PickContext context, PickState* state) {
  static const balance::Tried kNothing;
  if (state != nullptr) Sync(*state);
  for (;;) {
    WorkerBackend* backend = nullptr;
    if (primary_policy_ != nullptr) {
      const size_t member = primary_policy_->Pick(context, state ? state->primary_ : kNothing);
      if (member != balance::Policy::kNone) backend = primaries_[member];
    }
    if (backend == nullptr && backup_policy_ != nullptr) {
      const size_t member = backup_policy_->Pick(context, state ? state->backup_ : kNothing);
      if (member != balance::Policy::kNone) backend = backups_[member];
    }
    if (backend == nullptr) return Lease();
    // Where another worker took the last place meanwhile, the policy now sees it full and picks
    // anew.
    if (Lease lease = Lease::Take(*backend)) return lease;
  }
}

// Whether there is nothing to wait for: no backend but such as refused this request, and none
// coming.
bool WorkerUpstream::Hopeless(const PickKey& key, const PickState* state) const {
  if (coming_) return false;
  const WorkerBackend* own = StickyOnly(key);
  size_t left = primaries_.size() + backups_.size() + (own != nullptr ? 1 : 0);
  if (left == 0 || state == nullptr) return left == 0;
  for (size_t i = 0; i < state->count_; ++i) {
    const PickState::Entry& entry = state->entries()[i];
    if (!entry.refused) continue;
    const auto found = by_serial_.find(entry.serial);
    if (found == by_serial_.end()) continue;
    const WorkerBackend& backend = *found->second;
    left -= backend.seat.member != WorkerBackend::kNoMember || &backend == own ? 1 : 0;
  }
  return left == 0;
}

// The backend that drains and that this request may use all the same; or null.
const WorkerBackend* WorkerUpstream::StickyOnly(const PickKey& key) const {
  if (!key.sticky || sticky_only_.empty()) return nullptr;
  const auto found = sticky_.find(*key.sticky);
  if (found == sticky_.end() || found->second->seat.member != WorkerBackend::kNoMember) {
    return nullptr;
  }
  return found->second;
}

bool WorkerUpstream::PoliciesFree() const {
  return (primary_policy_ != nullptr && primary_policy_->AnyFree()) ||
         (backup_policy_ != nullptr && backup_policy_->AnyFree());
}

bool WorkerUpstream::AnyFree() const {
  if (PoliciesFree()) return true;
  return std::any_of(sticky_only_.begin(), sticky_only_.end(), [](const WorkerBackend* backend) {
    // Without a limit there is nothing to wait for; those to whom that is news: ServeUnlimited.
    return backend->max_in_flight > 0 &&
           backend->shared->in_flight.load(std::memory_order_relaxed) < backend->max_in_flight;
  });
}

const WorkerBackend* WorkerUpstream::FindSticky(uint64_t hash) {
  Refresh();
  const auto found = sticky_.find(hash);
  return found == sticky_.end() ? nullptr : found->second;
}

int32_t WorkerUpstream::Enqueue(QueueWait& wait) {
  if (retired_) return -ENOENT;
  if (!board_.Enter(settings().queue.size)) return -ENOSPC;
  wait.since_ = loop_.Now();
  queue_.PushBack(wait);
  PublishOldest();
  // Registered first, now look again: a place may have become free, or a backend have come up or
  // gone, before anybody could see us.
  if (Refresh()) {
    board_.PokeSelf(worker_);
  } else if (AnyFree()) {
    board_.PokeOldest(worker_);
  }
  return 0;
}

void WorkerUpstream::LeaveQueue(QueueWait& wait) {
  if (!wait.ListHook<QueueWait>::linked()) return;
  wait.ListHook<QueueWait>::Unlink();
  board_.Leave();
  PublishOldest();
  // A place that was meant for this one may be somebody else's now.
  if (board_.waiting() > 0 && AnyFree()) board_.PokeOldest(worker_);
}

void WorkerUpstream::PublishOldest() {
  board_.SetOldest(worker_, queue_.empty() ? kNever : queue_.front().since_);
}

void WorkerUpstream::LeaseEnded(WorkerBackend& backend, uint32_t in_flight_before,
                                health::State state) {
  // What waits for the end of a drain looks now.
  if (in_flight_before == 1 && health::IsHeld(state)) shared().CallControl();
  // First the place was given back, now the look at who waits; see wait_board.h. Also at a backend
  // that was removed: it may be in the list again, as another record, or be so elsewhere still, and
  // with a limit though it had none.
  const bool may_be_wanted = backend.max_in_flight > 0 || backend.retired;
  if (may_be_wanted && board_.waiting() > 0) board_.PokeOldest(worker_);
  if (backend.retired && backend.uses == 0) FreeIfRetired(backend);
}

// Gives free places to those who wait here, oldest first, but to nobody who came after `until`.
WorkerUpstream::Served WorkerUpstream::ServeWaiting(Instant until) {
  Served result;
  bool more = true;
  queue_.ForEach([this, until, &result, &more](QueueWait& wait) {
    if (!more || wait.in_flight()) return;  // in flight: its end was posted already
    more = wait.since_ <= until && AnyFree();
    if (!more) return;
    // Where only places for returning users are free, most need not be asked.
    if (PoliciesFree() || StickyOnly(wait.key_) != nullptr) {
      wait.lease = TryLease(wait.key_, wait.state_);
    }
    if (!wait.lease) {
      ++result.refused;
      return;
    }
    ++result.served;
    LeaveQueue(wait);
    loop_.engine().Post(wait, 0);
  });
  return result;
}

// After a change: gives a place to those whose own backend drains and has no limit. Whoever asks
// finds it free at once, but those who wait already came when it was down, or had a limit. It takes
// nothing from anybody, so it needs no turn.
void WorkerUpstream::ServeUnlimited() {
  if (sticky_only_.empty()) return;
  queue_.ForEach([this](QueueWait& wait) {
    const WorkerBackend* own = wait.in_flight() ? nullptr : StickyOnly(wait.key_);
    if (own == nullptr || own->max_in_flight > 0) return;
    if (wait.state_ != nullptr) BeginRound(wait.key_, *wait.state_);
    wait.lease = TrySticky(wait.key_, wait.state_);
    if (!wait.lease) return;
    LeaveQueue(wait);
    loop_.engine().Post(wait, 0);
  });
}

// Sends those away who wait for nothing any more.
void WorkerUpstream::Dismiss() {
  queue_.ForEach([this](QueueWait& wait) {
    if (wait.in_flight() || !Hopeless(wait.key_, wait.state_)) return;
    LeaveQueue(wait);
    loop_.engine().Post(wait, -ENOENT);
  });
}

void WorkerUpstream::ServeBoard() {
  for (;;) {
    const WaitBoard::Poke poke = board_.Take(worker_);
    if (poke == WaitBoard::Poke::kNone) return;
    Refresh();
    if (poke == WaitBoard::Poke::kChanged) {
      ServeUnlimited();
      Dismiss();
    }
    const bool check = poke == WaitBoard::Poke::kCheck;
    // Who waits elsewhere for longer comes first, unless there is room for everybody, or what is
    // free was of no use to those before.
    const Instant elsewhere = check || unlimited_ ? kNever : board_.OldestElsewhere(worker_);
    const bool in_turn = !queue_.empty() && queue_.front().since_ <= elsewhere;
    Served here = in_turn ? ServeWaiting(elsewhere) : Served();
    if (in_turn && here.served == 0) {
      // Those whose turn it is have just been cancelled: they pass the place on as they leave.
      if (here.refused == 0) continue;
      if (!check) here = ServeWaiting(kNever);
    }
    if (board_.waiting() == 0 || !AnyFree()) continue;
    if (here.served > 0 || !in_turn) {
      board_.PokeOldest(worker_);
    } else if (!check) {
      // What is free was refused to everybody who waits here: others may have better luck.
      board_.PokeOthers(worker_);
    }
  }
}

void WorkerUpstream::ReportSlow(WorkerBackend& backend, Outcome outcome) {
  BackendShared& shared_backend = *backend.shared;
  if (outcome == Outcome::kSuccess) {
    shared_backend.failure_run.store(0, std::memory_order_relaxed);
    return;
  }
  const bool refused = outcome == Outcome::kRefused || outcome == Outcome::kTlsFailed;
  const bool not_connected = refused || outcome == Outcome::kConnectTimeout;
  uint32_t found = refused || outcome == Outcome::kReset ? kSuspect : 0;
  const config::PassiveHealth& rule = settings().passive_health;
  uint64_t seen = shared_backend.failure_run.load(std::memory_order_relaxed);
  health::FailureStep step;
  do {
    step = health::CountFailure(health::FailureRun::FromWord(seen), rule.max_fails,
                                rule.fail_timeout, loop_.Now());
  } while (!shared_backend.failure_run.compare_exchange_weak(seen, step.run.word(),
                                                             std::memory_order_relaxed));
  if (step.reached) found |= not_connected ? kEjectRefused : kEjectAnswers;
  shared_backend.last_failure.store(outcome, std::memory_order_relaxed);
  if (found == 0) return;
  // Whoever sets a bit first calls; the others' news is the same.
  const uint32_t before = shared_backend.reports.fetch_or(found, std::memory_order_seq_cst);
  if ((before & found) != found) shared().CallControl();
}

void QueueWait::OnDeliver(io::Op& op) {
  auto& self = static_cast<QueueWait&>(op);
  self.LeaveToken();
  if (op.result != 0) self.upstream_.LeaveQueue(self);
  std::exchange(self.waiter_, {}).resume();
}

}  // namespace rondo::upstream
