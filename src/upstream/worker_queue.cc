// Places at backends: taken, given back, and waited for.
#include "rondo/upstream/worker_upstream.h"

namespace rondo::upstream {

Lease Lease::Take(WorkerBackend& backend) {
  std::atomic<uint32_t>& in_flight = backend.shared->in_flight;
  if (backend.max_in_flight == 0) {
    in_flight.fetch_add(1, std::memory_order_relaxed);
    return Lease(backend);
  }
  uint32_t seen = in_flight.load(std::memory_order_seq_cst);
  do {
    if (seen >= backend.max_in_flight) return Lease();
  } while (!in_flight.compare_exchange_weak(seen, seen + 1, std::memory_order_seq_cst));
  return Lease(backend);
}

void Lease::GiveBack(WorkerBackend& backend) {
  // First the place, then the look at who waits; see wait_board.h.
  backend.shared->in_flight.fetch_sub(1, std::memory_order_seq_cst);
  backend.upstream->PlaceFreed();
}

void WorkerUpstream::PlaceFreed() {
  if (board_->waiting() > 0) board_->PokeOldest(worker_);
}

WorkerUpstream::Acquired WorkerUpstream::Acquire(const PickKey& key, PickState* state, Lease* lease) {
  // New requests do not overtake those that wait.
  const bool others_wait = board_ != nullptr && board_->waiting() > 0;
  if (!others_wait) {
    *lease = TryLease(key, state);
    if (*lease) return Acquired::kLease;
  }
  // Without a limit a backend is never full: then what was not picked was refused by all.
  if (board_ == nullptr) return Acquired::kNone;
  return state == nullptr || AnyLeft(state->primary_refused, state->backup_refused) ? Acquired::kFull
                                                                                   : Acquired::kNone;
}

Lease WorkerUpstream::TryLease(const PickKey& key, PickState* state) {
  if (key.sticky) {
    const auto found = sticky_.find(*key.sticky);
    if (found != sticky_.end()) {
      WorkerBackend& own = *found->second;
      const balance::Tried* tried = state == nullptr ? nullptr : own.backup ? &state->backup : &state->primary;
      if (tried == nullptr || !tried->Contains(own.member)) {
        if (Lease lease = Lease::Take(own)) return lease;
      }
    }
  }
  const balance::PickContext context{key.hash, loop_.Now()};
  if (Lease lease = PickLease(context, state)) return lease;
  if (state == nullptr || AnyLeft(state->primary, state->backup)) return Lease();
  // All were tried. Those that failed in another way than refusing may be tried once more.
  state->primary = state->primary_refused;
  state->backup = state->backup_refused;
  return PickLease(context, state);
}

Lease WorkerUpstream::PickLease(balance::PickContext context, PickState* state) {
  static const balance::Tried kNothing;
  for (;;) {
    WorkerBackend* backend = nullptr;
    if (primary_policy_ != nullptr) {
      const size_t member = primary_policy_->Pick(context, state ? state->primary : kNothing);
      if (member != balance::Policy::kNone) backend = primaries_[member];
    }
    if (backend == nullptr && backup_policy_ != nullptr) {
      const size_t member = backup_policy_->Pick(context, state ? state->backup : kNothing);
      if (member != balance::Policy::kNone) backend = backups_[member];
    }
    if (backend == nullptr) return Lease();
    // Where another worker took the last place meanwhile, the policy now sees it full and picks anew.
    if (Lease lease = Lease::Take(*backend)) return lease;
  }
}

// Whether there is any backend besides these. One that was not picked was full then; how full it is by now says
// nothing about that, since others give places back all the time.
bool WorkerUpstream::AnyLeft(const balance::Tried& primary, const balance::Tried& backup) const {
  return primary.count() < primaries_.size() || backup.count() < backups_.size();
}

bool WorkerUpstream::AnyFree() const {
  return (primary_policy_ != nullptr && primary_policy_->AnyFree()) ||
         (backup_policy_ != nullptr && backup_policy_->AnyFree());
}

const WorkerBackend* WorkerUpstream::FindSticky(uint64_t hash) const {
  const auto found = sticky_.find(hash);
  return found == sticky_.end() ? nullptr : found->second;
}

bool WorkerUpstream::Enqueue(QueueWait& wait) {
  if (!board_->Enter(settings().queue.size)) return false;
  wait.since_ = loop_.Now();
  queue_.PushBack(wait);
  PublishOldest();
  // Registered first, now look again: a place may have become free before anybody could see us.
  if (AnyFree()) board_->PokeOldest(worker_);
  return true;
}

void WorkerUpstream::LeaveQueue(QueueWait& wait) {
  if (!wait.ListHook<QueueWait>::linked()) return;
  wait.ListHook<QueueWait>::Unlink();
  board_->Leave();
  PublishOldest();
  // A place that was meant for this one may be somebody else's now.
  if (board_->waiting() > 0 && AnyFree()) board_->PokeOldest(worker_);
}

void WorkerUpstream::PublishOldest() {
  board_->SetOldest(worker_, queue_.empty() ? kNever : queue_.front().since_);
}

// Gives free places to those who wait here, oldest first, but to nobody who came after `until`.
WorkerUpstream::Served WorkerUpstream::ServeWaiting(Instant until) {
  Served result;
  bool more = true;
  queue_.ForEach([this, until, &result, &more](QueueWait& wait) {
    if (!more || wait.in_flight()) return;  // in flight: its end was posted already
    more = wait.since_ <= until && AnyFree();
    if (!more) return;
    wait.lease = TryLease(wait.key_, wait.state_);
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

void WorkerUpstream::ServeBoard() {
  for (;;) {
    const WaitBoard::Poke poke = board_->Take(worker_);
    if (poke == WaitBoard::Poke::kNone) return;
    const bool check = poke == WaitBoard::Poke::kCheck;
    // Who waits elsewhere for longer comes first, unless what is free was of no use to those before.
    const Instant elsewhere = check ? kNever : board_->OldestElsewhere(worker_);
    const bool in_turn = !queue_.empty() && queue_.front().since_ <= elsewhere;
    Served here = in_turn ? ServeWaiting(elsewhere) : Served();
    if (in_turn && here.served == 0) {
      // Those whose turn it is have just been cancelled: they pass the place on as they leave.
      if (here.refused == 0) continue;
      if (!check) here = ServeWaiting(kNever);
    }
    if (board_->waiting() == 0 || !AnyFree()) continue;
    if (here.served > 0 || !in_turn) {
      board_->PokeOldest(worker_);
    } else if (!check) {
      // What is free was refused to everybody who waits here: others may have better luck.
      board_->PokeOthers(worker_);
    }
  }
}

void QueueWait::OnDeliver(io::Op& op) {
  auto& self = static_cast<QueueWait&>(op);
  self.LeaveToken();
  if (op.result != 0) self.upstream_.LeaveQueue(self);
  std::exchange(self.waiter_, {}).resume();
}

}  // namespace rondo::upstream
