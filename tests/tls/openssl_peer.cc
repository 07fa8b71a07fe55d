#include "tls/openssl_peer.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <utility>

namespace rondo::tls {
namespace {

X509* ReadCertificate(const std::string& pem) {
  BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* const certificate = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  return certificate;
}

}  // namespace

OpensslPeer::OpensslPeer(SSL_CTX* context, Side side)
    : ssl_(SSL_new(context)), received_(BIO_new(BIO_s_mem())), sent_(BIO_new(BIO_s_mem())) {
  BIO_set_mem_eof_return(received_, -1);
  SSL_set_bio(ssl_.get(), received_, sent_);
  if (side == Side::kClient) {
    SSL_set_connect_state(ssl_.get());
  } else {
    SSL_set_accept_state(ssl_.get());
  }
}

void OpensslPeer::Step() {
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_.get());
  if (done != 1 && SSL_get_error(ssl_.get(), done) != SSL_ERROR_WANT_READ) failed_ = true;
}

void OpensslPeer::Receive(std::string_view bytes) {
  if (!bytes.empty()) BIO_write(received_, bytes.data(), static_cast<int>(bytes.size()));
}

std::string OpensslPeer::TakeSent() {
  std::string bytes(BIO_ctrl_pending(sent_), '\0');
  if (!bytes.empty()) BIO_read(sent_, bytes.data(), static_cast<int>(bytes.size()));
  return bytes;
}

void OpensslPeer::Write(std::string_view plain) {
  ERR_clear_error();
  size_t written = 0;
  ASSERT_EQ(SSL_write_ex(ssl_.get(), plain.data(), plain.size(), &written), 1);
  ASSERT_EQ(written, plain.size());
}

std::string OpensslPeer::Read() {
  std::string plain;
  char buffer[16384];
  size_t bytes = 0;
  ERR_clear_error();
  while (SSL_read_ex(ssl_.get(), buffer, sizeof buffer, &bytes) == 1) plain.append(buffer, bytes);
  const int error = SSL_get_error(ssl_.get(), 0);
  if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_ZERO_RETURN) failed_ = true;
  return plain;
}

UniqueSslContext MakeContext(OpensslPeer::Side side) {
  UniqueSslContext context(
      SSL_CTX_new(side == OpensslPeer::Side::kClient ? TLS_client_method() : TLS_server_method()));
  if (side == OpensslPeer::Side::kServer) {
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context.get(), 1);
  }
  return context;
}

void UseCertificate(SSL_CTX* context, const TestPair& pair) {
  X509* const leaf = ReadCertificate(pair.cert);
  EXPECT_EQ(SSL_CTX_use_certificate(context, leaf), 1);
  X509_free(leaf);
  BIO* const bio = BIO_new_mem_buf(pair.key.data(), static_cast<int>(pair.key.size()));
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  EXPECT_EQ(SSL_CTX_use_PrivateKey(context, key), 1);
  EVP_PKEY_free(key);
}

void Trust(SSL_CTX* context, const TestAuthority& authority) {
  X509* const certificate = ReadCertificate(authority.pem());
  X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate);
  X509_free(certificate);
}

Met Meet(Handshake& handshake, OpensslPeer& peer, size_t piece) {
  Met met;
  std::string waiting;
  bool begun = false;
  for (int round = 0; round < 20 && met.step == Handshake::Step::kNeedMore; ++round) {
    peer.Step();
    waiting += peer.TakeSent();
    do {
      const std::string_view some = std::string_view(waiting).substr(0, piece);
      if (some.empty() && begun) break;
      begun = true;
      // In a buffer of the exact size, so that a sanitizer sees every byte too many.
      const std::vector<char> exact(some.begin(), some.end());
      size_t consumed = 0;
      met.step = handshake.Advance({exact.data(), exact.size()}, &consumed);
      EXPECT_LE(consumed, some.size());
      if (met.step == Handshake::Step::kNeedMore) EXPECT_EQ(consumed, some.size());
      waiting.erase(0, consumed);
      peer.Receive(handshake.output());
      handshake.OutputTaken();
    } while (!waiting.empty() && met.step == Handshake::Step::kNeedMore);
  }
  met.behind = std::move(waiting);
  return met;
}

}  // namespace rondo::tls
