// The compiled router against one that asks each route in turn. Input: lines. Those that begin with
// '>' ask ("> HOST TARGET", then behind tabs a method and fields "NAME:VALUE"), the others are
// routes
// ("HOST PATH PREFIX", then what else is asked: "mGET", "r3" for a path_regex by its number,
// "hNAME=VALUE", "cNAME^PREFIX", "qNAME~3", "hNAME?" for present, "hNAME!" for absent); "-" stands
// for an empty field.
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

std::string PatternOf(std::string_view number) {
  const size_t index = number.empty() ? 0 : static_cast<unsigned char>(number[0]);
  return kNaivePatterns[index % std::size(kNaivePatterns)].text;
}

ValueMatch ValueOf(std::string_view text) {
  using Kind = ValueMatch::Kind;
  const size_t sign = std::min(text.find_first_of("=^~?!"), text.size());
  ValueMatch value{.name = std::string(text.substr(0, sign))};
  if (sign == text.size()) return value;
  const std::string_view rest = text.substr(sign + 1);
  switch (text[sign]) {
    case '=':
      value.kind = Kind::kExact;
      value.text = rest;
      break;
    case '^':
      value.kind = Kind::kPrefix;
      value.text = rest;
      break;
    case '~':
      value.kind = Kind::kRegex;
      value.text = PatternOf(rest);
      break;
    case '!':
      value.kind = Kind::kAbsent;
      break;
    default:
      break;
  }
  return value;
}

RouteMatch RouteOf(std::string_view line) {
  RouteMatch route;
  route.host = TakeField(line);
  route.path = TakeField(line);
  route.path_prefix = TakeField(line);
  while (!line.empty()) {
    const std::string field = TakeField(line);
    if (field.empty()) continue;
    const std::string_view rest = std::string_view(field).substr(1);
    if (field[0] == 'm') route.methods.emplace_back(rest);
    if (field[0] == 'r') route.path_regex = PatternOf(rest);
    if (field[0] == 'h') route.headers.push_back(ValueOf(rest));
    if (field[0] == 'c') route.cookies.push_back(ValueOf(rest));
    if (field[0] == 'q') route.query.push_back(ValueOf(rest));
  }
  return route;
}

// Only fields that a parser would let through.
std::vector<rondo::http::Field> FieldsOf(std::string_view text) {
  std::vector<rondo::http::Field> fields;
  while (!text.empty()) {
    std::string_view value = TakeUntil(text, '\t');
    const std::string_view name = TakeUntil(value, ':');
    if (!rondo::http::IsToken(name)) continue;
    fields.push_back(
        {.name = name, .value = rondo::http::TrimOws(value), .id = rondo::http::FieldIdOf(name)});
  }
  return fields;
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
      RouteMatch route = RouteOf(line);
      RouteMatch simplified = route;
      if (!Simplify(simplified)) continue;
      routes.push_back(std::move(route));
      simple.push_back(std::move(simplified));
    }
  }
  const Router router(routes);
  const NaiveRouter naive(simple);
  MatchScratch match_scratch;
  for (std::string_view ask : asks) {
    const std::string host = TakeField(ask);
    if (host.starts_with('[')) continue;
    const std::string_view target = TakeUntil(ask, '\t');
    Scratch scratch;
    const NormaliseResult path = NormalisePath(target, scratch);
    if (!path.ok()) continue;
    const std::string_view method = TakeUntil(ask, '\t');
    const std::vector<rondo::http::Field> fields = FieldsOf(ask);
    const RequestView request{.host = host,
                              .path = path.path,
                              .method = method,
                              .query = QueryOf(target),
                              .fields = fields};
    for (size_t from = 0; from <= routes.size(); ++from) {
      FUZZ_CHECK(router.Match(request, match_scratch, from) == naive.Match(request, from));
    }
    // Checks by itself that both ways to the answer agree.
    FUZZ_CHECK(router.Explain(request).route == naive.Match(request));
  }
  return 0;
}
