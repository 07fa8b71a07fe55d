// The PROXY protocol, versions 1 and 2 (haproxy.org, proxy-protocol.txt of 2020/03/05): who the
// client is, said by a proxy in front before anything else. Pure: bytes to values and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "rondo/base/address.h"

namespace rondo::proxyproto {

struct Endpoint {
  IpAddress ip;
  uint16_t port = 0;
  friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// What a header says. Without endpoints: the connection is the proxy's own (`local`), or that of a
// client of whom nothing is known (UNKNOWN, unix sockets, datagrams). Both are there, or neither.
struct Header {
  bool local = false;  // LOCAL, which version 2 alone can say
  std::optional<Endpoint> source;
  std::optional<Endpoint> destination;
};

// The longest header that is read: version 2 allows 65,551 bytes; more than kHeaderMax is refused
// ("proxy_header_too_long").
inline constexpr size_t kV1Max = 107;
inline constexpr size_t kHeaderMax = 4096;

enum class Parse : uint8_t { kNeedMore, kDone, kBad };
struct Parsed {
  Parse state = Parse::kNeedMore;
  size_t size = 0;  // kDone: bytes of the header, with its additions (TLVs), which are skipped
  Header header;
  const char* reason = "";  // kBad: "proxy_header_missing" (other bytes), "proxy_header_malformed",
                            // "proxy_header_too_long", "proxy_header_checksum" (a CRC32c addition
                            // that does not hold)
};
// Looks at the bytes received so far, from the first. Never kNeedMore with kHeaderMax bytes or
// more.
Parsed ParseHeader(std::string_view received);

enum class Version : uint8_t { kV1, kV2 };
// Writes the header for a connection between `source` and `destination`; null: our own connection
// (UNKNOWN, LOCAL), as for health checks. Mixed families go out as IPv6 (v4-mapped). The length;
// `out` has room for kWrittenMax.
inline constexpr size_t kWrittenMax = 108;
size_t WriteHeader(Version version, const Endpoint* source, const Endpoint* destination, char* out);

}  // namespace rondo::proxyproto
