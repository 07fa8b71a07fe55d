// Points in time and spans of it. Durations are typed everywhere; a bare integer is never a time.
#pragma once

#include <chrono>
#include <cstdint>

namespace rondo {

using Duration = std::chrono::nanoseconds;

namespace detail {
// Tags without now(): code asks its Engine for the time, so that tests can run on a virtual clock.
struct MonotonicClock {
  using rep = int64_t;
  using period = std::nano;
  using duration = Duration;
  static constexpr bool is_steady = true;
};
struct WallClock {
  using rep = int64_t;
  using period = std::nano;
  using duration = Duration;
  static constexpr bool is_steady = false;
};
}  // namespace detail

// Monotonic time (CLOCK_MONOTONIC, or virtual time in the simulation).
using Instant = std::chrono::time_point<detail::MonotonicClock, Duration>;
// Time since the Unix epoch, for logs only.
using WallTime = std::chrono::time_point<detail::WallClock, Duration>;

// "Never": later than every real instant.
inline constexpr Instant kNever = Instant::max();

}  // namespace rondo
