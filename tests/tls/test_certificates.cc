#include "tls/test_certificates.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include <utility>

#include "rondo/base/check.h"

namespace rondo::tls {
namespace {

template <class T, void (*kFree)(T*)>
struct Free {
  void operator()(T* object) const { kFree(object); }
};
template <class T, void (*kFree)(T*)>
using Unique = std::unique_ptr<T, Free<T, kFree>>;
void FreeBio(BIO* bio) { BIO_free(bio); }
using UniqueBio = Unique<BIO, FreeBio>;
using UniqueX509 = Unique<X509, X509_free>;

std::shared_ptr<EVP_PKEY> MakeKey(TestKey kind) {
  EVP_PKEY* key = nullptr;
  switch (kind) {
    case TestKey::kEcdsa:
      key = EVP_EC_gen("P-256");
      break;
    case TestKey::kEcdsa384:
      key = EVP_EC_gen("P-384");
      break;
    case TestKey::kRsa:
      key = EVP_RSA_gen(2048);
      break;
    case TestKey::kEd25519:
      key = EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
      break;
    case TestKey::kRsa1024:
      key = EVP_RSA_gen(1024);
      break;
    case TestKey::kEcdsaSecp256k1:
      key = EVP_EC_gen("secp256k1");
      break;
  }
  RONDO_CHECK(key != nullptr);
  return {key, EVP_PKEY_free};
}

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return std::string(data, static_cast<size_t>(size));
}

UniqueBio Memory() { return UniqueBio(BIO_new(BIO_s_mem())); }
UniqueBio Reading(std::string_view text) {
  return UniqueBio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string CertificatePem(X509* certificate) {
  UniqueBio bio = Memory();
  RONDO_CHECK(PEM_write_bio_X509(bio.get(), certificate) == 1);
  return Text(bio.get());
}

UniqueX509 LeafOf(std::string_view pem) {
  UniqueX509 leaf(PEM_read_bio_X509(Reading(pem).get(), nullptr, nullptr, nullptr));
  RONDO_CHECK(leaf != nullptr);
  return leaf;
}

std::shared_ptr<EVP_PKEY> KeyOf(const TestPair& pair) {
  EVP_PKEY* key = PEM_read_bio_PrivateKey(Reading(pair.key).get(), nullptr, nullptr, nullptr);
  RONDO_CHECK(key != nullptr);
  return {key, EVP_PKEY_free};
}

void SetName(X509_NAME* name, const std::string& common_name) {
  const auto* bytes = reinterpret_cast<const unsigned char*>(common_name.data());
  RONDO_CHECK(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, bytes,
                                         static_cast<int>(common_name.size()), -1, 0) == 1);
}

void AddExtension(X509* certificate, X509* issuer, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
  RONDO_CHECK(extension != nullptr && X509_add_ext(certificate, extension, -1) == 1);
  X509_EXTENSION_free(extension);
}

bool IsAddress(const std::string& name) {
  in6_addr address{};
  return inet_pton(AF_INET, name.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, name.c_str(), &address) == 1;
}

std::string AlternativeNames(const std::vector<std::string>& names) {
  std::string value;
  for (const std::string& name : names) {
    if (!value.empty()) value += ",";
    value += (IsAddress(name) ? "IP:" : "DNS:") + name;
  }
  return value;
}

UniqueX509 NewCertificate(EVP_PKEY* key, const std::string& common_name, int64_t not_before,
                          int64_t not_after) {
  UniqueX509 made(X509_new());
  RONDO_CHECK(made != nullptr && X509_set_version(made.get(), 2) == 1);
  uint64_t serial = 0;
  RONDO_CHECK(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof(serial)) == 1);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(made.get()), (serial >> 1) | 1);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), static_cast<long>(not_before));
  X509_gmtime_adj(X509_getm_notAfter(made.get()), static_cast<long>(not_after));
  SetName(X509_get_subject_name(made.get()), common_name);
  X509_set_pubkey(made.get(), key);
  return made;
}

