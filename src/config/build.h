// From the sections of the file to the Config, with the checks that concern more than one key.
// Errors go to the context; what they leave behind is not to be used.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "config/checks.h"
#include "config/reader.h"
#include "rondo/config/config.h"
#include "rondo/config/edit.h"

namespace rondo::config {

Config BuildConfig(const Section& root);

// Nothing where it is off.
std::optional<Admin> BuildAdmin(const Section& root);

std::vector<Upstream> BuildUpstreams(const Section& root);
Upstream BuildUpstream(const Section& section, std::string_view name);

// Which backends a list may have.
enum class BackendKinds : uint8_t {
  kAll,
  kNames,     // addresses and host names: a watched file
  kLiterals,  // addresses only: the admin API
};
BackendList BuildBackendList(Context& context, const std::vector<const Node*>& nodes,
                             BackendKinds kinds);
// The backends and sources of an upstream.
void BuildBackends(const Section& section, Upstream& upstream);
// How its backends are checked, warmed up and drained.
void BuildHealth(const Section& section, Upstream& upstream);

// Routes may name any of config.upstreams; no address is that of config.admin.
std::vector<Listener> BuildListeners(const Section& root, const Config& config);

// The routes of one listener, which may name any of these upstreams.
void BuildRoutes(const Section& section, const std::vector<std::string_view>& upstream_names,
                 Listener& listener);

// TLS towards clients, of the admin API, and towards backends.
void BuildListenerTls(const Section& listener, std::optional<ListenerTls>& config);
void BuildAdminTls(const Section& admin, std::optional<AdminTls>& config);
void BuildUpstreamTls(const Section& upstream, std::optional<UpstreamTls>& config);

// A list of networks.
void BuildNetworks(const Section& section, std::string_view leaf, std::vector<Network>& networks);
// allow, deny, connections and min_rate of a listener.
void BuildListenerLimits(const Section& section, Listener& listener);
void BuildRateLimit(const Section& route, std::optional<RateLimit>& config);
// The burst of a rate_limit that says none.
uint32_t DefaultBurst(const RateLimit& limit);

// What a route asks of requests.
void BuildMatch(const Section& route, route::RouteMatch& match);

// Reads `leaf` by `check`, one of those in checks.h or route_checks.h.
void ReadChecked(const Section& section, std::string_view leaf,
                 Checked<std::string> (*check)(std::string_view), std::string& out);

// A file's path; relative ones are resolved.
void ReadPath(const Section& section, std::string_view leaf, std::string& path);

// A named section of `root`: CheckName on its name, and nothing where it is no map.
std::optional<Section> NamedSection(Context& context, std::string_view path, const Entry& entry);

// Reports kHiddenSecret as the value of a secret header, but in JSON, where what was shown comes
// back.
bool IsHiddenHeader(Context& context, std::string_view leaf, std::string_view name,
                    const Text& value);

// What is wrong with a header's value, which is quoted only where it is no secret.
std::string HeaderProblem(std::string_view leaf, std::string_view name, std::string_view value,
                          std::string_view problem);

// The message of an error about a value.
std::string ValueProblem(std::string_view key, std::string_view value, std::string_view problem);

}  // namespace rondo::config
