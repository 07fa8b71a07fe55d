// The admin API's answers for people.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "rondo/base/time.h"

namespace rondo::app {

// Nothing here throws, whatever the JSON is: what is missing is shown as nothing.
std::string StatusView(const nlohmann::json& status, const nlohmann::json& upstreams);
std::string BackendsView(const nlohmann::json& list, WallTime now);
std::string DiffView(const nlohmann::json& diff);
// "api/10.0.1.13:3000 is up (check passed)".
std::string BackendSentence(const std::string& upstream, const nlohmann::json& backend);
// One line without a line feed.
std::string EventLine(const std::string& type, const nlohmann::json& data);

// Members of objects, by type; else empty, or 0.
std::string TextOf(const nlohmann::json& object, const char* key);
double NumberOf(const nlohmann::json& object, const char* key);

}  // namespace rondo::app
