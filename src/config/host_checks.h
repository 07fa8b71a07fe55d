// What host names, backends' ids, name servers and the admin API's values must be; as in checks.h.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "config/checks.h"
#include "rondo/base/address.h"

namespace rondo::config {

// Where a backend is: a literal address, or a host name and port.
struct Place {
  SocketAddress address;  // of no meaning where there is a name
  std::string name;       // in lower case
  uint16_t port = 0;
};
Checked<Place> CheckBackendPlace(std::string_view text);

// A name to be resolved, in lower case; with a dot at its end it is complete. No IP address.
Checked<std::string> CheckHostName(std::string_view text);
// An id that was given to a backend: it becomes a metric's label and part of an admin path.
Checked<std::string> CheckBackendId(std::string_view text);
// A name server; port 53 where none is written.
Checked<SocketAddress> CheckNameServer(std::string_view text);
// The name that a backend's certificate must be for, in lower case.
Checked<std::string> CheckServerName(std::string_view text);
// Who a process becomes: `user` or `user:group`.
Checked<std::string> CheckUser(std::string_view text);
// What stands behind `Bearer ` in a header. kHiddenSecret is none.
Checked<std::string> CheckToken(std::string_view text);
// The Host of a health check, with a port where it has one.
Checked<std::string> CheckProbeHost(std::string_view text);
// The path of a request of our own, with a query where it has one.
Checked<std::string> CheckProbePath(std::string_view text);

}  // namespace rondo::config
