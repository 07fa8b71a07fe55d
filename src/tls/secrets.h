// The keys that records are protected with, and how they are made: of traffic secrets (RFC 8446
// §7.3) or of a master secret (RFC 5246 §6.3). Pure functions. Private to tls/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "rondo/tls/handshake.h"

namespace rondo::tls {

enum class Aead : uint8_t { kAes128Gcm, kAes256Gcm, kChaCha20Poly1305 };
enum class Hash : uint8_t { kSha256, kSha384 };

struct Suite {
  Version version = Version::kTls13;
  Aead aead = Aead::kAes128Gcm;
  Hash hash = Hash::kSha256;
};

inline constexpr size_t kKeyMax = 32;
inline constexpr size_t kIvBytes = 12;
inline constexpr size_t kTagBytes = 16;
inline constexpr size_t kSecretMax = 48;

constexpr size_t HashBytes(Hash hash) { return hash == Hash::kSha256 ? 32 : 48; }
constexpr size_t KeyBytes(Aead aead) { return aead == Aead::kAes128Gcm ? 16 : 32; }

// One direction's. Wiped when it goes.
struct TrafficKeys {
  TrafficKeys() = default;
  TrafficKeys(const TrafficKeys&) = default;
  TrafficKeys& operator=(const TrafficKeys&) = default;
  ~TrafficKeys();

  uint64_t sequence = 0;                     // of the next record
  std::array<uint8_t, kKeyMax> key{};        // KeyBytes of them
  std::array<uint8_t, kIvBytes> iv{};        // TLS 1.2 with GCM: its first four, RFC 5288 §3
  std::array<uint8_t, kSecretMax> secret{};  // TLS 1.3: HashBytes of them
};

// All of these: false where libcrypto has no memory.

// The key and iv that `keys.secret` stands for, for a first record.
[[nodiscard]] bool DeriveKeys(const Suite& suite, TrafficKeys& keys);
// The secret behind this one, after a key update (RFC 8446 §7.2), with its key and iv.
[[nodiscard]] bool AdvanceKeys(const Suite& suite, TrafficKeys& keys);
// Both directions' keys of a TLS 1.2 connection, for the first record behind ChangeCipherSpec.
[[nodiscard]] bool DeriveKeyBlock(const Suite& suite, std::span<const uint8_t> master,
                                  std::span<const uint8_t, 32> client_random,
                                  std::span<const uint8_t, 32> server_random, TrafficKeys& client,
                                  TrafficKeys& server);

// HMAC (RFC 2104) of up to 192 bytes under a key that is no longer than a secret.
[[nodiscard]] bool Hmac(Hash hash, std::span<const uint8_t> key, std::span<const uint8_t> data,
                        uint8_t* out);

}  // namespace rondo::tls
