#include "proxy/admission.h"

#include "rondo/http/forwarding.h"

namespace rondo::proxy {

bool IsDenied(const std::vector<Network>& allow, const std::vector<Network>& deny,
              const IpAddress* client) {
  if (client == nullptr) return !allow.empty();
  return http::IsIn(*client, deny) || (!allow.empty() && !http::IsIn(*client, allow));
}

const char* RefusalOf(Worker& worker, const upstream::ListenerSnapshot& listener, Origin& origin) {
  if (!listener.guarded) return nullptr;
  const config::Listener& settings = listener.settings;
  // Whom a trusted proxy brings is known with each request, and its connections are not its own.
  // Who has no address (a unix socket's peer, one that a proxy does not know) is judged there too.
  const bool own = origin.has_peer && !http::IsIn(origin.peer, settings.trusted_proxies);
  if (own && IsDenied(settings.allow, settings.deny, &origin.peer)) return "denied";
  if (settings.connections_total == 0 && settings.connections_per_address == 0) return nullptr;
  if (origin.facts == nullptr) origin.facts = MakeFacts(worker);
  return origin.facts->place.Take(listener.shared,
                                  {settings.connections_total, settings.connections_per_address},
                                  own ? &origin.peer : nullptr);
}

}  // namespace rondo::proxy
