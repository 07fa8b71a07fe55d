#include "rondo/route/router.h"

#include <algorithm>
#include <utility>

#include "rondo/base/check.h"
#include "rondo/route/normalise.h"
#include "route/host_name.h"

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

// The smallest of `indices` that is at least `from`, where it is less than `best`.
size_t Earlier(const std::vector<uint32_t>& indices, size_t from, size_t best) {
  if (indices.empty() || indices.front() >= best || indices.back() < from) return best;
  if (indices.front() >= from) return indices.front();
  return std::min<size_t>(best, *std::ranges::lower_bound(indices, from));
}

}  // namespace

std::string CheckMatch(const RouteMatch& match) {
  for (std::string problem :
       {CheckHost(match.host), CheckPath(match.path), CheckPath(match.path_prefix)}) {
    if (!problem.empty()) return problem;
  }
  return {};
}

Router::Router(const std::vector<RouteMatch>& routes) : size_(routes.size()) {
  RONDO_CHECK(routes.size() < UINT32_MAX);
  for (size_t i = 0; i < routes.size(); ++i) {
    if (CheckMatch(routes[i]).empty()) AddRoute(static_cast<uint32_t>(i), routes[i]);
  }
}

size_t Router::Match(std::string_view host, std::string_view path, size_t from) const {
  size_t best = kNone;
  if (any_host_ != kNoNode) best = MatchTree(any_host_, path, from, best);
  if (hosts_.empty() && wildcards_.empty()) return best;

  const HostName name(host);
  const std::string_view text = name.text();
  if (const auto found = hosts_.find(text); found != hosts_.end()) {
    best = MatchTree(found->second, path, from, best);
  }
  if (wildcards_.empty()) return best;
  // Each dot that has a label in front of it begins a suffix that a wildcard may be about. From the
  // left, so that suffixes longer than any wildcard are passed over without being hashed.
  size_t dot = text.size() > wildcard_bytes_max_ ? text.size() - wildcard_bytes_max_ : 1;
  for (dot = text.find('.', dot); dot != std::string_view::npos; dot = text.find('.', dot + 1)) {
    const auto found = wildcards_.find(text.substr(dot));
    if (found != wildcards_.end()) best = MatchTree(found->second, path, from, best);
  }
  return best;
}

size_t Router::MatchTree(uint32_t root, std::string_view path, size_t from, size_t best) const {
  uint32_t node = root;
  size_t i = 0;  // of the slash behind what `node` stands for, or the end
  const bool asterisk = path.empty() || path[0] != '/';
  while (true) {
    const Node& here = nodes_[node];
    best = Earlier(here.prefix, from, best);
    if (asterisk) return best;
    if (i == path.size()) return Earlier(here.exact, from, best);
    best = Earlier(here.prefix_open, from, best);
    size_t end = path.find('/', i + 1);
    if (end == std::string_view::npos) end = path.size();
    const std::string_view segment = path.substr(i + 1, end - i - 1);
    if (segment.size() > segment_bytes_max_) return best;
    const auto found = edges_.find(EdgeView{node, segment});
    if (found == edges_.end()) return best;
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
