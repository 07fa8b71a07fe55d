// Parsing for tests: a small environment, and errors as the lines a user would see.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/config/load.h"

namespace rondo::config {

inline std::optional<std::string> TestVariable(std::string_view name) {
  if (name == "PORT") return "8080";
  if (name == "EMPTY") return "";
  if (name == "NAME") return "api";
  if (name == "YAML") return "a: [b, c]\nd: e";
  if (name == "LATIN") return "\xe9";
  return std::nullopt;
}

inline LoadResult ParseText(std::string_view text) {
  return Parse(text, "conf/t.yaml", &TestVariable);
}

// "LINE:COL: message" for each.
inline std::vector<std::string> ErrorsOf(std::string_view text) {
  std::vector<std::string> lines;
  for (const Error& error : ParseText(text).errors) {
    lines.push_back(FormatError("", error).substr(1));
  }
  return lines;
}

// Fails the test and gives an empty configuration where the text has errors.
inline Config ConfigOf(std::string_view text) {
  LoadResult result = ParseText(text);
  for (const Error& error : result.errors) ADD_FAILURE() << FormatError("t.yaml", error);
  return result.config.value_or(Config());
}

}  // namespace rondo::config
