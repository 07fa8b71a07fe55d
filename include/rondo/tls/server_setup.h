// What a listener's TLS needs, for every worker: made whole by the control thread, immutable
// afterwards but for the ticket keys. A snapshot holds it; listeners that did not change keep
// theirs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "rondo/tls/certificate.h"
#include "rondo/tls/handshake.h"
#include "rondo/tls/ticket_keys.h"

namespace rondo::tls {

enum class ClientAuth : uint8_t { kOff, kOptional, kRequired };

struct ServedPair {
  std::shared_ptr<const KeyPair> pair;
  std::string ocsp;  // DER; empty: nothing is stapled
};

struct ServerSettings {
  std::vector<ServedPair>
      certificates;  // at least one; the first answers unknown names and clients that name none
  Version min_version = Version::kTls12;
  // In our order of preference; empty: not negotiated. A client that offers none of them is refused
  // (no_application_protocol), one that offers nothing is not.
  std::vector<std::string> alpn;
  ClientAuth client_auth = ClientAuth::kOff;
  // PEM. Their names are sent to clients. One whose issuer is not among them is trusted for itself.
  std::string client_ca;
  // PEM; empty: none. With lists every certificate below the trusted one needs a list of its issuer
  // that is in date: without one nobody gets in.
  std::string crl;
  // Tickets of one scope are not taken by another: the listener's name. Nor are they where anything
  // above about clients has changed.
  std::string ticket_scope;
};

// One worker's: its own SSL_CTX for each set of certificates, in a library context of its own.
class ServerContext {
 public:
  virtual ~ServerContext() = default;
};

class ServerSetup {
 public:
  // Contexts for `workers` (index 0 to workers - 1). `tickets` is shared by all of them; null: no
  // tickets. Errors: no certificate, an OCSP answer that does not fit, a certificate that cannot be
  // served, client_auth without authorities, broken PEM.
  static absl::StatusOr<std::shared_ptr<const ServerSetup>> Make(
      const ServerSettings& settings, size_t workers, std::shared_ptr<const TicketKeys> tickets);
  virtual ~ServerSetup() = default;
  virtual ServerContext& ForWorker(size_t worker) const = 0;
  virtual const ServerSettings& settings() const = 0;
};

}  // namespace rondo::tls
