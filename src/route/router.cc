#include "rondo/route/router.h"

#include <algorithm>
#include <utility>

#include "rondo/base/check.h"
#include "rondo/route/normalise.h"
#include "route/host_name.h"
#include "route/predicates.h"

namespace rondo::route {
namespace {

bool IsWildcard(std::string_view host) { return host.starts_with("*."); }

absl::string_view ToAbsl(std::string_view text) { return {text.data(), text.size()}; }

std::string CheckHost(std::string_view host) {
  if (host.empty()) return {};
  const std::string_view name = IsWildcard(host) ? host.substr(2) : host;
  if (name.find('*') != std::string_view::npos) {
    return "`*` may only stand for the first labels of a host, as in `*.example.com`";
  }
  if (HostName(name).text().empty()) return "a host must be a name of 1 to 255 bytes";
  return {};
}

std::string CheckPath(std::string_view path) {
  if (path.empty()) return {};
  if (path[0] != '/') return "a path must begin with `/`";
  if (path.find('?') != std::string_view::npos)
    return "a path can not hold `?`: the query is not part of it";
  Scratch scratch;
  const NormaliseResult result = NormalisePath(path, scratch);
  if (result.ok()) return {};
  return "no request can have this path, it would be refused: " + std::string(result.reason);
}

std::string CheckNames(const RouteMatch& match) {
  for (const std::string& method : match.methods) {
    if (!http::IsToken(method)) return "a method must be a token, such as `GET`";
  }
  for (const ValueMatch& header : match.headers) {
    if (!http::IsToken(header.name)) return "the name of a header must be a token";
  }
  for (const ValueMatch& cookie : match.cookies) {
    if (!http::IsToken(cookie.name)) return "the name of a cookie must be a token";
  }
  for (const ValueMatch& parameter : match.query) {
    if (parameter.name.empty()) return "a query parameter must have a name";
  }
  return {};
}

std::string CheckPatterns(const RouteMatch& match) {
  if (!match.path_regex.empty()) {
    if (std::string problem = CheckRegex(match.path_regex); !problem.empty()) {
      return "path_regex " + problem;
    }
  }
  for (const auto* values : {&match.headers, &match.cookies, &match.query}) {
    for (const ValueMatch& value : *values) {
      if (value.kind != ValueMatch::Kind::kRegex) continue;
      if (std::string problem = CheckRegex(value.text); !problem.empty()) {
        return "what `" + value.name + "` must be " + problem;
      }
    }
  }
  return {};
}

}  // namespace

std::string CheckRegex(std::string_view pattern) {
  std::string problem;
  Regex::Compile(pattern, problem);
  return problem;
}

std::string CheckMatch(const RouteMatch& match) {
  for (std::string problem :
       {CheckHost(match.host), CheckPath(match.path), CheckPath(match.path_prefix),
        CheckNames(match), CheckPatterns(match)}) {
    if (!problem.empty()) return problem;
  }
  return {};
}

Router::Router() = default;
Router::Router(Router&&) noexcept = default;
Router& Router::operator=(Router&&) noexcept = default;
Router::~Router() = default;

Router::Router(const std::vector<RouteMatch>& routes) : size_(routes.size()), routes_(routes) {
  RONDO_CHECK(routes.size() < UINT32_MAX);
  if (std::ranges::any_of(routes, AsksForMore)) {
    predicates_ = std::make_unique<Predicates>(routes.size());
  }
  for (size_t i = 0; i < routes.size(); ++i) {
    if (!CheckMatch(routes[i]).empty()) continue;
    AddRoute(static_cast<uint32_t>(i), routes[i]);
    if (predicates_ != nullptr) predicates_->Add(i, routes[i]);
  }
}

// One search: what is asked, and the best answer so far.
struct Router::Seeker {
  const RequestView& request;
  const Predicates* predicates;  // null: nothing beyond host and path is asked by anyone
  MatchScratch& scratch;
  size_t from;
  size_t best = kNone;

