// Whether an OCSP answer may be stapled to a certificate. Who signed it is for clients to judge:
// the authority's certificate may be nowhere here.
#include <openssl/ocsp.h>

#include <memory>

#include "tls/key_pair.h"

namespace rondo::tls {
namespace {

using UniqueAnswer = std::unique_ptr<OCSP_RESPONSE, FreeWith<OCSP_RESPONSE_free>>;
using UniqueBasic = std::unique_ptr<OCSP_BASICRESP, FreeWith<OCSP_BASICRESP_free>>;

// Whether `id` names `leaf`: by the serial number, the digest of its issuer's name and, where the
// issuer's certificate is here, that of its key.
bool Names(OCSP_CERTID* id, X509* leaf, X509* issuer) {
  ASN1_OCTET_STRING* name_digest = nullptr;
  ASN1_OCTET_STRING* key_digest = nullptr;
  ASN1_OBJECT* algorithm = nullptr;
  ASN1_INTEGER* serial = nullptr;
  if (OCSP_id_get0_info(&name_digest, &algorithm, &key_digest, &serial, id) != 1) return false;
  const EVP_MD* digest = EVP_get_digestbyobj(algorithm);
  if (digest == nullptr) return false;
  if (ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(leaf)) != 0) return false;
  const auto same = [](const ASN1_OCTET_STRING* text, const unsigned char* bytes, unsigned size) {
    return std::string_view(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                            static_cast<size_t>(ASN1_STRING_length(text))) ==
           std::string_view(reinterpret_cast<const char*>(bytes), size);
  };
  unsigned char computed[EVP_MAX_MD_SIZE];
  unsigned size = 0;
  if (X509_NAME_digest(X509_get_issuer_name(leaf), digest, computed, &size) != 1) return false;
  if (!same(name_digest, computed, size)) return false;
  if (issuer == nullptr) return true;
  const ASN1_BIT_STRING* key = X509_get0_pubkey_bitstr(issuer);
  return key != nullptr &&
         EVP_Digest(ASN1_STRING_get0_data(key), static_cast<size_t>(ASN1_STRING_length(key)),
                    computed, &size, digest, nullptr) == 1 &&
         same(key_digest, computed, size);
}

absl::StatusOr<UniqueBasic> BasicOf(std::string_view der) {
  const auto* begin = reinterpret_cast<const unsigned char*>(der.data());
  const unsigned char* end = begin;
  const UniqueAnswer answer(d2i_OCSP_RESPONSE(nullptr, &end, static_cast<long>(der.size())));
  if (answer == nullptr || end != begin + der.size()) {
    return Wrong("not an OCSP answer in DER (RFC 6960)");
  }
  const int status = OCSP_response_status(answer.get());
  if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL) {
    return Wrong("the OCSP answer is a refusal: " + std::string(OCSP_response_status_str(status)));
  }
  UniqueBasic basic(OCSP_response_get1_basic(answer.get()));
  if (basic == nullptr) return Wrong("the OCSP answer is not of the basic kind");
  return basic;
}

}  // namespace

absl::StatusOr<int64_t> ParsedPair::CheckOcsp(std::string_view der) const {
  absl::StatusOr<UniqueBasic> basic = BasicOf(der);
  const UniqueX509 leaf = CertificateFromDer(chain_.front());
  const UniqueX509 issuer = issuer_.empty() ? nullptr : CertificateFromDer(issuer_);
  ForgetOpensslErrors();
  if (!basic.ok()) return basic.status();
  for (int i = 0; i < OCSP_resp_count(basic->get()); ++i) {
    OCSP_SINGLERESP* single = OCSP_resp_get0(basic->get(), i);
    // The library's accessor takes what it does not change without const.
    auto* id = const_cast<OCSP_CERTID*>(OCSP_SINGLERESP_get0_id(single));
    if (!Names(id, leaf.get(), issuer.get())) continue;
    ASN1_GENERALIZEDTIME* next_update = nullptr;
    const int said = OCSP_single_get0_status(single, nullptr, nullptr, nullptr, &next_update);
    ForgetOpensslErrors();
    if (said == V_OCSP_CERTSTATUS_REVOKED) {
      return Wrong("the OCSP answer says that the certificate is revoked");
    }
    if (said != V_OCSP_CERTSTATUS_GOOD) {
      return Wrong("the OCSP answer does not know the certificate");
    }
    return SecondsOf(next_update);
  }
  ForgetOpensslErrors();
  return Wrong("the OCSP answer is about another certificate");
}

}  // namespace rondo::tls
