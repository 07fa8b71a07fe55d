// What routes ask beyond host and path, compiled: path_regex, method, headers, cookies, query. The
// router asks it only about routes whose host and path hold.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/http/field.h"
#include "rondo/route/request_view.h"
#include "rondo/route/route_config.h"
#include "rondo/route/router.h"
#include "route/regex.h"

namespace rondo::route {

// Whether a match asks for any of these.
bool AsksForMore(const RouteMatch& match);

class Predicates {
 public:
  // For so many routes, of which none asks for anything yet.
  explicit Predicates(size_t routes) : routes_(routes) {}

  // REQUIRES: CheckMatch has nothing against it; `route` is below the number of routes.
  void Add(size_t route, const RouteMatch& match);

  // To be called before the first Holds() of each match.
  void Begin(MatchScratch& scratch) const { scratch.started_ = false; }
  bool Holds(size_t route, const RequestView& request, MatchScratch& scratch) const;

 private:
  enum class Place : uint8_t { kHeader, kCookie, kQuery };
  // A name that some route asks for, once for all routes that do.
  struct Subject {
    Place place;
    std::string name;
    http::FieldId id;  // of headers
  };
  struct Test {
    uint32_t subject;
    ValueMatch::Kind kind;
    std::string text;
    const Regex* regex;  // kRegex only
  };
  struct Route {
    std::vector<std::string> methods;
    std::vector<Test> tests;
    const Regex* path_regex = nullptr;
  };

  uint32_t SubjectFor(Place place, const std::string& name);
  const Regex* RegexFor(const std::string& pattern);
  void AddTests(Place place, const std::vector<ValueMatch>& wanted, Route& route);

  bool TestHolds(const Test& test, const RequestView& request, MatchScratch& scratch) const;
  MatchScratch::Found Find(uint32_t subject, const RequestView& request,
                           MatchScratch& scratch) const;
  static void Collect(const Subject& subject, const RequestView& request, MatchScratch& scratch);
  static void CollectParameters(const Subject& subject, std::string_view query,
                                MatchScratch& scratch);

  std::vector<std::unique_ptr<const Route>> routes_;  // null where nothing is asked
  std::vector<Subject> subjects_;
  struct Pattern {
    std::string text;
    std::unique_ptr<const Regex> regex;
  };
  std::vector<Pattern> patterns_;  // equal ones once
};

}  // namespace rondo::route
