// What one worker counts about the requests of one listener to one upstream (or to none: the route
// answered itself, or nothing could be done). Written by the worker, read by the control thread.
#pragma once

#include "rondo/metrics/histogram.h"
#include "rondo/metrics/tables.h"
#include "rondo/metrics/window.h"

namespace rondo::metrics {

struct TrafficCell {
  CodeTable codes;
  RequestHistogram duration;  // from the first byte of the request to the last of the answer
  ReasonTable rejected;       // what did not end as a whole answer of a backend, by reason
  ReasonTable retries;        // further attempts, by what became of the one before
  WaitHistogram queue_wait;   // of requests that waited for a place
  Counter received_bytes;     // bodies of requests
  Counter sent_bytes;         // to clients, heads included
  Gauge connections;          // of clients; with an upstream: tunnels alone, none on streams
  Gauge http2_connections;    // of connections; only without an upstream
  Gauge http2_streams;        // that are open in these
  NumberTable limited;        // requests beyond a rate_limit: see CountLimited
  // TLS with clients; only without an upstream.
  Gauge handshakes_under_way;
  Counter handshakes;              // that were carried through from the start
  Counter resumed_handshakes;      // that went on with an earlier session
  ReasonTable handshake_failures;  // by reason
};

// A request was answered, by a backend or by ourselves. `minute` is of all that the worker answers.
inline void CountAnswer(TrafficCell& cell, Minute& minute, Method method, int status, Duration took,
                        Instant now) {
  cell.codes.Add(method, status);
  cell.duration.Observe(took);
  minute.Observe(now, took, status >= 500);
}

// A request was beyond the rate_limit of the listener's route of that index; dry_run: it goes on.
inline void CountLimited(TrafficCell& cell, size_t route, bool dry_run) {
  cell.limited.Add(static_cast<uint32_t>((route << 1 | (dry_run ? 1 : 0)) + 1));
}
// Calls visit(size_t route, bool dry_run, uint64_t count).
template <class Visit>
void ForEachLimited(const TrafficCell& cell, Visit visit) {
  cell.limited.ForEach([&visit](uint32_t key, uint64_t count) {
    visit(static_cast<size_t>((key - 1) >> 1), ((key - 1) & 1) != 0, count);
  });
}

}  // namespace rondo::metrics
