// Who may call the admin API. Pure; what it answers is in the contract's words: 401 without the
// token, 403 for a foreign Host (DNS rebinding) or Origin (another site's page in an operator's
// browser).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "rondo/base/address.h"
#include "rondo/http/message.h"

namespace rondo::control {

struct AdminAccess {
  SocketAddress listen;
  std::string token;         // empty: none is asked for; off the loopback only with `certificate`
  bool certificate = false;  // a certificate of the client's is asked for as well
};

// Equal, in a time that depends on nothing but the length of `given`.
bool SameToken(std::string_view given, std::string_view token);

enum class Access : uint8_t {
  kGranted,
  kForeignHost,
  kForeignOrigin,
  kNoCertificate,
  kNoToken,
  kWrongToken
};

// `open`: a call that needs neither token nor certificate (healthz, readyz). `verified`: the client
// has shown a certificate that is good. What is configured is required, both where both are. Host
// and Origin are looked at on every call:
//  - on a unix socket any Host may stand, since no browser gets there;
//  - on a loopback address it must be localhost, a loopback address or the listen address;
//  - elsewhere it may be any, since Rondo does not know the names it goes by, and the token is
//    required there, which a rebound browser does not have, or the certificate.
// An Origin must be that of the Host the call was sent to.
Access CheckAccess(const AdminAccess& access, const http::RequestHead& head, bool open,
                   bool verified = false);

}  // namespace rondo::control
