// Which workers have requests waiting for a place at a backend: a place that one worker frees may
// be wanted on another. Shared by all workers of an upstream that has limits.
//
// No wake-up is lost, because both sides order their two steps the same way (sequentially
// consistent): who waits registers first and looks for a free place after; who frees a place does
// that first and looks for waiters after. Whoever of the two comes second sees the other.
//
// Order: the worker whose first waiter has waited longest is woken, and new requests queue behind
// whoever waits. So requests leave in the order they came, but for those that reach different
// workers within the time that it takes to wake one.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "rondo/io/engine.h"

namespace rondo::upstream {

class WaitBoard {
 public:
  enum class Poke : uint8_t {
    kNone,
    kCheck,    // another worker could not use the free place: perhaps this one can
    kFreed,    // a place became free
    kChanged,  // all there is to pick from may have changed: look at everybody who waits
  };

  explicit WaitBoard(size_t workers);

  // The worker takes part from now on; `engine` is woken when others poke it. It must stay until no
  // other worker of the process runs any more.
  void Join(size_t worker, io::Engine& engine);

  // One more waiter; false where `limit` already wait. Any worker.
  bool Enter(uint32_t limit);
  void Leave() { waiting_.fetch_sub(1, std::memory_order_seq_cst); }
  uint32_t waiting() const { return waiting_.load(std::memory_order_seq_cst); }

  // When this worker's first waiter came; kNever: it has none.
  void SetOldest(size_t worker, Instant since);
  // The same of all other workers, the earliest.
  Instant OldestElsewhere(size_t self) const;
  // Pokes the worker whose first waiter has waited longest, if there is any.
  void PokeOldest(size_t self);
  // Pokes all other workers that have waiters to look once, without passing it on.
  void PokeOthers(size_t self);
  // Pokes all workers that have waiters, with kChanged: states, members or limits are other than
  // before. Any thread.
  void PokeAll();
  // The same for this worker alone, which looks at the end of its tick.
  void PokeSelf(size_t worker) { Set(slots_[worker], Poke::kChanged, false); }
  // Whether Take would say anything. That worker.
  bool poked(size_t worker) const {
    return slots_[worker].poked.load(std::memory_order_relaxed) != Poke::kNone;
  }
  // What this worker was poked for since the last call.
  Poke Take(size_t worker);

 private:
  struct alignas(64) Slot {
    std::atomic<int64_t> oldest{INT64_MAX};  // nanoseconds of Instant
    std::atomic<Poke> poked{Poke::kNone};
    std::atomic<io::Engine*> engine{nullptr};
  };
  void Set(Slot& slot, Poke poke, bool wake);

  alignas(64) std::atomic<uint32_t> waiting_{0};
  size_t workers_;
  std::unique_ptr<Slot[]> slots_;
};

}  // namespace rondo::upstream
