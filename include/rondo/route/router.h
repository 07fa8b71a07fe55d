// The routes of one listener, compiled. Immutable after construction: any number of threads may
// match at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "rondo/route/explain.h"
#include "rondo/route/request_view.h"
#include "rondo/route/route_config.h"

namespace rondo::route {

class Predicates;

// Where a match keeps what it has found in a request, so that each header, cookie and parameter is
// looked for once. Use one again and again: it allocates only when it must grow. Holds nothing
// between matches.
class MatchScratch {
 private:
  friend class Predicates;
  struct Found {
    uint32_t begin;
    uint32_t end;
  };
  bool started_ = false;
  std::vector<Found> found_;  // by subject: the values it has, once it was looked for
  std::vector<std::string_view> values_;
  std::string decoded_;  // what stands behind the values of escaped parameters
};

// Why a pattern cannot be compiled: "is no regular expression: missing ) at character 3"; empty
// where it can be.
std::string CheckRegex(std::string_view pattern);

// Why a match cannot be compiled, as a sentence for the author of a configuration; empty where it
// can be.
std::string CheckMatch(const RouteMatch& match);

class Router {
 public:
  static constexpr size_t kNone = SIZE_MAX;

  Router();
  // A route for which CheckMatch has something to say is kept in its place and never matches.
  explicit Router(const std::vector<RouteMatch>& routes);
  Router(Router&&) noexcept;
  Router& operator=(Router&&) noexcept;
  ~Router();

  // The first route in order, from index `from` on, of which all that it asks for holds; or kNone.
  // Asking again with from = the last answer + 1 walks through all that match, in order.
  //
  // `host` is Host or the authority as it came: its port, one trailing dot and its case do not
  // count, and an IPv6 address may be in any of its spellings. "*.example.com" takes one or more
  // labels in front of example.com, not example.com itself. A host longer than kHostBytesMax has no
  // name that a route could ask for.
  //
  // `path` is what NormalisePath returned. path_prefix "/v1" takes /v1, /v1/ and /v1/x, not /v1foo;
  // "/v1/" takes /v1/ and /v1/x, not /v1; "/" takes everything, also the "*" of OPTIONS. `path`
  // takes exactly itself.
  //
  // path_regex takes the whole path. Headers are found by name without regard to case, cookies in
  // Cookie fields ("a=1; b=2", RFC 6265 §5.4; quotes belong to the value), parameters in the query
  // ("a=1&b=2"; %XX is decoded and '+' is a space in names and values, a broken escape stands for
  // itself). Where a name comes more than once, any of its values may hold.
  //
  // No allocation once `scratch` has grown and the patterns have seen such texts. O(length of host
  // and path), a few hash look-ups for each label and for each segment that some route knows, and a
  // binary search among routes that ask for the same. What else is asked is looked at only for
  // routes whose host and path hold and that come before what was found.
  size_t Match(const RequestView& request, MatchScratch& scratch, size_t from = 0) const;
  // A request of which only these are known: it has no method, field or parameter.
  size_t Match(std::string_view host, std::string_view path, size_t from = 0) const;

  // Each route up to the one that Match returns, with all that does not hold. Slow.
  MatchExplanation Explain(const RequestView& request) const;

  size_t size() const { return size_; }

  static constexpr size_t kHostBytesMax = 255;

 private:
  using RouteIndices = std::vector<uint32_t>;  // ascending

  // A place in the tree of path segments; each host that is named has a tree of its own.
  struct Node {
    RouteIndices exact;        // the path ends here
    RouteIndices prefix;       // the path ends here or goes on
    RouteIndices prefix_open;  // the path goes on: the prefix was written with a slash at its end
  };
  struct Edge {
    uint32_t node;
    std::string segment;
  };
  struct EdgeView {
    uint32_t node;
    std::string_view segment;
  };
  struct TextHash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const;
  };
  struct TextEqual {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const { return a == b; }
  };
  struct EdgeHash {
    using is_transparent = void;
    size_t operator()(const EdgeView& edge) const;
    size_t operator()(const Edge& edge) const { return (*this)(EdgeView{edge.node, edge.segment}); }
  };
  struct EdgeEqual {
    using is_transparent = void;
    template <typename A, typename B>
    bool operator()(const A& a, const B& b) const {
      return a.node == b.node && std::string_view(a.segment) == std::string_view(b.segment);
    }
  };
  struct Seeker;
  using HostMap = absl::flat_hash_map<std::string, uint32_t, TextHash, TextEqual>;

  static constexpr uint32_t kNoNode = UINT32_MAX;

  void AddRoute(uint32_t index, const RouteMatch& match);
  uint32_t RootFor(std::string_view host);
  uint32_t NodeFor(uint32_t root, std::string_view path);
  void MatchTree(uint32_t root, Seeker& seeker) const;

  size_t size_ = 0;
  std::vector<RouteMatch> routes_;          // as they were written, for Explain
  std::unique_ptr<Predicates> predicates_;  // null where no route asks for more than host and path
  std::vector<Node> nodes_;
  absl::flat_hash_map<Edge, uint32_t, EdgeHash, EdgeEqual> edges_;
  size_t segment_bytes_max_ = 0;  // of all edges: a longer one of a request need not be looked up
  uint32_t any_host_ = kNoNode;
  HostMap hosts_;
  HostMap wildcards_;  // by ".example.com"
  size_t wildcard_bytes_max_ = 0;
};

}  // namespace rondo::route
