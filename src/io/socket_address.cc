#include "rondo/io/socket_address.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

#include "rondo/base/check.h"

namespace rondo::io {
namespace {

constexpr socklen_t kPathOffset = offsetof(sockaddr_un, sun_path);

void WriteLocal(const std::string& path, RawAddress& raw) {
  RONDO_CHECK(!path.empty() && path.size() < sizeof(raw.local.sun_path));
  raw.local.sun_family = AF_UNIX;
  std::memcpy(raw.local.sun_path, path.data(), path.size());
  const bool abstract = path.front() == '@';
  if (abstract) raw.local.sun_path[0] = '\0';
  // An abstract name is exactly as long as we say; a path ends with a NUL.
  raw.length = kPathOffset + static_cast<socklen_t>(path.size()) + (abstract ? 0 : 1);
}

SocketAddress ReadLocal(const sockaddr* any, socklen_t length) {
  SocketAddress address;
  address.kind = SocketAddress::Kind::kUnix;
  if (length <= kPathOffset) return address;  // a peer that never bound its socket
  const char* path = reinterpret_cast<const char*>(any) + kPathOffset;
  const size_t room = std::min<size_t>(length - kPathOffset, sizeof(sockaddr_un::sun_path));
  if (path[0] == '\0') {
    address.path.assign(path, room);
    address.path[0] = '@';
  } else {
    address.path.assign(path, strnlen(path, room));
  }
  return address;
}

}  // namespace

RawAddress ToRawAddress(const SocketAddress& address) {
  RawAddress raw;
  if (address.kind == SocketAddress::Kind::kUnix) {
    WriteLocal(address.path, raw);
  } else if (!address.both_families && address.ip.is_v4()) {
    raw.v4.sin_family = AF_INET;
    raw.v4.sin_port = htons(address.port);
    std::memcpy(&raw.v4.sin_addr, address.ip.bytes.data() + 12, 4);
    raw.length = sizeof(raw.v4);
  } else {
    raw.v6.sin6_family = AF_INET6;
    raw.v6.sin6_port = htons(address.port);
    std::memcpy(&raw.v6.sin6_addr, address.ip.bytes.data(), 16);
    raw.length = sizeof(raw.v6);
  }
  return raw;
}

SocketAddress FromRawAddress(const sockaddr* any, socklen_t length) {
  SocketAddress address;
  if (length < sizeof(sa_family_t)) return address;
  switch (any->sa_family) {
    case AF_INET: {
      sockaddr_in v4;
      if (length < sizeof(v4)) break;
      std::memcpy(&v4, any, sizeof(v4));
      address.ip = IpAddress::V4(ntohl(v4.sin_addr.s_addr));
      address.port = ntohs(v4.sin_port);
      break;
    }
    case AF_INET6: {
      sockaddr_in6 v6;
      if (length < sizeof(v6)) break;
      std::memcpy(&v6, any, sizeof(v6));
      std::memcpy(address.ip.bytes.data(), &v6.sin6_addr, 16);
      address.port = ntohs(v6.sin6_port);
      break;
    }
    case AF_UNIX:
      return ReadLocal(any, length);
    default:  // whatever else the kernel may know: the unspecified address
      break;
  }
  return address;
}

}  // namespace rondo::io
