// The states of a backend's life, who causes them to change, and their names in the admin API, the
// metrics and the log. Values only; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace rondo::health {

enum class State : uint8_t {
  kChecking,     // added, has not yet passed a check: no traffic
  kWarming,      // passed, and gets its warm-up requests: no traffic
  kUp,           // gets its share
  kDown,         // failed its active checks
  kEjected,      // failed its requests; back after fail_timeout
  kDraining,     // nothing new but sticky requests, until its deadline
  kDrained,      // nothing
  kMaintenance,  // an operator's hold: nothing, and no checks
};
inline constexpr size_t kStateCount = 8;

// "checking", "warming", "up", "down", "ejected", "draining", "drained", "maintenance".
std::string_view StateName(State state);
std::optional<State> StateFromName(std::string_view name);

// Whether somebody holds the backend back (draining, drained, maintenance), so that its checks
// decide nothing.
bool IsHeld(State state);
// Whether active checks are of use: in every state that is not held.
inline bool IsChecked(State state) { return !IsHeld(state); }

enum class Actor : uint8_t { kConfig, kApi, kDns, kFile, kHealth };
// "config", "api", "dns", "file", "health".
std::string_view ActorName(Actor actor);
std::optional<Actor> ActorFromName(std::string_view name);

}  // namespace rondo::health
