#include "control/process_numbers.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <utility>

#include "control/metrics_page.h"
#include "rondo/metrics/backend_cell.h"

namespace rondo::control {
namespace {

using std::chrono::milliseconds;

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

uint64_t OpenDescriptors() {
  DIR* directory = opendir("/proc/self/fd");
  if (directory == nullptr) return 0;
  uint64_t entries = 0;
  while (readdir(directory) != nullptr) ++entries;
  closedir(directory);
  return entries >= 3 ? entries - 3 : 0;  // ".", "..", and the one that this reads
}

ProcessUsage Usage(double started) {
  ProcessUsage usage;
  usage.cpu_seconds = CpuSeconds();
  usage.start_time_seconds = started;
  if (FILE* file = std::fopen("/proc/self/statm", "re")) {
    unsigned long long pages = 0;
    unsigned long long resident = 0;
    if (std::fscanf(file, "%llu %llu", &pages, &resident) == 2) {
      const auto page_bytes = static_cast<uint64_t>(sysconf(_SC_PAGE_SIZE));
      usage.virtual_bytes = pages * page_bytes;
      usage.resident_bytes = resident * page_bytes;
    }
    std::fclose(file);
  }
  usage.open_descriptors = OpenDescriptors();
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) usage.descriptors_max = limit.rlim_cur;
  return usage;
}

// Percentiles, where there is anything to take them of.
template <class Numbers>
void SetPercentiles(const metrics::LatencyCounts& latency, Numbers& numbers) {
  if (latency.total() == 0) return;
  numbers.p50 = latency.Percentile(0.5);
  numbers.p95 = latency.Percentile(0.95);
  numbers.p99 = latency.Percentile(0.99);
}

}  // namespace

ProcessNumbers::ProcessNumbers(rt::Loop& loop, const Cluster& cluster, const Prober* prober,
                               ProcessFacts facts)
    : loop_(loop),
      cluster_(cluster),
      prober_(prober),
      facts_(std::move(facts)),
      started_(loop.Now()),
      started_wall_(
          std::chrono::duration<double>(loop.engine().WallNow().time_since_epoch()).count()) {}

void ProcessNumbers::SetWorkers(std::vector<WorkerMeters> workers) {
  workers_ = std::move(workers);
  busy_.assign(workers_.size(), Busy{Duration::zero(), started_, 0});
}

void ProcessNumbers::SetEngine(std::string engine, std::string reason) {
  facts_.engine = std::move(engine);
  facts_.engine_reason = std::move(reason);
}

AdminStatus ProcessNumbers::Status() {
  const Instant now = loop_.Now();
  AdminStatus status;
  status.version = facts_.version;
  status.commit = facts_.commit;
  status.uptime = now - started_;
  status.engine = facts_.engine;
  status.engine_reason = facts_.engine_reason;
  status.workers = workers_.size();
  metrics::WindowCounts minute;
  int64_t connections = 0;
  for (const WorkerMeters& worker : workers_) {
    worker.minute->AddTo(now, minute);
    worker.traffic->ForEach([&status, &connections](const metrics::TrafficCells::Entry& entry) {
      connections += entry.cell.connections.value();
      entry.cell.codes.ForEach(
          [&status](metrics::Method, uint16_t, uint64_t count) { status.requests += count; });
    });
  }
  status.connections = connections > 0 ? static_cast<uint64_t>(connections) : 0;
  const double seconds =
      std::chrono::duration<double>(metrics::Minute::Covered(now, started_)).count();
  if (minute.requests > 0 && seconds > 0) {
    status.requests_per_second = static_cast<double>(minute.requests) / seconds;
    status.error_rate = static_cast<double>(minute.errors) / static_cast<double>(minute.requests);
  }
  SetPercentiles(minute.latency, status);
  return status;
}

AdminTraffic ProcessNumbers::Traffic(const BackendView& backend) {
  const Instant now = loop_.Now();
  AdminTraffic traffic;
  const upstream::BackendShared& shared = *backend.shared;
  metrics::WindowCounts recent;
  int64_t idle = 0;
  for (size_t worker = 0; worker < shared.workers(); ++worker) {
    const metrics::BackendCell* cell = shared.cell(worker);
    if (cell == nullptr) continue;
    idle += cell->idle.value();
    traffic.requests += cell->requests.value();
    cell->failures.ForEach(
        [&traffic](std::string_view, uint64_t count) { traffic.failures += count; });
    cell->latency.AddTo(now, recent);
  }
  // Workers count up and down at their own time: the sum may be off for a moment.
  traffic.idle = idle > 0 ? static_cast<uint64_t>(idle) : 0;
  traffic.tunnels = shared.tunnels.load(std::memory_order_relaxed);
  traffic.sticky_recent = shared.sticky_requests.Sum(now);
  SetPercentiles(recent.latency, traffic);
  return traffic;
}

void ProcessNumbers::WriteMetrics(std::string& out) {
  MeasureBusy();
  MetricsInput input;
  for (size_t i = 0; i < workers_.size(); ++i) {
    input.workers.push_back({workers_[i].traffic, busy_[i].ratio});
  }
  input.upstreams = cluster_.Upstreams();
  input.listeners = &cluster_.base().listeners;
  input.prober = prober_;
  if (certificates_ != nullptr) input.certificates = &certificates_->served();
  input.process = Usage(started_wall_);
  input.version = facts_.version;
  input.engine = facts_.engine;
  input.engine_reason = facts_.engine_reason;
  input.revision = cluster_.revision();
  input.reloads_ok = cluster_.reloads_ok();
  input.reloads_failed = cluster_.reloads_failed();
  WriteMetricsPage(input, out);
}

// Between two pages that are asked for in quick succession the ratio before stays: it would be one
// of noise.
void ProcessNumbers::MeasureBusy() {
  const Instant now = loop_.Now();
  for (size_t i = 0; i < workers_.size(); ++i) {
    Busy& busy = busy_[i];
    if (!workers_[i].cpu_time || now - busy.at < milliseconds(500)) continue;
    const Duration cpu = workers_[i].cpu_time();
    const double share = std::chrono::duration<double>(cpu - busy.cpu) /
                         std::chrono::duration<double>(now - busy.at);
    busy = Busy{cpu, now, share < 0 ? 0 : share > 1 ? 1 : share};
  }
}

}  // namespace rondo::control
