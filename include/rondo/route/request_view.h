// What a router looks at in a request: views of what was received, nothing is copied.
#pragma once

#include <span>
#include <string_view>

#include "rondo/http/field.h"

namespace rondo::route {

struct RequestView {
  // Host or the authority as it came, with a port or without.
  std::string_view host;
  // What NormalisePath returned.
  std::string_view path;
  std::string_view method = {};
  // Behind the first '?' of the target as it came, without it; see QueryOf.
  std::string_view query = {};
  // As received. `id` must be FieldIdOf(name): cookies are looked for in Cookie fields by it.
  std::span<const http::Field> fields = {};
};

// The query of "/path?query", without the question mark; empty where there is none.
constexpr std::string_view QueryOf(std::string_view path_and_query) {
  const size_t mark = path_and_query.find('?');
  return mark == std::string_view::npos ? std::string_view() : path_and_query.substr(mark + 1);
}

}  // namespace rondo::route
