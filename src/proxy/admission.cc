#include "proxy/admission.h"

#include "rondo/http/forwarding.h"

namespace rondo::proxy {

const char* RefusalOf(Worker&, const upstream::ListenerSnapshot& listener, Origin& origin) {
  const config::Listener& settings = listener.settings;
  if (!origin.has_peer || (settings.allow.empty() && settings.deny.empty())) return nullptr;
  // Whom a trusted proxy brings is known with each request.
  if (http::IsIn(origin.peer, settings.trusted_proxies)) return nullptr;
  const bool denied = http::IsIn(origin.peer, settings.deny) ||
                      (!settings.allow.empty() && !http::IsIn(origin.peer, settings.allow));
  return denied ? "denied" : nullptr;
}

}  // namespace rondo::proxy
