// The description of the admin API, OpenAPI 3.1, as openapi.json beside this file was at build
// time.
#pragma once

#include <string_view>

namespace rondo::control {

std::string_view OpenApiJson();

}  // namespace rondo::control
