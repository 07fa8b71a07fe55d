#include "config/json_tree.h"

#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <utility>

#include "config/text.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

using Json = nlohmann::json;

// What the library says after its own codes and places: "unexpected end of input; expected ...".
std::string Reason(std::string_view what) {
  constexpr std::string_view kBefore = "syntax error ";
  const size_t begin = what.find(kBefore);
  if (begin != std::string_view::npos) what.remove_prefix(begin + kBefore.size());
  // It repeats what it read last, which may be no text at all.
  if (FirstInvalidUtf8(what) || FirstForbiddenControl(what) || what.size() > 200) return {};
  return Cat(": ", what);
}

class TreeBuilder : public nlohmann::json_sax<Json> {
 public:
  TreeBuilder(JsonTree& json, std::string_view text) : json_(json), text_(text) {}

  bool null() override { return Add(Node::Kind::kNull, Node::Type::kAny, {}); }
  bool boolean(bool value) override {
    return Add(Node::Kind::kScalar, Node::Type::kBool, value ? "true" : "false");
  }
  bool number_integer(number_integer_t value) override {
    return Add(Node::Kind::kScalar, Node::Type::kNumber, std::to_string(value));
  }
  bool number_unsigned(number_unsigned_t value) override {
    return Add(Node::Kind::kScalar, Node::Type::kNumber, std::to_string(value));
  }
  bool number_float(number_float_t, const string_t& text) override {
    return Add(Node::Kind::kScalar, Node::Type::kNumber, text);
  }
  bool string(string_t& value) override {
    return Add(Node::Kind::kScalar, Node::Type::kText, std::move(value));
  }
  bool binary(binary_t&) override { return Refuse({}, "binary data is no JSON"); }
  bool start_object(size_t) override { return Open(Node::Kind::kMap); }
  bool start_array(size_t) override { return Open(Node::Kind::kList); }
  bool key(string_t& value) override {
    Level& level = open_.back();
    const bool is_new = level.keys.insert(value).second;
    level.key = NewNode(Node::Kind::kScalar, Node::Type::kText, std::move(value));
    if (level.key == nullptr) return false;
    json_.steps.back() = {level.node->mark.line, 0, level.key->text, true};
    level.node->children.push_back(level.key);
    if (!is_new) {
      json_.tree.errors.push_back({.line = level.key->mark.line,
                                   .col = level.key->mark.col,
                                   .message = Cat(Quoted(level.key->text), " is written twice")});
    }
    return true;
  }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool parse_error(size_t position, const std::string&, const Json::exception& error) override {
    const std::string_view before = text_.substr(0, std::min(position, text_.size()));
    const size_t line_begin = before.rfind('\n') + 1;  // npos + 1 is 0
    const SourceMark where{
        .line = static_cast<int>(std::count(before.begin(), before.end(), '\n')) + 1,
        .col = static_cast<int>(std::max<size_t>(before.size() - line_begin, 1))};
    return Refuse(where, Cat("not valid JSON", Reason(error.what())));
  }

 private:
  struct Level {
    Node* node;
    Node* key = nullptr;  // the one whose value comes next, in a map
    std::unordered_set<std::string> keys;
  };

  bool Refuse(SourceMark where, std::string message) {
    json_.tree = Tree();
    json_.steps.clear();
    json_.tree.syntax_error = true;
    json_.tree.errors.push_back(
        {.line = where.line, .col = where.col, .message = std::move(message)});
    return false;
  }
  // Nothing where there are too many.
  Node* NewNode(Node::Kind kind, Node::Type type, std::string text) {
    Tree& tree = json_.tree;
    if (tree.nodes.size() >= kNodesMax) {
      Refuse({}, Cat("more than ", kNodesMax, " values: no configuration has so many"));
      return nullptr;
    }
    Node& node = tree.nodes.emplace_back();
    node.kind = kind;
    node.type = type;
    node.quoted = type == Node::Type::kText;
    node.mark = {.line = static_cast<int>(tree.nodes.size()), .col = 1};
    node.text = std::move(text);
    json_.steps.push_back({0, 0, {}, false});
    return &node;
  }
  bool Add(Node::Kind kind, Node::Type type, std::string text) {
    return Attach(NewNode(kind, type, std::move(text)));
  }
  bool Attach(Node* node) {
    if (node == nullptr) return false;
    if (open_.empty()) {
      json_.tree.root = node;
      return true;
    }
    Level& level = open_.back();
    if (level.key != nullptr) {
      json_.steps.back() = {level.node->mark.line, 0, level.key->text, true};
      level.key = nullptr;
    } else {
      json_.steps.back() = {level.node->mark.line, level.node->children.size(), {}, false};
    }
    level.node->children.push_back(node);
    return true;
  }
  bool Open(Node::Kind kind) {
    if (open_.size() >= kJsonDepthMax) {
      return Refuse({}, Cat("nested more than ", kJsonDepthMax, " levels deep"));
    }
    Node* node = NewNode(kind, Node::Type::kAny, {});
    if (!Attach(node)) return false;
    open_.push_back({.node = node, .keys = {}});
    return true;
  }
  bool Close() {
    open_.pop_back();
    return true;
  }

  JsonTree& json_;
  std::string_view text_;
  std::vector<Level> open_;
};

}  // namespace

std::string JsonTree::FieldAt(int line) const {
  std::vector<const Step*> path;
  while (line > 0 && static_cast<size_t>(line) <= steps.size()) {
    const Step& step = steps[static_cast<size_t>(line) - 1];
    if (step.parent == 0) break;
    path.push_back(&step);
    line = step.parent;
  }
  std::string field;
  for (size_t i = path.size(); i-- > 0;) {
    const Step& step = *path[i];
    if (!step.in_map) {
      field += Cat("[", step.index, "]");
      continue;
    }
    const std::string shown = Quoted(step.key);
    field += Cat(field.empty() ? "" : ".", std::string_view(shown).substr(1, shown.size() - 2));
  }
  return field;
}

JsonTree ParseJson(std::string_view text) {
  JsonTree json;
  if (text.size() > kFileBytesMax) {
    json.tree.syntax_error = true;
    json.tree.errors.push_back(
        {.message = Cat("larger than ", FormatSize(kFileBytesMax), ": not a configuration")});
    return json;
  }
  TreeBuilder builder(json, text);
  try {
    Json::sax_parse(text.begin(), text.end(), &builder);
  } catch (const std::exception& error) {
    JsonTree failed;
    failed.tree.syntax_error = true;
    failed.tree.errors.push_back({.message = Cat("not readable as JSON: ", error.what())});
    return failed;
  }
  return json;
}

}  // namespace rondo::config
