#include "tls/channel_pair.h"

#include <openssl/evp.h>

#include <cstring>

namespace rondo::tls {
namespace {

const EVP_CIPHER* CipherOf(Aead aead) {
  switch (aead) {
    case Aead::kAes128Gcm:
      return EVP_aes_128_gcm();
    case Aead::kAes256Gcm:
      return EVP_aes_256_gcm();
    case Aead::kChaCha20Poly1305:
      return EVP_chacha20_poly1305();
  }
  return nullptr;
}

std::string BigEndian(uint64_t value, size_t bytes) {
  std::string text(bytes, '\0');
  for (size_t i = bytes; i-- > 0; value >>= 8) text[i] = static_cast<char>(value);
  return text;
}

std::string SealAead(const Suite& suite, const TrafficKeys& keys, std::string_view nonce,
                     std::string_view additional, std::string_view plain) {
  const auto bytes = [](std::string_view text) {
    return reinterpret_cast<const uint8_t*>(text.data());
  };
  EVP_CIPHER_CTX* const context = EVP_CIPHER_CTX_new();
  EVP_EncryptInit_ex(context, CipherOf(suite.aead), nullptr, keys.key.data(), bytes(nonce));
  int written = 0;
  EVP_EncryptUpdate(context, nullptr, &written, bytes(additional),
                    static_cast<int>(additional.size()));
  std::string out(plain.size() + kTagBytes, '\0');
  auto* const at = reinterpret_cast<uint8_t*>(out.data());
  EVP_EncryptUpdate(context, at, &written, bytes(plain), static_cast<int>(plain.size()));
  EVP_EncryptFinal_ex(context, at + plain.size(), &written);
  EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, kTagBytes, at + plain.size());
  EVP_CIPHER_CTX_free(context);
  return out;
}

}  // namespace

std::string SealRaw(const Suite& suite, TrafficKeys& keys, uint8_t type, std::string_view plain,
                    size_t padding, uint8_t outer) {
  const bool tls13 = suite.version == Version::kTls13;
  const bool explicit_nonce = !tls13 && suite.aead != Aead::kChaCha20Poly1305;
  const std::string sequence = BigEndian(keys.sequence, 8);
  std::string nonce(reinterpret_cast<const char*>(keys.iv.data()), kIvBytes);
  for (size_t i = 0; i < 8; ++i) {
    nonce[4 + i] = explicit_nonce ? sequence[i] : static_cast<char>(nonce[4 + i] ^ sequence[i]);
  }
  std::string inner(plain);
  if (tls13) inner += static_cast<char>(type) + std::string(padding, '\0');
  std::string header(1, static_cast<char>(tls13 ? outer : type));
  header += "\x03\x03" + BigEndian((explicit_nonce ? 8 : 0) + inner.size() + kTagBytes, 2);
  const std::string additional =
      tls13 ? header : sequence + header.substr(0, 3) + BigEndian(inner.size(), 2);
  ++keys.sequence;
  return header + (explicit_nonce ? sequence : "") +
         SealAead(suite, keys, nonce, additional, inner);
}

}  // namespace rondo::tls
