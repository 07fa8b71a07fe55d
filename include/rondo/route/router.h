// The routes of one listener, compiled. Immutable after construction: any number of threads may
// match at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/hash/hash.h"
#include "rondo/route/route_config.h"

namespace rondo::route {

// Why a match cannot be compiled, as a sentence for the author of a configuration; empty where it
// can be.
std::string CheckMatch(const RouteMatch& match);

class Router {
 public:
  static constexpr size_t kNone = SIZE_MAX;

  Router() = default;
  // A route for which CheckMatch has something to say is kept in its place and never matches.
  explicit Router(const std::vector<RouteMatch>& routes);

  // The first route in order, from index `from` on, whose host, path and path_prefix all hold; or
  // kNone. Asking again with from = the last answer + 1 walks through all that match, in order.
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
  // No allocation. O(length of host and path), a few hash look-ups for each label and for each
  // segment that some route knows, and a binary search among routes that ask for the same.
  size_t Match(std::string_view host, std::string_view path, size_t from = 0) const;

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
  using HostMap = absl::flat_hash_map<std::string, uint32_t, TextHash, TextEqual>;

  static constexpr uint32_t kNoNode = UINT32_MAX;

  void AddRoute(uint32_t index, const RouteMatch& match);
  uint32_t RootFor(std::string_view host);
  uint32_t NodeFor(uint32_t root, std::string_view path);
  size_t MatchTree(uint32_t root, std::string_view path, size_t from, size_t best) const;

  size_t size_ = 0;
  std::vector<Node> nodes_;
  absl::flat_hash_map<Edge, uint32_t, EdgeHash, EdgeEqual> edges_;
  size_t segment_bytes_max_ = 0;  // of all edges: a longer one of a request need not be looked up
  uint32_t any_host_ = kNoNode;
  HostMap hosts_;
  HostMap wildcards_;  // by ".example.com"
  size_t wildcard_bytes_max_ = 0;
};

}  // namespace rondo::route
