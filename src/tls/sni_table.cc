#include "tls/sni_table.h"

#include <algorithm>

#include "rondo/base/check.h"
#include "tls/names.h"

namespace rondo::tls {
namespace {

void Add(CertificateSet& set, KeyPair::Kind kind, size_t certificate) {
  uint32_t& place = set.of[static_cast<size_t>(kind)];
  if (place == CertificateSet::kNone) place = static_cast<uint32_t>(certificate);
}

bool HasAllNames(const KeyPair& certificate, const std::vector<std::string>& names) {
  const std::vector<std::string>& own = certificate.names();
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return std::find(own.begin(), own.end(), name) != own.end();
  });
}

}  // namespace

SniTable::SniTable(const std::vector<const KeyPair*>& certificates) {
  RONDO_CHECK(!certificates.empty());
  const std::vector<std::string>& first_names = certificates.front()->names();
  for (size_t i = 0; i < certificates.size(); ++i) {
    const KeyPair& certificate = *certificates[i];
    for (const std::string& name : certificate.names()) {
      if (name.starts_with("*.")) {
        Add(wildcard_[name.substr(2)], certificate.kind(), i);
      } else {
        Add(exact_[name], certificate.kind(), i);
      }
    }
    const bool beside_first = !first_names.empty() && HasAllNames(certificate, first_names);
    if (i == 0 || beside_first) Add(default_, certificate.kind(), i);
  }
}

const CertificateSet& SniTable::Find(std::string_view name) const {
  const std::string host = HostName(name);
  if (host.empty()) return default_;
  const Sets::const_iterator exact = exact_.find(host);
  if (exact != exact_.end()) return exact->second;
  const size_t dot = host.find('.');
  if (dot == std::string::npos) return default_;
  const Sets::const_iterator wildcard = wildcard_.find(host.substr(dot + 1));
  return wildcard == wildcard_.end() ? default_ : wildcard->second;
}

}  // namespace rondo::tls
