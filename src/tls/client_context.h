// One worker's SSL_CTX towards an upstream's backends. Private to tls/.
#pragma once

#include <openssl/ssl.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rondo/tls/client_setup.h"
#include "tls/contexts.h"

namespace rondo::tls {

// What all contexts of a setup are made of.
struct ClientPlan {
  const ClientSettings* settings = nullptr;
  std::string alpn;     // as the wire has it
  uint64_t number = 0;  // of the setup, in this process
};

class WorkerClientContext final : public OpensslClientContext {
 public:
  // `store`: the authorities; null where nothing is verified.
  static absl::StatusOr<std::unique_ptr<WorkerClientContext>> Make(const ClientPlan& plan,
                                                                   X509_STORE* store,
                                                                   size_t worker);

  SSL_CTX* ssl_context() const override { return context_.get(); }
  OSSL_LIB_CTX* library() const override { return library_; }
  UniqueSsl NewSsl(std::string_view server_name, SessionStore* sessions,
                   uint64_t key) const override;

 private:
  WorkerClientContext(uint64_t setup, bool verify, OSSL_LIB_CTX* library)
      : setup_(setup), verify_(verify), library_(library) {}
  bool Prepare(const ClientPlan& plan, X509_STORE* store);
  bool AskFor(SSL* ssl, std::string_view server_name) const;

  const uint64_t setup_;
  const bool verify_;
  OSSL_LIB_CTX* const library_;
  UniqueSslContext context_;
};

}  // namespace rondo::tls
