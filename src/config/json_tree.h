// JSON text as the same tree of values that YAML gives, so that one reader knows all keys. Places
// are the fields' paths in the place of lines.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/yaml_tree.h"

namespace rondo::config {

inline constexpr size_t kJsonDepthMax = 32;

struct JsonTree {
  Tree tree;

  // "backends[2].weight": the path of the value or key whose mark has that line; empty for the
  // whole.
  std::string FieldAt(int line) const;

  // Where each of the nodes stands, in their order.
  struct Step {
    int parent;            // the line of the map or list it is in; 0 for the whole
    size_t index;          // in a list
    std::string_view key;  // in a map
    bool in_map;
  };
  std::vector<Step> steps;
};

// Never throws. A syntax error has its line and column in the text.
JsonTree ParseJson(std::string_view text);

}  // namespace rondo::config
