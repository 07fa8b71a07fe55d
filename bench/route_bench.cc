// What it costs to find a request's route among 10, 1,000 and 5,000, to share requests out by
// weight, and to normalise a path. allocs_per_op must be 0.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "rondo/route/normalise.h"
#include "rondo/route/router.h"
#include "rondo/route/weighted_split.h"

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
BENCHMARK_CAPTURE(Match, by_host, true)->Arg(10)->Arg(100)->Arg(1000)->Arg(5000);
BENCHMARK_CAPTURE(Match, by_prefix, false)->Arg(10)->Arg(100)->Arg(1000)->Arg(5000);

// A browser's request.
struct Browser {
  std::vector<rondo::http::Field> fields = {
      Field("Host", "example.com"),
      Field("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
      Field("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
      Field("Accept-Language", "en-US,en;q=0.5"),
      Field("Accept-Encoding", "gzip, deflate, br, zstd"),
      Field("Referer", "https://example.com/users"),
      Field("Cookie", "theme=dark; session=0123456789abcdef0123456789abcdef; beta=1"),
      Field("X-Env", "prod"),
      Field("X-Tenant", "tenant-none"),
  };
  RequestView View(std::string_view path) const {
    return {.host = "example.com",
            .path = path,
            .method = "GET",
            .query = "page=2&sort=name&version=2.1&filter=a%20b",
            .fields = fields};
  }
  static rondo::http::Field Field(std::string_view name, std::string_view value) {
    return {.name = name, .value = value, .id = rondo::http::FieldIdOf(name)};
  }
};

enum class Asks { kHeader, kAll, kRegex };

// Each route has a prefix of its own and asks for more; the last is asked for.
void MatchAsking(benchmark::State& state, Asks asks) {
  using Kind = ValueMatch::Kind;
  std::vector<RouteMatch> routes;
  const auto size = static_cast<size_t>(state.range(0));
  for (size_t i = 0; i < size; ++i) {
    RouteMatch& route = routes.emplace_back();
    route.path_prefix = "/service-" + std::to_string(i);
    route.headers = {{"X-Env", Kind::kExact, "prod"}};
    if (asks == Asks::kAll) {
      route.methods = {"GET", "HEAD"};
      route.cookies = {{"beta", Kind::kExact, "1"}};
      route.query = {{"version", Kind::kPrefix, "2."}};
    }
    if (asks == Asks::kRegex) route.path_regex = "/service-[0-9]+/users/[0-9]+/[a-z]+";
  }
  const Router router(routes);
  const Browser browser;
  const std::string path = "/service-" + std::to_string(size - 1) + "/users/12345/items";
  MatchScratch scratch;
  const RequestView request = browser.View(path);
  if (router.Match(request, scratch) != size - 1) std::abort();
  const CountAllocations count(state);
  for (auto _ : state) benchmark::DoNotOptimize(router.Match(request, scratch));
}
BENCHMARK_CAPTURE(MatchAsking, header, Asks::kHeader)->Arg(10)->Arg(1000)->Arg(5000);
BENCHMARK_CAPTURE(MatchAsking, all_parts, Asks::kAll)->Arg(10)->Arg(1000)->Arg(5000);
BENCHMARK_CAPTURE(MatchAsking, regex, Asks::kRegex)->Arg(10)->Arg(1000)->Arg(5000);

// The worst there is: all routes have the same host and path and differ by a header, and none
// holds.
void MatchByHeaderAlone(benchmark::State& state) {
  std::vector<RouteMatch> routes;
  for (int64_t i = 0; i < state.range(0); ++i) {
    routes.emplace_back().headers = {
        {"X-Tenant", ValueMatch::Kind::kExact, "tenant-" + std::to_string(i)}};
  }
  const Router router(routes);
  const Browser browser;
  MatchScratch scratch;
  const RequestView request = browser.View("/users");
  if (router.Match(request, scratch) != Router::kNone) std::abort();
  const CountAllocations count(state);
  for (auto _ : state) benchmark::DoNotOptimize(router.Match(request, scratch));
}
BENCHMARK(MatchByHeaderAlone)->Arg(10)->Arg(1000)->Arg(5000);

void Split(benchmark::State& state) {
  const WeightedSplit split(std::vector<uint32_t>(static_cast<size_t>(state.range(0)), 10));
  uint64_t key = 0;
  const CountAllocations count(state);
  for (auto _ : state) benchmark::DoNotOptimize(split.Pick(++key));
}
BENCHMARK(Split)->Arg(2)->Arg(10);

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
