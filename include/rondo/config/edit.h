// Parts of a configuration that come by themselves: what the admin API is sent, and watched files
// of backends. The same keys and checks as in the configuration file. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/config/config.h"
#include "rondo/config/load.h"

namespace rondo::config {

// Either a value or at least one error. In JSON errors have no line and column but `field`, such as
// "backends[2].weight" (empty for the whole); a text that is no JSON at all has line and column.
template <class T>
struct Parsed {
  std::optional<T> value = {};
  std::vector<Error> errors = {};
};

// JSON is taken as it is written: no ${NAME}, no merging by `<<`; numbers and booleans are not in
// quotes, and text is. A null is as if the key were left out. Text that is no JSON, or nested too
// deep, or with a key twice, is an error like any other; nothing throws.

// The body of POST .../backends, and what WriteBackendJson writes. Its address is a literal one: a
// host name is refused, since its backend comes and goes with the name (it belongs in the
// upstream).
Parsed<Backend> ParseBackendJson(std::string_view text);

// The body of PUT .../backends: {"backends": [...]}, of addresses or of maps as above. `shown`:
// what a list that was read has in each of its maps beyond what can be written; where all of these
// stand in one they are left out, and with "removing": true the whole map is, so that reading,
// editing and writing a list is one round. Some of them alone are errors, as anything unknown.
Parsed<std::vector<Backend>> ParseBackendsJson(std::string_view text,
                                               std::span<const std::string_view> shown = {});

// The body of PATCH .../backends/{b}: at least one of its keys.
enum class WantedState : uint8_t { kUp, kDraining, kMaintenance };
struct BackendPatch {
  std::optional<uint32_t> weight = {};
  std::optional<uint32_t> max_connections = {};
  std::optional<bool> backup = {};
  std::optional<WantedState> state = {};  // "up", "draining" or "maintenance"
  friend bool operator==(const BackendPatch&, const BackendPatch&) = default;
};
Parsed<BackendPatch> ParseBackendPatchJson(std::string_view text);

// The body of PUT /v1/upstreams/{name}, and what WriteUpstreamJson writes. Relative paths are
// resolved against `file_name`, as in the configuration file of that name. A secret header may be
// kHiddenSecret, for KeepSecrets to replace.
Parsed<Upstream> ParseUpstreamJson(std::string_view name, std::string_view text,
                                   const std::string& file_name);

// A whole configuration in JSON, and what WriteConfigJson writes; secrets as above.
Parsed<Config> ParseConfigJson(std::string_view text, const std::string& file_name);

// What stands in the place of secrets that are not shown: the admin token, and the values of
// headers (of requests, responses and health checks) that go by a name as credentials do.
inline constexpr std::string_view kHiddenSecret = "***";
// Whether the name says that a value is not for everybody: Authorization, Cookie, X-Api-Key, ...
bool IsSecretHeader(std::string_view name);
void HideSecrets(Config& config);
void HideSecrets(Upstream& upstream);
// Puts the secrets of `current` where `config` has kHiddenSecret: those of the same upstream (null:
// there is none), or of the listener's route with the same match. An error for each that is not
// there, after which `config` is not to be used.
std::vector<Error> KeepSecrets(const Config& current, Config& config);
std::vector<Error> KeepSecrets(const Upstream* current, Upstream& upstream);

// The content of a `{file: backends.yaml}`: a list (YAML, or the JSON that is YAML) of addresses
// and host names, plain or as maps with id, weight, backup and max_connections; with ${NAME}. An
// empty text is no list; `[]` is. All sources are of kind kName.
struct BackendList {
  std::vector<Backend> backends = {};
  std::vector<BackendSource> sources = {};
  friend bool operator==(const BackendList&, const BackendList&) = default;
};
Parsed<BackendList> ParseBackendsFile(std::string_view text, const std::string& file_name,
                                      const Environment& environment);

// One line for people: "`weight` is ...", with the field or the place in front where there is one.
std::string FormatFieldError(const Error& error);

}  // namespace rondo::config
