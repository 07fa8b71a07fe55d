// PEM texts, block by block, with errors that say which block is wrong. Private to tls/.
#pragma once

#include <openssl/pem.h>
#include <openssl/x509.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tls/contexts.h"

namespace rondo::tls {

using UniqueX509 = std::unique_ptr<X509, FreeWith<X509_free>>;
using UniqueCrl = std::unique_ptr<X509_CRL, FreeWith<X509_CRL_free>>;
using UniqueKey = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;
using UniqueBio = std::unique_ptr<BIO, FreeWith<BIO_free>>;

// No file of ours is longer, and none has more blocks.
inline constexpr size_t kPemBytesMax = size_t{8} * 1024 * 1024;
inline constexpr size_t kPemBlocksMax = 16384;

struct PemBlock {
  std::string label;       // "CERTIFICATE"
  std::string der;         // wiped at the end of its life: it may be a key
  bool encrypted = false;  // the old way, by a header in the block
  PemBlock() = default;
  PemBlock(PemBlock&&) = default;
  PemBlock& operator=(PemBlock&&) = default;
  ~PemBlock();
};

// Every block of `text`. What stands between blocks is passed over, as everybody does. An error
// where a block is cut off or is not base64.
absl::StatusOr<std::vector<PemBlock>> ReadPem(std::string_view text);

// From DER, with nothing behind it; in `library` (null: the process's own). null: it is not one.
UniqueX509 CertificateFromDer(std::string_view der, OSSL_LIB_CTX* library = nullptr);
UniqueCrl RevocationListFromDer(std::string_view der, OSSL_LIB_CTX* library = nullptr);
// `type` (EVP_PKEY_RSA and the like): much faster where it is known.
UniqueKey KeyFromDer(std::string_view der, OSSL_LIB_CTX* library = nullptr,
                     int type = EVP_PKEY_NONE);

std::string DerOf(const X509* certificate);
// RFC 2253, ASCII.
std::string NameText(const X509_NAME* name);
// SHA-256 of the certificate: lower-case hexadecimal.
std::string FingerprintOf(const X509* certificate);
// Seconds since 1970; 0 where it cannot be read.
int64_t SecondsOf(const ASN1_TIME* time);

// What OpenSSL says went wrong last on this thread, in its words; its queue is empty afterwards.
std::string TakeOpensslError();
void ForgetOpensslErrors();

inline absl::Status Wrong(std::string_view what) {
  return absl::InvalidArgumentError(absl::string_view(what.data(), what.size()));
}

}  // namespace rondo::tls
