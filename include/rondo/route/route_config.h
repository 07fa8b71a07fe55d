// What a route asks of a request, as it was configured: values that config/ fills and the matcher
// compiles.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace rondo::route {

// What is asked of the values that a request has under one name: of header fields, cookies or query
// parameters. Where there are several values of that name, any one of them is enough.
struct ValueMatch {
  enum class Kind : uint8_t {
    kPresent,  // there is one, whatever its value
    kAbsent,   // there is none
    kExact,    // the value is `text`
    kPrefix,   // the value begins with `text`
    kRegex,    // the whole value is matched by the pattern `text`
  };
  std::string name;  // of headers in any case; of cookies and parameters exactly as it is
  Kind kind = Kind::kPresent;
  std::string text = {};

  friend bool operator==(const ValueMatch&, const ValueMatch&) = default;
};

// All parts that are not empty must hold; a match with only empty parts takes every request.
struct RouteMatch {
  // Lower case, without a port: an exact name, or "*.rest" for every name that ends in ".rest".
  std::string host;
  // The whole path in its normalised form, beginning with '/'.
  std::string path;
  // A beginning of the normalised path that ends at a segment: "/v1" takes "/v1" and "/v1/x", not
  // "/v1foo".
  std::string path_prefix;
  // A pattern in RE2's syntax that takes the whole normalised path.
  std::string path_regex = {};
  // Any of these, exactly as written: methods are case-sensitive, and HEAD is not GET.
  std::vector<std::string> methods = {};
  std::vector<ValueMatch> headers = {};
  std::vector<ValueMatch> cookies = {};
  std::vector<ValueMatch> query = {};

  friend bool operator==(const RouteMatch&, const RouteMatch&) = default;
};

}  // namespace rondo::route
