// What one worker counts about one backend. Made by the worker with its first request to it, read
// by the control thread; about 2 KB.
#pragma once

#include "rondo/metrics/histogram.h"
#include "rondo/metrics/tables.h"
#include "rondo/metrics/window.h"

namespace rondo::metrics {

struct BackendCell {
  CodeTable codes;       // final answers, by status; the method is always kOther here
  ReasonTable failures;  // what was wrong with attempts; also answers that broke off
  Counter requests;      // attempts
  Counter opened;        // connections
  Counter reused;        // requests that took an idle connection
  Gauge idle;            // connections in the pool
  Gauge active;          // connections in use, tunnels included
  WaitHistogram connect;
  RecentLatency latency;  // from the request sent to the final head
};

// The head of its answer is here.
inline void CountHead(BackendCell& cell, int status, Duration took, Instant now) {
  cell.codes.Add(Method::kOther, status);
  cell.latency.Observe(now, took, status >= 500);
}

}  // namespace rondo::metrics
