// The one form of a path that routes are matched against, so that no spelling of a path gets around
// a rule. Pure. The path that is forwarded stays as the client sent it.
#pragma once

#include <string>
#include <string_view>

namespace rondo::route {

// Where a path that had to be rewritten is kept. Use one again and again: it allocates only when it
// must grow.
using Scratch = std::string;

struct NormaliseResult {
  // Empty where refused. Otherwise a view of the input where nothing was to do, else of the
  // scratch.
  std::string_view path;
  // Why the request must get a 400, or null: "path_not_absolute", "path_control_byte", "path_nul",
  // "path_backslash", "path_fragment", "path_bad_escape", "path_above_root".
  const char* reason = nullptr;

  bool ok() const { return reason == nullptr; }
};

// `path` is the path of a request target, with or without "?query" (what follows '?' is not looked
// at). In the result
//  - escapes of unreserved characters are decoded (%61 is a), other escapes are kept with
//  upper-case digits;
//    so %2F never becomes a slash, and %2e%2e is a dot segment (RFC 3986 §6.2.2);
//  - bytes that a URI may not hold (spaces, quotes, what is not ASCII) are escaped;
//  - repeated slashes are one, and after that "." and ".." segments are gone (RFC 3986 §5.2.4).
// Normalising a result again gives the same. "*" (OPTIONS) stays "*". Refused are, with the reasons
// above: what does not begin with '/', control bytes, %00, a backslash in either form, '#', an
// escape without two hex digits, and climbing above the root. Reserved characters are left alone:
// "/a;b" and "/a%3Bb" are two paths, and
// "..;" is no dot segment, though some servers think otherwise.
// REQUIRES: `path` is not a view of `scratch`. O(length), one pass where nothing is to do.
NormaliseResult NormalisePath(std::string_view path, Scratch& scratch);

}  // namespace rondo::route
