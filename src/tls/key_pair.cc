#include "tls/key_pair.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509v3.h>

#include <optional>
#include <utility>

#include "tls/names.h"

namespace rondo::tls {
namespace {

constexpr int kRsaBitsMin = 2048;
constexpr int kRsaBitsMax = 16384;
// What OpenSSL's security level 2 asks of a signature: SHA-224 or better.
constexpr int kSignatureBitsMin = 112;
constexpr size_t kChainMax = 16;

std::string Quoted(const X509* certificate) {
  return "\"" + NameText(X509_get_subject_name(certificate)) + "\"";
}

std::string Certificate(size_t number) { return "certificate " + std::to_string(number); }

bool IsSelfSigned(X509* certificate) {
  return X509_check_issued(certificate, certificate) == X509_V_OK &&
         X509_verify(certificate, X509_get0_pubkey(certificate)) == 1;
}

absl::StatusOr<std::vector<UniqueX509>> CertificatesOf(std::string_view pem) {
  absl::StatusOr<std::vector<PemBlock>> blocks = ReadPem(pem);
  if (!blocks.ok()) return blocks.status();
  std::vector<UniqueX509> certificates;
  for (const PemBlock& block : *blocks) {
    if (block.label == PEM_STRING_X509_TRUSTED) {
      return Wrong("a TRUSTED CERTIFICATE block is OpenSSL's own form; CERTIFICATE was expected");
    }
    // A key, or a curve's name, may stand in the same file.
    if (block.label != PEM_STRING_X509 && block.label != PEM_STRING_X509_OLD) continue;
    UniqueX509 certificate = CertificateFromDer(block.der);
    if (certificate == nullptr || X509_get0_pubkey(certificate.get()) == nullptr) {
      return Wrong(Certificate(certificates.size() + 1) + " is broken: " + TakeOpensslError());
    }
    if (certificates.size() == kChainMax) return Wrong("the chain has more than 16 certificates");
    certificates.push_back(std::move(certificate));
  }
  if (certificates.empty()) return Wrong("no certificate was found (BEGIN CERTIFICATE)");
  return certificates;
}

absl::Status CheckOrder(const std::vector<UniqueX509>& chain) {
  for (size_t i = 0; i + 1 < chain.size(); ++i) {
    X509* certificate = chain[i].get();
    X509* issuer = chain[i + 1].get();
    if (X509_cmp(certificate, issuer) == 0) {
      return Wrong(Certificate(i + 2) +
                   " of the chain is the same as the one before it: " + Quoted(issuer));
    }
    if (X509_check_issued(issuer, certificate) != X509_V_OK ||
        X509_verify(certificate, X509_get0_pubkey(issuer)) != 1) {
      ForgetOpensslErrors();
      return Wrong(Certificate(i + 2) + " of the chain, " + Quoted(issuer) +
                   ", did not issue the one before it, " + Quoted(certificate) +
                   ": the leaf comes first, then the issuer of each");
    }
  }
  return absl::OkStatus();
}

// The kind of a key that we serve; what is wrong with it otherwise.
absl::StatusOr<KeyPair::Kind> KindOf(EVP_PKEY* key) {
  if (EVP_PKEY_is_a(key, "RSA")) {
    const int bits = EVP_PKEY_get_bits(key);
    if (bits < kRsaBitsMin || bits > kRsaBitsMax) {
      return Wrong("an RSA key of " + std::to_string(bits) + " bits; 2048 to 16384 are taken");
    }
    return KeyPair::Kind::kRsa;
  }
  if (EVP_PKEY_is_a(key, "ED25519")) return KeyPair::Kind::kEd25519;
  if (EVP_PKEY_is_a(key, "EC")) {
    char group[64] = "";
    EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof(group), nullptr);
    const int nid = OBJ_txt2nid(group);
    if (nid == NID_X9_62_prime256v1 || nid == NID_secp384r1 || nid == NID_secp521r1) {
      return KeyPair::Kind::kEcdsa;
    }
    return Wrong("a key on the curve " + std::string(group) + "; P-256, P-384 and P-521 are taken");
  }
  const char* type = EVP_PKEY_get0_type_name(key);
  return Wrong("a key of the kind " + std::string(type == nullptr ? "unknown" : type) +
               "; ECDSA, RSA and Ed25519 are taken");
}

absl::Status CheckSignatures(const std::vector<UniqueX509>& chain) {
  for (size_t i = 0; i < chain.size(); ++i) {
    int digest = NID_undef;
    int bits = 0;
    const bool known =
        X509_get_signature_info(chain[i].get(), &digest, nullptr, &bits, nullptr) == 1;
    // Nobody looks at the signature of an authority of its own.
    if (known && bits >= kSignatureBitsMin) continue;
    if (IsSelfSigned(chain[i].get())) continue;
    ForgetOpensslErrors();
    const char* name = OBJ_nid2sn(digest);
    return Wrong(Certificate(i + 1) + " is signed with " +
                 (digest == NID_undef ? "an unknown digest" : name) + ", which clients refuse");
  }
  return absl::OkStatus();
}

bool IsKeyLabel(std::string_view label) {
  return label == PEM_STRING_PKCS8 || label == PEM_STRING_PKCS8INF ||
         label.ends_with(" PRIVATE KEY");
}

}  // namespace

