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
  TicketKeys();  // one key of the system's randomness

  // The text of a key file: 80 bytes a key, binary (as `openssl rand 80` makes them and nginx and
  // HAProxy's base64 lines have them), or base64 lines; the first seals. 1 to kKeysMax keys;
  // 48-byte keys (AES-128) are refused by name.
  static absl::StatusOr<std::array<TicketKey, kKeysMax>> ParseFile(std::string_view text,
                                                                   size_t* count);

  // Control thread. A fresh key seals from now on; the ones before still open, the oldest is
  // forgotten.
  void Rotate();
  void Set(const TicketKey* keys, size_t count);

  // Any thread; false where no such key is there. `newest`: tickets under another one are to be
  // renewed.
  TicketKey Sealing() const;
  bool Find(const uint8_t* name, TicketKey* key, bool* newest) const;

 private:
  struct Ring;
  // Readers take part in a sequence lock over words: keys are small and change a few times a day.
  std::atomic<uint32_t> sequence_{0};
  std::array<std::atomic<uint64_t>, kKeysMax * 10> words_{};
  std::atomic<uint32_t> count_{0};
};

}  // namespace rondo::tls
