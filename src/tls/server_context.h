// One worker's SSL_CTX of a listener, with the certificates as objects of its own. Private to tls/.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "rondo/tls/server_setup.h"
#include "tls/authorities.h"
#include "tls/contexts.h"
#include "tls/pem.h"
#include "tls/sni_table.h"
#include "tls/tickets.h"

namespace rondo::tls {

// What all workers of a listener have in common; immutable.
struct ServerPlan {
  ServerSettings settings;
  SniTable table;
  std::vector<int64_t> ocsp_next_update;  // by certificate; 0: none
  std::string alpn;                       // as the wire has it
  Authorities client_authorities;
  std::string session_scope;  // 32 bytes
};

class WorkerServerContext final : public OpensslServerContext {
 public:
  // `plan` and `tickets` (null: no tickets) outlive it. Worker 0's checks that each certificate can
  // be served; the others make objects of those that their clients ask for, when they first do.
  static absl::StatusOr<std::unique_ptr<WorkerServerContext>> Make(const ServerPlan& plan,
                                                                   const TicketKeys* tickets,
                                                                   size_t worker);

  SSL_CTX* ssl_context() const override { return context_.get(); }
  OSSL_LIB_CTX* library() const override { return library_; }
  UniqueSsl NewSsl() const override;

 private:
  using UniqueChain = std::unique_ptr<STACK_OF(X509), void (*)(STACK_OF(X509)*)>;
  struct Served {  // all null: not yet asked for
    UniqueX509 leaf;
    UniqueKey key;
    UniqueChain chain{nullptr, nullptr};  // behind the leaf
  };
  struct Stapled {
    std::string_view answer;                                           // DER
    std::unique_ptr<ASN1_TIME, FreeWith<ASN1_TIME_free>> next_update;  // null: it has none
  };

  WorkerServerContext(const ServerPlan& plan, OSSL_LIB_CTX* library)
      : plan_(plan), library_(library), served_(plan.settings.certificates.size()) {}
  absl::Status Prepare(const TicketKeys* tickets);
  absl::Status CheckCertificates();
  bool Load(size_t certificate);
  bool PrepareProtocol();
  bool PrepareTickets(const TicketKeys* tickets);
  bool PrepareClientAuth();
  bool Use(const CertificateSet& set, SSL* ssl);  // null: for the context itself

  // OpenSSL's callbacks.
  static int OnServerName(SSL* ssl, int* alert, void* self);
  static int OnCertificate(SSL* ssl, void* self);
  static int OnAlpn(SSL* ssl, const unsigned char** out, unsigned char* out_size,
                    const unsigned char* offered, unsigned int offered_size, void* self);
  static int OnStatus(SSL* ssl, void* self);

  const ServerPlan& plan_;
  OSSL_LIB_CTX* const library_;
  std::vector<Served> served_;
  absl::flat_hash_map<const X509*, Stapled> stapled_;
  std::optional<Tickets> tickets_;
  UniqueSslContext context_;
};

}  // namespace rondo::tls
