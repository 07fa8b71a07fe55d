// The compiled router against one that asks each route in turn. Input: lines. Those that begin with
// '>' ask
// ("> HOST PATH"), the others are routes ("HOST PATH PREFIX"); "-" stands for an empty field.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/fuzz_check.h"
#include "rondo/route/normalise.h"
#include "rondo/route/router.h"
#include "route/naive_router.h"

namespace {

using namespace rondo::route;

constexpr size_t kRoutesMax = 64;
constexpr size_t kAsksMax = 64;

std::string_view TakeUntil(std::string_view& text, char separator) {
  const size_t end = std::min(text.find(separator), text.size());
  const std::string_view taken = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return taken;
}

std::string TakeField(std::string_view& line) {
  const std::string_view field = TakeUntil(line, ' ');
  return field == "-" ? std::string() : std::string(field);
}

// As the naive router wants it. False where the route could not be compiled, or its host has a form
// that the naive router does not know.
bool Simplify(RouteMatch& route) {
  if (!CheckMatch(route).empty()) return false;
  if (route.host.find_first_of("[:") != std::string::npos) return false;
  if (route.host.ends_with('.')) route.host.pop_back();
  for (char& c : route.host) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  Scratch scratch;
  for (std::string* path : {&route.path, &route.path_prefix}) {
    if (!path->empty()) *path = std::string(NormalisePath(*path, scratch).path);
  }
  return true;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view input(reinterpret_cast<const char*>(data), size);
  std::vector<RouteMatch> routes;
  std::vector<RouteMatch> simple;
  std::vector<std::string_view> asks;
  while (!input.empty()) {
    std::string_view line = TakeUntil(input, '\n');
    if (line.starts_with("> ")) {
      if (asks.size() < kAsksMax) asks.push_back(line.substr(2));
    } else if (routes.size() < kRoutesMax) {
      RouteMatch route;
      route.host = TakeField(line);
      route.path = TakeField(line);
      route.path_prefix = TakeField(line);
      RouteMatch simplified = route;
      if (!Simplify(simplified)) continue;
      routes.push_back(std::move(route));
      simple.push_back(std::move(simplified));
    }
  }
  const Router router(routes);
  const NaiveRouter naive(simple);
  for (std::string_view ask : asks) {
    const std::string host = TakeField(ask);
    if (host.starts_with('[')) continue;
    Scratch scratch;
    const NormaliseResult path = NormalisePath(ask, scratch);
    if (!path.ok()) continue;
    for (size_t from = 0; from <= routes.size(); ++from) {
      FUZZ_CHECK(router.Match(host, path.path, from) == naive.Match(host, path.path, from));
    }
  }
  return 0;
}
