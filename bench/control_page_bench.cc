// What a scrape costs the control thread: the whole metrics page, with all of its series, for some
// backends that have had traffic on every worker.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "control/metrics_page.h"
#include "rondo/metrics/backend_cell.h"

namespace {

using namespace rondo;
using namespace rondo::control;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr size_t kUpstreams = 50;
constexpr Instant kNow{seconds(1000)};

std::unique_ptr<BackendView> MakeBackend(size_t number, size_t workers) {
  SocketAddress address;
  address.ip = IpAddress::V4(0x0a000000u + static_cast<uint32_t>(number));
  address.port = 8080;
  auto shared = std::make_shared<upstream::BackendShared>(
      address.ToString(), address, upstream::BackendShared::NextSerial(), workers);
  for (size_t worker = 0; worker < workers; ++worker) {
    metrics::BackendCell& cell = shared->CellOf(worker);
    for (const int status : {200, 304, 404})
      metrics::CountHead(cell, status, milliseconds(3), kNow);
    cell.failures.Add("backend_reset");
    cell.opened.Add();
    cell.connect.Observe(milliseconds(1));
  }
  return std::make_unique<BackendView>(
      BackendView{.id = address.ToString(),
                  .settings = {},
                  .shared = std::move(shared),
                  .machine = health::Machine({}, health::Actor::kConfig, kNow)});
}

// `backends` in 50 upstreams over `workers`; range(0) and range(1).
void BM_Page(benchmark::State& state) {
  const auto backends = static_cast<size_t>(state.range(0));
  const auto workers = static_cast<size_t>(state.range(1));
  std::vector<std::unique_ptr<UpstreamView>> upstreams;
  std::vector<config::Listener> listeners(2);
  listeners[0].name = "web";
  listeners[1].name = "internal";
  const auto minute = std::make_unique<metrics::Minute>();
  std::vector<metrics::TrafficCells> traffic(workers);
  MetricsInput input;
  for (size_t i = 0; i < kUpstreams; ++i) {
    upstreams.push_back(std::make_unique<UpstreamView>());
    UpstreamView& upstream = *upstreams.back();
    upstream.settings.name = "upstream-" + std::to_string(i);
    upstream.shared = std::make_shared<upstream::UpstreamShared>(upstream.settings.name, workers);
    for (size_t number = i; number < backends; number += kUpstreams) {
      upstream.backends.push_back(MakeBackend(number, workers));
    }
    for (metrics::TrafficCells& cells : traffic) {
      for (const config::Listener& listener : listeners) {
        metrics::TrafficCell& cell = cells.Get(listener.name, upstream.settings.name).cell;
        for (const int status : {200, 304, 404, 502}) {
          metrics::CountAnswer(cell, *minute, metrics::Method::kGet, status, milliseconds(3), kNow);
        }
        cell.retries.Add("backend_reset");
      }
    }
    input.upstreams.push_back(&upstream);
  }
  for (const metrics::TrafficCells& cells : traffic) input.workers.push_back({&cells, 0.5});
  input.listeners = &listeners;
  std::string page;
  for (auto _ : state) {
    page.clear();
    WriteMetricsPage(input, page);
  }
  state.counters["bytes"] = static_cast<double>(page.size());
}
BENCHMARK(BM_Page)
    ->Args({100, 2})
    ->Args({1000, 2})
    ->Args({1000, 16})
    ->Args({5000, 2})
    ->Unit(benchmark::kMillisecond);

}  // namespace

BENCHMARK_MAIN();
