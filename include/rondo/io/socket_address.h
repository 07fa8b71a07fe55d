// From our addresses to the kernel's and back.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "rondo/base/address.h"

namespace rondo::io {

// A sockaddr of any family with its length: what Op::address points to for a connect.
struct RawAddress {
  union {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un local;
  };
  socklen_t length = 0;

  RawAddress() : local{} {}
};

// AF_INET for an IPv4 address, AF_INET6 for IPv6 and for both_families, AF_UNIX for a path.
RawAddress ToRawAddress(const SocketAddress& address);

// `length` as the kernel gave it. A family that we do not know becomes the unspecified IPv6
// address, port 0. An IPv4-mapped IPv6 address is an IPv4 address to us.
SocketAddress FromRawAddress(const sockaddr* address, socklen_t length);

}  // namespace rondo::io
