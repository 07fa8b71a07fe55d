#include "control/openapi.h"

namespace rondo::control {
namespace {

// Written by the build from openapi.json.
constexpr char kText[] =
#include "control/openapi_json.inc"
    ;

}  // namespace

std::string_view OpenApiJson() { return {kText, sizeof(kText) - 1}; }

}  // namespace rondo::control
