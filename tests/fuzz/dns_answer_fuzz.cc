// Any bytes as a DNS server's answer, as resolv.conf and as a hosts file: never a crash, and what
// is read keeps its promises. The first byte chooses the question.
#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "control/dns_answer.h"
#include "control/resolver_files.h"
#include "control/source_backends.h"
#include "fuzz/fuzz_check.h"

namespace {

using namespace rondo;
using namespace rondo::control;

bool IsLower(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
}

void CheckBackends(const std::vector<ResolvedRecord>& records, config::BackendSource::Kind kind) {
  config::BackendSource source;
  source.kind = kind;
  source.port = 80;
  source.id = "api.test:80";
  std::optional<IpAddress> chosen;
  const auto backends = BackendsOf(source, records, chosen);
  FUZZ_CHECK(backends.size() <= records.size());
  for (size_t i = 0; i < backends.size(); ++i) {
    FUZZ_CHECK(backends[i].weight >= 1 && backends[i].weight <= 65535);
    FUZZ_CHECK(backends[i].address.port != 0 && !backends[i].id.empty());
    for (size_t j = 0; j < i; ++j) FUZZ_CHECK(backends[i].id != backends[j].id);
  }
  const bool all_backup = std::all_of(backends.begin(), backends.end(),
                                      [](const auto& backend) { return backend.backup; });
  FUZZ_CHECK(backends.empty() || !all_backup);
}

void CheckAnswer(std::span<const uint8_t> message, DnsType type) {
  constexpr size_t kRecordsMax = 50;
  const auto answer = ParseDnsAnswer(message, "api.test", type, kRecordsMax);
  if (!answer) return;
  FUZZ_CHECK(answer->records.size() <= kRecordsMax);
  FUZZ_CHECK(answer->ttl >= Duration::zero() &&
             answer->ttl <= std::chrono::seconds(uint32_t{0x7fffffff}));
  for (const ResolvedRecord& record : answer->records) {
    FUZZ_CHECK((type == DnsType::kSrv) == (record.ip == IpAddress()));
    FUZZ_CHECK((type == DnsType::kSrv) == !record.target.empty());
    FUZZ_CHECK(type != DnsType::kA || record.ip.is_v4());
    FUZZ_CHECK(IsLower(record.target) && record.target.size() <= 255);
  }
  CheckBackends(answer->records, type == DnsType::kSrv ? config::BackendSource::Kind::kSrv
                                                       : config::BackendSource::Kind::kDns);
  // Every message that is cut in its answers is refused, or has no more than the whole.
  const auto cut = ParseDnsAnswer(message.first(message.size() - 1), "api.test", type, kRecordsMax);
  FUZZ_CHECK(!cut || cut->records == answer->records);
}

void CheckFiles(std::string_view text) {
  const ResolvConf conf = ParseResolvConf(text);
  FUZZ_CHECK(conf.servers.size() <= ResolvConf::kServersMax);
  FUZZ_CHECK(conf.search.size() <= ResolvConf::kSearchMax && conf.ndots >= 0 && conf.ndots <= 15);
  for (const std::string& domain : conf.search) FUZZ_CHECK(!domain.empty() && IsLower(domain));
  const auto names = NamesToTry("api", conf);
  FUZZ_CHECK(names.size() == conf.search.size() + 1);
  FUZZ_CHECK(std::count(names.begin(), names.end(), "api") >= 1);
  for (const auto& [name, addresses] : ParseHosts(text)) {
    FUZZ_CHECK(!name.empty() && IsLower(name) && !addresses.empty());
    FUZZ_CHECK(std::is_partitioned(addresses.begin(), addresses.end(),
                                   [](const IpAddress& ip) { return ip.is_v4(); }));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::span<const uint8_t> rest(data + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      CheckAnswer(rest, DnsType::kA);
      break;
    case 1:
      CheckAnswer(rest, DnsType::kAaaa);
      break;
    case 2:
      CheckAnswer(rest, DnsType::kSrv);
      break;
    case 3:
      CheckFiles(std::string_view(reinterpret_cast<const char*>(rest.data()), rest.size()));
      break;
  }
  return 0;
}
