// Session tickets on a server's SSL_CTX: sealed and opened with TicketKeys, and taken only where
// they belong. Private to tls/.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>

#include "rondo/tls/ticket_keys.h"
#include "tls/contexts.h"

namespace rondo::tls {

class Tickets {
 public:
  // `keys` and the SSL_CTXs it serves: `keys` outlives it, and it outlives them. `library` is
  // theirs. `lists_end`: from when on a revocation list of clients is out of date, in seconds since
  // 1970; 0: never.
  Tickets(const TicketKeys& keys, OSSL_LIB_CTX* library, int64_t lists_end);

  // false: out of memory.
  bool Serve(SSL_CTX* context) const;

 private:
  enum class Opened : uint8_t { kFailed, kUnknown, kOlder, kNewest };

  // OpenSSL's callbacks; see SSL_CTX_set_tlsext_ticket_key_evp_cb(3).
  static int Key(SSL* ssl, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                 EVP_MAC_CTX* mac, int sealing);
  static int Make(SSL* ssl, void* self);
  static SSL_TICKET_RETURN Judge(SSL* ssl, SSL_SESSION* session, const unsigned char* name,
                                 size_t name_size, SSL_TICKET_STATUS status, void* self);

  bool MayResume(SSL* ssl, SSL_SESSION* session) const;
  int Seal(unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac) const;
  Opened Open(const unsigned char* name, const unsigned char* iv, EVP_CIPHER_CTX* cipher,
              EVP_MAC_CTX* mac) const;

  const TicketKeys& keys_;
  OSSL_LIB_CTX* library_;
  const int64_t lists_end_;
  // Fetched once: a fetch takes a lock and looks through the provider's tables.
  std::unique_ptr<EVP_CIPHER, FreeWith<EVP_CIPHER_free>> cipher_;
};

}  // namespace rondo::tls
