// One direction's cipher, keyed: libcrypto's context for sealing or for opening records. Private to
// tls/.
#pragma once

#include <openssl/types.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "tls/secrets.h"

namespace rondo::tls {

// About 1 KB of libcrypto's memory while it is keyed, and half a microsecond to make: an idle
// connection does without.
class AeadContext {
 public:
  enum class Use : uint8_t { kSeal, kOpen };

  AeadContext() = default;
  AeadContext(AeadContext&& other) noexcept : context_(std::exchange(other.context_, nullptr)) {}
  AeadContext& operator=(AeadContext&&) = delete;
  ~AeadContext() { Drop(); }

  bool keyed() const { return context_ != nullptr; }
  // REQUIRES: !keyed(). False, also of the others: libcrypto has no memory (or a tag is wrong).
  [[nodiscard]] bool Key(Aead aead, const uint8_t* key, Use use);
  void Drop();  // forgets the key; nothing where there is none

  // A record is begun with its nonce (kIvBytes) and its additional data; then its bytes, in as many
  // pieces as it has, each to `out` or in place; then its tag.
  [[nodiscard]] bool Begin(const uint8_t* nonce, std::span<const uint8_t> additional);
  [[nodiscard]] bool Update(const char* in, size_t bytes, char* out);
  [[nodiscard]] bool FinishSeal(char* tag);
  // False: what was opened is forged, and to be forgotten.
  [[nodiscard]] bool FinishOpen(const char* tag);

 private:
  EVP_CIPHER_CTX* context_ = nullptr;
};

}  // namespace rondo::tls
