// TLS as it was configured: files by name (relative ones are resolved already), which control/
// reads and checks. Values as in config.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "rondo/base/time.h"
#include "rondo/config/source_mark.h"

namespace rondo::config {

struct CertificateFiles {
  std::string cert = {};  // PEM: the certificate, then what is between it and the authority
  std::string key = {};   // PEM
  std::string ocsp = {};  // DER; empty: nothing is stapled
  Where where = {};
  friend bool operator==(const CertificateFiles&, const CertificateFiles&) = default;
};

enum class ClientAuth : uint8_t { kOff, kOptional, kRequired };

// Towards clients.
struct ListenerTls {
  std::vector<CertificateFiles> certificates = {};     // at least one; the first is the default
  bool tls13_only = false;                             // min_version: "1.3"
  std::vector<std::string> alpn = {"h2", "http/1.1"};  // in our order; empty: not negotiated
  std::optional<Duration> hsts = {};                   // whole seconds; nothing: no header
  ClientAuth client_auth = ClientAuth::kOff;           // kOff exactly where client_ca is empty
  std::string client_ca = {};
  std::string crl = {};  // only with client_ca
  // X-Client-Verified and its like for backends, from the certificate; false without client_ca.
  bool client_headers = false;
  std::string ticket_keys = {};  // empty: made in memory
  Where where = {};
  friend bool operator==(const ListenerTls&, const ListenerTls&) = default;
};

// The admin API's.
struct AdminTls {
  std::string cert = {};
  std::string key = {};
  std::string client_ca = {};  // empty: no certificate is asked for
  Where where = {};
  friend bool operator==(const AdminTls&, const AdminTls&) = default;
};

// Towards backends.
struct UpstreamTls {
  bool verify = true;
  std::string ca = {};    // empty: the system's; only with `verify`
  std::string cert = {};  // ours, with `key`; both or neither
  std::string key = {};
  std::string sni = {};  // a host name in lower case; empty: the backend's name, where it has one
  Where where = {};
  friend bool operator==(const UpstreamTls&, const UpstreamTls&) = default;
};

}  // namespace rondo::config
