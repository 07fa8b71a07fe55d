// What counting costs: all that is counted of one request, and summing up what workers counted.
// allocs_per_op must be 0.
#include <benchmark/benchmark.h>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

#include "rondo/metrics/backend_cell.h"
#include "rondo/metrics/traffic_table.h"

namespace {

uint64_t allocations = 0;

}  // namespace

void* operator new(size_t size) {
  ++allocations;
  if (void* memory = std::malloc(size)) return memory;
  std::abort();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }

namespace {

using namespace rondo;
using namespace rondo::metrics;
using std::chrono::hours;
using std::chrono::microseconds;

constexpr std::string_view kListeners[] = {"web", "internal", "partners"};
constexpr std::string_view kUpstreams[] = {"api", "files", "checkout-service", "search"};
constexpr std::string_view kMethods[] = {"GET", "GET", "GET", "POST", "GET", "HEAD", "GET", "PUT"};
constexpr int kStatuses[] = {200, 200, 304, 200, 404, 200, 201, 503};

// A worker's cells, as the proxy has them.
struct WorkerCells {
  TrafficTable table;
  Minute minute;
  std::vector<std::unique_ptr<BackendCell>> backends;
};

struct Request {
  std::string_view method = "GET";
  int status = 200;
  uint32_t listener = 0;
  size_t upstream = 0;
  size_t backend = 0;
  Duration took{};
};

// The same calls in the same order as an exchange makes them, over a pooled connection.
void CountOne(WorkerCells& worker, const Request& request, Instant now) {
  const std::string_view listener = kListeners[request.listener];
  TrafficCell* traffic = &worker.table.Of(request.listener, listener);
  const Method method = MethodOf(request.method);
  traffic =
      &worker.table.Of(request.listener, listener, request.upstream, kUpstreams[request.upstream]);
  traffic->received_bytes.Add(0);
  BackendCell& backend = *worker.backends[request.backend];
  backend.requests.Add();
  backend.reused.Add();
  backend.idle.Add(-1);
  backend.active.Add(1);
  CountHead(backend, request.status, request.took, now);
  backend.idle.Add(1);
  backend.active.Add(-1);
  traffic->sent_bytes.Add(321);
  CountAnswer(*traffic, worker.minute, method, request.status, request.took, now);
}

std::unique_ptr<WorkerCells> MakeCells(size_t backends) {
  auto worker = std::make_unique<WorkerCells>();
  for (size_t i = 0; i < backends; ++i) {
    worker->backends.push_back(std::make_unique<BackendCell>());
  }
  return worker;
}

// `mixed`: listeners, upstreams, methods, statuses and times as they come, over `backends`.
void BM_CountRequest(benchmark::State& state, bool mixed, size_t backends) {
  const auto worker = MakeCells(backends);
  std::vector<Request> requests(mixed ? 4096 : 1);
  for (size_t i = 0; mixed && i < requests.size(); ++i) {
    const size_t drawn = i * 2654435761u >> 7;
    requests[i] = {.method = kMethods[drawn % 8],
                   .status = kStatuses[(drawn >> 3) % 8],
                   .listener = static_cast<uint32_t>((drawn >> 6) % 3),
                   .upstream = (drawn >> 8) % 4,
                   .backend = (drawn >> 10) % backends,
                   .took = microseconds(100 + (drawn >> 4) % 50'000)};
  }
  Instant now{hours(1)};
  for (const Request& request : requests) CountOne(*worker, request, now);
  const uint64_t allocated = allocations;
  size_t next = 0;
  for (auto _ : state) {
    CountOne(*worker, requests[next], now);
    if (++next == requests.size()) next = 0;
    now += microseconds(10);
  }
  state.counters["allocs_per_op"] = benchmark::Counter(static_cast<double>(allocations - allocated),
                                                       benchmark::Counter::kAvgIterations);
}
BENCHMARK_CAPTURE(BM_CountRequest, same, false, 1);
BENCHMARK_CAPTURE(BM_CountRequest, mixed, true, 16);
BENCHMARK_CAPTURE(BM_CountRequest, mixed_1000_backends, true, 1000);

// The last minute over some workers, as GET /v1/status takes it.
void BM_SumMinute(benchmark::State& state) {
  std::vector<std::unique_ptr<Minute>> workers;
  const Instant now{hours(1)};
  for (int64_t i = 0; i < state.range(0); ++i) {
    workers.push_back(std::make_unique<Minute>());
    for (int second = 0; second < 60; ++second) {
      for (int request = 0; request < 100; ++request) {
        workers.back()->Observe(now + std::chrono::seconds(second - 60),
                                microseconds(500 + request * 100), false);
      }
    }
  }
  for (auto _ : state) {
    WindowCounts counts;
    for (const auto& worker : workers) worker->AddTo(now, counts);
    benchmark::DoNotOptimize(counts.latency.Percentile(0.99));
  }
}
BENCHMARK(BM_SumMinute)->Arg(1)->Arg(16)->Unit(benchmark::kMicrosecond);

// One backend's half minute over 16 workers, as a list of backends takes it for each.
void BM_SumBackend(benchmark::State& state) {
  std::vector<std::unique_ptr<BackendCell>> workers;
  const Instant now{hours(1)};
  for (int i = 0; i < 16; ++i) {
    workers.push_back(std::make_unique<BackendCell>());
    workers.back()->latency.Observe(now, microseconds(700), false);
  }
  for (auto _ : state) {
    WindowCounts counts;
    for (const auto& worker : workers) worker->latency.AddTo(now, counts);
    benchmark::DoNotOptimize(counts.latency.Percentile(0.99));
  }
}
BENCHMARK(BM_SumBackend)->Unit(benchmark::kMicrosecond);

void BM_CellSize(benchmark::State& state) {
  for (auto _ : state) {
  }
  state.counters["backend_cell_bytes"] = sizeof(BackendCell);
  state.counters["traffic_cell_bytes"] = sizeof(TrafficCell);
  state.counters["minute_bytes"] = sizeof(Minute);
}
BENCHMARK(BM_CellSize);

}  // namespace

BENCHMARK_MAIN();
