#include "control/events.h"

#include <cstdio>
#include <ctime>

#include "rondo/base/check.h"

namespace rondo::control {
namespace {

using std::chrono::milliseconds;

constexpr int64_t kYear2020Ms = 1577836800000;

}  // namespace

std::string Rfc3339(WallTime at) {
  const int64_t ms = std::chrono::duration_cast<milliseconds>(at.time_since_epoch()).count();
  const std::time_t seconds = ms / 1000;
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  char text[64];
  std::snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", utc.tm_year + 1900,
                utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
                static_cast<int>(ms % 1000));
  return text;
}

std::string_view EventTypeName(EventType type) {
  switch (type) {
    case EventType::kBackendState:
      return "backend_state";
    case EventType::kBackendAdded:
      return "backend_added";
    case EventType::kBackendRemoved:
      return "backend_removed";
    case EventType::kHealth:
      return "health";
    case EventType::kDrainStarted:
      return "drain_started";
    case EventType::kDrainFinished:
      return "drain_finished";
    case EventType::kReload:
      return "reload";
    case EventType::kConfig:
      return "config";
    case EventType::kOverlayEnded:
      return "overlay_ended";
    case EventType::kStateFile:
      return "state_file";
    case EventType::kDns:
      return "dns";
    case EventType::kCertificates:
      return "certificates";
  }
  return "";
}

Events::Events(io::Engine& engine)
    : engine_(engine), last_(BaseOf(engine.WallNow())), notice_(engine) {}

uint64_t Events::BaseOf(WallTime start) {
  const int64_t ms =
      std::chrono::duration_cast<milliseconds>(start.time_since_epoch()).count() - kYear2020Ms;
  return ms <= 0 ? 0 : static_cast<uint64_t>(ms) * 1024;
}

uint64_t Events::Append(EventType type, std::string_view json) {
  RONDO_DCHECK(json.size() >= 2 && json.front() == '{' && json.back() == '}');
  Event event{++last_, type, engine_.WallNow(), {}};
  event.data = "{\"at\":\"" + Rfc3339(event.at) + "\"";
  if (json.size() > 2) event.data += ',';
  event.data += json.substr(1);
  events_.push_back(std::move(event));
  if (events_.size() > kKept) events_.pop_front();
  notice_.NotifyAll();
  return last_;
}

bool Events::Knows(uint64_t after) const {
  return after <= last_ && after + events_.size() >= last_;
}

const Event* Events::Next(uint64_t after) const {
  RONDO_DCHECK(Knows(after));
  if (after >= last_) return nullptr;
  return &events_[events_.size() - static_cast<size_t>(last_ - after)];
}

}  // namespace rondo::control
