// What clients are counted under. Values only; any thread.
#pragma once

#include <cstdint>
#include <string_view>

#include "rondo/base/address.h"

namespace rondo::protect {

// An IPv4 address whole, of an IPv6 address the first 64 bits (a host changes the others as it
// likes, RFC 8981). No two of them that a client may have share a key.
uint64_t AddressKey(const IpAddress& address);

// Of the value of a header or a cookie. Who does not know the seed cannot choose two values with
// one key.
uint64_t TextKey(std::string_view text, uint64_t seed);

}  // namespace rondo::protect
