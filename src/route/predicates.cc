#include "route/predicates.h"

#include <algorithm>
#include <utility>

#include "rondo/base/check.h"
#include "rondo/http/sticky.h"
#include "route/query.h"

namespace rondo::route {
namespace {

constexpr uint32_t kNotLookedFor = UINT32_MAX;

bool ValueHolds(std::string_view value, ValueMatch::Kind kind, std::string_view text,
                const Regex* regex) {
  switch (kind) {
    case ValueMatch::Kind::kPresent:
      return true;
    case ValueMatch::Kind::kAbsent:
      return false;
    case ValueMatch::Kind::kExact:
      return value == text;
    case ValueMatch::Kind::kPrefix:
      return value.starts_with(text);
    case ValueMatch::Kind::kRegex:
      return regex->Matches(value);
  }
  return false;
}

}  // namespace

bool AsksForMore(const RouteMatch& match) {
  return !match.path_regex.empty() || !match.methods.empty() || !match.headers.empty() ||
         !match.cookies.empty() || !match.query.empty();
}

void Predicates::Add(size_t route, const RouteMatch& match) {
  if (!AsksForMore(match)) return;
  auto added = std::make_unique<Route>();
  added->methods = match.methods;
  AddTests(Place::kHeader, match.headers, *added);
  AddTests(Place::kCookie, match.cookies, *added);
  AddTests(Place::kQuery, match.query, *added);
  // What costs least is asked first.
  std::ranges::partition(added->tests, [](const Test& test) { return test.regex == nullptr; });
  if (!match.path_regex.empty()) added->path_regex = RegexFor(match.path_regex);
  routes_[route] = std::move(added);
}

bool Predicates::Holds(size_t route, const RequestView& request, MatchScratch& scratch) const {
  const Route* asked = routes_[route].get();
  if (asked == nullptr) return true;
  if (!asked->methods.empty() &&
      std::ranges::find(asked->methods, request.method) == asked->methods.end()) {
    return false;
  }
  for (const Test& test : asked->tests) {
    if (!TestHolds(test, request, scratch)) return false;
  }
  return asked->path_regex == nullptr || asked->path_regex->Matches(request.path);
}

bool Predicates::TestHolds(const Test& test, const RequestView& request,
                           MatchScratch& scratch) const {
  const MatchScratch::Found found = Find(test.subject, request, scratch);
  if (test.kind == ValueMatch::Kind::kAbsent) return found.begin == found.end;
  for (uint32_t i = found.begin; i < found.end; ++i) {
    if (ValueHolds(scratch.values_[i], test.kind, test.text, test.regex)) return true;
  }
  return false;
}

MatchScratch::Found Predicates::Find(uint32_t subject, const RequestView& request,
                                     MatchScratch& scratch) const {
  if (!scratch.started_) {
    scratch.started_ = true;
    scratch.found_.assign(subjects_.size(), {.begin = kNotLookedFor, .end = 0});
    scratch.values_.clear();
    scratch.decoded_.clear();
  }
  MatchScratch::Found& found = scratch.found_[subject];
  if (found.begin == kNotLookedFor) {
    found.begin = static_cast<uint32_t>(scratch.values_.size());
    Collect(subjects_[subject], request, scratch);
    found.end = static_cast<uint32_t>(scratch.values_.size());
  }
  return found;
}

void Predicates::Collect(const Subject& subject, const RequestView& request,
                         MatchScratch& scratch) {
  switch (subject.place) {
    case Place::kHeader:
      for (const http::Field& field : request.fields) {
        // Only names without an id have to be compared.
        if (field.id == subject.id && (field.id != http::FieldId::kOther ||
                                       http::EqualsIgnoreCase(field.name, subject.name))) {
          scratch.values_.push_back(field.value);
        }
      }
      return;
    case Place::kCookie:
      for (const http::Field& field : request.fields) {
        if (field.id != http::FieldId::kCookie) continue;
        std::string_view rest = field.value;
        http::CookiePair pair;
        while (http::NextCookie(&rest, &pair)) {
          if (pair.name == subject.name) scratch.values_.push_back(pair.value);
        }
      }
      return;
    case Place::kQuery:
      return CollectParameters(subject, request.query, scratch);
  }
}

void Predicates::CollectParameters(const Subject& subject, std::string_view query,
                                   MatchScratch& scratch) {
  // Each parameter has one name and is decoded for that alone, so all values together are no longer
  // than the query; and values that stand there already must not move.
  if (scratch.decoded_.empty()) scratch.decoded_.reserve(query.size());
  RawParameter parameter;
  while (NextParameter(&query, &parameter)) {
    if (!DecodesTo(parameter.name, subject.name)) continue;
    if (!NeedsDecoding(parameter.value)) {
      scratch.values_.push_back(parameter.value);
      continue;
    }
    const size_t begin = scratch.decoded_.size();
    RONDO_DCHECK(begin + parameter.value.size() <= scratch.decoded_.capacity());
    AppendDecoded(parameter.value, scratch.decoded_);
    scratch.values_.push_back(std::string_view(scratch.decoded_).substr(begin));
  }
}

uint32_t Predicates::SubjectFor(Place place, const std::string& name) {
  const auto is_same = [&](const Subject& subject) {
    if (subject.place != place) return false;
    return place == Place::kHeader ? http::EqualsIgnoreCase(subject.name, name)
                                   : subject.name == name;
  };
  const auto known = std::ranges::find_if(subjects_, is_same);
  if (known != subjects_.end()) return static_cast<uint32_t>(known - subjects_.begin());
  const http::FieldId id = place == Place::kHeader ? http::FieldIdOf(name) : http::FieldId::kOther;
  subjects_.push_back({.place = place, .name = name, .id = id});
  return static_cast<uint32_t>(subjects_.size() - 1);
}

const Regex* Predicates::RegexFor(const std::string& pattern) {
  const auto known = std::ranges::find(patterns_, pattern, &Pattern::text);
  if (known != patterns_.end()) return known->regex.get();
  std::string problem;
  std::unique_ptr<const Regex> regex = Regex::Compile(pattern, problem);
  RONDO_CHECK(regex != nullptr);
  patterns_.push_back({.text = pattern, .regex = std::move(regex)});
  return patterns_.back().regex.get();
}

void Predicates::AddTests(Place place, const std::vector<ValueMatch>& wanted, Route& route) {
  for (const ValueMatch& each : wanted) {
    const bool is_regex = each.kind == ValueMatch::Kind::kRegex;
    route.tests.push_back({.subject = SubjectFor(place, each.name),
                           .kind = each.kind,
                           .text = each.text,
                           .regex = is_regex ? RegexFor(each.text) : nullptr});
  }
}

}  // namespace rondo::route
