// What one value of a route or of balancing must be; as in checks.h.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "config/checks.h"
#include "rondo/base/time.h"
#include "rondo/config/config.h"

namespace rondo::config {

// A method, exactly as requests have it.
Checked<std::string> CheckMethod(std::string_view text);
// The name of a field that is matched or hashed.
Checked<std::string> CheckFieldName(std::string_view text);
// The name of a cookie (RFC 6265 §4.1.1).
Checked<std::string> CheckCookieName(std::string_view text);
Checked<std::string> CheckRegexText(std::string_view text);
// The name and the value of a field that a route sets; names that it removes are the same.
Checked<std::string> CheckEditedName(std::string_view text);
Checked<std::string> CheckEditedValue(std::string_view text);
// What Location says: a URL with its scheme, or a path; with {host} and {uri}.
Checked<std::string> CheckRedirectTarget(std::string_view text);
// Why a URI can not hold `text`, or nothing.
std::string UriProblem(std::string_view text);
// What replaces a prefix of the path.
Checked<std::string> CheckRewritePrefix(std::string_view text);
// `request_id` is only for splits, `path` and `uri` are only for hash_key.
Checked<HashKey> CheckSplitBy(std::string_view text);
Checked<HashKey> CheckHashKey(std::string_view text);
Checked<HashKey> CheckRateKey(std::string_view text);

// How often, as in `100/s`.
struct RequestRate {
  uint32_t requests = 1;
  Duration per = std::chrono::seconds(1);
};
Checked<RequestRate> CheckRate(std::string_view text);
std::string FormatRate(uint32_t requests, Duration per);

}  // namespace rondo::config
