#include "tls/secrets.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string_view>

#include "rondo/base/check.h"

namespace rondo::tls {
namespace {

constexpr size_t kBlockMax = 128;  // of SHA-384; SHA-256 has 64
constexpr size_t kDataMax = 192;

// Fetched once: EVP_sha256() would be looked up anew, under a lock, at each use.
const EVP_MD* Digest(Hash hash) {
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  static const EVP_MD* const sha384 = EVP_MD_fetch(nullptr, "SHA384", nullptr);
  return hash == Hash::kSha256 ? sha256 : sha384;
}

struct FreeDigest {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// One of HMAC's two passes: the digest of the key, padded by `pad`, and the data.
bool Pass(EVP_MD_CTX* context, Hash hash, std::span<const uint8_t> key, uint8_t pad,
          std::span<const uint8_t> data, uint8_t* out) {
  uint8_t block[kBlockMax];
  const size_t block_bytes = hash == Hash::kSha256 ? 64 : 128;
  std::memset(block, pad, block_bytes);
  for (size_t i = 0; i < key.size(); ++i) block[i] ^= key[i];
  const EVP_MD* const digest = Digest(hash);
  const bool done = digest != nullptr && EVP_DigestInit_ex(context, digest, nullptr) == 1 &&
                    EVP_DigestUpdate(context, block, block_bytes) == 1 &&
                    EVP_DigestUpdate(context, data.data(), data.size()) == 1 &&
                    EVP_DigestFinal_ex(context, out, nullptr) == 1;
  OPENSSL_cleanse(block, block_bytes);
  return done;
}

// HKDF-Expand-Label (RFC 8446 §7.1) without a context, for at most one digest's worth of output.
bool ExpandLabel(Hash hash, std::span<const uint8_t> secret, std::string_view label,
                 std::span<uint8_t> out) {
  RONDO_DCHECK(out.size() <= HashBytes(hash));
  uint8_t info[64];
  size_t at = 0;
  info[at++] = 0;
  info[at++] = static_cast<uint8_t>(out.size());
  constexpr std::string_view kPrefix = "tls13 ";
  info[at++] = static_cast<uint8_t>(kPrefix.size() + label.size());
  for (const std::string_view part : {kPrefix, label}) {
    std::memcpy(info + at, part.data(), part.size());
    at += part.size();
  }
  info[at++] = 0;  // an empty context
  info[at++] = 1;  // HKDF's counter
  uint8_t digest[kSecretMax];
  const bool done = Hmac(hash, secret, {info, at}, digest);
  if (done) std::memcpy(out.data(), digest, out.size());
  OPENSSL_cleanse(digest, sizeof digest);
  return done;
}

// The PRF of TLS 1.2 (RFC 5246 §5): P_hash over the label and the seed, which is `seed`.
bool Expand12(Hash hash, std::span<const uint8_t> master, std::span<const uint8_t> seed,
              std::span<uint8_t> out) {
  const size_t digest_bytes = HashBytes(hash);
  uint8_t input[kDataMax];  // A(i), and the seed behind it
  RONDO_CHECK(digest_bytes + seed.size() <= sizeof input);
  std::memcpy(input + digest_bytes, seed.data(), seed.size());
  uint8_t digest[kSecretMax];
  bool done = Hmac(hash, master, seed, input);
  while (done && !out.empty()) {
    done = Hmac(hash, master, {input, digest_bytes + seed.size()}, digest);
    const size_t bytes = std::min(out.size(), digest_bytes);
    if (done) std::memcpy(out.data(), digest, bytes);
    out = out.subspan(bytes);
    if (out.empty()) break;
    done = done && Hmac(hash, master, {input, digest_bytes}, digest);
    std::memcpy(input, digest, digest_bytes);
  }
  OPENSSL_cleanse(input, sizeof input);
  OPENSSL_cleanse(digest, sizeof digest);
  return done;
}

}  // namespace

TrafficKeys::~TrafficKeys() { OPENSSL_cleanse(this, sizeof *this); }

bool DeriveKeys(const Suite& suite, TrafficKeys& keys) {
  const std::span<const uint8_t> secret(keys.secret.data(), HashBytes(suite.hash));
  keys.sequence = 0;
  return ExpandLabel(suite.hash, secret, "key", {keys.key.data(), KeyBytes(suite.aead)}) &&
         ExpandLabel(suite.hash, secret, "iv", keys.iv);
}

bool AdvanceKeys(const Suite& suite, TrafficKeys& keys) {
  const std::span<uint8_t> secret(keys.secret.data(), HashBytes(suite.hash));
  return ExpandLabel(suite.hash, secret, "traffic upd", secret) && DeriveKeys(suite, keys);
}

bool DeriveKeyBlock(const Suite& suite, std::span<const uint8_t> master,
                    std::span<const uint8_t, 32> client_random,
                    std::span<const uint8_t, 32> server_random, TrafficKeys& client,
                    TrafficKeys& server) {
  constexpr std::string_view kLabel = "key expansion";
  uint8_t seed[kLabel.size() + 64];
  std::memcpy(seed, kLabel.data(), kLabel.size());
  std::memcpy(seed + kLabel.size(), server_random.data(), 32);
  std::memcpy(seed + kLabel.size() + 32, client_random.data(), 32);

  const size_t key_bytes = KeyBytes(suite.aead);
  const size_t iv_bytes = suite.aead == Aead::kChaCha20Poly1305 ? kIvBytes : 4;
  uint8_t block[2 * (kKeyMax + kIvBytes)];
  const bool done = Expand12(suite.hash, master, seed, {block, 2 * (key_bytes + iv_bytes)});
  const uint8_t* at = block;
  for (TrafficKeys* keys : {&client, &server}) {
    std::memcpy(keys->key.data(), at, key_bytes);
    at += key_bytes;
    keys->sequence = 0;
  }
  for (TrafficKeys* keys : {&client, &server}) {
    std::memcpy(keys->iv.data(), at, iv_bytes);
    at += iv_bytes;
  }
  OPENSSL_cleanse(block, sizeof block);
  return done;
}

bool Hmac(Hash hash, std::span<const uint8_t> key, std::span<const uint8_t> data, uint8_t* out) {
  RONDO_CHECK(key.size() <= kSecretMax);
  const std::unique_ptr<EVP_MD_CTX, FreeDigest> context(EVP_MD_CTX_new());
  uint8_t inner[kSecretMax];
  const bool done = context != nullptr && Pass(context.get(), hash, key, 0x36, data, inner) &&
                    Pass(context.get(), hash, key, 0x5c, {inner, HashBytes(hash)}, out);
  OPENSSL_cleanse(inner, sizeof inner);
  return done;
}

}  // namespace rondo::tls
