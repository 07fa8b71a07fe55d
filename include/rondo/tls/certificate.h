// Certificates and keys as files bring them: parsed, checked against each other, and what people
// ask of them. Pure: bytes in (the caller reads the files), values out. Immutable after making; any
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace rondo::tls {

// A certificate chain and its private key.
class KeyPair {
 public:
  enum class Kind : uint8_t { kEcdsa, kRsa, kEd25519 };

  // `chain`: PEM, the leaf first, then intermediates in order (one too many or out of order is an
  // error that says which); a self-signed authority at the end is taken and not sent. `key`: PEM,
  // unencrypted; both may be the same text. Errors say what is wrong: no certificate, broken
  // base64, an encrypted key, a key that is not this certificate's, an RSA key under 2048 bits, an
  // unsupported kind of key, a signature with SHA-1. Dates are no error: see not_after().
  static absl::StatusOr<std::shared_ptr<const KeyPair>> Parse(std::string_view chain,
                                                              std::string_view key);
  virtual ~KeyPair() = default;

  virtual Kind kind() const = 0;
  // DNS names of the leaf in lower case ("*.example.com" as such), the common name only where there
  // are no alternative names. Addresses as text. Names that no host can have are left out.
  virtual const std::vector<std::string>& names() const = 0;
  virtual const std::string& subject() const = 0;
  virtual const std::string& fingerprint()
      const = 0;                           // SHA-256 of the leaf, lower-case hexadecimal
  virtual int64_t not_before() const = 0;  // seconds since 1970
  virtual int64_t not_after() const = 0;
  // A stapled answer (DER, RFC 6960) for this leaf: an error where it is not one, is for another
  // certificate, does not know it, or says "revoked". nextUpdate in seconds since 1970 (0: it has
  // none); it may be past: such an answer is kept back from clients. Who signed it is not verified.
  virtual absl::StatusOr<int64_t> CheckOcsp(std::string_view der) const = 0;
};

// PEM texts of certificate authorities and revocation lists: how many; an error where there is none
// or one is broken.
absl::StatusOr<size_t> CheckAuthorities(std::string_view pem);
absl::StatusOr<size_t> CheckRevocationLists(std::string_view pem);

}  // namespace rondo::tls
