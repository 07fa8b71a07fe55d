// What the admin API tells about the process: rates and percentiles of the last minute, a backend's
// traffic, the metrics page. Sums up what the workers count. Control thread.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "control/admin_context.h"
#include "control/certificates.h"
#include "control/cluster.h"
#include "control/prober.h"
#include "rondo/metrics/traffic_cells.h"
#include "rondo/metrics/window.h"
#include "rondo/rt/loop.h"

namespace rondo::control {

// What does not change while the process runs.
struct ProcessFacts {
  std::string version;
  std::string commit;
  std::string engine;
  std::string engine_reason;
};

// What one worker counts. All of it outlives ProcessNumbers.
struct WorkerMeters {
  const metrics::TrafficCells* traffic = nullptr;
  const metrics::Minute* minute = nullptr;
  std::function<Duration()> cpu_time;  // of its thread, so far; empty: not known
};

class ProcessNumbers : public AdminProcess {
 public:
  // References outlive it; `prober` may be null.
  ProcessNumbers(rt::Loop& loop, const Cluster& cluster, const Prober* prober, ProcessFacts facts);
  void SetWorkers(std::vector<WorkerMeters> workers);
  // Whose certificates the page tells of; null: none.
  void SetCertificates(const Certificates* certificates) { certificates_ = certificates; }
  // Where it is another one than was thought.
  void SetEngine(std::string engine, std::string reason);
  // From now on the process is not ready for traffic.
  void SetStopping() { stopping_ = true; }

  bool Stopping() const override { return stopping_; }
  AdminStatus Status() override;
  AdminTraffic Traffic(const BackendView& backend) override;
  void WriteMetrics(std::string& out) override;

 private:
  struct Busy {
    Duration cpu{};
    Instant at{};
    double ratio = 0;
  };
  void MeasureBusy();

  rt::Loop& loop_;
  const Cluster& cluster_;
  const Prober* prober_;
  const Certificates* certificates_ = nullptr;
  ProcessFacts facts_;
  const Instant started_;
  const double started_wall_;
  std::vector<WorkerMeters> workers_;
  std::vector<Busy> busy_;  // one for each worker
  bool stopping_ = false;
};

}  // namespace rondo::control
