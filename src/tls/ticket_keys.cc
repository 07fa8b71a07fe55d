#include "rondo/tls/ticket_keys.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

#include "rondo/base/check.h"

namespace rondo::tls {
namespace {

// What rotation keeps: the one in use and two before it.
constexpr size_t kRotated = 3;

TicketKey FreshKey() {
  TicketKey key;
  const int made = RAND_bytes(key.name.data(), static_cast<int>(key.name.size())) &
                   RAND_priv_bytes(key.cipher.data(), static_cast<int>(key.cipher.size())) &
                   RAND_priv_bytes(key.mac.data(), static_cast<int>(key.mac.size()));
  // Tickets under a key that somebody could guess are worse than none.
  RONDO_CHECK(made == 1);
  return key;
}

}  // namespace

static_assert(sizeof(TicketKey) == 80);

TicketKeys::TicketKeys() {
  TicketKey key = FreshKey();
  Set(&key, 1);
  OPENSSL_cleanse(&key, sizeof(key));
}

void TicketKeys::Rotate() {
  Keys old;
  const size_t count = Copy(&old);
  Keys now;
  now[0] = FreshKey();
  const size_t kept = std::min(count, kRotated - 1);
  std::copy_n(old.begin(), kept, now.begin() + 1);
  Set(now.data(), kept + 1);
  OPENSSL_cleanse(&old, sizeof(old));
  OPENSSL_cleanse(&now, sizeof(now));
}

void TicketKeys::Set(const TicketKey* keys, size_t count) {
  RONDO_CHECK(count >= 1 && count <= kKeysMax);
  std::array<uint64_t, kKeysMax * kWords> words{};
  std::memcpy(words.data(), keys, count * sizeof(TicketKey));
  const uint64_t generation = generation_.load(std::memory_order_relaxed) + 1;
  Bank& bank = banks_[generation & 1];
  // Released one by one: a reader that sees any of them also sees that its bank went out of use.
  bank.count.store(count, std::memory_order_release);
  for (size_t i = 0; i < words.size(); ++i) {
    bank.words[i].store(words[i], std::memory_order_release);
  }
  generation_.store(generation, std::memory_order_release);
  OPENSSL_cleanse(words.data(), sizeof(words));
}

size_t TicketKeys::Copy(Keys* keys) const {
  std::array<uint64_t, kKeysMax * kWords> words;
  for (;;) {
    const uint64_t generation = generation_.load(std::memory_order_acquire);
    const Bank& bank = banks_[generation & 1];
    const uint64_t count = bank.count.load(std::memory_order_acquire);
    for (size_t i = 0; i < words.size(); ++i) {
      words[i] = bank.words[i].load(std::memory_order_acquire);
    }
    if (generation_.load(std::memory_order_relaxed) != generation) continue;
    std::memcpy(keys->data(), words.data(), sizeof(*keys));
    OPENSSL_cleanse(words.data(), sizeof(words));
    return static_cast<size_t>(count);
  }
}

TicketKey TicketKeys::Sealing() const {
  Keys keys;
  Copy(&keys);
  const TicketKey first = keys[0];
  OPENSSL_cleanse(&keys, sizeof(keys));
  return first;
}

bool TicketKeys::Find(const uint8_t* name, TicketKey* key, bool* newest) const {
  Keys keys;
  const size_t count = Copy(&keys);
  size_t found = 0;
  // Names are no secret: they stand in every ticket.
  while (found < count &&
         std::memcmp(keys[found].name.data(), name, keys[found].name.size()) != 0) {
    ++found;
  }
  if (found < count) {
    *key = keys[found];
    *newest = found == 0;
  }
  OPENSSL_cleanse(&keys, sizeof(keys));
  return found < count;
}

}  // namespace rondo::tls
