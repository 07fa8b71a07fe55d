#include "control/source_backends.h"

#include <algorithm>
#include <set>
#include <string>
#include <string_view>
#include <tuple>

namespace rondo::control {
namespace {

using config::Backend;
using config::BackendSource;

// What certificates call it. For services that is the name that was asked for, without its
// _service._protocol: what the DNS says of targets may be forged, and their certificates with it
// (RFC 9525 §6.1).
std::string HostOf(const BackendSource& source) {
  std::string_view name = source.name;
  while (source.kind == BackendSource::Kind::kSrv && name.starts_with('_')) {
    const size_t dot = name.find('.');
    if (dot == std::string_view::npos) break;
    name.remove_prefix(dot + 1);
  }
  if (name.ends_with('.')) name.remove_suffix(1);
  return std::string(name);
}

Backend BackendAt(const BackendSource& source, const IpAddress& ip, uint16_t port) {
  Backend backend;
  backend.host = HostOf(source);
  backend.address.ip = ip;
  backend.address.port = port;
  backend.id = backend.address.ToString();
  backend.weight = source.weight;
  backend.backup = source.backup;
  backend.max_connections = source.max_connections;
  return backend;
}

std::vector<Backend> OneOf(const BackendSource& source, const std::vector<ResolvedRecord>& records,
                           std::optional<IpAddress>& chosen) {
  if (records.empty()) return {};
  const bool kept = chosen && std::any_of(records.begin(), records.end(),
                                          [&](const auto& record) { return record.ip == *chosen; });
  if (!kept) chosen = records.front().ip;
  Backend backend = BackendAt(source, *chosen, source.port);
  backend.id = source.id;
  backend.explicit_id = source.explicit_id;
  return {backend};
}

std::vector<Backend> OfServices(const BackendSource& source, std::vector<ResolvedRecord> records) {
  std::erase_if(records, [](const ResolvedRecord& record) { return record.port == 0; });
  // An address that stands there twice counts as what is used first.
  std::sort(records.begin(), records.end(), [](const auto& a, const auto& b) {
    return std::tie(a.priority, a.ip.bytes, a.port, a.weight) <
           std::tie(b.priority, b.ip.bytes, b.port, b.weight);
  });
  std::vector<Backend> backends;
  for (const ResolvedRecord& record : records) {
    Backend backend = BackendAt(source, record.ip, record.port);
    // RFC 2782: the lowest priority number is to be tried first; a weight of 0 is a very small one.
    backend.weight = std::max<uint32_t>(record.weight, 1);
    backend.backup = record.priority != records.front().priority;
    backends.push_back(std::move(backend));
  }
  return backends;
}

}  // namespace

std::vector<Backend> BackendsOf(const BackendSource& source,
                                const std::vector<ResolvedRecord>& records,
                                std::optional<IpAddress>& chosen) {
  std::vector<Backend> backends;
  switch (source.kind) {
    case BackendSource::Kind::kName:
      return OneOf(source, records, chosen);
    case BackendSource::Kind::kDns:
      for (const auto& record : records) {
        backends.push_back(BackendAt(source, record.ip, source.port));
      }
      break;
    case BackendSource::Kind::kSrv:
      backends = OfServices(source, records);
      break;
    case BackendSource::Kind::kFile:
      break;
  }
  DropDuplicates(backends);
  std::sort(backends.begin(), backends.end(), [](const Backend& a, const Backend& b) {
    return std::tie(a.address.ip.bytes, a.address.port) <
           std::tie(b.address.ip.bytes, b.address.port);
  });
  return backends;
}

void FillHoles(Answer& answer, const std::vector<ResolvedRecord>& before) {
  if (answer.status != Answer::Status::kOk) return;
  for (const Answer::Hole& hole : answer.holes) {
    for (const ResolvedRecord& old : before) {
      if (old.target != hole.known.target || old.ip.is_v4() == hole.v6) continue;
      ResolvedRecord record = hole.known;
      record.ip = old.ip;
      if (std::find(answer.records.begin(), answer.records.end(), record) == answer.records.end()) {
        answer.records.push_back(std::move(record));
      }
    }
  }
  if (!answer.records.empty()) return;
  answer.status = Answer::Status::kFailed;
  if (answer.problem.empty()) answer.problem = "no address could be had";
}

Duration UntilNextAsk(Duration ttl, Duration max_ttl) {
  return std::clamp(ttl, kTtlMin, std::max(kTtlMin, max_ttl));
}

Duration UntilRetry(uint32_t failures, Duration max_ttl) {
  const uint32_t doublings = std::min<uint32_t>(failures, 20) - 1;
  return UntilNextAsk(kTtlMin * (1 << doublings), max_ttl);
}

void DropDuplicates(std::vector<Backend>& backends) {
  std::set<std::string> ids;
  std::set<std::string> addresses;
  std::erase_if(backends, [&](const Backend& backend) {
    const bool new_id = ids.insert(backend.id).second;
    const bool new_address = addresses.insert(backend.address.ToString()).second;
    return !new_id || !new_address;
  });
}

}  // namespace rondo::control
