// What a route asks before a request goes on: who the client is, how long the target may be, how
// often it comes; and what a backend is told of the client's certificate.
#include "proxy/admission.h"
#include "proxy/exchange.h"
#include "rondo/http/client_certificate.h"
#include "rondo/http/sticky.h"
#include "rondo/protect/keys.h"

namespace rondo::proxy {

void Exchange::Guard() {
  if (!MayCome(route_->allow, route_->deny)) {
    Fail(403, "denied", Stage::kPick);
  } else if (route_->uri_bytes > 0 && worker_.request_head.target.size() > route_->uri_bytes) {
    Fail(414, "uri_too_long", Stage::kPick);
  } else if (action_->rate_table != nullptr) {
    LimitRate();
  }
}

bool Exchange::MayCome(const std::vector<Network>& allow, const std::vector<Network>& deny) const {
  return !IsDenied(allow, deny, client_.has_peer() ? &client_address_ : nullptr);
}

void Exchange::LimitRate() {
  const config::RateLimit& limit = *route_->rate_limit;
  protect::RateTable& table = *action_->rate_table;
  const Duration wait = table.Take(RateKey(limit.key, table.seed()),
                                   {limit.requests, limit.per, limit.burst}, worker_.loop().Now());
  if (wait == Duration::zero()) return;
  const auto route = static_cast<size_t>(route_ - client_.listener().settings.routes.data());
  metrics::CountLimited(*traffic_, route, limit.dry_run);
  if (limit.dry_run) return;
  retry_after_ = wait;
  Fail(429, "rate_limited", Stage::kPick);
}

// Without that header or cookie the client's address is the key: leaving it out is no way around
// the limit.
uint64_t Exchange::RateKey(const config::HashKey& key, uint64_t seed) const {
  using Source = config::HashKey::Source;
  const http::RequestHead& head = worker_.request_head;
  std::string_view value;
  switch (key.source) {
    case Source::kHeader:
      for (const http::Field& field : head.fields) {
        if (!http::EqualsIgnoreCase(field.name, key.name)) continue;
        value = field.value;
        break;
      }
      break;
    case Source::kCookie:
      value = http::FindCookie(head, key.name).value_or(std::string_view());
      break;
    case Source::kClientIp:
    case Source::kRequestId:
    case Source::kPath:
    case Source::kUri:
      break;
  }
  return value.empty() ? protect::AddressKey(client_address_) : protect::TextKey(value, seed);
}

// The lines about the client's certificate; valid until the worker's scratch is used again.
std::string_view Exchange::ClientFields() {
  const auto& settings = client_.listener().settings;
  if (!settings.tls || !settings.tls->client_headers) return {};
  const tls::ClientCertificate* certificate = client_.tls()->client.get();
  http::ClientIdentity identity;
  if (certificate != nullptr) {
    identity = {certificate->subject, certificate->issuer, certificate->serial,
                certificate->fingerprint};
  }
  std::string& lines = worker_.cookie_scratch;
  lines.clear();
  http::AppendClientFields(certificate != nullptr ? &identity : nullptr, action_->own_client_fields,
                           lines);
  return lines;
}

}  // namespace rondo::proxy
