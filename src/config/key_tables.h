// The parts of the table of keys, and what they are written with.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "config/keys.h"

namespace rondo::config {

// `listeners` and all below but what RouteKeys() has.
std::span<const Key> ListenerKeys();
// All below listeners.*.routes[].
std::span<const Key> RouteKeys();
// `upstreams` and all below.
std::span<const Key> UpstreamKeys();

// Durations in milliseconds, sizes in bytes.
inline constexpr int64_t kSecond = 1000;
inline constexpr int64_t kMinute = 60 * kSecond;
inline constexpr int64_t kHour = 60 * kMinute;
inline constexpr int64_t kDay = 24 * kHour;
inline constexpr int64_t kYear = 365 * kDay;
inline constexpr int64_t kKiB = 1024;
inline constexpr int64_t kMiB = 1024 * kKiB;
inline constexpr int64_t kPiB = kMiB * kMiB * kKiB;
// Of a rate_limit, in its time and at once.
inline constexpr int64_t kRequestsMax = 1'000'000;

constexpr Key Later(std::string_view path) {
  return {.path = path, .type = KeyType::kLater, .default_text = {}, .meaning = {}};
}

}  // namespace rondo::config
