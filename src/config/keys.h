// Every key of the configuration in one table: what may be written where, its default and range,
// and whether its part of Rondo is there yet. Reading, suggestions and docs/configuration.md all
// follow it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace rondo::config {

enum class KeyType : uint8_t {
  kMap,        // a section with keys of its own
  kNamedMap,   // names of the user's choosing, each with a section
  kPairs,      // names of the user's choosing, each with a value; `meaning` says of what
  kList,       // a list; `meaning` says of what
  kOneOrList,  // a text, or a list of them
  kText,
  kChoice,  // one of `choices`
  kBool,
  kWhole,     // a whole number from min to max
  kDuration,  // min and max in milliseconds
  kSize,      // min and max in bytes
  kPercent,   // 0% to 100%
  kLater,     // part of the contract, but not available in this version
};

struct Key {
  // "upstreams.*.keepalive.idle": '*' is a name the user chose, "[]" an element of a list.
  std::string_view path;
  KeyType type;
  std::string_view default_text;  // as it would be written; empty: required, or nothing
  std::string_view meaning;       // for the documentation, one sentence
  int64_t min = 0;
  int64_t max = 0;
  std::string_view choices = {};  // separated by '|'; with other types than kChoice: also accepted
  std::string_view later_choices = {};  // part of the contract, but not available in this version

  std::string_view Leaf() const { return path.substr(path.rfind('.') + 1); }
  // The path of the section this key stands in; empty at the top.
  std::string_view Section() const {
    const size_t dot = path.rfind('.');
    return dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
  }
};

// In the order of the documentation.
std::span<const Key> Keys();

// Nothing where there is no such key.
const Key* FindKey(std::string_view section, std::string_view leaf);

// "a whole number from 1 to 65535", "`json` or `combined`", ...: what may be written for the key.
std::string Expected(const Key& key);

// "a|b|c" in parts.
std::vector<std::string_view> SplitChoices(std::string_view choices);

// "`a`, `b` or `c`".
std::string QuotedList(std::span<const std::string_view> words, std::string_view conjunction);

}  // namespace rondo::config
