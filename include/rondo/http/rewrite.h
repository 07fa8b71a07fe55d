// The target that is forwarded where a route replaces its path_prefix. Pure, no allocation.
#pragma once

#include <cstddef>
#include <string_view>

namespace rondo::http {

struct PrefixRewrite {
  std::string_view path_and_query;   // as received: RequestHead::path_and_query
  std::string_view normalised_path;  // of it, as route/ normalises: what the prefix matched
  std::string_view prefix;           // the route's path_prefix
  std::string_view replacement;      // begins with '/', has no '?' and no '#'
};

// At most this many bytes are written. O(1).
size_t RewritePrefixBound(const PrefixRewrite& rewrite);

// Writes the new path and the query (as it came) to `out`, which has room for RewritePrefixBound()
// bytes, and returns the length.
//
// What follows the prefix stays as the client spelled it where the received path begins with the
// prefix byte for byte, goes on in a segment of its own and has no dot segment behind it. Else it
// is taken from the normalised path: "/v1/../v1/x" must not become "/tenant/../v1/x", which a
// backend reads as "/v1/x", nor "/v1//x" become "//x", which is another host to some.
//
// Between replacement and rest stands one slash: "/v1" to "/" makes /users of /v1/users and / of
// /v1, "/v1" to "/api" or "/api/" makes /api/users of /v1/users. A path that is all prefix becomes
// the replacement as it is written. "*" (OPTIONS) stays "*".
// REQUIRES: the prefix takes normalised_path.
size_t RewritePrefix(const PrefixRewrite& rewrite, char* out);

}  // namespace rondo::http
