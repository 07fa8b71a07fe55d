#include "rondo/protect/address_counts.h"

#include <atomic>
#include <bit>

#include "rondo/base/check.h"
#include "rondo/base/rng.h"
#include "rondo/protect/keys.h"

namespace rondo::protect {
namespace {

std::atomic_ref<uint64_t> WordAt(uint64_t& word) { return std::atomic_ref<uint64_t>(word); }

}  // namespace

AddressCounts::AddressCounts(size_t slots, uint64_t seed)
    : groups_mask_(slots / kProbes - 1),
      seed_(seed),
      words_(static_cast<uint64_t*>(std::calloc(slots, sizeof(uint64_t)))) {
  RONDO_CHECK(std::has_single_bit(slots) && slots >= kProbes && slots < kUncounted);
  RONDO_CHECK(words_ != nullptr);
}

// All orders here are sequentially consistent: of two threads that enter at the same moment, in two
// places perhaps, at least one sees the other when it counts again.
uint32_t AddressCounts::Enter(const IpAddress& address, uint32_t max) {
  constexpr int kTries = 4;
  const uint64_t hash = HashOf(address);
  for (int i = 0; i < kTries; ++i) {
    Found found = Find(hash);
    if (found.count >= max) return kNone;
    if (found.place == SIZE_MAX || (found.word & kCountMask) == kCountMask) return kUncounted;
    const uint64_t before = found.word == 0 ? hash & ~kCountMask : found.word;
    if (!WordAt(words_[found.place]).compare_exchange_strong(found.word, before + 1)) {
      --i;  // somebody else moved on
      continue;
    }
    const auto handle = static_cast<uint32_t>(found.place);
    if (Find(hash).count <= max) return handle;
    // Others came at the same time; once more, unless they were too many.
    Leave(handle);
  }
  return kNone;
}

void AddressCounts::Leave(uint32_t handle) {
  if (handle == kNone || handle == kUncounted) return;
  const std::atomic_ref<uint64_t> word = WordAt(words_[handle]);
  uint64_t seen = word.load();
  uint64_t less;
  do {
    RONDO_DCHECK((seen & kCountMask) > 0);
    less = (seen & kCountMask) == 1 ? 0 : seen - 1;
  } while (!word.compare_exchange_weak(seen, less));
}

uint32_t AddressCounts::CountOf(const IpAddress& address) const {
  return static_cast<uint32_t>(Find(HashOf(address)).count);
}

// Which places, by its lower bits, and who, by its upper ones, which are not all zero.
uint64_t AddressCounts::HashOf(const IpAddress& address) const {
  const uint64_t hash = Mix64(AddressKey(address) ^ seed_);
  return (hash & ~kCountMask) != 0 ? hash : hash | (kCountMask + 1);
}

// An address may have two places for a while: the first of them was taken when it became free.
AddressCounts::Found AddressCounts::Find(uint64_t hash) const {
  Found found;
  bool own = false;
  const size_t first = (hash & groups_mask_) * kProbes;
  for (size_t place = first; place < first + kProbes; ++place) {
    const uint64_t word = WordAt(words_[place]).load();
    const bool match = word != 0 && (word & ~kCountMask) == (hash & ~kCountMask);
    if (match) found.count += word & kCountMask;
    if (own || (!match && (word != 0 || found.place != SIZE_MAX))) continue;
    own = match;
    found.place = place;
    found.word = word;
  }
  return found;
}

}  // namespace rondo::protect
