// Certificates for tests, made at run time: authorities, leaves of every kind, revocation lists and
// OCSP answers. Everything is returned as the text of the file it would stand in.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace rondo::tls {

enum class TestKey : uint8_t { kEcdsa, kEcdsa384, kRsa, kEd25519, kRsa1024, kEcdsaSecp256k1 };

struct TestPair {
  std::string cert;  // PEM: the leaf, then the intermediates
  std::string key;   // PEM, PKCS #8
};

struct LeafOptions {
  std::vector<std::string> names = {"localhost", "127.0.0.1"};  // DNS names and addresses
  std::string common_name;                                      // empty: the first name
  TestKey key = TestKey::kEcdsa;
  int64_t not_before = -3600;  // seconds from now
  int64_t not_after = 24 * 3600;
  bool for_client = false;
  bool alternative_names = true;  // false: the common name alone
};

enum class TestOcsp : uint8_t { kGood, kRevoked, kUnknown };

// A certificate authority. Leaves of an intermediate carry it behind them.
class TestAuthority {
 public:
  explicit TestAuthority(std::string name = "Test Root", TestKey key = TestKey::kEcdsa);
  TestAuthority Intermediate(std::string name) const;

  const std::string& pem() const { return pem_; }  // its own certificate alone

  TestPair Issue(const LeafOptions& options) const;
  TestPair Issue(std::string_view name, TestKey key = TestKey::kEcdsa) const;
  TestPair IssueForClient(std::string_view common_name, TestKey key = TestKey::kEcdsa) const;

  // A revocation list (PEM) of the leaves in `revoked`; `next_update`: seconds from now.
  std::string Crl(std::initializer_list<std::string_view> revoked,
                  int64_t next_update = 3600) const;
  // An OCSP answer (DER) about the leaf of `pair`; `next_update`: seconds from now, 0: none.
  std::string Ocsp(const TestPair& pair, TestOcsp status = TestOcsp::kGood,
                   int64_t next_update = 3600) const;

 private:
  TestAuthority(std::string name, TestKey key, const TestAuthority* issuer);

  std::shared_ptr<EVP_PKEY> key_;
  std::shared_ptr<X509> certificate_;
  std::string pem_;
  std::string behind_leaves_;  // PEM of the intermediates, this one first; empty for a root
};

// The key of `pair` sealed with a password, as PEM.
std::string EncryptedKey(const TestPair& pair, const char* password);
// The key in its kind's traditional form ("BEGIN RSA PRIVATE KEY").
std::string TraditionalKey(const TestPair& pair);
// The leaf alone, as PEM.
std::string LeafOnly(const TestPair& pair);

}  // namespace rondo::tls
