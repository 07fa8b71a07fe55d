// Who is let in at a listener, by address: its networks and its limits. Asked once for each
// connection, as soon as it is known who the client is.
#pragma once

#include <vector>

#include "proxy/facts.h"
#include "rondo/base/address.h"
#include "rondo/upstream/snapshot.h"

namespace rondo::proxy {

// Deny wins; a list of who is allowed refuses all others, also those whose address is not known
// (null).
bool IsDenied(const std::vector<Network>& allow, const std::vector<Network>& deny,
              const IpAddress* client);

// Why `origin` is not let in (static, for rondo_rejected_total), or null. What it is counted in is
// given back by origin.facts.
const char* RefusalOf(Worker& worker, const upstream::ListenerSnapshot& listener, Origin& origin);

}  // namespace rondo::proxy