// Ed25519 has its digest within.
const EVP_MD* DigestFor(EVP_PKEY* key) {
  return EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? nullptr : EVP_sha256();
}

void Sign(X509* certificate, EVP_PKEY* key) {
  RONDO_CHECK(X509_sign(certificate, key, DigestFor(key)) > 0);
}

}  // namespace

TestAuthority::TestAuthority(std::string name, TestKey key)
    : TestAuthority(std::move(name), key, nullptr) {}

TestAuthority TestAuthority::Intermediate(std::string name) const {
  return TestAuthority(std::move(name), TestKey::kEcdsa, this);
}

TestAuthority::TestAuthority(std::string name, TestKey key, const TestAuthority* issuer)
    : key_(MakeKey(key)) {
  constexpr int64_t kYear = 365 * 24 * 3600;
  UniqueX509 made = NewCertificate(key_.get(), name, -3600, kYear);
  X509* signer = issuer == nullptr ? made.get() : issuer->certificate_.get();
  X509_set_issuer_name(made.get(), X509_get_subject_name(signer));
  AddExtension(made.get(), signer, NID_basic_constraints, "critical,CA:TRUE");
  AddExtension(made.get(), signer, NID_key_usage, "critical,keyCertSign,cRLSign,digitalSignature");
  AddExtension(made.get(), signer, NID_subject_key_identifier, "hash");
  AddExtension(made.get(), signer, NID_authority_key_identifier, "keyid");
  Sign(made.get(), issuer == nullptr ? key_.get() : issuer->key_.get());
  pem_ = CertificatePem(made.get());
  if (issuer != nullptr) behind_leaves_ = pem_ + issuer->behind_leaves_;
  certificate_ = {made.release(), X509_free};
}

TestPair TestAuthority::Issue(const LeafOptions& options) const {
  const std::shared_ptr<EVP_PKEY> key = MakeKey(options.key);
  const std::string common_name =
      options.common_name.empty() ? options.names.front() : options.common_name;
  UniqueX509 made = NewCertificate(key.get(), common_name, options.not_before, options.not_after);
  X509_set_issuer_name(made.get(), X509_get_subject_name(certificate_.get()));
  AddExtension(made.get(), certificate_.get(), NID_basic_constraints, "critical,CA:FALSE");
  AddExtension(made.get(), certificate_.get(), NID_key_usage, "critical,digitalSignature");
  AddExtension(made.get(), certificate_.get(), NID_ext_key_usage,
               options.for_client ? "clientAuth" : "serverAuth");
  AddExtension(made.get(), certificate_.get(), NID_subject_key_identifier, "hash");
  AddExtension(made.get(), certificate_.get(), NID_authority_key_identifier, "keyid");
  if (options.alternative_names && !options.names.empty()) {
    AddExtension(made.get(), certificate_.get(), NID_subject_alt_name,
                 AlternativeNames(options.names));
  }
  Sign(made.get(), key_.get());
  UniqueBio bio = Memory();
  RONDO_CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr,
                                            nullptr) == 1);
  return {CertificatePem(made.get()) + behind_leaves_, Text(bio.get())};
}

TestPair TestAuthority::Issue(std::string_view name, TestKey key) const {
  LeafOptions options;
  options.names = {std::string(name)};
  options.key = key;
  return Issue(options);
}

TestPair TestAuthority::IssueForClient(std::string_view common_name, TestKey key) const {
  LeafOptions options;
  options.names.clear();
  options.common_name = std::string(common_name);
  options.key = key;
  options.for_client = true;
  return Issue(options);
}

