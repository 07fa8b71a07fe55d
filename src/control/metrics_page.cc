#include "control/metrics_page.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include "rondo/health/check_result.h"
#include "rondo/health/state.h"
#include "rondo/metrics/backend_cell.h"
#include "rondo/metrics/text_writer.h"

namespace rondo::control {
namespace {

using metrics::TextWriter;
using Type = TextWriter::Type;
using Reasons = std::map<std::string_view, uint64_t>;

// One listener and upstream, over all workers.
struct TrafficSum {
  std::map<std::pair<metrics::Method, uint16_t>, uint64_t> codes;
  metrics::RequestHistogram::Counts duration;
  metrics::WaitHistogram::Counts queue_wait;
  Reasons rejected;
  Reasons retries;
  uint64_t received_bytes = 0;
  uint64_t sent_bytes = 0;
  int64_t connections = 0;
  int64_t http2_connections = 0;
  int64_t http2_streams = 0;
  uint64_t handshakes = 0;
  uint64_t resumed_handshakes = 0;
  int64_t handshakes_under_way = 0;
  Reasons handshake_failures;
  std::map<std::pair<size_t, bool>, uint64_t> limited;  // by route and dry_run
};

struct BackendSum {
  std::string_view upstream;
  const BackendView* view = nullptr;
  std::map<uint16_t, uint64_t> codes;
  Reasons failures;
  metrics::WaitHistogram::Counts connect;
  uint64_t opened = 0;
  uint64_t reused = 0;
  int64_t idle = 0;
  int64_t active = 0;
};

void AddReasons(const metrics::ReasonTable& table, Reasons& sum) {
  table.ForEach([&sum](std::string_view reason, uint64_t count) { sum[reason] += count; });
}

std::string CodeText(uint16_t code) { return code == 0 ? "other" : std::to_string(code); }

class Page {
 public:
  Page(const MetricsInput& input, std::string& out) : input_(input), writer_(out) {
    for (const UpstreamView* upstream : input.upstreams) names_.insert(upstream->settings.name);
    for (const config::Listener& listener : *input.listeners) listener_names_.insert(listener.name);
    SumTraffic();
    SumBackends();
  }

  void Write() {
    WriteRequests();
    WriteListeners();
    WriteTls();
    WriteUpstreams();
    WriteBackends();
    WriteConnects();
    WritePools();
    WriteChecks();
    WriteProcess();
  }

 private:
  using Key = std::pair<std::string_view, std::string_view>;  // listener, upstream ("": none)

  void SumTraffic() {
    for (const WorkerNumbers& worker : input_.workers) {
      worker.traffic->ForEach([this](const metrics::TrafficCells::Entry& entry) {
        if (!listener_names_.contains(entry.listener)) return;
        if (!entry.upstream.empty() && !names_.contains(entry.upstream)) return;
        TrafficSum& sum = traffic_[Key(entry.listener, entry.upstream)];
        const metrics::TrafficCell& cell = entry.cell;
        cell.codes.ForEach([&sum](metrics::Method method, uint16_t code, uint64_t count) {
          sum.codes[{method, code}] += count;
        });
        cell.duration.AddTo(sum.duration);
        cell.queue_wait.AddTo(sum.queue_wait);
        AddReasons(cell.rejected, sum.rejected);
        AddReasons(cell.retries, sum.retries);
        sum.received_bytes += cell.received_bytes.value();
        sum.sent_bytes += cell.sent_bytes.value();
        sum.connections += cell.connections.value();
        sum.http2_connections += cell.http2_connections.value();
        sum.http2_streams += cell.http2_streams.value();
        sum.handshakes += cell.handshakes.value();
        sum.resumed_handshakes += cell.resumed_handshakes.value();
        sum.handshakes_under_way += cell.handshakes_under_way.value();
        AddReasons(cell.handshake_failures, sum.handshake_failures);
        metrics::ForEachLimited(cell, [&sum](size_t route, bool dry_run, uint64_t count) {
          sum.limited[{route, dry_run}] += count;
        });
      });
    }
  }

  void SumBackends() {
    for (const UpstreamView* upstream : input_.upstreams) {
      for (const auto& view : upstream->backends) {
        BackendSum sum;
        sum.upstream = upstream->settings.name;
        sum.view = view.get();
        for (size_t worker = 0; worker < view->shared->workers(); ++worker) {
          const metrics::BackendCell* cell = view->shared->cell(worker);
          if (cell == nullptr) continue;
          cell->codes.ForEach(
              [&sum](metrics::Method, uint16_t code, uint64_t count) { sum.codes[code] += count; });
          AddReasons(cell->failures, sum.failures);
          cell->connect.AddTo(sum.connect);
          sum.opened += cell->opened.value();
          sum.reused += cell->reused.value();
          sum.idle += cell->idle.value();
          sum.active += cell->active.value();
        }
        backends_.push_back(std::move(sum));
      }
    }
  }

