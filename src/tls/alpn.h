// Names of protocols as the wire has them (RFC 7301 §3.1). Private to tls/.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "tls/pem.h"

namespace rondo::tls {

// Each behind a byte with its length. An error where a name is empty or longer than 255 bytes.
inline absl::StatusOr<std::string> AlpnOnWire(const std::vector<std::string>& names) {
  std::string wire;
  for (const std::string& name : names) {
    if (name.empty() || name.size() > 255) {
      return Wrong("the name of an ALPN protocol has 1 to 255 bytes");
    }
    wire += static_cast<char>(name.size());
    wire += name;
  }
  if (wire.size() > 65535) return Wrong("the names of ALPN protocols are too long together");
  return wire;
}

}  // namespace rondo::tls
