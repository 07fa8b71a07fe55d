// From what the DNS said to backends, and how long an answer holds. Pure.
#pragma once

#include <optional>
#include <vector>

#include "control/resolver.h"
#include "rondo/config/upstream.h"

namespace rondo::control {

// The backends of a kName, kDns or kSrv source whose name stands for `records`, ordered by address;
// none twice. kName: one, at `chosen` as long as that is among the records, else at the first of
// them, which is `chosen` then.
std::vector<config::Backend> BackendsOf(const config::BackendSource& source,
                                        const std::vector<ResolvedRecord>& records,
                                        std::optional<IpAddress>& chosen);

// Puts what was known `before` into the holes of a kOk answer. An answer without any record then is
// a failed one.
void FillHoles(Answer& answer, const std::vector<ResolvedRecord>& before);

// How long an answer holds: its TTL, at least a second and at most `max_ttl`.
Duration UntilNextAsk(Duration ttl, Duration max_ttl);
// How long to wait after so many failures in a row (at least 1): a second, doubled each time, at
// most `max_ttl`.
Duration UntilRetry(uint32_t failures, Duration max_ttl);

// Leaves the first of those with the same id or the same address.
void DropDuplicates(std::vector<config::Backend>& backends);

inline constexpr Duration kTtlMin = std::chrono::seconds(1);

}  // namespace rondo::control