ParsedPair::~ParsedPair() { OPENSSL_cleanse(key_.data(), key_.size()); }

absl::StatusOr<std::shared_ptr<const KeyPair>> KeyPair::Parse(std::string_view chain,
                                                              std::string_view key) {
  auto pair = std::make_shared<ParsedPair>();
  absl::Status status = pair->TakeChain(chain);
  if (status.ok()) status = pair->TakeKey(key);
  ForgetOpensslErrors();
  if (!status.ok()) return status;
  return pair;
}

UniqueKey ParsedPair::MakeKey(OSSL_LIB_CTX* library) const {
  int type = EVP_PKEY_NONE;
  switch (kind_) {
    case Kind::kEcdsa:
      type = EVP_PKEY_EC;
      break;
    case Kind::kRsa:
      type = EVP_PKEY_RSA;
      break;
    case Kind::kEd25519:
      type = EVP_PKEY_ED25519;
      break;
  }
  return KeyFromDer(key_, library, type);
}

absl::Status ParsedPair::TakeChain(std::string_view pem) {
  absl::StatusOr<std::vector<UniqueX509>> certificates = CertificatesOf(pem);
  if (!certificates.ok()) return certificates.status();
  absl::Status status = CheckOrder(*certificates);
  if (status.ok()) status = CheckSignatures(*certificates);
  if (!status.ok()) return status;
  if (certificates->size() > 1) issuer_ = DerOf((*certificates)[1].get());
  if (certificates->size() > 1 && IsSelfSigned(certificates->back().get())) {
    certificates->pop_back();
  }
  for (const UniqueX509& certificate : *certificates) chain_.push_back(DerOf(certificate.get()));
  return Describe(certificates->front().get());
}

absl::Status ParsedPair::Describe(X509* leaf) {
  absl::StatusOr<Kind> kind = KindOf(X509_get0_pubkey(leaf));
  if (!kind.ok()) return Wrong("the certificate has " + std::string(kind.status().message()));
  kind_ = *kind;
  names_ = NamesOf(leaf);
  subject_ = NameText(X509_get_subject_name(leaf));
  fingerprint_ = FingerprintOf(leaf);
  not_before_ = SecondsOf(X509_get0_notBefore(leaf));
  not_after_ = SecondsOf(X509_get0_notAfter(leaf));
  if (not_after_ == 0 || fingerprint_.empty()) return Wrong("the certificate's dates are broken");
  return absl::OkStatus();
}

absl::Status ParsedPair::TakeKey(std::string_view pem) {
  absl::StatusOr<std::vector<PemBlock>> blocks = ReadPem(pem);
  if (!blocks.ok()) return Wrong("the key: " + std::string(blocks.status().message()));
  const PemBlock* found = nullptr;
  for (const PemBlock& block : *blocks) {
    if (!IsKeyLabel(block.label)) continue;
    if (found != nullptr) return Wrong("more than one private key was found; one was expected");
    found = &block;
  }
  if (found == nullptr) return Wrong("no private key was found (BEGIN PRIVATE KEY)");
  if (found->encrypted || found->label == PEM_STRING_PKCS8) {
    return Wrong("the private key is encrypted; an unencrypted one was expected");
  }
  const UniqueKey key = KeyFromDer(found->der);
  if (key == nullptr) return Wrong("the private key is broken: " + TakeOpensslError());
  absl::StatusOr<Kind> kind = KindOf(key.get());
  if (!kind.ok()) return Wrong("the private key is " + std::string(kind.status().message()));
  const UniqueX509 leaf = CertificateFromDer(chain_.front());
  if (leaf == nullptr || X509_check_private_key(leaf.get(), key.get()) != 1) {
    return Wrong("the private key is not that of the certificate " +
                 (leaf == nullptr ? std::string() : Quoted(leaf.get())));
  }
  key_ = found->der;
  return absl::OkStatus();
}

}  // namespace rondo::tls
