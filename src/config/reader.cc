#include "config/reader.h"

#include <algorithm>
#include <chrono>
#include <unordered_set>

#include "config/text.h"
#include "rondo/base/check.h"
#include "rondo/config/scalar.h"

namespace rondo::config {
namespace {

std::string_view KindName(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::kNull:
      return "nothing";
    case Node::Kind::kScalar:
      return "a single value";
    case Node::Kind::kList:
      return "a list";
    case Node::Kind::kMap:
      return "a map";
  }
  return {};
}

void AddKindError(Context& context, const Node& node, std::string_view name,
                  std::string_view expected) {
  if (node.kind == Node::Kind::kNull) {
    context.AddError(node.mark,
                     Cat("`", name, "` has no value: write ", expected, ", or remove the key"));
  } else {
    context.AddError(node.mark,
                     Cat("`", name, "` must be ", expected, ", not ", KindName(node.kind)));
  }
}

std::string_view TypeName(Node::Type type) {
  switch (type) {
    case Node::Type::kAny:
      return "a single value";
    case Node::Type::kText:
      return "text in quotes";
    case Node::Type::kNumber:
      return "a number";
    case Node::Type::kBool:
      return "true or false";
  }
  return {};
}

bool IsOf(Node::Type type, Scalar scalar) {
  if (type == Node::Type::kAny) return true;
  if (type == Node::Type::kText) return scalar != Scalar::kNumber;
  return type == Node::Type::kNumber && scalar != Scalar::kText;
}

bool IsIn(std::string_view word, const std::vector<std::string_view>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// Whether a scalar of JSON is of the type that the key asks for. Durations, sizes and percentages
// say themselves what is wrong with a number.
bool IsOfType(const Node& node, const Key& key) {
  switch (key.type) {
    case KeyType::kText:
      return IsOf(node.type, Scalar::kText);
    case KeyType::kOneOrList:
      return IsOf(node.type, key.max > 0 ? Scalar::kTextOrNumber : Scalar::kText);
    case KeyType::kBool:
      return node.type == Node::Type::kAny || node.type == Node::Type::kBool;
    case KeyType::kWhole:
      return IsOf(node.type, Scalar::kNumber) || IsIn(node.text, SplitChoices(key.choices));
    case KeyType::kChoice:
    case KeyType::kDuration:
    case KeyType::kSize:
    case KeyType::kPercent:
      return IsOf(node.type, Scalar::kTextOrNumber);
    case KeyType::kMap:
    case KeyType::kNamedMap:
    case KeyType::kPairs:
    case KeyType::kList:
    case KeyType::kLater:
      return false;
  }
  return false;
}

std::optional<Text> Substituted(Context& context, const Node& scalar) {
  if (context.json()) return Text{.value = scalar.text, .where = scalar.mark};
  std::optional<std::string> value = context.Substitute(scalar.text, scalar.mark);
  if (!value) return std::nullopt;
  return Text{.value = std::move(*value), .where = scalar.mark};
}

// The map's own entries; `merges` gets the values of `<<`. Duplicates were reported by the tree.
std::vector<Entry> OwnEntries(Context& context, const Node& map, std::vector<const Node*>& merges) {
  std::vector<Entry> entries;
  for (size_t i = 0; i + 1 < map.children.size(); i += 2) {
    const Node& key = *map.children[i];
    if (key.kind != Node::Kind::kScalar || !context.Visit(key.mark)) continue;
    const Node* value = map.children[i + 1];
    if (key.text == "<<" && !key.quoted) {
      merges.push_back(value);
    } else {
      entries.push_back({.name = key.text, .where = key.mark, .value = value});
    }
  }
  return entries;
}

// Adds what `source` (a map, or a list of them) brings under `<<`; a name that is `taken` stays as
// it is.
void Merge(Context& context, const Node& source, int depth,
           std::unordered_set<std::string_view>& taken, std::vector<Entry>& entries) {
  if (depth > kDepthMax) return;
  if (source.kind == Node::Kind::kList) {
    for (const Node* element : source.children) {
      if (!context.Visit(element->mark)) return;
      Merge(context, *element, depth + 1, taken, entries);
    }
    return;
  }
  if (source.kind != Node::Kind::kMap) {
    AddKindError(context, source, "<<", "an alias of a map, or a list of them");
    return;
  }
  std::vector<const Node*> merges;
  for (const Entry& entry : OwnEntries(context, source, merges)) {
    if (taken.insert(entry.name).second) entries.push_back(entry);
  }
  for (const Node* merged : merges) Merge(context, *merged, depth + 1, taken, entries);
}

}  // namespace

std::vector<Entry> Entries(Context& context, const Node& map) {
  std::vector<const Node*> merges;
  std::vector<Entry> entries = OwnEntries(context, map, merges);
  if (merges.empty()) return entries;
  std::unordered_set<std::string_view> taken;
  for (const Entry& entry : entries) taken.insert(entry.name);
  for (const Node* merged : merges) Merge(context, *merged, 0, taken, entries);
  return entries;
}

std::optional<Text> ReadElement(Context& context, const Node& node, std::string_view list,
                                std::string_view expected, Scalar scalar) {
  if (!context.Visit(node.mark)) return std::nullopt;
  const bool is_scalar = node.kind == Node::Kind::kScalar;
  if (is_scalar && IsOf(node.type, scalar)) return Substituted(context, node);
  context.AddError(node.mark, Cat("an element of `", list, "` must be ", expected, ", not ",
                                  is_scalar ? TypeName(node.type) : KindName(node.kind)));
  return std::nullopt;
}

std::optional<Text> ReadEntry(Context& context, const Entry& entry, std::string_view map,
                              std::string_view expected, Scalar scalar) {
  if (!context.Visit(entry.where)) return std::nullopt;
  const Node& node = *entry.value;
  const bool is_scalar = node.kind == Node::Kind::kScalar;
  if (is_scalar && IsOf(node.type, scalar)) return Substituted(context, node);
  context.AddError(node.mark, Cat("`", map, "`: ", Quoted(entry.name), " must be ", expected,
                                  ", not ", is_scalar ? TypeName(node.type) : KindName(node.kind)));
  return std::nullopt;
}

Section::Section(Context& context, std::string_view path, const Node& node, SourceMark where)
    : context_(context), path_(path), where_(where) {
  RONDO_DCHECK(node.kind == Node::Kind::kMap || node.kind == Node::Kind::kNull);
  for (const Entry& entry : Entries(context, node)) AddEntry(entry);
}

void Section::AddEntry(const Entry& entry) {
  if (path_.empty() && entry.name.starts_with("x-")) return;
  const Key* key = FindKey(path_, entry.name);
  if (key == nullptr) {
    AddUnknown(entry);
  } else if (key->type == KeyType::kLater) {
    unavailable_.push_back(key->Leaf());
    context_.AddError(entry.where,
                      Cat("`", entry.name,
                          "` is part of Rondo's configuration but not available in this "
                          "version"));
  } else if (!context_.json() || entry.value->kind != Node::Kind::kNull) {
    entries_.push_back(entry);
  }
}

// The key of that name in another section; one below this one before others.
const Key* Section::FindElsewhere(std::string_view leaf) const {
  const std::string below = path_.empty() ? std::string() : Cat(path_, ".");
  const Key* elsewhere = nullptr;
  for (const Key& key : Keys()) {
    if (key.Leaf() != leaf || key.Section() == path_) continue;
    if (!below.empty() && key.path.starts_with(below)) return &key;
    if (elsewhere == nullptr) elsewhere = &key;
  }
  return elsewhere;
}

void Section::AddUnknown(const Entry& entry) {
  if (context_.errors_full()) return;
  std::vector<std::string_view> here;
  std::vector<std::string_view> available;
  for (const Key& key : Keys()) {
    if (key.Section() != path_) continue;
    here.push_back(key.Leaf());
    if (key.type != KeyType::kLater) available.push_back(key.Leaf());
  }
  const Key* elsewhere = FindElsewhere(entry.name);
  std::string message = Cat("unknown key ", Quoted(entry.name));
  if (elsewhere != nullptr) {
    const std::string_view section = elsewhere->Section();
    if (!path_.empty() && section.starts_with(Cat(path_, "."))) {
      const std::string_view rest = section.substr(path_.size() + 1);
      suggested_.push_back(rest.substr(0, rest.find_first_of(".[")));
    }
    message += section.empty() ? Cat(" here; it belongs at the top level of the file")
                               : Cat(" here; it belongs in `", section, "`");
  } else if (const std::optional<std::string_view> near = Nearest(entry.name, here)) {
    suggested_.push_back(*near);
    message += Cat("; did you mean `", *near, "`?");
  } else {
    message += Cat("; known here: ", QuotedList(available, "and"));
  }
  context_.AddError(entry.where, std::move(message));
}

const Key& Section::KeyOf(std::string_view leaf) const {
  const Key* key = FindKey(path_, leaf);
  RONDO_CHECK(key != nullptr && key->type != KeyType::kLater);
  return *key;
}

const Entry* Section::Find(std::string_view leaf) const {
  for (const Entry& entry : entries_) {
    if (entry.name == leaf) return &entry;
  }
  return nullptr;
}

std::optional<Text> Section::ReadScalar(const Key& key) const {
  const Entry* entry = Find(key.Leaf());
  if (entry == nullptr || !context_.Visit(entry->where)) return std::nullopt;
  const Node& node = *entry->value;
  if (node.kind != Node::Kind::kScalar) {
    AddKindError(context_, node, key.Leaf(), Expected(key));
  } else if (IsOfType(node, key)) {
    return Substituted(context_, node);
  } else {
    context_.AddError(node.mark, Cat("`", key.Leaf(), "` must be ", Expected(key), ", not ",
                                     TypeName(node.type)));
  }
  return std::nullopt;
}

void Section::AddWrong(const Key& key, const Text& text, std::string_view meant) const {
  std::string message =
      Cat("`", key.Leaf(), "` is ", Quoted(text.value), ", but must be ", Expected(key));
  if (!meant.empty() && meant != text.value) message += Cat(": write `", meant, "`");
  context_.AddError(text.where, std::move(message));
}

std::optional<Text> Section::ReadText(std::string_view leaf) const {
  return ReadScalar(KeyOf(leaf));
}

std::optional<std::string> Section::ReadChoice(std::string_view leaf) const {
  const Key& key = KeyOf(leaf);
  std::optional<Text> text = ReadScalar(key);
  if (!text) return std::nullopt;
  const std::vector<std::string_view> choices = SplitChoices(key.choices);
  if (IsIn(text->value, choices)) return std::move(text->value);
  if (IsIn(text->value, SplitChoices(key.later_choices))) {
    context_.AddError(text->where,
                      Cat("`", leaf, ": ", text->value,
                          "` is part of Rondo's configuration but not available in this "
                          "version: use ",
                          Expected(key)));
    return std::nullopt;
  }
  AddWrong(key, *text, Nearest(text->value, choices).value_or(""));
  return std::nullopt;
}

void Section::ReadBool(std::string_view leaf, bool& out) const {
  const Key& key = KeyOf(leaf);
  const std::optional<Text> text = ReadScalar(key);
  if (!text) return;
  const std::optional<bool> value = ParseBool(text->value);
  if (!value) return AddWrong(key, *text, MeantBool(text->value));
  out = *value;
}

void Section::ReadDuration(std::string_view leaf, Duration& out) const {
  const Key& key = KeyOf(leaf);
  const std::optional<Text> text = ReadScalar(key);
  if (!text) return;
  const std::optional<Duration> value = ParseDuration(text->value);
  if (!value || *value < std::chrono::milliseconds(key.min) ||
      *value > std::chrono::milliseconds(key.max)) {
    return AddWrong(key, *text, value ? std::string() : MeantDuration(text->value));
  }
  out = *value;
}

void Section::ReadPercent(std::string_view leaf, uint32_t& out) const {
  const Key& key = KeyOf(leaf);
  const std::optional<Text> text = ReadScalar(key);
  if (!text) return;
  const std::optional<uint32_t> value = ParsePercent(text->value);
  if (!value || *value > key.max) {
    return AddWrong(key, *text, value ? std::string() : MeantPercent(text->value));
  }
  out = *value;
}

std::optional<int64_t> Section::ReadNumber(std::string_view leaf) const {
  const Key& key = KeyOf(leaf);
  const std::optional<Text> text = ReadScalar(key);
  if (!text) return std::nullopt;
  if (IsIn(text->value, SplitChoices(key.choices))) return 0;
  std::optional<int64_t> value;
  std::string meant;
  if (key.type == KeyType::kSize) {
    if (const std::optional<uint64_t> size = ParseSize(text->value))
      value = static_cast<int64_t>(*size);
    meant = MeantSize(text->value);
  } else {
    RONDO_CHECK(key.type == KeyType::kWhole);
    value = ParseWhole(text->value);
    meant = MeantWhole(text->value);
  }
  if (value && *value >= key.min && *value <= key.max) return value;
  AddWrong(key, *text, value ? std::string() : meant);
  return std::nullopt;
}

std::optional<Section> Section::ReadSection(std::string_view leaf) const {
  const Key& key = KeyOf(leaf);
  const Entry* entry = Find(leaf);
  if (entry == nullptr || !context_.Visit(entry->where)) return std::nullopt;
  const Node& node = *entry->value;
  // A section whose keys are all commented out is an empty one.
  if (node.kind != Node::Kind::kMap && node.kind != Node::Kind::kNull) {
    AddKindError(context_, node, leaf, Expected(key));
    return std::nullopt;
  }
  return Section(context_, PathOf(leaf), node, entry->where);
}

std::optional<std::vector<const Node*>> Section::ReadList(std::string_view leaf) const {
  const Entry* entry = Find(leaf);
  if (entry == nullptr || !context_.Visit(entry->where)) return std::nullopt;
  const Node& node = *entry->value;
  if (node.kind != Node::Kind::kList) {
    const bool is_text = node.kind == Node::Kind::kScalar;
    AddKindError(context_, node, leaf,
                 is_text ? Cat("a list, such as [\"", node.text.substr(0, 80), "\"]")
                         : Expected(KeyOf(leaf)));
    return std::nullopt;
  }
  return node.children;
}

std::optional<std::vector<Text>> Section::ReadOneOrList(std::string_view leaf,
                                                        std::string_view expected) const {
  const Entry* entry = Find(leaf);
  if (entry == nullptr) return std::nullopt;
  std::vector<Text> texts;
  if (entry->value->kind != Node::Kind::kList) {
    std::optional<Text> text = ReadScalar(KeyOf(leaf));
    if (text) texts.push_back(std::move(*text));
    return texts;
  }
  for (const Node* element : entry->value->children) {
    const Scalar scalar = KeyOf(leaf).max > 0 ? Scalar::kTextOrNumber : Scalar::kText;
    std::optional<Text> text = ReadElement(context_, *element, leaf, expected, scalar);
    if (text) texts.push_back(std::move(*text));
  }
  return texts;
}

std::optional<std::vector<Entry>> Section::ReadNamed(std::string_view leaf) const {
  const Entry* entry = Find(leaf);
  if (entry == nullptr || !context_.Visit(entry->where)) return std::nullopt;
  if (entry->value->kind != Node::Kind::kMap) {
    const Key& key = KeyOf(leaf);
    AddKindError(
        context_, *entry->value, leaf,
        key.type == KeyType::kPairs ? Expected(key) : "a map of names, each with its keys");
    return std::nullopt;
  }
  return Entries(context_, *entry->value);
}

bool Section::Missing(std::string_view leaf) const {
  return Find(leaf) == nullptr && !IsIn(leaf, suggested_);
}

bool Section::WroteUnavailable(std::string_view leaf) const { return IsIn(leaf, unavailable_); }

std::string Section::PathOf(std::string_view leaf) const {
  return path_.empty() ? std::string(leaf) : Cat(path_, ".", leaf);
}

}  // namespace rondo::config
