// An OpenSSL client and an OpenSSL server in memory, of which either comes from a context of ours.
#pragma once

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "tls/contexts.h"

namespace rondo::tls {

using UniqueSslSession = std::unique_ptr<SSL_SESSION, FreeWith<SSL_SESSION_free>>;

class SslPair {
 public:
  SslPair(UniqueSsl client, UniqueSsl server)
      : client_(std::move(client)), server_(std::move(server)) {
    BIO* near = nullptr;
    BIO* far = nullptr;
    BIO_new_bio_pair(&near, 64 * 1024, &far, 64 * 1024);
    SSL_set_bio(client_.get(), near, near);
    SSL_set_bio(server_.get(), far, far);
  }
  ~SslPair() {
    // The sessions of a connection that was not closed would not be resumed.
    SSL_set_shutdown(client_.get(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
  }

  // Goes on until both are done or one has failed; the server's tickets have been read then.
  bool Run() {
    bool client_done = false;
    bool server_done = false;
    for (int round = 0; round < 20 && !(client_done && server_done); ++round) {
      if (!client_done && !Step(client_.get(), client_done, client_error_)) break;
      if (!server_done && !Step(server_.get(), server_done, server_error_)) break;
    }
    // Alerts of one are seen by the other.
    if (!client_done) Step(client_.get(), client_done, client_error_);
    if (!server_done) Step(server_.get(), server_done, server_error_);
    char byte = 0;
    ERR_clear_error();
    if (client_done && SSL_read(client_.get(), &byte, 1) <= 0)
      NoteError(client_.get(), client_error_);
    return client_done && server_done && client_error_.empty() && server_error_.empty();
  }

  SSL* client() const { return client_.get(); }
  SSL* server() const { return server_.get(); }
  // OpenSSL's words, empty where nothing went wrong.
  const std::string& client_error() const { return client_error_; }
  const std::string& server_error() const { return server_error_; }
  bool resumed() const {
    return SSL_session_reused(client_.get()) == 1 && SSL_session_reused(server_.get()) == 1;
  }

 private:
  static bool Step(SSL* ssl, bool& done, std::string& error) {
    ERR_clear_error();
    if (SSL_do_handshake(ssl) == 1) {
      done = true;
      return true;
    }
    NoteError(ssl, error);
    return error.empty();
  }

  static void NoteError(SSL* ssl, std::string& error) {
    const int why = SSL_get_error(ssl, -1);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE || !error.empty()) return;
    const char* reason = ERR_reason_error_string(ERR_peek_last_error());
    error = reason == nullptr ? "ended" : reason;
    ERR_clear_error();
  }

  UniqueSsl client_;
  UniqueSsl server_;
  std::string client_error_;
  std::string server_error_;
};

// A client as the world has them: OpenSSL's own, with what a test sets.
class TestClient {
 public:
  TestClient() : context_(SSL_CTX_new(TLS_client_method())) {
    SSL_CTX_set_session_cache_mode(context_.get(),
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context_.get(), OnSession);
    SSL_CTX_set_app_data(context_.get(), this);
  }

  SSL_CTX* context() const { return context_.get(); }
  void Versions(int least, int most) {
    SSL_CTX_set_min_proto_version(context_.get(), least);
    SSL_CTX_set_max_proto_version(context_.get(), most);
  }
  void Only(int version) { Versions(version, version); }
  void Show(std::string_view certificate, std::string_view key) {
    const std::unique_ptr<BIO, FreeWith<BIO_free>> cert_bio(
        BIO_new_mem_buf(certificate.data(), static_cast<int>(certificate.size())));
    const std::unique_ptr<BIO, FreeWith<BIO_free>> key_bio(
        BIO_new_mem_buf(key.data(), static_cast<int>(key.size())));
    X509* leaf = PEM_read_bio_X509(cert_bio.get(), nullptr, nullptr, nullptr);
    SSL_CTX_use_certificate(context_.get(), leaf);
    X509_free(leaf);
    while (X509* issuer = PEM_read_bio_X509(cert_bio.get(), nullptr, nullptr, nullptr)) {
      SSL_CTX_add0_chain_cert(context_.get(), issuer);
    }
    EVP_PKEY* pkey = PEM_read_bio_PrivateKey(key_bio.get(), nullptr, nullptr, nullptr);
    SSL_CTX_use_PrivateKey(context_.get(), pkey);
    EVP_PKEY_free(pkey);
    ERR_clear_error();
  }

  // Offers the last session that a server gave, where `resume`.
  UniqueSsl New(const char* name, bool resume = false) {
    UniqueSsl ssl(SSL_new(context_.get()));
    SSL_set_connect_state(ssl.get());
    if (name != nullptr) SSL_set_tlsext_host_name(ssl.get(), name);
    if (resume && session_ != nullptr) SSL_set_session(ssl.get(), session_.get());
    return ssl;
  }
  // With TLS 1.2 OpenSSL says nothing of a ticket that replaces one.
  void NoteReplaced(SSL* ssl) {
    UniqueSslSession now(SSL_get1_session(ssl));
    if (SSL_version(ssl) != TLS1_2_VERSION || now == nullptr || session_ == nullptr) return;
    if (TicketOf(now.get()) == TicketOf(session_.get())) return;
    session_ = std::move(now);
    ++sessions_;
  }
  SSL_SESSION* session() const { return session_.get(); }
  int sessions() const { return sessions_; }

 private:
  static std::string_view TicketOf(const SSL_SESSION* session) {
    const unsigned char* ticket = nullptr;
    size_t size = 0;
    SSL_SESSION_get0_ticket(session, &ticket, &size);
    return {reinterpret_cast<const char*>(ticket), size};
  }
  static int OnSession(SSL* ssl, SSL_SESSION* session) {
    auto* self = static_cast<TestClient*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    self->session_.reset(session);
    ++self->sessions_;
    return 1;
  }

  UniqueSslContext context_;
  UniqueSslSession session_;
  int sessions_ = 0;
};

}  // namespace rondo::tls
