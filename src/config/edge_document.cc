// TLS and protection, as they are written.
#include "config/build.h"
#include "config/document.h"
#include "config/route_checks.h"
#include "config/text.h"

namespace rondo::config {
namespace {

void PutFiles(Fields& out, const std::string& cert, const std::string& key) {
  out.PutText("cert", cert);
  out.PutText("key", key);
}

Document CertificatesOf(const ListenerTls& tls, Extent extent) {
  Document list = Document::array();
  for (const CertificateFiles& files : tls.certificates) {
    Fields one(extent);
    PutFiles(one, files.cert, files.key);
    one.PutText("ocsp", files.ocsp);
    list.push_back(one.Take());
  }
  return list;
}

void PutClientAuth(Fields& out, const ListenerTls& tls) {
  const bool has_ca = !tls.client_ca.empty();
  out.PutText("client_ca", tls.client_ca);
  if (has_ca) {
    const bool is_required = tls.client_auth == ClientAuth::kRequired;
    out.Put("client_auth", is_required ? "required" : "optional", is_required);
  } else {
    out.PutOff("client_auth");
  }
  out.PutText("crl", tls.crl);
  if (has_ca) {
    out.Put("client_headers", tls.client_headers, tls.client_headers);
  } else {
    out.PutOff("client_headers");
  }
}

Document RateLimitOf(const RateLimit& limit, Extent extent) {
  Fields out(extent);
  out.Add("rate", FormatRate(limit.requests, limit.per));
  out.Put("burst", limit.burst, limit.burst == DefaultBurst(limit));
  out.Put("key", HashKeyOf(limit.key), limit.key == RateLimit().key);
  out.Put("dry_run", limit.dry_run, !limit.dry_run);
  return out.Take();
}

}  // namespace

void PutNetworks(Fields& out, std::string_view key, const std::vector<Network>& networks) {
  Document list = Document::array();
  for (const Network& network : networks) list.push_back(network.ToString());
  out.Put(key, std::move(list), networks.empty());
}

void PutTls(Fields& out, const std::optional<ListenerTls>& tls) {
  if (!tls) return out.PutOff("tls");
  const ListenerTls standard;
  Fields section(out.extent());
  section.Add("certificates", CertificatesOf(*tls, out.extent()));
  section.Put("min_version", tls->tls13_only ? "1.3" : "1.2", !tls->tls13_only);
  section.Put("alpn", TextsOf(tls->alpn), tls->alpn == standard.alpn);
  if (tls->hsts) {
    section.Add("hsts", DurationOf(*tls->hsts));
  } else {
    section.PutOff("hsts");
  }
  PutClientAuth(section, *tls);
  section.PutText("ticket_keys", tls->ticket_keys);
  out.Add("tls", section.Take());
}

void PutTls(Fields& out, const std::optional<AdminTls>& tls) {
  if (!tls) return out.PutOff("tls");
  Fields section(out.extent());
  PutFiles(section, tls->cert, tls->key);
  section.PutText("client_ca", tls->client_ca);
  out.Add("tls", section.Take());
}

void PutTls(Fields& out, const std::optional<UpstreamTls>& tls) {
  if (!tls) return out.PutOff("tls");
  Fields section(out.extent());
  section.Put("verify", tls->verify, tls->verify);
  section.PutText("ca", tls->ca);
  section.PutText("sni", tls->sni);
  PutFiles(section, tls->cert, tls->key);
  out.Add("tls", section.Take());
}

void PutListenerLimits(Fields& out, const Listener& listener) {
  PutNetworks(out, "allow", listener.allow);
  PutNetworks(out, "deny", listener.deny);
  Fields connections(out.extent());
  connections.Put("total", listener.connections_total, listener.connections_total == 0);
  connections.Put("per_address", listener.connections_per_address,
                  listener.connections_per_address == 0);
  out.PutSection("connections", std::move(connections));
  Fields min_rate(out.extent());
  min_rate.Put("request", SizeOf(listener.min_rate_request), listener.min_rate_request == 0);
  min_rate.Put("response", SizeOf(listener.min_rate_response), listener.min_rate_response == 0);
  out.PutSection("min_rate", std::move(min_rate));
}

void PutRouteLimits(Fields& out, const RouteConfig& route) {
  out.Put("uri_bytes", SizeOf(route.uri_bytes), route.uri_bytes == 0);
  if (route.rate_limit) {
    out.Add("rate_limit", RateLimitOf(*route.rate_limit, out.extent()));
  } else {
    out.PutOff("rate_limit");
  }
  PutNetworks(out, "allow", route.allow);
  PutNetworks(out, "deny", route.deny);
}

std::string_view SendProxyName(SendProxy version) {
  switch (version) {
    case SendProxy::kOff:
      return "off";
    case SendProxy::kV1:
      return "v1";
    case SendProxy::kV2:
      return "v2";
  }
  return {};
}

}  // namespace rondo::config
