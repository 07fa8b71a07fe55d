#include "rondo/health/state.h"

namespace rondo::health {

std::string_view StateName(State state) {
  switch (state) {
    case State::kChecking:
      return "checking";
    case State::kWarming:
      return "warming";
    case State::kUp:
      return "up";
    case State::kDown:
      return "down";
    case State::kEjected:
      return "ejected";
    case State::kDraining:
      return "draining";
    case State::kDrained:
      return "drained";
    case State::kMaintenance:
      return "maintenance";
  }
  return "unknown";
}

std::optional<State> StateFromName(std::string_view name) {
  for (size_t i = 0; i < kStateCount; ++i) {
    const auto state = static_cast<State>(i);
    if (StateName(state) == name) return state;
  }
  return std::nullopt;
}

bool IsHeld(State state) {
  switch (state) {
    case State::kDraining:
    case State::kDrained:
    case State::kMaintenance:
      return true;
    case State::kChecking:
    case State::kWarming:
    case State::kUp:
    case State::kDown:
    case State::kEjected:
      return false;
  }
  return false;
}

std::string_view ActorName(Actor actor) {
  switch (actor) {
    case Actor::kConfig:
      return "config";
    case Actor::kApi:
      return "api";
    case Actor::kDns:
      return "dns";
    case Actor::kFile:
      return "file";
    case Actor::kHealth:
      return "health";
  }
  return "unknown";
}

std::optional<Actor> ActorFromName(std::string_view name) {
  for (const Actor actor :
       {Actor::kConfig, Actor::kApi, Actor::kDns, Actor::kFile, Actor::kHealth}) {
    if (ActorName(actor) == name) return actor;
  }
  return std::nullopt;
}

}  // namespace rondo::health
