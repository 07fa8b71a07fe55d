// What happened, for whoever follows GET /v1/events: the last kKept events with ids that rise by
// one. Control thread only; pure but for the notice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>

#include "rondo/base/time.h"
#include "rondo/rt/notice.h"

namespace rondo::control {

enum class EventType : uint8_t {
  kBackendState,    // {upstream, backend, from, state, reason, actor}
  kBackendAdded,    // {upstream, backend, address, source}
  kBackendRemoved,  // {upstream, backend, address, reason}
  kHealth,  // a check whose result differs from the one before: {upstream, backend, passed, detail}
  kDrainStarted,   // {upstream, backend, timeout_ms, removing}; without upstream: the process
  kDrainFinished,  // {upstream, backend, cut: how many requests were cut}
  kReload,         // {result: "ok" or "failed", revision, message}
  kConfig,         // {revision, what}
  kOverlayEnded,   // an entry lost what it was about: {upstream, backend, what}
  kStateFile,      // {problem, kept_as}
  kDns,            // {upstream, source, problem}
  kCertificates,   // files of TLS were read anew: {result: "ok" or "failed", message}
};
// "backend_state", "drain_finished", ...
std::string_view EventTypeName(EventType type);

// "2026-01-31T08:15:00.123Z".
std::string Rfc3339(WallTime at);

struct Event {
  uint64_t id = 0;
  EventType type = EventType::kConfig;
  WallTime at{};
  std::string data;  // a JSON object on one line, with "at" (RFC 3339) in it
};

class Events {
 public:
  static constexpr size_t kKept = 1024;

  // Ids begin behind `base`, which is larger than any id of an earlier process (BaseOf the start's
  // wall clock): so that a Last-Event-ID of that process is recognised as too old.
  explicit Events(io::Engine& engine);
  // Milliseconds since 2020, times 1024: a process would have to append a million events a second
  // to reach the base of one that starts after it. Below 2^53 until the year 2200, for JavaScript's
  // sake.
  static uint64_t BaseOf(WallTime start);

  // `json`: an object; "at" is put first. Wakes whoever waits. Returns the id.
  uint64_t Append(EventType type, std::string_view json);

  // The first event behind `after`; null where there is none yet. O(1). REQUIRES: Knows(after).
  const Event* Next(uint64_t after) const;
  // Whether all events behind `after` are still here. False for ids of other processes and for what
  // is too old: then say so, and go on from last().
  bool Knows(uint64_t after) const;
  // The id of the newest event, or the base where there is none.
  uint64_t last() const { return last_; }
  // Told of each new event.
  rt::Notice& notice() { return notice_; }

 private:
  io::Engine& engine_;
  uint64_t last_;
  std::deque<Event> events_;
  rt::Notice notice_;
};

}  // namespace rondo::control
