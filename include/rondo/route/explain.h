// Why a request takes the route it takes, in values and in words. For people: slow, and allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace rondo::route {

enum class MatchPart : uint8_t {
  kHost,
  kPath,
  kPathPrefix,
  kPathRegex,
  kMethod,
  kHeader,
  kCookie,
  kQuery,
};

// As the part is called in the configuration: "host", "path", "path_prefix", "path_regex",
// "method", "headers", "cookies", "query".
const char* MatchPartName(MatchPart part);

// A part of a match that does not hold.
struct FailedPart {
  MatchPart part = MatchPart::kHost;
  std::string name;    // of the header, the cookie or the parameter; else empty
  std::string wanted;  // in words: "`prod`", "a value that begins with `pr`", "`GET` or `HEAD`"
  std::string found;   // in words: "`dev`", "`a` and `b`", "nothing"

  // "the header `X-Env` is `dev`, but must be `prod`".
  std::string Sentence() const;
  friend bool operator==(const FailedPart&, const FailedPart&) = default;
};

struct RouteTried {
  size_t route = 0;
  std::vector<FailedPart> failed;  // all that do not hold; empty: the route matched

  bool matched() const { return failed.empty(); }
};

struct MatchExplanation {
  // The route that the request takes, SIZE_MAX where none matches.
  size_t route = SIZE_MAX;
  // In order, up to the one that matched, or all of them.
  std::vector<RouteTried> tried;
};

}  // namespace rondo::route
