#include "rondo/config/edit.h"

#include <algorithm>
#include <deque>
#include <set>
#include <utility>

#include "config/build.h"
#include "config/json_tree.h"
#include "config/text.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

std::vector<Error> InFields(std::vector<Error> errors, const JsonTree& json) {
  for (Error& error : errors) {
    error.field = json.FieldAt(error.line);
    error.line = 0;
    error.col = 0;
  }
  return errors;
}

template <class T, class Builder>
Parsed<T> FromJson(std::string_view text, const std::string& file_name, std::string_view example,
                   const Builder& build) {
  JsonTree json = ParseJson(text);
  if (json.tree.syntax_error) return {.value = {}, .errors = std::move(json.tree.errors)};
  static const Environment* const kNone = new Environment();
  Context context(*kNone, file_name, Context::Form::kJson);
  for (const Error& error : json.tree.errors) {
    context.AddError({.line = error.line, .col = error.col}, error.message);
  }
  Parsed<T> parsed;
  if (json.tree.root->kind == Node::Kind::kMap) {
    parsed.value = build(context, *json.tree.root);
  } else {
    context.AddError(json.tree.root->mark, Cat("must be an object, such as ", example));
  }
  parsed.errors = InFields(context.TakeErrors(), json);
  if (!parsed.errors.empty()) parsed.value.reset();
  return parsed;
}

// `map` with the entries of some keys only; others are reported.
Node OnlyKeys(Context& context, const Node& map, const std::vector<std::string_view>& keys) {
  Node only;
  only.kind = Node::Kind::kMap;
  only.mark = map.mark;
  for (size_t i = 0; i + 1 < map.children.size(); i += 2) {
    const Node& key = *map.children[i];
    if (std::ranges::find(keys, key.text) != keys.end()) {
      only.children.push_back(&key);
      only.children.push_back(map.children[i + 1]);
      continue;
    }
    const std::optional<std::string_view> near = Nearest(key.text, keys);
    context.AddError(key.mark, Cat("unknown key ", Quoted(key.text),
                                   near ? Cat("; did you mean `", *near, "`?")
                                        : Cat("; known here: ", QuotedList(keys, "and"))));
  }
  return only;
}

// The value of a key, or nothing.
const Node* ValueOf(const Node& map, std::string_view key) {
  for (size_t i = 0; i + 1 < map.children.size(); i += 2) {
    if (map.children[i]->text == key) return map.children[i + 1];
  }
  return nullptr;
}

// The elements of a list of backends, those that were shown without the fields `shown`.
class Written {
 public:
  Written(const std::vector<const Node*>& nodes, std::span<const std::string_view> shown)
      : shown_(shown.begin(), shown.end()) {
    for (const Node* node : nodes) Take(*node);
  }
  const std::vector<const Node*>& nodes() const { return nodes_; }

 private:
  void Take(const Node& node) {
    if (shown_.empty() || node.kind != Node::Kind::kMap || !WasShown(node)) {
      nodes_.push_back(&node);
      return;
    }
    const Node* removing = ValueOf(node, "removing");
    if (removing != nullptr && removing->type == Node::Type::kBool && removing->text == "true")
      return;
    Node& rest = made_.emplace_back();
    rest.kind = Node::Kind::kMap;
    rest.mark = node.mark;
    for (size_t i = 0; i + 1 < node.children.size(); i += 2) {
      if (shown_.contains(node.children[i]->text)) continue;
      rest.children.push_back(node.children[i]);
      rest.children.push_back(node.children[i + 1]);
    }
    nodes_.push_back(&rest);
  }
  // No key stands there twice by now, but as an error that is noted already.
  bool WasShown(const Node& node) const {
    size_t found = 0;
    for (size_t i = 0; i + 1 < node.children.size(); i += 2)
      found += shown_.contains(node.children[i]->text) ? 1 : 0;
    return found >= shown_.size();
  }

  const std::set<std::string_view, std::less<>> shown_;
  std::deque<Node> made_;
  std::vector<const Node*> nodes_;
};

void ReadState(Context& context, const Node& map, std::optional<WantedState>& state) {
  const Node* value = ValueOf(map, "state");
  if (value == nullptr || value->kind == Node::Kind::kNull) return;
  const bool is_text = value->kind == Node::Kind::kScalar && value->type == Node::Type::kText;
  if (is_text && value->text == "up") {
    state = WantedState::kUp;
  } else if (is_text && value->text == "draining") {
    state = WantedState::kDraining;
  } else if (is_text && value->text == "maintenance") {
    state = WantedState::kMaintenance;
  } else {
    context.AddError(
        value->mark,
        Cat("`state` ", is_text ? Cat("is ", Quoted(value->text), ", but ") : std::string(),
            "must be `up`, `draining` or `maintenance`"));
  }
}

