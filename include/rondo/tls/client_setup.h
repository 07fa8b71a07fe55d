// What TLS towards an upstream's backends needs; made by the control thread, immutable afterwards.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "rondo/tls/certificate.h"
#include "rondo/tls/handshake.h"

namespace rondo::tls {

struct ClientSettings {
  bool verify = true;
  std::string ca;  // PEM, authorities or the backends' own certificates; empty: the system's
  std::shared_ptr<const KeyPair> certificate;  // ours; null: none
  std::vector<std::string> alpn;
};

class ClientContext {
 public:
  virtual ~ClientContext() = default;
};

class ClientSetup {
 public:
  // Contexts for `workers`, and one more for the control thread (health checks): index `workers`.
  // The system's authorities are read at each call; setups share them where they did not change.
  static absl::StatusOr<std::shared_ptr<const ClientSetup>> Make(const ClientSettings& settings,
                                                                 size_t workers);
  virtual ~ClientSetup() = default;
  virtual ClientContext& ForWorker(size_t worker) const = 0;
};

// PEM: the authorities that the system trusts, as its file has them now; empty where there is none.
std::string SystemAuthoritiesText();

// The sessions of one worker, by backend: the latest of each; one of TLS 1.3 is taken once (RFC
// 8446 §C.4). At most kMax. A session is only taken by the setup, and for the name, it was verified
// by.
class SessionStore {
 public:
  static constexpr size_t kMax = 4096;
  static std::unique_ptr<SessionStore> Make();
  virtual ~SessionStore() = default;
};

}  // namespace rondo::tls
