// Changes of the configuration in mid traffic, drawn from a seed.
#pragma once

#include "proxy_world.h"

namespace rondo::sim {

enum class PublicationKind : uint8_t {
  kNothing,  // the same again
  kReweigh,
  kAddBackend,
  kDrain,   // and remove
  kFlip,    // a health check's result
  kRoutes,  // others are added or changed
  kSettings,
  kListener,  // another comes or goes
  kUpstream,  // likewise
};
inline constexpr uint64_t kPublicationKinds = 9;

// Changes something of that kind now, so that every request can still be answered. A drain takes
// `drain` at most.
void PublishDrawn(ProxyWorld& world, PublicationKind kind, uint64_t seed, Duration drain);

}  // namespace rondo::sim
