#include "rondo/base/address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace rondo {
namespace {

constexpr size_t kUnixPathMax = 107;
constexpr std::string_view kUnixPrefix = "unix:";
constexpr std::array<uint8_t, 12> kV4Prefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

// Decimal digits only, no leading zero, no sign.
std::optional<unsigned> ParseNumber(std::string_view text, unsigned max) {
  if (text.empty() || text.size() > 5 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  unsigned value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    value = value * 10 + static_cast<unsigned>(c - '0');
  }
  if (value > max) return std::nullopt;
  return value;
}

char* WriteV4(const uint8_t* bytes, char* out) {
  for (int i = 0; i < 4; ++i) {
    if (i != 0) *out++ = '.';
    out = std::to_chars(out, out + 3, bytes[i]).ptr;
  }
  return out;
}

// RFC 5952: lower case, no leading zeros, the first longest run of two or more zero groups as "::".
char* WriteV6(const std::array<uint8_t, 16>& bytes, char* out) {
  unsigned groups[8];
  for (int i = 0; i < 8; ++i) groups[i] = bytes[2 * i] * 256u + bytes[2 * i + 1];
  int run_start = -1;
  int run_length = 1;
  for (int i = 0; i < 8;) {
    int end = i;
    while (end < 8 && groups[end] == 0) ++end;
    if (end - i > run_length) {
      run_start = i;
      run_length = end - i;
    }
    i = end + 1;
  }
  for (int i = 0; i < 8;) {
    if (i == run_start) {
      *out++ = ':';
      *out++ = ':';
      i += run_length;
      continue;
    }
    const bool behind_run = run_start >= 0 && i == run_start + run_length;
    if (i != 0 && !behind_run) *out++ = ':';
    out = std::to_chars(out, out + 4, groups[i], 16).ptr;
    ++i;
  }
  return out;
}

bool BitsBehindAreZero(const IpAddress& address, unsigned prefix_bits) {
  for (unsigned bit = prefix_bits; bit < 128; ++bit) {
    if ((address.bytes[bit / 8] >> (7 - bit % 8)) & 1) return false;
  }
  return true;
}

std::optional<SocketAddress> ParseUnix(std::string_view path) {
  if (path.empty() || path.size() > kUnixPathMax || path == "@") return std::nullopt;
  if (path.find('\0') != std::string_view::npos) return std::nullopt;
  SocketAddress address;
  address.kind = SocketAddress::Kind::kUnix;
  address.path = std::string(path);
  return address;
}

}  // namespace

std::optional<IpAddress> IpAddress::Parse(std::string_view text) {
  char terminated[kTextMax + 1];
  if (text.empty() || text.size() > kTextMax) return std::nullopt;
  if (text.find('\0') != std::string_view::npos) return std::nullopt;
  std::memcpy(terminated, text.data(), text.size());
  terminated[text.size()] = '\0';
  IpAddress address;
  if (text.find(':') != std::string_view::npos) {
    if (inet_pton(AF_INET6, terminated, address.bytes.data()) != 1) return std::nullopt;
    return address;
  }
  std::copy(kV4Prefix.begin(), kV4Prefix.end(), address.bytes.begin());
  if (inet_pton(AF_INET, terminated, address.bytes.data() + 12) != 1) return std::nullopt;
  return address;
}

IpAddress IpAddress::V4(uint32_t host_order) {
  IpAddress address;
  std::copy(kV4Prefix.begin(), kV4Prefix.end(), address.bytes.begin());
  for (unsigned i = 0; i < 4; ++i) {
    address.bytes[12 + i] = static_cast<uint8_t>(host_order >> (24 - 8 * i));
  }
  return address;
}

bool IpAddress::is_v4() const {
  return std::equal(kV4Prefix.begin(), kV4Prefix.end(), bytes.begin());
}

size_t IpAddress::Write(char* out) const {
  char* end = is_v4() ? WriteV4(bytes.data() + 12, out) : WriteV6(bytes, out);
  return static_cast<size_t>(end - out);
}

std::string IpAddress::ToString() const {
  char text[kTextMax];
  return std::string(text, Write(text));
}

std::optional<SocketAddress> SocketAddress::Parse(std::string_view text, bool allow_any) {
  if (text.starts_with(kUnixPrefix)) return ParseUnix(text.substr(kUnixPrefix.size()));
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const std::optional<unsigned> port = ParseNumber(text.substr(colon + 1), 65535);
  if (!port) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  SocketAddress address;
  address.port = static_cast<uint16_t>(*port);
  if (host.empty()) {
    if (!allow_any) return std::nullopt;
    address.both_families = true;
    return address;
  }
  const bool brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (brackets) host = host.substr(1, host.size() - 2);
  // Brackets stand around IPv6 and nothing else (RFC 3986 §3.2.2).
  if (brackets != (host.find(':') != std::string_view::npos)) return std::nullopt;
  const std::optional<IpAddress> ip = IpAddress::Parse(host);
  if (!ip) return std::nullopt;
  address.ip = *ip;
  return address;
}

std::string SocketAddress::ToString() const {
  if (kind == Kind::kUnix) return std::string(kUnixPrefix) + path;
  const std::string port_text = ":" + std::to_string(port);
  if (both_families) return port_text;
  if (ip.is_v4()) return ip.ToString() + port_text;
  return "[" + ip.ToString() + "]" + port_text;
}

std::optional<Network> Network::Parse(std::string_view text) {
  const size_t slash = text.find('/');
  const std::string_view host = text.substr(0, slash);
  const std::optional<IpAddress> base = IpAddress::Parse(host);
  if (!base) return std::nullopt;
  Network network{*base, 128};
  if (slash == std::string_view::npos) return network;
  // The text decides how bits are counted: ::ffff:10.0.0.0/104 is 10.0.0.0/8.
  const unsigned bits_before = host.find(':') == std::string_view::npos ? 96 : 0;
  const std::optional<unsigned> bits = ParseNumber(text.substr(slash + 1), 128 - bits_before);
  if (!bits) return std::nullopt;
  network.prefix_bits = static_cast<uint8_t>(bits_before + *bits);
  if (!BitsBehindAreZero(network.base, network.prefix_bits)) return std::nullopt;
  return network;
}

bool Network::Contains(const IpAddress& address) const {
  const size_t whole = prefix_bits / 8;
  if (!std::equal(base.bytes.begin(), base.bytes.begin() + whole, address.bytes.begin()))
    return false;
  const unsigned rest = prefix_bits % 8;
  if (rest == 0) return true;
  return ((base.bytes[whole] ^ address.bytes[whole]) >> (8 - rest)) == 0;
}

std::string Network::ToString() const {
  if (prefix_bits == 128) return base.ToString();
  const unsigned bits = base.is_v4() && prefix_bits >= 96 ? prefix_bits - 96u : prefix_bits;
  return base.ToString() + "/" + std::to_string(bits);
}

}  // namespace rondo
