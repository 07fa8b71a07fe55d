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
  std::string token;  // empty: none is asked for; only on the loopback and on unix sockets
};

// Equal, in a time that depends on nothing but the length of `given`.
bool SameToken(std::string_view given, std::string_view token);

enum class Access : uint8_t { kGranted, kForeignHost, kForeignOrigin, kNoToken, kWrongToken };

// `open`: a call that needs no token (healthz, readyz). Host and Origin are looked at on every
// call:
//  - on a unix socket any Host may stand, since no browser gets there;
//  - on a loopback address it must be localhost, a loopback address or the listen address;
//  - elsewhere it may be any, since Rondo does not know the names it goes by, and the token is
//  required there,
//    which a rebound browser does not have.
// An Origin must be that of the Host the call was sent to.
Access CheckAccess(const AdminAccess& access, const http::RequestHead& head, bool open);

}  // namespace rondo::control
