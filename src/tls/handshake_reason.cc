#include "tls/handshake_reason.h"

#include <openssl/err.h>
#include <openssl/x509_vfy.h>

namespace rondo::tls {
namespace {

constexpr int kHandshakeRecord = 22;
constexpr int kAlertRecord = 21;

const char* OfVerification(const SSL* ssl) {
  if (SSL_is_server(ssl) == 1) return "client_certificate_bad";
  switch (SSL_get_verify_result(ssl)) {
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "name_mismatch";
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return "expired";
    default:
      return "bad_certificate";
  }
}

const char* OfOpenssl(const SSL* ssl, int reason) {
  // Alerts of the peer are numbered from here on.
  if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) return "peer_alert";
  switch (reason) {
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_GROUPS:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
    case SSL_R_NO_SHARED_SIGNATURE_ALGORITHMS:
      return "no_shared_cipher";
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_VERSION_TOO_HIGH:
    case SSL_R_WRONG_SSL_VERSION:
    case SSL_R_UNSUPPORTED_SSL_VERSION:
    case SSL_R_INAPPROPRIATE_FALLBACK:
      return "unsupported_version";
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
      return "not_tls";
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
      return "client_certificate_missing";
    case SSL_R_CERTIFICATE_VERIFY_FAILED:
      return OfVerification(ssl);
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return "no_application_protocol";
    default:
      return "protocol";
  }
}

}  // namespace

const char* TakeReason(const SSL* ssl, int first_byte, std::string* detail) {
  const unsigned long error = ERR_get_error();
  ERR_clear_error();
  const int reason = ERR_GET_REASON(error);
  const char* const text = error == 0 ? nullptr : ERR_reason_error_string(error);
  *detail = text == nullptr ? "the handshake went wrong" : text;
  if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED) {
    *detail += ": ";
    *detail += X509_verify_cert_error_string(SSL_get_verify_result(ssl));
  }
  // A ClientHello in SSL 2's clothes has its first bit set, and is judged by its version.
  const bool record = first_byte == kHandshakeRecord || first_byte == kAlertRecord;
  if (first_byte >= 0 && first_byte < 0x80 && !record) return "not_tls";
  return OfOpenssl(ssl, reason);
}

}  // namespace rondo::tls
