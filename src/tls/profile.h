// What is spoken, on both sides: Mozilla's intermediate profile without finite-field DHE, so that
// every cipher is an AEAD. Private to tls/.
#pragma once

#include <openssl/ssl.h>

namespace rondo::tls {

// The order is ours on the server's side. AES-128 first: 256 bits cost a third more and guard
// nothing that 128 do not.
inline constexpr char kServerCiphers12[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305";
// Backends may be old: key exchange without ECDHE is taken from them, but nothing else than AEADs.
inline constexpr char kClientCiphers12[] =
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
    "DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:AES128-GCM-SHA256:AES256-GCM-SHA384";
inline constexpr char kCiphers13[] =
    "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256";
inline constexpr char kGroups[] = "X25519:P-256:P-384";
// No SHA-1. ECDSA before RSA: where there are both, the cheaper signature is made.
inline constexpr char kSignatures[] =
    "ECDSA+SHA256:ed25519:ECDSA+SHA384:ECDSA+SHA512:"
    "rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
    "rsa_pss_pss_sha256:rsa_pss_pss_sha384:rsa_pss_pss_sha512:"
    "RSA+SHA256:RSA+SHA384:RSA+SHA512";

// Of a peer's chain: authorities between the leaf and the one that is trusted, and its bytes.
inline constexpr int kVerifyDepth = 8;
inline constexpr long kPeerChainBytesMax = 64 * 1024;

// What holds for both sides. false: out of memory.
inline bool ApplyProfile(SSL_CTX* context, const char* ciphers12) {
  // 112 bits and more: no short keys, no SHA-1 in chains.
  SSL_CTX_set_security_level(context, 2);
  SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  // Chains are sent as they were given: OpenSSL would look for the rest at every handshake.
  SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify_depth(context, kVerifyDepth);
  SSL_CTX_set_max_cert_list(context, kPeerChainBytesMax);
  return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
         SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
         SSL_CTX_set_cipher_list(context, ciphers12) == 1 &&
         SSL_CTX_set_ciphersuites(context, kCiphers13) == 1 &&
         SSL_CTX_set1_groups_list(context, kGroups) == 1 &&
         SSL_CTX_set1_sigalgs_list(context, kSignatures) == 1;
}

}  // namespace rondo::tls
