#include "rondo/protect/rate_table.h"

#include <algorithm>
#include <atomic>
#include <bit>

#include "rondo/base/check.h"
#include "rondo/base/rng.h"

namespace rondo::protect {
namespace {

std::atomic_ref<uint64_t> Shared(uint64_t& word) { return std::atomic_ref<uint64_t>(word); }
std::atomic_ref<int64_t> Shared(int64_t& word) { return std::atomic_ref<int64_t>(word); }

int64_t Nanoseconds(Instant now) { return now.time_since_epoch().count(); }

}  // namespace

RateTable::RateTable(size_t slots, uint64_t seed)
    : groups_mask_(slots / kProbes - 1),
      seed_(seed),
      slots_(static_cast<Slot*>(std::calloc(slots, sizeof(Slot)))) {
  RONDO_CHECK(std::has_single_bit(slots) && slots >= kProbes && slots_ != nullptr);
}

Duration RateTable::Take(uint64_t key, const Rate& rate, Instant now) {
  // Rounded up: the bound holds exactly.
  const int64_t interval = (rate.per.count() + rate.requests - 1) / rate.requests;
  const int64_t tolerance = interval * (static_cast<int64_t>(rate.burst) - 1);
  const int64_t at = Nanoseconds(now);
  const std::atomic_ref<int64_t> arrival = Shared(Place(key, now).arrival);
  int64_t seen = arrival.load(std::memory_order_relaxed);
  for (;;) {
    const int64_t start = std::max(seen, at);
    if (start - at > tolerance) return Duration(start - at - tolerance);
    if (arrival.compare_exchange_weak(seen, start + interval, std::memory_order_relaxed)) {
      return Duration::zero();
    }
  }
}

RateTable::Slot& RateTable::Place(uint64_t key, Instant now) {
  if (key == 0) key = 1;
  // The places of a key stand beside each other: two lines of the cache, or three.
  Slot* const places = &slots_[(Mix64(key ^ seed_) & groups_mask_) * kProbes];
  for (;;) {
    Slot* const found = FindOrClaim(places, key);
    if (found != nullptr) return *found;
    // Then it is looked for once more: of two threads that make room for the same key both are to
    // find the first of their places.
    TakeOver(places, key, now);
  }
}

// The key's place, or a free one. Places are taken in order and never become free again, so two
// threads with the same key cannot take two. Null: all are others'.
RateTable::Slot* RateTable::FindOrClaim(Slot* places, uint64_t key) {
  for (size_t i = 0; i < kProbes; ++i) {
    const std::atomic_ref<uint64_t> owner = Shared(places[i].key);
    uint64_t seen = owner.load(std::memory_order_relaxed);
    if (seen == 0 && owner.compare_exchange_strong(seen, key, std::memory_order_relaxed)) {
      return &places[i];
    }
    if (seen == key) return &places[i];
  }
  return nullptr;
}

// Gives the place that will be full again first to `key`.
bool RateTable::TakeOver(Slot* places, uint64_t key, Instant now) {
  Slot* first = nullptr;
  int64_t first_arrival = INT64_MAX;
  for (size_t i = 0; i < kProbes; ++i) {
    const int64_t arrival = Shared(places[i].arrival).load(std::memory_order_relaxed);
    if (arrival >= first_arrival) continue;
    first = &places[i];
    first_arrival = arrival;
  }
  if (first == nullptr) first = places;
  uint64_t owner = Shared(first->key).load(std::memory_order_relaxed);
  if (owner == key || !Shared(first->key).compare_exchange_strong(owner, key)) return false;
  // Not full yet: it is now, unless somebody has taken a token meanwhile.
  if (first_arrival > Nanoseconds(now)) {
    Shared(first->arrival).compare_exchange_strong(first_arrival, Nanoseconds(now));
  }
  return true;
}

}  // namespace rondo::protect
