#include "rondo/tls/handshake.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <memory>
#include <string>
#include <utility>

#include "rondo/base/check.h"
#include "tls/contexts.h"
#include "tls/handshake_reason.h"
#include "tls/openssl_channel.h"
#include "tls/takeover.h"
#include "tls/wire_bytes.h"

namespace rondo::tls {
namespace {

// Either side's; what they do differently is what becomes of the SSL object when it is done.
class OpensslHandshake : public Handshake {
 public:
  Step Advance(std::string_view received, size_t* consumed) override;
  std::string_view output() const override { return output_; }
  void OutputTaken() override { output_.clear(); }
  const char* reason() const override { return reason_; }
  const std::string& detail() const override { return detail_; }
  HandshakeResult TakeResult() override { return std::move(result_); }
  std::unique_ptr<Channel> TakeChannel() override { return std::move(channel_); }

 protected:
  explicit OpensslHandshake(UniqueSsl ssl)
      : wire_(std::make_unique<WireBytes>()), ssl_(std::move(ssl)) {
    if (ssl_ != nullptr && !Attach(ssl_.get(), *wire_)) ssl_ = nullptr;
  }
  SSL* ssl() const { return ssl_.get(); }
  void DropSsl() { ssl_ = nullptr; }
  // All of the connection's OpenSSL objects, in a channel.
  std::unique_ptr<Channel> HandOver() {
    return std::make_unique<OpensslChannel>(std::move(wire_), std::move(ssl_));
  }

 private:
  virtual void BeforeStep() {}
  virtual void Describe(HandshakeResult& result) const = 0;
  virtual void Failed() {}
  // May HandOver(). null: out of memory.
  virtual std::unique_ptr<Channel> MakeChannel() = 0;

  Step Finish();
  Step Fail(const char* reason);
  void TakeOutput();

  std::unique_ptr<WireBytes> wire_;  // outlives ssl_
  UniqueSsl ssl_;                    // null: there was no memory for it
  std::string output_;
  int first_byte_ = -1;
  const char* reason_ = "";
  std::string detail_;
  HandshakeResult result_;
  std::unique_ptr<Channel> channel_;
};

class ServerHandshake final : public OpensslHandshake {
 public:
  explicit ServerHandshake(OpensslServerContext& context) : OpensslHandshake(context.NewSsl()) {
    if (ssl() != nullptr && !takeover_.Watch(ssl())) DropSsl();
  }
  // The SSL object notes in takeover_ up to its end.
  ~ServerHandshake() override { DropSsl(); }

 private:
  void BeforeStep() override { takeover_.Expect(ssl()); }
  void Describe(HandshakeResult& result) const override {
    result.server_name = RequestedName(ssl());
    result.client = DescribeClient(ssl());
  }
  std::unique_ptr<Channel> MakeChannel() override {
    if (std::unique_ptr<Channel> channel = takeover_.MakeChannel(ssl())) {
      // Not a failure: no session is to be forgotten for it.
      SSL_set_shutdown(ssl(), SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
      return channel;
    }
    takeover_.Forget(ssl());
    return HandOver();
  }

  Takeover takeover_;
};

class ClientHandshake final : public OpensslHandshake {
 public:
  ClientHandshake(OpensslClientContext& context, std::string_view server_name,
                  SessionStore* sessions, uint64_t key)
      : OpensslHandshake(context.NewSsl(server_name, sessions, key)) {}

 private:
  void Describe(HandshakeResult&) const override {}
  void Failed() override { ForgetSession(ssl()); }
  std::unique_ptr<Channel> MakeChannel() override { return HandOver(); }
};

Handshake::Step OpensslHandshake::Advance(std::string_view received, size_t* consumed) {
  RONDO_DCHECK(channel_ == nullptr && *reason_ == '\0');
  *consumed = 0;
  if (ssl_ == nullptr) {
    detail_ = "no SSL object could be made for this peer";
    return Fail("protocol");
  }
  if (first_byte_ < 0 && !received.empty()) first_byte_ = static_cast<uint8_t>(received[0]);
  wire_->received = received;
  BeforeStep();
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl_.get());
  *consumed = received.size() - wire_->received.size();
  wire_->received = {};
  TakeOutput();
  if (done == 1) return Finish();
  if (SSL_get_error(ssl_.get(), done) == SSL_ERROR_WANT_READ) return Step::kNeedMore;
  const char* const reason = TakeReason(ssl_.get(), first_byte_, &detail_);
  Failed();
  return Fail(reason);
}

Handshake::Step OpensslHandshake::Finish() {
  // The record channel begins at the beginning of a record.
  if (SSL_has_pending(ssl_.get()) == 1) {
    detail_ = "something follows Finished in its record";
    return Fail("protocol");
  }
  SSL* const ssl = ssl_.get();
  result_.version = SSL_version(ssl) == TLS1_3_VERSION ? Version::kTls13 : Version::kTls12;
  result_.resumed = SSL_session_reused(ssl) == 1;
  result_.cipher = SSL_CIPHER_get_name(SSL_get_current_cipher(ssl));
  const unsigned char* alpn = nullptr;
  unsigned alpn_bytes = 0;
  SSL_get0_alpn_selected(ssl, &alpn, &alpn_bytes);
  if (alpn_bytes > 0) result_.alpn.assign(reinterpret_cast<const char*>(alpn), alpn_bytes);
  Describe(result_);
  channel_ = MakeChannel();
  ERR_clear_error();
  ssl_ = nullptr;
  wire_ = nullptr;
  return Step::kDone;
}

Handshake::Step OpensslHandshake::Fail(const char* reason) {
  reason_ = reason;
  return Step::kFailed;
}

void OpensslHandshake::TakeOutput() {
  if (output_.empty()) {
    output_.swap(wire_->sent);
  } else {
    output_ += wire_->sent;
    wire_->sent.clear();
  }
}

}  // namespace

std::unique_ptr<Handshake> MakeServerHandshake(ServerContext& context) {
  return std::make_unique<ServerHandshake>(Openssl(context));
}

std::unique_ptr<Handshake> MakeClientHandshake(ClientContext& context, std::string_view server_name,
                                               SessionStore* sessions, uint64_t key) {
  return std::make_unique<ClientHandshake>(Openssl(context), server_name, sessions, key);
}

}  // namespace rondo::tls
