// What one value must be: addresses, networks, names, hosts, paths. Pure; `problem` says what is
// wrong and what would be right, to stand behind the quoted value.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "rondo/base/address.h"

namespace rondo::config {

template <class T>
struct Checked {
  std::optional<T> value;
  std::string problem;  // empty where there is a value
};

Checked<SocketAddress> CheckListenAddress(std::string_view text);
Checked<SocketAddress> CheckBackendAddress(std::string_view text);
Checked<Network> CheckNetwork(std::string_view text);

// The name of a listener or an upstream: it becomes a metric's label and part of an admin path.
Checked<std::string> CheckName(std::string_view text);
// A host to match, in lower case: exact, or "*.rest".
Checked<std::string> CheckHost(std::string_view text);
// A path or a prefix of one, in the normalised form that requests are matched in.
Checked<std::string> CheckPath(std::string_view text);
// An Upgrade token (RFC 9110 §7.8), in lower case.
Checked<std::string> CheckUpgrade(std::string_view text);
// The pseudonym for Via (RFC 9110 §7.6.3).
Checked<std::string> CheckVia(std::string_view text);

}  // namespace rondo::config
