// What it costs to find a request's route among 10, 100 and 1,000, and to normalise its path.
// allocs_per_op must be 0.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "rondo/route/normalise.h"
#include "rondo/route/router.h"

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

using namespace rondo::route;

class CountAllocations {
 public:
  explicit CountAllocations(benchmark::State& state) : state_(state) {}
  ~CountAllocations() {
    state_.counters["allocs_per_op"] = benchmark::Counter(
        static_cast<double>(allocations - before_), benchmark::Counter::kAvgIterations);
  }

 private:
  benchmark::State& state_;
  const uint64_t before_ = allocations;
};

// The last of so many routes is asked for.
void Match(benchmark::State& state, bool by_host) {
  std::vector<RouteMatch> routes;
  const auto size = static_cast<size_t>(state.range(0));
  for (size_t i = 0; i < size; ++i) {
    const std::string number = std::to_string(i);
    routes.push_back(by_host ? RouteMatch{"host-" + number + ".example.com", "", "/api"}
                             : RouteMatch{"", "", "/service-" + number + "/v1"});
  }
  const Router router(routes);
  const std::string last = std::to_string(size - 1);
  const std::string host = by_host ? "host-" + last + ".example.com:8080" : "example.com";
  const std::string path = (by_host ? "/api" : "/service-" + last + "/v1") + "/users/12345/items";
  if (router.Match(host, path) != size - 1) std::abort();
  const CountAllocations count(state);
  for (auto _ : state) benchmark::DoNotOptimize(router.Match(host, path));
}
BENCHMARK_CAPTURE(Match, by_host, true)->Arg(10)->Arg(100)->Arg(1000);
BENCHMARK_CAPTURE(Match, by_prefix, false)->Arg(10)->Arg(100)->Arg(1000);

void MatchEverything(benchmark::State& state) {
  const Router router({RouteMatch{}});
  const CountAllocations count(state);
  for (auto _ : state)
    benchmark::DoNotOptimize(router.Match("example.com:8080", "/users/12345/items"));
}
BENCHMARK(MatchEverything);

// Many dots in the host and slashes in the path, all of them known to some route.
void MatchHostile(benchmark::State& state) {
  const Router router({{"*.a.a", "", "/x/x"}, {"*.example.com", "", "/x/x/x"}});
  std::string host;
  while (host.size() < 253) host += "a.";
  std::string path;
  while (path.size() < 8000) path += "/x";
  const CountAllocations count(state);
  for (auto _ : state) benchmark::DoNotOptimize(router.Match(host, path));
}
BENCHMARK(MatchHostile);

void Normalise(benchmark::State& state, const char* path) {
  Scratch scratch;
  scratch.reserve(256);
  const CountAllocations count(state);
  for (auto _ : state) benchmark::DoNotOptimize(NormalisePath(path, scratch));
}
BENCHMARK_CAPTURE(Normalise, root, "/");
BENCHMARK_CAPTURE(Normalise, plain,
                  "/api/v1/users/12345/items/67890/details.json?page=2&sort=name");
BENCHMARK_CAPTURE(Normalise, escaped,
                  "/api/v1/us%65rs/12345/../items/6%2F7890//details%20x.json?page=2");

}  // namespace

BENCHMARK_MAIN();