  void WriteRequests() {
    writer_.Family("http_requests_total", Type::kCounter,
                   "Requests that were answered, by listener, upstream (empty: none), method and "
                   "status code.");
    for (const auto& [key, sum] : traffic_) {
      for (const auto& [pair, count] : sum.codes) {
        writer_.Sample({{"listener", key.first},
                        {"upstream", key.second},
                        {"method", metrics::MethodName(pair.first)},
                        {"code", CodeText(pair.second)}},
                       count);
      }
    }
    writer_.Family("http_request_duration_seconds", Type::kHistogram,
                   "From the first byte of a request to the last of its answer.");
    for (const auto& [key, sum] : traffic_) {
      writer_.Histogram({{"listener", key.first}, {"upstream", key.second}},
                        metrics::kRequestBounds, sum.duration);
    }
  }

  void WriteLimited() {
    writer_.Family("rondo_rate_limited_total", Type::kCounter,
                   "Requests beyond a route's rate_limit; with dry_run they were let through.");
    for (const auto& [key, sum] : traffic_) {
      for (const auto& [route, count] : sum.limited) {
        writer_.Sample({{"listener", key.first},
                        {"route", std::to_string(route.first)},
                        {"dry_run", route.second ? "true" : "false"}},
                       count);
      }
    }
  }

  void WriteListeners() {
    std::map<std::string_view, Reasons> rejected;
    std::map<std::string_view, int64_t> connections;
    for (const std::string_view name : listener_names_) connections[name] = 0;
    for (const auto& [key, sum] : traffic_) {
      for (const auto& [reason, count] : sum.rejected) rejected[key.first][reason] += count;
      connections[key.first] += sum.connections;
    }
    writer_.Family("rondo_rejected_total", Type::kCounter,
                   "Answers of Rondo's own and requests that got none, by reason.");
    for (const auto& [listener, reasons] : rejected) {
      for (const auto& [reason, count] : reasons) {
        writer_.Sample({{"listener", listener}, {"reason", reason}}, count);
      }
    }
    WriteLimited();
    writer_.Family("rondo_connections", Type::kGauge,
                   "Connections of clients now, tunnels included.");
    for (const auto& [listener, count] : connections)
      writer_.Sample({{"listener", listener}}, count);
    WriteHttp2();
    writer_.Family("rondo_received_bytes_total", Type::kCounter, "Bytes of request bodies.");
    for (const auto& [key, sum] : traffic_) {
      writer_.Sample({{"listener", key.first}, {"upstream", key.second}}, sum.received_bytes);
    }
    writer_.Family("rondo_sent_bytes_total", Type::kCounter,
                   "Bytes sent to clients, heads included.");
    for (const auto& [key, sum] : traffic_) {
      writer_.Sample({{"listener", key.first}, {"upstream", key.second}}, sum.sent_bytes);
    }
  }

  void WriteHttp2() {
    std::map<std::string_view, std::pair<int64_t, int64_t>> numbers;
    for (const std::string_view name : listener_names_) numbers[name] = {0, 0};
    for (const auto& [key, sum] : traffic_) {
      numbers[key.first].first += sum.http2_connections;
      numbers[key.first].second += sum.http2_streams;
    }
    writer_.Family("rondo_http2_connections", Type::kGauge,
                   "Connections of clients now that speak HTTP/2; they are among all.");
    for (const auto& [listener, pair] : numbers)
      writer_.Sample({{"listener", listener}}, pair.first);
    writer_.Family("rondo_http2_streams", Type::kGauge,
                   "Streams now of these connections, tunnels included.");
    for (const auto& [listener, pair] : numbers)
      writer_.Sample({{"listener", listener}}, pair.second);
  }

