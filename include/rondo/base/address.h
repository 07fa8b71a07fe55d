// Where a listener or a backend is: an IPv4 or IPv6 address with a port, or a unix socket's path; and
// networks in CIDR notation. Values only: the conversion to sockaddr is the engines' (io/socket_address.h).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace rondo {

// 16 bytes in network order; an IPv4 address is kept as ::ffff:a.b.c.d (RFC 4291 §2.5.5.2).
struct IpAddress {
  std::array<uint8_t, 16> bytes{};

  // Dotted IPv4 in four decimal parts without leading zeros, or IPv6 as RFC 4291 §2.2 (no zone, no brackets).
  static std::optional<IpAddress> Parse(std::string_view text);
  static IpAddress V4(uint32_t host_order);

  bool is_v4() const;
  // The shortest usual form: dotted for IPv4, RFC 5952 for IPv6.
  std::string ToString() const;
  // Writes ToString() to `out`, which has room for kTextMax bytes; returns the length. No allocation.
  size_t Write(char* out) const;
  static constexpr size_t kTextMax = 46;

  friend bool operator==(const IpAddress&, const IpAddress&) = default;
};

struct SocketAddress {
  enum class Kind : uint8_t { kIp, kUnix };
  Kind kind = Kind::kIp;
  // ":8080" as a listener: IPv6 any-address whose socket takes IPv4 as well.
  bool both_families = false;
  uint16_t port = 0;
  IpAddress ip;
  std::string path;  // kUnix: a path of 1 to 107 bytes; a leading '@' means the abstract namespace

  // "127.0.0.1:80", "[::1]:80", "unix:/path"; with allow_any also ":80". The port is 0 to 65535
  // (0 only makes sense for a listener: the kernel chooses). Nothing for anything else.
  static std::optional<SocketAddress> Parse(std::string_view text, bool allow_any = false);

  std::string ToString() const;
  friend bool operator==(const SocketAddress&, const SocketAddress&) = default;
};

// A network: 10.0.0.0/8, 2001:db8::/32, or a single address.
struct Network {
  IpAddress base;
  uint8_t prefix_bits = 128;  // of the 16-byte form: an IPv4 /8 is 104 here

  // Bits behind the prefix must be zero: 10.0.0.1/8 is refused, since it may not mean what it says.
  static std::optional<Network> Parse(std::string_view text);
  bool Contains(const IpAddress& address) const;
  std::string ToString() const;
  friend bool operator==(const Network&, const Network&) = default;
};

}  // namespace rondo
