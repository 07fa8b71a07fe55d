// What one worker counts about the requests of one listener to one upstream (or to none: the route
// answered itself, or nothing could be done). Written by the worker, read by the control thread.
#pragma once

#include "rondo/metrics/histogram.h"
#include "rondo/metrics/tables.h"

namespace rondo::metrics {

struct TrafficCell {
  CodeTable codes;
  RequestHistogram duration;  // from the first byte of the request to the last of the answer
  ReasonTable rejected;       // answers of our own, by reason
  ReasonTable retries;        // further attempts, by what became of the one before
  WaitHistogram queue_wait;   // of requests that waited for a place
  Counter received_bytes;     // bodies of requests
  Counter sent_bytes;         // to clients, heads included
  Gauge connections;          // of clients; only in the cell of the listener without an upstream
};

}  // namespace rondo::metrics