  // Series of listeners that are plain are left out.
  void WriteTls() {
    std::map<std::string_view, const TrafficSum*> secured;
    static const TrafficSum kNone;
    for (const config::Listener& listener : *input_.listeners) {
      if (!listener.tls) continue;
      const auto found = traffic_.find(Key(listener.name, ""));
      secured[listener.name] = found == traffic_.end() ? &kNone : &found->second;
    }
    writer_.Family("rondo_tls_handshakes_total", Type::kCounter,
                   "TLS handshakes of clients that ended, by result: ok, or why they failed.");
    for (const auto& [listener, sum] : secured) {
      const auto sample = [&](std::string_view result, std::string_view resumed, uint64_t count) {
        writer_.Sample({{"listener", listener}, {"result", result}, {"resumed", resumed}}, count);
      };
      sample("ok", "false", sum->handshakes);
      sample("ok", "true", sum->resumed_handshakes);
      for (const auto& [reason, count] : sum->handshake_failures) sample(reason, "false", count);
    }
    writer_.Family("rondo_tls_handshakes_in_progress", Type::kGauge,
                   "TLS handshakes of clients now.");
    for (const auto& [listener, sum] : secured)
      writer_.Sample({{"listener", listener}}, sum->handshakes_under_way);
    writer_.Family("rondo_tls_certificate_not_after_seconds", Type::kGauge,
                   "When a certificate ends, since 1970; listener (admin) is the admin API.");
    if (input_.certificates == nullptr) return;
    for (const ServedCertificate& each : *input_.certificates) {
      writer_.Sample({{"listener", each.listener}, {"certificate", each.file}}, each.not_after);
    }
  }

  void WriteUpstreams() {
    std::map<std::string_view, Reasons> retries;
    std::map<std::string_view, metrics::WaitHistogram::Counts> waits;
    for (const auto& [key, sum] : traffic_) {
      if (key.second.empty()) continue;
      for (const auto& [reason, count] : sum.retries) retries[key.second][reason] += count;
      metrics::WaitHistogram::Counts& wait = waits[key.second];
      for (size_t i = 0; i < wait.counts.size(); ++i) wait.counts[i] += sum.queue_wait.counts[i];
      wait.sum_ns += sum.queue_wait.sum_ns;
    }
    writer_.Family("rondo_retries_total", Type::kCounter,
                   "Requests that were sent again, by why the attempt before failed.");
    for (const auto& [upstream, reasons] : retries) {
      for (const auto& [reason, count] : reasons) {
        writer_.Sample({{"upstream", upstream}, {"reason", reason}}, count);
      }
    }
    writer_.Family("rondo_queue_depth", Type::kGauge,
                   "Requests that wait for a place at a backend now.");
    for (const UpstreamView* upstream : input_.upstreams) {
      writer_.Sample({{"upstream", upstream->settings.name}},
                     uint64_t{upstream->shared->board.waiting()});
    }
    writer_.Family("rondo_queue_wait_seconds", Type::kHistogram,
                   "How long requests waited that had to wait for a place.");
    for (const auto& [upstream, counts] : waits) {
      writer_.Histogram({{"upstream", upstream}}, metrics::kWaitBounds, counts);
    }
    writer_.Family("rondo_tunnels", Type::kGauge, "WebSockets and other tunnels now.");
    for (const UpstreamView* upstream : input_.upstreams) {
      uint64_t tunnels = 0;
      for (const auto& view : upstream->backends)
        tunnels += view->shared->tunnels.load(std::memory_order_relaxed);
      writer_.Sample({{"upstream", upstream->settings.name}}, tunnels);
    }
  }

  void WriteBackends() {
    writer_.Family("rondo_backend_requests_total", Type::kCounter,
                   "Answers of a backend, by status code.");
    for (const BackendSum& sum : backends_) {
      for (const auto& [code, count] : sum.codes) {
        writer_.Sample(
            {{"upstream", sum.upstream}, {"backend", sum.view->id}, {"code", CodeText(code)}},
            count);
      }
    }
    writer_.Family("rondo_backend_failures_total", Type::kCounter,
                   "Attempts at a backend that brought no usable answer, by reason.");
    for (const BackendSum& sum : backends_) {
      for (const auto& [reason, count] : sum.failures) {
        writer_.Sample({{"upstream", sum.upstream}, {"backend", sum.view->id}, {"reason", reason}},
                       count);
      }
    }
    writer_.Family("rondo_backend_in_flight", Type::kGauge,
                   "Requests and tunnels at a backend now.");
    for (const BackendSum& sum : backends_) {
      writer_.Sample({{"upstream", sum.upstream}, {"backend", sum.view->id}},
                     uint64_t{sum.view->shared->in_flight.load(std::memory_order_relaxed)});
    }
    writer_.Family("rondo_backend_state", Type::kGauge, "1 for the state that a backend is in.");
    for (const BackendSum& sum : backends_) {
      writer_.Sample({{"upstream", sum.upstream},
                      {"backend", sum.view->id},
                      {"state", health::StateName(sum.view->machine.state())}},
                     uint64_t{1});
    }
  }

