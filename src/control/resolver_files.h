// What resolv.conf(5) and hosts(5) say, and the names to try for one that was written. Pure.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/base/address.h"

namespace rondo::control {

struct ResolvConf {
  std::vector<SocketAddress> servers;  // at most kServersMax; none: there is no nameserver line
  std::vector<std::string> search;  // in lower case, without dots at their ends; at most kSearchMax
  int ndots = 1;                    // 0 to 15
  friend bool operator==(const ResolvConf&, const ResolvConf&) = default;

  static constexpr size_t kServersMax = 8;
  static constexpr size_t kSearchMax = 32;
};
// Lines that it does not understand count for nothing, as everywhere; servers with a zone
// (fe80::1%eth0) are such.
ResolvConf ParseResolvConf(std::string_view text);

// Names in lower case to their addresses, in the order of the file: IPv4 first, none twice.
using Hosts = std::map<std::string, std::vector<IpAddress>, std::less<>>;
Hosts ParseHosts(std::string_view text);

// The names to ask for, in order: `name` alone where it ends in a dot (without it) or nothing is to
// be searched; as it is first where it has at least `ndots` dots, else last.
std::vector<std::string> NamesToTry(std::string_view name, const ResolvConf& conf);

// Whether it means this machine, whatever any server says (RFC 6761 §6.3): localhost, and all below
// it.
bool IsLocalhost(std::string_view name);

}  // namespace rondo::control