  // Takes the first of `indices` (ascending, of routes whose host and path hold) that is at least
  // `from`, less than `best`, and whose predicates hold.
  void Consider(const RouteIndices& indices) {
    if (indices.empty() || indices.front() >= best || indices.back() < from) return;
    auto next = indices.front() >= from ? indices.begin() : std::ranges::lower_bound(indices, from);
    for (; next != indices.end() && *next < best; ++next) {
      if (predicates == nullptr || predicates->Holds(*next, request, scratch)) {
        best = *next;
        return;
      }
    }
  }
};

size_t Router::Match(std::string_view host, std::string_view path, size_t from) const {
  MatchScratch scratch;
  return Match({.host = host, .path = path}, scratch, from);
}

size_t Router::Match(const RequestView& request, MatchScratch& scratch, size_t from) const {
  if (predicates_ != nullptr) predicates_->Begin(scratch);
  Seeker seeker{
      .request = request, .predicates = predicates_.get(), .scratch = scratch, .from = from};
  if (any_host_ != kNoNode) MatchTree(any_host_, seeker);
  if (hosts_.empty() && wildcards_.empty()) return seeker.best;

  const HostName name(request.host);
  const std::string_view text = name.text();
  if (const auto found = hosts_.find(text); found != hosts_.end()) {
    MatchTree(found->second, seeker);
  }
  if (wildcards_.empty()) return seeker.best;
  // Each dot that has a label in front of it begins a suffix that a wildcard may be about. From the
  // left, so that suffixes longer than any wildcard are passed over without being hashed.
  size_t dot = text.size() > wildcard_bytes_max_ ? text.size() - wildcard_bytes_max_ : 1;
  for (dot = text.find('.', dot); dot != std::string_view::npos; dot = text.find('.', dot + 1)) {
    const auto found = wildcards_.find(text.substr(dot));
    if (found != wildcards_.end()) MatchTree(found->second, seeker);
  }
  return seeker.best;
}

void Router::MatchTree(uint32_t root, Seeker& seeker) const {
  const std::string_view path = seeker.request.path;
  uint32_t node = root;
  size_t i = 0;  // of the slash behind what `node` stands for, or the end
  const bool asterisk = path.empty() || path[0] != '/';
  while (true) {
    const Node& here = nodes_[node];
    seeker.Consider(here.prefix);
    if (asterisk) return;
    if (i == path.size()) return seeker.Consider(here.exact);
    seeker.Consider(here.prefix_open);
    size_t end = path.find('/', i + 1);
    if (end == std::string_view::npos) end = path.size();
    const std::string_view segment = path.substr(i + 1, end - i - 1);
    if (segment.size() > segment_bytes_max_) return;
    const auto found = edges_.find(EdgeView{node, segment});
    if (found == edges_.end()) return;
    node = found->second;
    i = end;
  }
}

void Router::AddRoute(uint32_t index, const RouteMatch& match) {
  Scratch path_scratch;
  Scratch prefix_scratch;
  const std::string_view path =
      match.path.empty() ? "" : NormalisePath(match.path, path_scratch).path;
  const std::string_view prefix =
      match.path_prefix.empty() ? "/" : NormalisePath(match.path_prefix, prefix_scratch).path;
  const bool open = prefix.size() > 1 && prefix.back() == '/';
  const std::string_view trunk =
      prefix.back() == '/' ? prefix.substr(0, prefix.size() - 1) : prefix;
  if (!path.empty()) {
    // Both are named: either the path lies below the prefix, and alone decides, or no path does
    // both.
    const bool below =
        path.starts_with(trunk) && (path.size() > trunk.size() ? path[trunk.size()] == '/' : !open);
    if (below) nodes_[NodeFor(RootFor(match.host), path)].exact.push_back(index);
    return;
  }
  Node& node = nodes_[NodeFor(RootFor(match.host), trunk)];
  (open ? node.prefix_open : node.prefix).push_back(index);
}

uint32_t Router::RootFor(std::string_view host) {
  uint32_t* root = &any_host_;
  if (IsWildcard(host)) {
    std::string suffix = "." + std::string(HostName(host.substr(2)).text());
    wildcard_bytes_max_ = std::max(wildcard_bytes_max_, suffix.size());
    root = &wildcards_.try_emplace(std::move(suffix), kNoNode).first->second;
  } else if (!host.empty()) {
    root = &hosts_.try_emplace(std::string(HostName(host).text()), kNoNode).first->second;
  }
  if (*root == kNoNode) {
    *root = static_cast<uint32_t>(nodes_.size());
    nodes_.emplace_back();
  }
  return *root;
}

uint32_t Router::NodeFor(uint32_t root, std::string_view path) {
  uint32_t node = root;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const std::string_view segment = path.substr(0, path.find('/'));
    path.remove_prefix(segment.size());
    segment_bytes_max_ = std::max(segment_bytes_max_, segment.size());
    const auto [edge, inserted] = edges_.try_emplace(Edge{node, std::string(segment)}, 0);
    if (inserted) {
      edge->second = static_cast<uint32_t>(nodes_.size());
      nodes_.emplace_back();
    }
    node = edge->second;
  }
  return node;
}

size_t Router::TextHash::operator()(std::string_view text) const {
  return absl::Hash<absl::string_view>{}(ToAbsl(text));
}

size_t Router::EdgeHash::operator()(const EdgeView& edge) const {
  return absl::Hash<std::pair<uint32_t, absl::string_view>>{}({edge.node, ToAbsl(edge.segment)});
}

}  // namespace rondo::route
