#include "rondo/route/explain.h"

#include <string_view>
#include <utility>

#include "rondo/base/check.h"
#include "rondo/http/sticky.h"
#include "rondo/route/normalise.h"
#include "rondo/route/router.h"
#include "route/host_name.h"
#include "route/query.h"
#include "route/regex.h"

namespace rondo::route {
namespace {

constexpr size_t kShownBytesMax = 120;
constexpr size_t kShownValuesMax = 8;

// For a message: cut where it is long, and nothing a terminal would obey.
std::string Quoted(std::string_view text) {
  std::string quoted = "`";
  for (const char c : text.substr(0, kShownBytesMax)) {
    const auto byte = static_cast<unsigned char>(c);
    quoted.push_back(byte < 0x20 || byte == 0x7f ? '?' : c);
  }
  if (text.size() > kShownBytesMax) quoted.append("...");
  return quoted + "`";
}

// "`a`, `b` or `c`".
std::string List(const std::vector<std::string>& texts, std::string_view conjunction) {
  std::string list;
  for (size_t i = 0; i < texts.size() && i < kShownValuesMax; ++i) {
    const bool is_last = i + 1 == texts.size();
    if (i > 0) list += is_last ? " " + std::string(conjunction) + " " : ", ";
    list += Quoted(texts[i]);
  }
  if (texts.size() > kShownValuesMax) {
    list += ", and " + std::to_string(texts.size() - kShownValuesMax) + " more";
  }
  return list.empty() ? "nothing" : list;
}

bool HostHolds(std::string_view wanted, std::string_view host) {
  if (wanted.empty()) return true;
  if (!wanted.starts_with("*.")) return HostName(wanted).text() == host;
  const std::string suffix = "." + std::string(HostName(wanted.substr(2)).text());
  return host.size() > suffix.size() && host.ends_with(suffix);
}

bool PrefixHolds(std::string_view wanted, std::string_view path) {
  if (wanted.empty()) return true;
  Scratch scratch;
  const std::string_view prefix = NormalisePath(wanted, scratch).path;
  if (prefix == "/") return true;
  if (!path.starts_with(prefix)) return false;
  return prefix.ends_with('/') || path.size() == prefix.size() || path[prefix.size()] == '/';
}

bool PathHolds(std::string_view wanted, std::string_view path) {
  Scratch scratch;
  return wanted.empty() || NormalisePath(wanted, scratch).path == path;
}

bool RegexHolds(const std::string& pattern, std::string_view text) {
  std::string problem;
  const std::unique_ptr<Regex> regex = Regex::Compile(pattern, problem);
  return regex != nullptr && regex->Matches(text);
}

std::vector<std::string> HeaderValues(const RequestView& request, std::string_view name) {
  std::vector<std::string> values;
  for (const http::Field& field : request.fields) {
    if (http::EqualsIgnoreCase(field.name, name)) values.emplace_back(field.value);
  }
  return values;
}

std::vector<std::string> CookieValues(const RequestView& request, std::string_view name) {
  std::vector<std::string> values;
  for (const std::string& field : HeaderValues(request, "Cookie")) {
    std::string_view rest = field;
    http::CookiePair pair;
    while (http::NextCookie(&rest, &pair)) {
      if (pair.name == name) values.emplace_back(pair.value);
    }
  }
  return values;
}

std::vector<std::string> ParameterValues(const RequestView& request, std::string_view name) {
  std::vector<std::string> values;
  std::string_view rest = request.query;
  RawParameter parameter;
  while (NextParameter(&rest, &parameter)) {
    if (DecodesTo(parameter.name, name)) AppendDecoded(parameter.value, values.emplace_back());
  }
  return values;
}

bool ValuesHold(const ValueMatch& wanted, const std::vector<std::string>& values) {
  if (wanted.kind == ValueMatch::Kind::kAbsent) return values.empty();
  for (const std::string& value : values) {
    switch (wanted.kind) {
      case ValueMatch::Kind::kPresent:
        return true;
      case ValueMatch::Kind::kAbsent:
        return false;
      case ValueMatch::Kind::kExact:
        if (value == wanted.text) return true;
        break;
      case ValueMatch::Kind::kPrefix:
        if (value.starts_with(wanted.text)) return true;
        break;
      case ValueMatch::Kind::kRegex:
        if (RegexHolds(wanted.text, value)) return true;
        break;
    }
  }
  return false;
}

std::string Wanted(const ValueMatch& match) {
  switch (match.kind) {
    case ValueMatch::Kind::kPresent:
      return "there, with any value";
    case ValueMatch::Kind::kAbsent:
      return "left out";
    case ValueMatch::Kind::kExact:
      return Quoted(match.text);
    case ValueMatch::Kind::kPrefix:
      return "a value that begins with " + Quoted(match.text);
    case ValueMatch::Kind::kRegex:
      return "a value that all of " + Quoted(match.text) + " takes";
  }
  return {};
}

// What of a route does not hold for one request.
class Trial {
 public:
  Trial(const RouteMatch& match, const RequestView& request) : match_(match), request_(request) {}

