// A configuration as text again, and what of it a running process can not change. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/config/config.h"

namespace rondo::config {

// `http1`, `h2c` or `h2`.
std::string_view ProtocolName(Protocol protocol);

enum class Secrets : uint8_t { kHidden, kShown };

// A file that Parse reads back into an equal configuration (with kShown, or where there are no
// secrets). What is at its default is left out.
std::string WriteYaml(const Config& config, Secrets secrets);

// Every key, in the order of the documentation; null for what is off. Read back by ParseConfigJson,
// ParseUpstreamJson and ParseBackendJson (edit.h). Secrets that are not shown are kHiddenSecret.
std::string WriteConfigJson(const Config& config);  // they are not
std::string WriteUpstreamJson(const Upstream& upstream, Secrets secrets);
std::string WriteBackendJson(const Backend& backend);

// The keys that differ and that only a restart changes, such as "process.workers": every key of
// `process` but lame_duck and the graces; and admin.listen, logging.access.path and
// logging.access.format, which a caller that can apply them takes out.
std::vector<std::string> UnreloadableChanges(const Config& old, const Config& now);

}  // namespace rondo::config
