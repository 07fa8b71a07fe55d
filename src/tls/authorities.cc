#include "tls/authorities.h"

#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "rondo/tls/certificate.h"

namespace rondo::tls {
namespace {

absl::StatusOr<std::vector<UniqueX509>> AuthoritiesOf(std::string_view pem) {
  absl::StatusOr<std::vector<PemBlock>> blocks = ReadPem(pem);
  if (!blocks.ok()) return blocks.status();
  std::vector<UniqueX509> authorities;
  for (const PemBlock& block : *blocks) {
    // Lists of authorities come in all three forms.
    if (block.label != PEM_STRING_X509 && block.label != PEM_STRING_X509_OLD) continue;
    UniqueX509 certificate = CertificateFromDer(block.der);
    if (certificate == nullptr || X509_get0_pubkey(certificate.get()) == nullptr) {
      return Wrong("certificate " + std::to_string(authorities.size() + 1) +
                   " is broken: " + TakeOpensslError());
    }
    authorities.push_back(std::move(certificate));
  }
  if (authorities.empty()) return Wrong("no certificate was found (BEGIN CERTIFICATE)");
  return authorities;
}

absl::StatusOr<std::vector<std::string>> ListsOf(std::string_view pem) {
  absl::StatusOr<std::vector<PemBlock>> blocks = ReadPem(pem);
  if (!blocks.ok()) return blocks.status();
  std::vector<std::string> lists;
  for (PemBlock& block : *blocks) {
    if (block.label != PEM_STRING_X509_CRL) continue;
    if (RevocationListFromDer(block.der) == nullptr) {
      return Wrong("revocation list " + std::to_string(lists.size() + 1) +
                   " is broken: " + TakeOpensslError());
    }
    lists.push_back(std::move(block.der));
  }
  if (lists.empty()) return Wrong("no revocation list was found (BEGIN X509 CRL)");
  return lists;
}

int64_t FirstEnd(const std::vector<std::string>& lists) {
  int64_t first = 0;
  for (const std::string& der : lists) {
    const UniqueCrl list = RevocationListFromDer(der);
    const ASN1_TIME* next = list == nullptr ? nullptr : X509_CRL_get0_nextUpdate(list.get());
    if (next == nullptr) continue;
    const int64_t end = SecondsOf(next);
    if (first == 0 || end < first) first = end;
  }
  return first;
}

bool HasItsIssuer(X509* certificate, const std::vector<UniqueX509>& all) {
  return std::any_of(all.begin(), all.end(), [&](const UniqueX509& issuer) {
    return X509_NAME_cmp(X509_get_issuer_name(certificate), X509_get_subject_name(issuer.get())) ==
           0;
  });
}

// An authority that is trusted for standing in the file needs no list that vouches for it.
int JudgeRevocation(int ok, X509_STORE_CTX* context) {
  if (ok != 0) return ok;
  const int error = X509_STORE_CTX_get_error(context);
  if (error != X509_V_ERR_UNABLE_TO_GET_CRL && error != X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER) {
    return ok;
  }
  const int last = sk_X509_num(X509_STORE_CTX_get0_chain(context)) - 1;
  if (last == 0 || X509_STORE_CTX_get_error_depth(context) != last) return ok;
  X509_STORE_CTX_set_error(context, X509_V_OK);
  return 1;
}

}  // namespace

absl::StatusOr<size_t> CheckAuthorities(std::string_view pem) {
  absl::StatusOr<std::vector<UniqueX509>> authorities = AuthoritiesOf(pem);
  ForgetOpensslErrors();
  if (!authorities.ok()) return authorities.status();
  return authorities->size();
}

absl::StatusOr<size_t> CheckRevocationLists(std::string_view pem) {
  absl::StatusOr<std::vector<std::string>> lists = ListsOf(pem);
  ForgetOpensslErrors();
  if (!lists.ok()) return lists.status();
  return lists->size();
}

absl::StatusOr<Authorities> ReadAuthorities(std::string_view ca, std::string_view crl) {
  absl::StatusOr<std::vector<UniqueX509>> certificates = AuthoritiesOf(ca);
  ForgetOpensslErrors();
  if (!certificates.ok()) return certificates.status();
  Authorities authorities;
  for (const UniqueX509& certificate : *certificates) {
    authorities.certificates.push_back(DerOf(certificate.get()));
    if (!HasItsIssuer(certificate.get(), *certificates)) authorities.partial = true;
  }
  if (crl.empty()) return authorities;
  absl::StatusOr<std::vector<std::string>> lists = ListsOf(crl);
  ForgetOpensslErrors();
  if (!lists.ok()) return lists.status();
  authorities.revocation_lists = *std::move(lists);
  authorities.lists_end = FirstEnd(authorities.revocation_lists);
  return authorities;
}

UniqueStore MakeStore(const Authorities& authorities, OSSL_LIB_CTX* library) {
  UniqueStore store(X509_STORE_new());
  if (store == nullptr) return nullptr;
  for (const std::string& der : authorities.certificates) {
    const UniqueX509 certificate = CertificateFromDer(der, library);
    if (certificate == nullptr || X509_STORE_add_cert(store.get(), certificate.get()) != 1) {
      return nullptr;
    }
  }
  for (const std::string& der : authorities.revocation_lists) {
    const UniqueCrl list = RevocationListFromDer(der, library);
    if (list == nullptr || X509_STORE_add_crl(store.get(), list.get()) != 1) return nullptr;
  }
  unsigned long flags = 0;
  if (authorities.partial) flags |= X509_V_FLAG_PARTIAL_CHAIN;
  if (!authorities.revocation_lists.empty()) {
    flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL;
    X509_STORE_set_verify_cb(store.get(), JudgeRevocation);
  }
  if (flags != 0 && X509_STORE_set_flags(store.get(), flags) != 1) return nullptr;
  return store;
}

}  // namespace rondo::tls
