// A right configuration drawn by a seed, with every key at its default or somewhere else, and texts
// that YAML could read in more than one way.
#pragma once

#include <cstdint>

#include "rondo/config/config.h"

namespace rondo::config {

Config DrawConfig(uint64_t seed);

}  // namespace rondo::config
