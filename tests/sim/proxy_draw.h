// A whole simulation of the proxy drawn from one seed: configuration, faults, backends, clients and
// what happens to them.
#pragma once

#include <memory>

#include "proxy_world.h"

namespace rondo::sim {

enum class Weather : uint8_t {
  kCalm,      // nothing fails: every request is answered as planned
  kHarmless,  // the engine does odd things that break nothing: the same holds
  kOdd,       // peers misbehave, the network does not
  kStorm,     // everything
};

struct DrawnRun {
  Weather weather;
  std::unique_ptr<ProxyWorld> world;
  std::string faults;
};

DrawnRun DrawRun(uint64_t seed);
const char* NameOf(Weather weather);
inline bool IsStrict(Weather weather) {
  return weather == Weather::kCalm || weather == Weather::kHarmless;
}

}  // namespace rondo::sim
