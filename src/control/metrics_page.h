// The page at /metrics, in Prometheus' text format: what workers counted, summed up, and what
// control knows of backends. Series come from names in the configuration, states and reasons of our
// own, so nothing that a client sends makes one; those of a backend or an upstream that has gone
// are left out. Control thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "control/cluster_view.h"
#include "control/prober.h"
#include "control/tls_files.h"
#include "rondo/config/config.h"
#include "rondo/metrics/traffic_cells.h"

namespace rondo::control {

// What one worker has counted; it stays until the page is written.
struct WorkerNumbers {
  const metrics::TrafficCells* traffic = nullptr;
  double busy_ratio = 0;  // of its time since the page was last written, 0 to 1
};

// Of /proc/self, as the process_* metrics want them.
struct ProcessUsage {
  double cpu_seconds = 0;
  double start_time_seconds = 0;  // since 1970
  uint64_t resident_bytes = 0;
  uint64_t virtual_bytes = 0;
  uint64_t open_descriptors = 0;
  uint64_t descriptors_max = 0;
};

struct MetricsInput {
  std::vector<WorkerNumbers> workers;
  std::vector<const UpstreamView*> upstreams;
  const std::vector<config::Listener>* listeners = nullptr;      // in force
  const Prober* prober = nullptr;                                // null: nothing is checked
  const std::vector<ServedCertificate>* certificates = nullptr;  // null: there are none
  ProcessUsage process;
  std::string version;
  std::string engine;
  std::string engine_reason;
  uint64_t revision = 0;
  uint64_t reloads_ok = 0;
  uint64_t reloads_failed = 0;
};

// Appends the whole page. Some 2 KB and 10 us a backend with traffic.
void WriteMetricsPage(const MetricsInput& input, std::string& out);

}  // namespace rondo::control
