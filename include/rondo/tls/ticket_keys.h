// The keys that session tickets are sealed with (RFC 5077, RFC 8446 §4.6.1): one to seal, and older
// and newer ones to open with. Shared by all workers of a process, and over a key file by several
// machines. Made and replaced by the control thread; read by any thread without a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"

namespace rondo::tls {

struct TicketKey {
  std::array<uint8_t, 16> name{};
  std::array<uint8_t, 32> cipher{};  // AES-256-CBC
  std::array<uint8_t, 32> mac{};     // HMAC-SHA-256
  friend bool operator==(const TicketKey&, const TicketKey&) = default;
};

class TicketKeys {
 public:
  static constexpr size_t kKeysMax = 4;
  using Keys = std::array<TicketKey, kKeysMax>;

  TicketKeys();  // one key of the system's randomness

  // The text of a key file: 80 bytes a key, binary (as `openssl rand 80` makes them: 16 bytes of
  // name, 32 for the MAC, 32 for the cipher, like nginx's), or the same in base64, a line each (or
  // wrapped as `openssl rand -base64 80` does), lines of '#' are comments. The first seals, all
  // open. 1 to kKeysMax keys; 48-byte keys (AES-128) are refused by name, and so are two keys of
  // one name.
  static absl::StatusOr<Keys> ParseFile(std::string_view text, size_t* count);

  // Control thread. A fresh key seals from now on; the two before still open, older ones are
  // forgotten.
  void Rotate();
  // REQUIRES: 1 <= count <= kKeysMax.
  void Set(const TicketKey* keys, size_t count);

  // Any thread. How many there are; the first seals. To be handed to a successor as well.
  size_t Copy(Keys* keys) const;
  TicketKey Sealing() const;
  // false where no such key is there. `newest`: tickets under another one are to be renewed.
  bool Find(const uint8_t* name, TicketKey* key, bool* newest) const;

 private:
  static constexpr size_t kWords = sizeof(TicketKey) / sizeof(uint64_t);
  struct Bank {
    std::atomic<uint64_t> count{0};
    std::array<std::atomic<uint64_t>, kKeysMax * kWords> words{};
  };

  // A change writes the bank that is not in use and then takes it into use. A reader copies the one
  // in use and looks whether it still is: it never waits for a change that was interrupted, and
  // copies again only where two changes overtook it.
  std::array<Bank, 2> banks_{};
  std::atomic<uint64_t> generation_{0};
};

}  // namespace rondo::tls