  void WriteConnects() {
    writer_.Family("rondo_backend_connect_seconds", Type::kHistogram,
                   "How long connecting to a backend took.");
    for (const BackendSum& sum : backends_) {
      if (sum.opened == 0) continue;
      writer_.Histogram({{"upstream", sum.upstream}, {"backend", sum.view->id}},
                        metrics::kWaitBounds, sum.connect);
    }
  }

  void WritePools() {
    writer_.Family("rondo_pool_idle", Type::kGauge, "Idle connections kept to a backend now.");
    for (const BackendSum& sum : backends_) {
      writer_.Sample({{"upstream", sum.upstream}, {"backend", sum.view->id}}, sum.idle);
    }
    writer_.Family("rondo_pool_active", Type::kGauge,
                   "Connections to a backend that carry a request or a tunnel now.");
    for (const BackendSum& sum : backends_) {
      writer_.Sample({{"upstream", sum.upstream}, {"backend", sum.view->id}}, sum.active);
    }
    writer_.Family("rondo_pool_reused_total", Type::kCounter,
                   "Requests that took an idle connection.");
    for (const BackendSum& sum : backends_) {
      writer_.Sample({{"upstream", sum.upstream}, {"backend", sum.view->id}}, sum.reused);
    }
    writer_.Family("rondo_pool_opened_total", Type::kCounter, "Connections opened to a backend.");
    for (const BackendSum& sum : backends_) {
      writer_.Sample({{"upstream", sum.upstream}, {"backend", sum.view->id}}, sum.opened);
    }
  }

  void WriteChecks() {
    writer_.Family("rondo_health_checks_total", Type::kCounter,
                   "Active health checks that ended, by result.");
    if (input_.prober == nullptr) return;
    for (const BackendSum& sum : backends_) {
      const ProbeCounts* counts = input_.prober->counts(sum.view->serial());
      if (counts == nullptr) continue;
      for (size_t i = 0; i < counts->size(); ++i) {
        if ((*counts)[i] == 0) continue;
        writer_.Sample({{"upstream", sum.upstream},
                        {"backend", sum.view->id},
                        {"result", health::CheckOutcomeName(static_cast<health::CheckOutcome>(i))}},
                       (*counts)[i]);
      }
    }
  }

  void WriteProcess() {
    writer_.Family("rondo_build_info", Type::kGauge, "1; the version is a label.");
    writer_.Sample({{"version", input_.version}}, uint64_t{1});
    writer_.Family("rondo_engine_info", Type::kGauge,
                   "1; the engine, and why it was chosen, are labels.");
    writer_.Sample({{"engine", input_.engine}, {"reason", input_.engine_reason}}, uint64_t{1});
    writer_.Family(
        "rondo_worker_busy_ratio", Type::kGauge,
        "Share of a worker's time that it used a CPU since the page was last asked for.");
    for (size_t i = 0; i < input_.workers.size(); ++i) {
      writer_.Sample({{"worker", std::to_string(i)}}, input_.workers[i].busy_ratio);
    }
    writer_.Family("rondo_config_revision", Type::kGauge, "Rises with every accepted change.");
    writer_.Sample({}, input_.revision);
    writer_.Family("rondo_reloads_total", Type::kCounter,
                   "Reloads of the configuration file, by result.");
    writer_.Sample({{"result", "ok"}}, input_.reloads_ok);
    writer_.Sample({{"result", "failed"}}, input_.reloads_failed);
    const ProcessUsage& process = input_.process;
    writer_.Family("process_cpu_seconds_total", Type::kCounter, "User and system CPU time.");
    writer_.Sample({}, process.cpu_seconds);
    writer_.Family("process_resident_memory_bytes", Type::kGauge, "Resident memory.");
    writer_.Sample({}, process.resident_bytes);
    writer_.Family("process_virtual_memory_bytes", Type::kGauge, "Virtual memory.");
    writer_.Sample({}, process.virtual_bytes);
    writer_.Family("process_open_fds", Type::kGauge, "Open descriptors.");
    writer_.Sample({}, process.open_descriptors);
    writer_.Family("process_max_fds", Type::kGauge, "Most descriptors that may be open.");
    writer_.Sample({}, process.descriptors_max);
    writer_.Family("process_start_time_seconds", Type::kGauge,
                   "When the process started, since 1970.");
    writer_.Sample({}, process.start_time_seconds);
  }

  const MetricsInput& input_;
  TextWriter writer_;
  std::set<std::string_view> names_;
  std::set<std::string_view> listener_names_;
  std::map<Key, TrafficSum> traffic_;
  std::vector<BackendSum> backends_;
};

}  // namespace

void WriteMetricsPage(const MetricsInput& input, std::string& out) { Page(input, out).Write(); }

}  // namespace rondo::control
