// The handshake of one connection, as a state machine over bytes: what was received goes in, what
// is to be sent comes out, and at its end a Channel. OpenSSL does the work; no descriptor is ever
// given to it. One thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "rondo/tls/channel.h"

namespace rondo::tls {

class ServerContext;
class ClientContext;
class SessionStore;

enum class Version : uint8_t { kTls12, kTls13 };

// What a client's certificate says, for the backend's headers and the log. Verified, or absent.
struct ClientCertificate {
  std::string subject;  // RFC 2253
  std::string issuer;
  std::string serial;       // hexadecimal, upper case
  std::string fingerprint;  // SHA-256, hexadecimal, lower case
  std::string not_after;    // RFC 3339
};

struct HandshakeResult {
  Version version = Version::kTls13;
  bool resumed = false;
  const char* cipher = "";  // OpenSSL's name; static
  std::string alpn;         // what was agreed on; empty: nothing
  std::string server_name;  // what the client asked for, in lower case; empty: nothing
  std::unique_ptr<ClientCertificate> client;  // kServer with client certificates; else null
};

class Handshake {
 public:
  virtual ~Handshake() = default;

  enum class Step : uint8_t { kNeedMore, kDone, kFailed };
  // Takes what was received (nothing, to begin with, for a client) and goes as far as that leads.
  // `consumed`: of `received`; after kDone the rest is for the channel. After each call, also a
  // failed one (an alert), output() is to be sent, all of it. REQUIRES: no kDone or kFailed before.
  virtual Step Advance(std::string_view received, size_t* consumed) = 0;
  virtual std::string_view output() const = 0;
  virtual void OutputTaken() = 0;  // all of it was sent or copied

  // After kFailed: a stable word for metrics and log ("no_shared_cipher", "unsupported_version",
  // "not_tls", "client_certificate_missing", "client_certificate_bad", "peer_alert",
  // "bad_certificate", "name_mismatch", "expired", "protocol"), and what OpenSSL says about it.
  virtual const char* reason() const = 0;
  virtual const std::string& detail() const = 0;

  // After kDone, once each.
  virtual HandshakeResult TakeResult() = 0;
  virtual std::unique_ptr<Channel> TakeChannel() = 0;
};

// `context` outlives the handshake.
std::unique_ptr<Handshake> MakeServerHandshake(ServerContext& context);
// `server_name`: what is asked for (SNI, unless it is an address) and what the certificate must be
// for where the context verifies. `sessions` (null: none is resumed) outlives the handshake and its
// channel; `key` names the backend in it.
std::unique_ptr<Handshake> MakeClientHandshake(ClientContext& context, std::string_view server_name,
                                               SessionStore* sessions, uint64_t key);

}  // namespace rondo::tls
