#include "rondo/upstream/wait_board.h"

#include <algorithm>

namespace rondo::upstream {

WaitBoard::WaitBoard(size_t workers) : workers_(workers), slots_(new Slot[workers]) {}

void WaitBoard::Join(size_t worker, io::Engine& engine) {
  RONDO_CHECK(worker < workers_);
  slots_[worker].engine.store(&engine, std::memory_order_release);
}

bool WaitBoard::Enter(uint32_t limit) {
  uint32_t waiting = waiting_.load(std::memory_order_relaxed);
  do {
    if (waiting >= limit) return false;
  } while (!waiting_.compare_exchange_weak(waiting, waiting + 1, std::memory_order_seq_cst));
  return true;
}

void WaitBoard::SetOldest(size_t worker, Instant since) {
  slots_[worker].oldest.store(since.time_since_epoch().count(), std::memory_order_seq_cst);
  // The look at the places that follows reads counts, without an order of its own.
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

Instant WaitBoard::OldestElsewhere(size_t self) const {
  int64_t oldest = INT64_MAX;
  for (size_t i = 0; i < workers_; ++i) {
    if (i != self) oldest = std::min(oldest, slots_[i].oldest.load(std::memory_order_seq_cst));
  }
  return Instant(std::chrono::nanoseconds(oldest));
}

void WaitBoard::PokeOldest(size_t self) {
  size_t oldest = workers_;
  int64_t since = INT64_MAX;
  for (size_t i = 0; i < workers_; ++i) {
    const int64_t of_worker = slots_[i].oldest.load(std::memory_order_seq_cst);
    if (of_worker < since) {
      since = of_worker;
      oldest = i;
    }
  }
  if (oldest < workers_) Set(slots_[oldest], Poke::kFreed, oldest != self);
}

void WaitBoard::PokeOthers(size_t self) {
  for (size_t i = 0; i < workers_; ++i) {
    if (i == self || slots_[i].oldest.load(std::memory_order_seq_cst) == INT64_MAX) continue;
    Set(slots_[i], Poke::kCheck, true);
  }
}

void WaitBoard::PokeAll() {
  for (size_t i = 0; i < workers_; ++i) {
    if (slots_[i].oldest.load(std::memory_order_seq_cst) == INT64_MAX) continue;
    Set(slots_[i], Poke::kChanged, true);
  }
}

void WaitBoard::Set(Slot& slot, Poke poke, bool wake) {
  // In order behind the place that was given back: what was poked before is only what the worker
  // has not taken.
  Poke seen = slot.poked.load(std::memory_order_seq_cst);
  while (seen < poke && !slot.poked.compare_exchange_weak(seen, poke, std::memory_order_seq_cst)) {
  }
  if (!wake) return;
  if (io::Engine* engine = slot.engine.load(std::memory_order_acquire)) engine->Wake();
}

WaitBoard::Poke WaitBoard::Take(size_t worker) {
  Slot& slot = slots_[worker];
  if (slot.poked.load(std::memory_order_relaxed) == Poke::kNone) return Poke::kNone;
  const Poke poke = slot.poked.exchange(Poke::kNone, std::memory_order_seq_cst);
  std::atomic_thread_fence(std::memory_order_seq_cst);  // as in SetOldest
  return poke;
}

}  // namespace rondo::upstream
