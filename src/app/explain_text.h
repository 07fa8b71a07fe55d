// An explanation in words, and as JSON.
#pragma once

#include <string>

#include "app/explain.h"

namespace rondo::app {

// `file` is the configuration's, for the places of routes.
std::string ExplanationText(const Explanation& explanation, const std::string& file);
// One line, with a line feed.
std::string ExplanationJson(const Explanation& explanation, const std::string& file);

}  // namespace rondo::app
