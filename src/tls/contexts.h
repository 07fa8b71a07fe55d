// What the handshake sees of the contexts: the SSL objects that they make, and what is asked of one
// whose handshake is done. Private to tls/. One thread for each context.
#pragma once

#include <openssl/ssl.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "rondo/tls/client_setup.h"
#include "rondo/tls/handshake.h"
#include "rondo/tls/server_setup.h"

namespace rondo::tls {

template <auto kFree>
struct FreeWith {
  template <class T>
  void operator()(T* object) const {
    kFree(object);
  }
};
using UniqueSsl = std::unique_ptr<SSL, FreeWith<SSL_free>>;
using UniqueSslContext = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;

// The library context of a worker, of its own: what is fetched from it takes no lock that another
// worker takes. Made at the first call, and never freed. Any thread. null: out of memory.
OSSL_LIB_CTX* LibraryOfWorker(size_t worker);

// By the record layer (secrets.cc): installs on a server's SSL_CTX what it needs to take the
// traffic keys over when a handshake is done. Each server's SSL_CTX went through it.
void PrepareForTakeover(SSL_CTX* context);

// Behind ServerContext: it is always one of these.
class OpensslServerContext : public ServerContext {
 public:
  virtual SSL_CTX* ssl_context() const = 0;
  virtual OSSL_LIB_CTX* library() const = 0;
  // An SSL in the accept state, without a BIO. null: out of memory.
  virtual UniqueSsl NewSsl() const = 0;
};

// Behind ClientContext: it is always one of these.
class OpensslClientContext : public ClientContext {
 public:
  virtual SSL_CTX* ssl_context() const = 0;
  virtual OSSL_LIB_CTX* library() const = 0;
  // An SSL in the connect state, without a BIO: it asks for and verifies `server_name`, resumes
  // what `sessions` (may be null) has for `key`, and puts there what the server sends, while it
  // lives. null: out of memory, or a name that cannot be asked for.
  virtual UniqueSsl NewSsl(std::string_view server_name, SessionStore* sessions,
                           uint64_t key) const = 0;
};

inline OpensslServerContext& Openssl(ServerContext& context) {
  return static_cast<OpensslServerContext&>(context);
}
inline OpensslClientContext& Openssl(ClientContext& context) {
  return static_cast<OpensslClientContext&>(context);
}

// Of a client's SSL whose handshake failed: what is kept for its backend may be why.
void ForgetSession(const SSL* ssl);

// Of a server's SSL whose handshake is done: the name that the client asked for, in lower case
// (empty: none), also where the session was resumed; and its verified certificate (null: none).
std::string RequestedName(const SSL* ssl);
std::unique_ptr<ClientCertificate> DescribeClient(const SSL* ssl);

}  // namespace rondo::tls
