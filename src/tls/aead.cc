#include "tls/aead.h"

#include <openssl/evp.h>

#include "rondo/base/check.h"

namespace rondo::tls {
namespace {

// Fetched once: the short names (EVP_aes_128_gcm) are looked up anew, under a lock, at each use.
const EVP_CIPHER* Cipher(Aead aead) {
  static const EVP_CIPHER* const aes128 = EVP_CIPHER_fetch(nullptr, "AES-128-GCM", nullptr);
  static const EVP_CIPHER* const aes256 = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  static const EVP_CIPHER* const chacha = EVP_CIPHER_fetch(nullptr, "ChaCha20-Poly1305", nullptr);
  switch (aead) {
    case Aead::kAes128Gcm:
      return aes128;
    case Aead::kAes256Gcm:
      return aes256;
    case Aead::kChaCha20Poly1305:
      return chacha;
  }
  return nullptr;
}

}  // namespace

bool AeadContext::Key(Aead aead, const uint8_t* key, Use use) {
  RONDO_DCHECK(!keyed());
  const EVP_CIPHER* const cipher = Cipher(aead);
  if (cipher == nullptr) return false;
  context_ = EVP_CIPHER_CTX_new();
  if (context_ == nullptr) return false;
  // All of the three have nonces of 12 bytes unless told otherwise.
  const int seals = use == Use::kSeal ? 1 : 0;
  if (EVP_CipherInit_ex(context_, cipher, nullptr, key, nullptr, seals) == 1) return true;
  Drop();
  return false;
}

void AeadContext::Drop() {
  EVP_CIPHER_CTX_free(context_);  // wipes the key
  context_ = nullptr;
}

bool AeadContext::Begin(const uint8_t* nonce, std::span<const uint8_t> additional) {
  int written = 0;
  return EVP_CipherInit_ex(context_, nullptr, nullptr, nullptr, nonce, -1) == 1 &&
         EVP_CipherUpdate(context_, nullptr, &written, additional.data(),
                          static_cast<int>(additional.size())) == 1;
}

bool AeadContext::Update(const char* in, size_t bytes, char* out) {
  int written = 0;
  return EVP_CipherUpdate(context_, reinterpret_cast<unsigned char*>(out), &written,
                          reinterpret_cast<const unsigned char*>(in), static_cast<int>(bytes)) == 1;
}

bool AeadContext::FinishSeal(char* tag) {
  int written = 0;
  unsigned char none[1];
  return EVP_CipherFinal_ex(context_, none, &written) == 1 &&
         EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_GET_TAG, kTagBytes, tag) == 1;
}

bool AeadContext::FinishOpen(const char* tag) {
  int written = 0;
  unsigned char none[1];
  return EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_SET_TAG, kTagBytes, const_cast<char*>(tag)) ==
             1 &&
         EVP_CipherFinal_ex(context_, none, &written) == 1;
}

}  // namespace rondo::tls
