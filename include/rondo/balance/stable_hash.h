// Hashes that are the same in every process, on every machine and in every version: what a client
// is sent to must not change because Rondo was restarted or upgraded. Not seeded: never use them
// for a table of keys that a client chooses.
#pragma once

#include <cstdint>
#include <string_view>

#include "rondo/base/address.h"

namespace rondo::balance {

// FNV-1a of 64 bits over the bytes, then Mix64 (splitmix64), since FNV alone leaves its high bits
// poor.
uint64_t StableHash(std::string_view bytes);

// What a stickiness cookie carries: names a backend of an upstream, and tells nothing of its address. The same
// backend in two upstreams has two.
uint64_t StickyHash(std::string_view upstream, std::string_view backend_id);

// The key of ip_hash. An IPv4 address counts whole. Of an IPv6 address the first 64 bits count: a
// host changes the others as it likes (RFC 8981), and a customer has at least a /64. The port never
// counts.
uint64_t AddressKey(const IpAddress& address);

}  // namespace rondo::balance
