// YAML text as a tree of values with their places. All that the YAML library does not check is
// checked here: encoding, depth, number of values, duplicate keys, several documents. It sees no
// meaning in any key.
#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/config/config.h"
#include "rondo/config/load.h"

namespace rondo::config {

inline constexpr int kDepthMax = 64;
inline constexpr size_t kNodesMax = 1'000'000;

struct Node {
  enum class Kind : uint8_t { kNull, kScalar, kList, kMap };
  // What a scalar is by itself. YAML leaves that to the key, JSON does not.
  enum class Type : uint8_t { kAny, kText, kNumber, kBool };
  Kind kind = Kind::kNull;
  Type type = Type::kAny;
  bool quoted = false;
  SourceMark mark;
  std::string text;  // kScalar
  // kList: the elements; kMap: key, value, key, value. A value used by an alias stands in several
  // places.
  std::vector<const Node*> children;
};

struct Tree {
  std::deque<Node> nodes;      // owns all of them
  const Node* root = nullptr;  // nothing where the text holds no value, or `syntax_error`
  bool syntax_error = false;   // `errors` then has exactly one entry
  std::vector<Error> errors;   // duplicate keys and keys that are no text
};

// Never throws.
Tree ParseYaml(std::string_view text);

}  // namespace rondo::config
