// Reads the answer of a DNS server to one question (RFC 1035 §4, RFC 2782). Pure; believes no byte.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "control/resolver.h"

namespace rondo::control {

enum class DnsType : uint16_t { kA = 1, kAaaa = 28, kSrv = 33 };

struct DnsAnswer {
  // Of the type asked for, at the end of the chain of aliases from the name asked for; `ip` of
  // addresses, the rest of services. In the order of the message.
  std::vector<ResolvedRecord> records;
  Duration ttl{0};  // the smallest of records and aliases
};

// Nothing where the message is cut, contradicts itself or is not an answer. An answer without
// records of the type is one. Addresses that cannot be a backend's (0.0.0.0, ::) are left out, and
// services at no host (".") or at what is no host name. `name`: in any case, without a dot at its
// end. At most `records_max` are read.
std::optional<DnsAnswer> ParseDnsAnswer(std::span<const uint8_t> message, std::string_view name,
                                        DnsType type, size_t records_max);

}  // namespace rondo::control
