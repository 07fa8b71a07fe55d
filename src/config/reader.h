// Reading a tree by the table of keys: a Section is one map of the file. It reports unknown,
// unavailable and ill-typed keys by itself; who reads it only says which key goes where.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/keys.h"
#include "config/yaml_tree.h"
#include "rondo/base/time.h"
#include "rondo/config/load.h"

namespace rondo::config {

// Collects errors and bounds the work: aliases can make a small file large.
class Context {
 public:
  enum class Form : uint8_t { kYaml, kJson };
  Context(const Environment& environment, std::string file_name, Form form = Form::kYaml)
      : environment_(environment), file_name_(std::move(file_name)), form_(form) {}
  // Only these variables are replaced, and errors tell no value; outlives it.
  void LimitVariables(const VariableNames& named) { named_ = &named; }
  // What Substitute was asked for.
  VariableNames TakeVariables() { return std::move(variables_); }
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  // Beyond a bound errors are dropped; errors_full() then saves the work of finding words for them.
  void AddError(SourceMark where, std::string message);
  bool errors_full() const;
  // Ordered by place, each once; empty where nothing is wrong.
  std::vector<Error> TakeErrors();

  // JSON is taken as it is written, each value is of a type, and places in it have no lines.
  bool json() const { return form_ == Form::kJson; }
  // " on line 3"; nothing in JSON.
  std::string OnLine(int line) const;

  // Counts a value that is looked at; false once there were too many, which is then the error.
  bool Visit(SourceMark where);

  // `text` with ${NAME} and ${NAME:-default} replaced and `$$` as `$`; nothing after an error.
  std::optional<std::string> Substitute(std::string_view text, SourceMark where);

  // A relative path as seen from the configuration file's folder.
  std::string ResolvePath(std::string_view path) const;

 private:
  // The value of a variable; nothing after an error.
  std::optional<std::string> Variable(std::string_view inside, SourceMark where);
  // What an error may say of a text from the environment.
  std::string WithoutValues(SourceMark where, std::string message) const;

  const Environment& environment_;
  std::string file_name_;
  Form form_;
  std::vector<Error> errors_;
  size_t visits_ = 0;
  const VariableNames* named_ = nullptr;  // null: all
  VariableNames variables_;
  // Where named_: texts that have taken anything from there, by place and as they are written; and
  // what that was, in lower case.
  std::map<std::pair<int, int>, std::string> replaced_;
  std::set<std::string> values_;
};

// A scalar's text after substitution, and its place.
struct Text {
  std::string value;
  SourceMark where;
};

// A map's entry; merged ones (`<<`) come behind the map's own.
struct Entry {
  std::string_view name;
  SourceMark where;
  const Node* value;
};
std::vector<Entry> Entries(Context& context, const Node& map);

// What a scalar may be in JSON.
enum class Scalar : uint8_t { kText, kNumber, kTextOrNumber };

// The text of a scalar in the list of that key; reports anything else as not being `expected`.
std::optional<Text> ReadElement(Context& context, const Node& node, std::string_view list,
                                std::string_view expected, Scalar scalar = Scalar::kText);

// The same for the value of an entry in the map of that key.
std::optional<Text> ReadEntry(Context& context, const Entry& entry, std::string_view map,
                              std::string_view expected, Scalar scalar = Scalar::kText);

class Section {
 public:
  // `path` as in the table of keys, "upstreams.*"; `where` is what an error about the whole section
  // points at. A node that is null has no entries; REQUIRES: kMap or kNull.
  Section(Context& context, std::string_view path, const Node& node, SourceMark where);

  SourceMark where() const { return where_; }
  Context& context() const { return context_; }

  // The value of an available key that was written. Every read below leaves `out` alone where the
  // key was not written or is wrong; wrong is reported.
  const Entry* Find(std::string_view leaf) const;
  std::optional<Text> ReadText(std::string_view leaf) const;
  std::optional<std::string> ReadChoice(std::string_view leaf) const;
  void ReadBool(std::string_view leaf, bool& out) const;
  void ReadDuration(std::string_view leaf, Duration& out) const;
  void ReadPercent(std::string_view leaf, uint32_t& out) const;
  template <class Integer>
  void ReadWhole(std::string_view leaf, Integer& out) const {
    if (const std::optional<int64_t> value = ReadNumber(leaf)) out = static_cast<Integer>(*value);
  }
  template <class Integer>
  void ReadSize(std::string_view leaf, Integer& out) const {
    if (const std::optional<int64_t> value = ReadNumber(leaf)) out = static_cast<Integer>(*value);
  }
  // The section below a key; nothing where it was not written or is no map.
  std::optional<Section> ReadSection(std::string_view leaf) const;
  // The elements of a list; nothing where it was not written or is no list.
  std::optional<std::vector<const Node*>> ReadList(std::string_view leaf) const;
  // The texts of a kOneOrList; nothing where it was not written.
  std::optional<std::vector<Text>> ReadOneOrList(std::string_view leaf,
                                                 std::string_view expected) const;
  // The entries of a kNamedMap or kPairs; nothing where it was not written or is no map.
  std::optional<std::vector<Entry>> ReadNamed(std::string_view leaf) const;

  // False where the key was written, or something that was reported already probably means it (a
  // slip in its name): so that one mistake is one error.
  bool Missing(std::string_view leaf) const;
  // Whether the file wrote this key, though it is not available.
  bool WroteUnavailable(std::string_view leaf) const;

  // `path` of what is below a key of this section.
  std::string PathOf(std::string_view leaf) const;

 private:
  const Key& KeyOf(std::string_view leaf) const;
  // A kWhole or kSize in its range, or 0 for a word of its choices.
  std::optional<int64_t> ReadNumber(std::string_view leaf) const;
  std::optional<Text> ReadScalar(const Key& key) const;
  void AddEntry(const Entry& entry);
  void AddUnknown(const Entry& entry);
  const Key* FindElsewhere(std::string_view leaf) const;
  void AddWrong(const Key& key, const Text& text, std::string_view meant) const;

  Context& context_;
  std::string path_;
  SourceMark where_;
  std::vector<Entry> entries_;
  std::vector<std::string_view> suggested_;
  std::vector<std::string_view> unavailable_;
};

}  // namespace rondo::config
