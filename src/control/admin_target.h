// The target of an admin request, taken apart. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace rondo::control {

struct AdminTarget {
  // Between the slashes, percent-decoded: "/v1/upstreams/a%2Fb" is v1, upstreams, a/b. None for
  // "/".
  std::vector<std::string> path;
  // In order; in values '+' is a space, as forms and most clients' libraries write it.
  std::vector<std::pair<std::string, std::string>> query;

  // The first of that name.
  const std::string* Find(std::string_view name) const;
};

// Nothing where it is no path, or has a '%' without two hex digits behind it, or an encoded control
// character.
std::optional<AdminTarget> ParseAdminTarget(std::string_view target);

// Whether `path` is one of `pattern` ("/v1/upstreams/{upstream}"); then `values` are what stands
// for its braces. A value is never empty.
bool MatchAdminPattern(std::string_view pattern, const std::vector<std::string>& path,
                       std::vector<std::string>& values);

// For a path segment: everything that is not unreserved (RFC 3986 §2.3) or a colon is encoded.
std::string EncodeSegment(std::string_view text);

}  // namespace rondo::control
