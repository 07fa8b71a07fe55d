// What one worker counts about one backend. Made by the worker with its first request to it, read
// by the control thread; about 5 KB.
#pragma once

#include "rondo/metrics/histogram.h"
#include "rondo/metrics/tables.h"
#include "rondo/metrics/window.h"

namespace rondo::metrics {

struct BackendCell {
  CodeTable codes;       // final answers, by status; the method is always kOther here
  ReasonTable failures;  // attempts that brought none
  Counter requests;      // attempts: answers and failures
  Counter opened;        // connections
  Counter reused;        // requests that took an idle connection
  Gauge idle;            // connections in the pool
  Gauge active;          // connections in use, tunnels included
  Gauge tunnels;
  WaitHistogram connect;
  RecentLatency latency;  // from the request sent to the final head
};

}  // namespace rondo::metrics
