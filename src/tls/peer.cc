// What a finished handshake says about the client.
#include <openssl/bn.h>
#include <openssl/x509.h>

#include <ctime>

#include "tls/contexts.h"
#include "tls/names.h"
#include "tls/pem.h"

namespace rondo::tls {
namespace {

std::string SerialText(const ASN1_INTEGER* serial) {
  const std::unique_ptr<BIGNUM, FreeWith<BN_free>> number(ASN1_INTEGER_to_BN(serial, nullptr));
  if (number == nullptr) return {};
  char* text = BN_bn2hex(number.get());
  if (text == nullptr) return {};
  std::string made = text;
  OPENSSL_free(text);
  return made;
}

std::string Rfc3339(const ASN1_TIME* time) {
  tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return {};
  char text[32];
  const size_t size = std::strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
  return std::string(text, size);
}

}  // namespace

std::string RequestedName(const SSL* ssl) {
  const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? std::string() : HostName(name);
}

std::unique_ptr<ClientCertificate> DescribeClient(const SSL* ssl) {
  const X509* certificate = SSL_get0_peer_certificate(ssl);
  if (certificate == nullptr || SSL_get_verify_result(ssl) != X509_V_OK) return nullptr;
  auto described = std::make_unique<ClientCertificate>();
  described->subject = NameText(X509_get_subject_name(certificate));
  described->issuer = NameText(X509_get_issuer_name(certificate));
  described->serial = SerialText(X509_get0_serialNumber(certificate));
  described->fingerprint = FingerprintOf(certificate);
  described->not_after = Rfc3339(X509_get0_notAfter(certificate));
  ForgetOpensslErrors();
  return described;
}

}  // namespace rondo::tls