  std::vector<FailedPart> Run(std::string_view host) {
    const std::string path(request_.path);
    if (!HostHolds(match_.host, host)) Fail(MatchPart::kHost, match_.host, std::string(host));
    if (!PathHolds(match_.path, path)) Fail(MatchPart::kPath, match_.path, path);
    if (!PrefixHolds(match_.path_prefix, path)) {
      Fail(MatchPart::kPathPrefix, match_.path_prefix, path);
    }
    if (!match_.path_regex.empty() && !RegexHolds(match_.path_regex, path)) {
      Fail(MatchPart::kPathRegex, match_.path_regex, path);
    }
    TryMethods();
    TryValues(MatchPart::kHeader, match_.headers, HeaderValues);
    TryValues(MatchPart::kCookie, match_.cookies, CookieValues);
    TryValues(MatchPart::kQuery, match_.query, ParameterValues);
    return std::move(failed_);
  }

 private:
  using Values = std::vector<std::string> (*)(const RequestView&, std::string_view name);

  void Fail(MatchPart part, const std::string& wanted, const std::string& found) {
    failed_.push_back({.part = part,
                       .name = {},
                       .wanted = Quoted(wanted),
                       .found = found.empty() ? "nothing" : Quoted(found)});
  }

  void TryMethods() {
    if (match_.methods.empty()) return;
    for (const std::string& method : match_.methods) {
      if (method == request_.method) return;
    }
    failed_.push_back({.part = MatchPart::kMethod,
                       .name = {},
                       .wanted = List(match_.methods, "or"),
                       .found = request_.method.empty() ? "nothing" : Quoted(request_.method)});
  }

  void TryValues(MatchPart part, const std::vector<ValueMatch>& wanted, Values values_of) {
    for (const ValueMatch& each : wanted) {
      const std::vector<std::string> values = values_of(request_, each.name);
      if (ValuesHold(each, values)) continue;
      failed_.push_back(
          {.part = part, .name = each.name, .wanted = Wanted(each), .found = List(values, "and")});
    }
  }

  const RouteMatch& match_;
  const RequestView& request_;
  std::vector<FailedPart> failed_;
};

std::string SubjectOf(const FailedPart& failed) {
  switch (failed.part) {
    case MatchPart::kHost:
      return "the host";
    case MatchPart::kPath:
    case MatchPart::kPathPrefix:
    case MatchPart::kPathRegex:
      return "the path";
    case MatchPart::kMethod:
      return "the method";
    case MatchPart::kHeader:
      return "the header " + Quoted(failed.name);
    case MatchPart::kCookie:
      return "the cookie " + Quoted(failed.name);
    case MatchPart::kQuery:
      return "the query parameter " + Quoted(failed.name);
  }
  return {};
}

}  // namespace

const char* MatchPartName(MatchPart part) {
  switch (part) {
    case MatchPart::kHost:
      return "host";
    case MatchPart::kPath:
      return "path";
    case MatchPart::kPathPrefix:
      return "path_prefix";
    case MatchPart::kPathRegex:
      return "path_regex";
    case MatchPart::kMethod:
      return "method";
    case MatchPart::kHeader:
      return "headers";
    case MatchPart::kCookie:
      return "cookies";
    case MatchPart::kQuery:
      return "query";
  }
  return "";
}

std::string FailedPart::Sentence() const {
  const std::string is = found == "nothing" ? " is missing" : " is " + found;
  const char* must = ", but must be ";
  if (part == MatchPart::kPathPrefix) must = ", but must begin with ";
  if (part == MatchPart::kPathRegex) must = ", but must be taken by ";
  return SubjectOf(*this) + is + must + wanted;
}

MatchExplanation Router::Explain(const RequestView& request) const {
  MatchExplanation explanation;
  MatchScratch scratch;
  explanation.route = Match(request, scratch);
  const HostName host(request.host);
  for (size_t i = 0; i < routes_.size() && i <= explanation.route; ++i) {
    RouteTried& tried = explanation.tried.emplace_back();
    tried.route = i;
    tried.failed = Trial(routes_[i], request).Run(host.text());
    // Two ways to the same answer: both read the same rules, so they can not differ.
    RONDO_CHECK(tried.matched() == (i == explanation.route) || !CheckMatch(routes_[i]).empty());
  }
  return explanation;
}

}  // namespace rondo::route