BackendPatch BuildPatch(Context& context, const Node& root) {
  BackendPatch patch;
  ReadState(context, root, patch.state);
  const Node known = OnlyKeys(context, root, {"weight", "max_connections", "backup", "state"});
  Node shares = known;
  shares.children.clear();
  for (size_t i = 0; i + 1 < known.children.size(); i += 2) {
    if (known.children[i]->text == "state") continue;
    shares.children.push_back(known.children[i]);
    shares.children.push_back(known.children[i + 1]);
  }
  const Section section(context, "upstreams.*.backends[]", shares, root.mark);
  Backend backend;
  section.ReadWhole("weight", backend.weight);
  section.ReadWhole("max_connections", backend.max_connections);
  section.ReadBool("backup", backend.backup);
  if (section.Find("weight") != nullptr) patch.weight = backend.weight;
  if (section.Find("max_connections") != nullptr) patch.max_connections = backend.max_connections;
  if (section.Find("backup") != nullptr) patch.backup = backend.backup;
  bool is_empty = true;
  for (size_t i = 1; i < root.children.size(); i += 2) {
    is_empty = is_empty && root.children[i]->kind == Node::Kind::kNull;
  }
  if (is_empty) {
    context.AddError(root.mark,
                     "changes nothing: write `weight`, `max_connections`, `backup` or `state`");
  }
  return patch;
}

}  // namespace

Parsed<Backend> ParseBackendJson(std::string_view text) {
  return FromJson<Backend>(
      text, "", "{\"address\": \"10.0.1.10:3000\"}", [](Context& context, const Node& root) {
        BackendList list = BuildBackendList(context, {&root}, BackendKinds::kLiterals);
        return list.backends.empty() ? Backend() : std::move(list.backends.front());
      });
}

Parsed<std::vector<Backend>> ParseBackendsJson(std::string_view text,
                                               std::span<const std::string_view> shown) {
  return FromJson<std::vector<Backend>>(
      text, "", "{\"backends\": [{\"address\": \"10.0.1.10:3000\"}]}",
      [shown](Context& context, const Node& root) {
        const Node only = OnlyKeys(context, root, {"backends"});
        const Section section(context, "upstreams.*", only, root.mark);
        const std::optional<std::vector<const Node*>> nodes = section.ReadList("backends");
        if (!nodes) {
          if (section.Missing("backends")) {
            context.AddError(root.mark, "has no `backends`: write the whole list, which may be []");
          }
          return std::vector<Backend>();
        }
        const Written written(*nodes, shown);
        return BuildBackendList(context, written.nodes(), BackendKinds::kLiterals).backends;
      });
}

Parsed<BackendPatch> ParseBackendPatchJson(std::string_view text) {
  return FromJson<BackendPatch>(text, "", "{\"weight\": 3}", &BuildPatch);
}

Parsed<Upstream> ParseUpstreamJson(std::string_view name, std::string_view text,
                                   const std::string& file_name) {
  return FromJson<Upstream>(
      text, file_name, "{\"backends\": [{\"address\": \"10.0.1.10:3000\"}]}",
      [&](Context& context, const Node& root) {
        if (const Checked<std::string> checked = CheckName(name); !checked.value) {
          context.AddError(root.mark, Cat("the name ", Quoted(name), " ", checked.problem));
        }
        return BuildUpstream(Section(context, "upstreams.*", root, root.mark), name);
      });
}

Parsed<Config> ParseConfigJson(std::string_view text, const std::string& file_name) {
  return FromJson<Config>(text, file_name, "{\"listeners\": {}, \"upstreams\": {}}",
                          [](Context& context, const Node& root) {
                            return BuildConfig(Section(context, "", root, root.mark));
                          });
}

Parsed<BackendList> ParseBackendsFile(std::string_view text, const std::string& file_name,
                                      const Environment& environment) {
  Tree tree = ParseYaml(text);
  if (tree.syntax_error) return {.value = {}, .errors = std::move(tree.errors)};
  Context context(environment, file_name);
  for (const Error& error : tree.errors) {
    context.AddError({.line = error.line, .col = error.col}, error.message);
  }
  Parsed<BackendList> parsed;
  if (tree.root == nullptr || tree.root->kind != Node::Kind::kList) {
    context.AddError(tree.root == nullptr ? SourceMark() : tree.root->mark,
                     "the file must be a list of backends, such as [10.0.1.10:3000]; [] for none");
  } else {
    parsed.value = BuildBackendList(context, tree.root->children, BackendKinds::kNames);
  }
  parsed.errors = context.TakeErrors();
  if (!parsed.errors.empty()) parsed.value.reset();
  return parsed;
}

std::string FormatFieldError(const Error& error) {
  if (!error.field.empty()) return Cat(error.field, ": ", error.message);
  if (error.line == 0) return error.message;
  return Cat("line ", error.line, ", column ", error.col, ": ", error.message);
}

}  // namespace rondo::config
