// Who is let in at a listener, by address: its networks and its limits. Asked once for each
// connection, as soon as it is known who the client is.
#pragma once

#include "proxy/facts.h"
#include "rondo/upstream/snapshot.h"

namespace rondo::proxy {

// Why `origin` is not let in (static, for rondo_rejected_total), or null. What it is counted in is
// given back by origin.facts.
const char* RefusalOf(Worker& worker, const upstream::ListenerSnapshot& listener, Origin& origin);

}  // namespace rondo::proxy