std::string TestAuthority::Crl(std::initializer_list<std::string_view> revoked,
                               int64_t next_update) const {
  Unique<X509_CRL, X509_CRL_free> crl(X509_CRL_new());
  RONDO_CHECK(X509_CRL_set_version(crl.get(), 1) == 1);
  RONDO_CHECK(X509_CRL_set_issuer_name(crl.get(), X509_get_subject_name(certificate_.get())) == 1);
  Unique<ASN1_TIME, ASN1_TIME_free> last(X509_gmtime_adj(nullptr, -7200));
  Unique<ASN1_TIME, ASN1_TIME_free> next(X509_gmtime_adj(nullptr, static_cast<long>(next_update)));
  X509_CRL_set1_lastUpdate(crl.get(), last.get());
  X509_CRL_set1_nextUpdate(crl.get(), next.get());
  for (const std::string_view cert : revoked) {
    X509_REVOKED* entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(LeafOf(cert).get()));
    X509_REVOKED_set_revocationDate(entry, last.get());
    RONDO_CHECK(X509_CRL_add0_revoked(crl.get(), entry) == 1);
  }
  X509_CRL_sort(crl.get());
  RONDO_CHECK(X509_CRL_sign(crl.get(), key_.get(), DigestFor(key_.get())) > 0);
  UniqueBio bio = Memory();
  RONDO_CHECK(PEM_write_bio_X509_CRL(bio.get(), crl.get()) == 1);
  return Text(bio.get());
}

std::string TestAuthority::Ocsp(const TestPair& pair, TestOcsp status, int64_t next_update) const {
  const UniqueX509 leaf = LeafOf(pair.cert);
  Unique<OCSP_BASICRESP, OCSP_BASICRESP_free> basic(OCSP_BASICRESP_new());
  OCSP_CERTID* id = OCSP_cert_to_id(EVP_sha1(), leaf.get(), certificate_.get());
  Unique<ASN1_TIME, ASN1_TIME_free> this_update(X509_gmtime_adj(nullptr, -7200));
  Unique<ASN1_TIME, ASN1_TIME_free> next(
      next_update == 0 ? nullptr : X509_gmtime_adj(nullptr, static_cast<long>(next_update)));
  int said = V_OCSP_CERTSTATUS_GOOD;
  if (status == TestOcsp::kRevoked) said = V_OCSP_CERTSTATUS_REVOKED;
  if (status == TestOcsp::kUnknown) said = V_OCSP_CERTSTATUS_UNKNOWN;
  const bool revoked = status == TestOcsp::kRevoked;
  RONDO_CHECK(OCSP_basic_add1_status(basic.get(), id, said, OCSP_REVOKED_STATUS_KEYCOMPROMISE,
                                     revoked ? this_update.get() : nullptr, this_update.get(),
                                     next.get()) != nullptr);
  OCSP_CERTID_free(id);
  RONDO_CHECK(OCSP_basic_sign(basic.get(), certificate_.get(), key_.get(), DigestFor(key_.get()),
                              nullptr, OCSP_NOCERTS) == 1);
  Unique<OCSP_RESPONSE, OCSP_RESPONSE_free> answer(
      OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic.get()));
  unsigned char* der = nullptr;
  const int size = i2d_OCSP_RESPONSE(answer.get(), &der);
  RONDO_CHECK(size > 0);
  std::string text(reinterpret_cast<char*>(der), static_cast<size_t>(size));
  OPENSSL_free(der);
  return text;
}

std::string EncryptedKey(const TestPair& pair, const char* password) {
  UniqueBio bio = Memory();
  RONDO_CHECK(PEM_write_bio_PKCS8PrivateKey(bio.get(), KeyOf(pair).get(), EVP_aes_128_cbc(),
                                            nullptr, 0, nullptr, const_cast<char*>(password)) == 1);
  return Text(bio.get());
}

std::string TraditionalKey(const TestPair& pair) {
  UniqueBio bio = Memory();
  RONDO_CHECK(PEM_write_bio_PrivateKey_traditional(bio.get(), KeyOf(pair).get(), nullptr, nullptr,
                                                   0, nullptr, nullptr) == 1);
  return Text(bio.get());
}

std::string LeafOnly(const TestPair& pair) { return CertificatePem(LeafOf(pair.cert).get()); }

}  // namespace rondo::tls
