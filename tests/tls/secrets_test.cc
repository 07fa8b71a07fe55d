#include "tls/secrets.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <cstring>
#include <string>
#include <vector>

#include "tls/hex.h"

namespace rondo::tls {
namespace {

std::span<const uint8_t> Bytes(const std::string& text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

std::string Counting(size_t size, int from) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(from + static_cast<int>(i) * 7);
  return text;
}

TEST(Secrets, HmacIsThatOfOpenssl) {
  for (const Hash hash : {Hash::kSha256, Hash::kSha384}) {
    for (size_t key = 1; key <= kSecretMax; ++key) {
      for (const size_t size : {0u, 1u, 13u, 55u, 64u, 111u, 128u, 192u}) {
        const std::string secret = Counting(key, 3);
        const std::string data = Counting(size, 9);
        uint8_t ours[kSecretMax];
        ASSERT_TRUE(Hmac(hash, Bytes(secret), Bytes(data), ours));
        uint8_t theirs[64];
        unsigned bytes = 0;
        HMAC(hash == Hash::kSha256 ? EVP_sha256() : EVP_sha384(), secret.data(),
             static_cast<int>(key), Bytes(data).data(), size, theirs, &bytes);
        EXPECT_EQ(ToHex(ours, HashBytes(hash)), ToHex(theirs, bytes));
      }
    }
  }
}

// RFC 8448 §3, the application traffic keys of both sides.
TEST(Secrets, KeysOfTrafficSecretsAreThoseOfTheRfc) {
  const struct {
    const char* secret;
    const char* key;
    const char* iv;
  } cases[] = {
      {"9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
       "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9"},
      {"a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
       "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984"},
  };
  for (const auto& test : cases) {
    TrafficKeys keys;
    const std::string secret = FromHex(test.secret);
    std::memcpy(keys.secret.data(), secret.data(), secret.size());
    keys.sequence = 5;
    const Suite suite{Version::kTls13, Aead::kAes128Gcm, Hash::kSha256};
    ASSERT_TRUE(DeriveKeys(suite, keys));
    EXPECT_EQ(ToHex(keys.key.data(), 16), test.key);
    EXPECT_EQ(ToHex(keys.iv.data(), keys.iv.size()), test.iv);
    EXPECT_EQ(keys.sequence, 0u);
  }
}

std::string OpensslExpand(const char* digest, const std::string& secret, const char* label,
                          size_t size) {
  EVP_KDF* const kdf = EVP_KDF_fetch(nullptr, "TLS13-KDF", nullptr);
  EVP_KDF_CTX* const context = EVP_KDF_CTX_new(kdf);
  EVP_KDF_free(kdf);
  int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
  std::string prefix = "tls13 ";
  std::string key = secret;
  std::string name = label;
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, const_cast<char*>(digest), 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key.data(), key.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, prefix.data(), prefix.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, name.data(), name.size()),
      OSSL_PARAM_construct_end()};
  std::string out(size, '\0');
  EXPECT_EQ(EVP_KDF_derive(context, reinterpret_cast<uint8_t*>(out.data()), size, parameters), 1);
  EVP_KDF_CTX_free(context);
  return out;
}

TEST(Secrets, AKeyUpdateLeadsToTheSecretThatOpensslWouldDerive) {
  for (const Aead aead : {Aead::kAes128Gcm, Aead::kAes256Gcm, Aead::kChaCha20Poly1305}) {
    const Suite suite{Version::kTls13, aead,
                      aead == Aead::kAes256Gcm ? Hash::kSha384 : Hash::kSha256};
    const char* const digest = suite.hash == Hash::kSha256 ? "SHA256" : "SHA384";
    std::string secret = Counting(HashBytes(suite.hash), 1);
    TrafficKeys keys;
    std::memcpy(keys.secret.data(), secret.data(), secret.size());
    for (int update = 0; update < 3; ++update) {
      keys.sequence = 77;
      ASSERT_TRUE(AdvanceKeys(suite, keys));
      secret = OpensslExpand(digest, secret, "traffic upd", secret.size());
      EXPECT_EQ(ToHex(keys.secret.data(), secret.size()), ToHex(secret.data(), secret.size()));
      const std::string key = OpensslExpand(digest, secret, "key", KeyBytes(aead));
      EXPECT_EQ(ToHex(keys.key.data(), key.size()), ToHex(key.data(), key.size()));
      const std::string iv = OpensslExpand(digest, secret, "iv", kIvBytes);
      EXPECT_EQ(ToHex(keys.iv.data(), iv.size()), ToHex(iv.data(), iv.size()));
      EXPECT_EQ(keys.sequence, 0u);
    }
  }
}

std::string OpensslKeyBlock(const char* digest, std::string master, const std::string& client,
                            const std::string& server, size_t size) {
  EVP_KDF* const kdf = EVP_KDF_fetch(nullptr, "TLS1-PRF", nullptr);
  EVP_KDF_CTX* const context = EVP_KDF_CTX_new(kdf);
  EVP_KDF_free(kdf);
  std::string seed = "key expansion" + server + client;
  const OSSL_PARAM parameters[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, const_cast<char*>(digest), 0),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SECRET, master.data(), master.size()),
      OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, seed.data(), seed.size()),
      OSSL_PARAM_construct_end()};
  std::string out(size, '\0');
  EXPECT_EQ(EVP_KDF_derive(context, reinterpret_cast<uint8_t*>(out.data()), size, parameters), 1);
  EVP_KDF_CTX_free(context);
  return out;
}

TEST(Secrets, AKeyBlockOfTls12IsThatOfOpenssl) {
  for (const Aead aead : {Aead::kAes128Gcm, Aead::kAes256Gcm, Aead::kChaCha20Poly1305}) {
    const Suite suite{Version::kTls12, aead,
                      aead == Aead::kAes256Gcm ? Hash::kSha384 : Hash::kSha256};
    const std::string master = Counting(48, 11);
    const std::string client_random = Counting(32, 17);
    const std::string server_random = Counting(32, 23);
    TrafficKeys client;
    TrafficKeys server;
    client.sequence = 4;
    ASSERT_TRUE(DeriveKeyBlock(suite, Bytes(master), Bytes(client_random).first<32>(),
                               Bytes(server_random).first<32>(), client, server));
    const size_t key = KeyBytes(aead);
    const size_t iv = aead == Aead::kChaCha20Poly1305 ? 12 : 4;
    const char* const digest = suite.hash == Hash::kSha256 ? "SHA256" : "SHA384";
    const std::string block =
        OpensslKeyBlock(digest, master, client_random, server_random, 2 * (key + iv));
    EXPECT_EQ(ToHex(client.key.data(), key) + ToHex(server.key.data(), key) +
                  ToHex(client.iv.data(), iv) + ToHex(server.iv.data(), iv),
              ToHex(block.data(), block.size()));
    EXPECT_EQ(client.sequence, 0u);
  }
}

}  // namespace
}  // namespace rondo::tls
