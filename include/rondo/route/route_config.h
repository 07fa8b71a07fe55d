// What a route asks of a request, as it was configured: values that config/ fills and the matcher
// compiles.
#pragma once

#include <string>

namespace rondo::route {

// All fields that are not empty must hold; a match with only empty fields takes every request.
struct RouteMatch {
  // Lower case, without a port: an exact name, or "*.rest" for every name that ends in ".rest".
  std::string host;
  // The whole path in its normalised form, beginning with '/'.
  std::string path;
  // A beginning of the normalised path that ends at a segment: "/v1" takes "/v1" and "/v1/x", not
  // "/v1foo".
  std::string path_prefix;

  friend bool operator==(const RouteMatch&, const RouteMatch&) = default;
};

}  // namespace rondo::route
