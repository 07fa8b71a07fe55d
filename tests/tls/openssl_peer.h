// The other end of a connection: OpenSSL over bytes in memory, as a client or a server; and
// contexts that a test sets up by itself.
#pragma once

#include <openssl/ssl.h>

#include <string>
#include <string_view>

#include "rondo/tls/handshake.h"
#include "tls/contexts.h"
#include "tls/test_certificates.h"

namespace rondo::tls {

class OpensslPeer {
 public:
  enum class Side : uint8_t { kClient, kServer };
  OpensslPeer(SSL_CTX* context, Side side);

  SSL* ssl() { return ssl_.get(); }
  // Goes as far as what has arrived leads.
  void Step();
  bool done() const { return SSL_is_init_finished(ssl_.get()) == 1; }
  bool failed() const { return failed_; }

  void Receive(std::string_view bytes);
  std::string TakeSent();
  void Write(std::string_view plain);
  // All that can be read.
  std::string Read();
  bool closed() const { return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0; }

 private:
  UniqueSsl ssl_;
  BIO* received_;  // of ssl_
  BIO* sent_;
  bool failed_ = false;
};

UniqueSslContext MakeContext(OpensslPeer::Side side);
void UseCertificate(SSL_CTX* context, const TestPair& pair);
void Trust(SSL_CTX* context, const TestAuthority& authority);

class PlainServerContext final : public OpensslServerContext {
 public:
  explicit PlainServerContext(UniqueSslContext context) : context_(std::move(context)) {
    PrepareForTakeover(context_.get());
  }
  SSL_CTX* ssl_context() const override { return context_.get(); }
  OSSL_LIB_CTX* library() const override { return nullptr; }
  UniqueSsl NewSsl() const override {
    UniqueSsl ssl(SSL_new(context_.get()));
    SSL_set_accept_state(ssl.get());
    return ssl;
  }

 private:
  UniqueSslContext context_;
};

// Runs `handshake` against `peer` until both are done or one fails. What the peer sends goes in
// pieces of `piece` bytes.
struct Met {
  Handshake::Step step = Handshake::Step::kNeedMore;
  std::string behind;  // what the peer sent behind its handshake
};
Met Meet(Handshake& handshake, OpensslPeer& peer, size_t piece);

}  // namespace rondo::tls
