// From a YAML file (or the arguments of `rondo run`) to a checked Config, or to everything that is
// wrong with it at once. No state; reads nothing but the file it is given and the environment.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "rondo/config/config.h"

namespace rondo::config {

// Line and column count from 1, the column in characters; both are 0 where the error has no place
// in a file.
struct Error {
  int line = 0;
  int col = 0;
  std::string message;     // what is wrong, and what would be right
  std::string field = {};  // in JSON (edit.h): "backends[2].weight"; empty in files
  friend bool operator==(const Error&, const Error&) = default;
};

using VariableNames = std::set<std::string, std::less<>>;

// Either `config` or at least one error, ordered by place. After a YAML syntax error it is that one
// alone.
struct LoadResult {
  std::optional<Config> config;
  std::vector<Error> errors;
  VariableNames variables = {};  // of the environment that values name
};

// The value of an environment variable, nothing where it is not set.
using Environment = std::function<std::optional<std::string>(std::string_view name)>;
Environment ProcessEnvironment();

inline constexpr size_t kFileBytesMax = 10 * 1024 * 1024;

// Reads the file (at most kFileBytesMax; any kind but a directory) with the process's environment.
LoadResult LoadFile(const std::string& path);

// `file_name` is what relative paths in the configuration are resolved against; it is not opened.
LoadResult Parse(std::string_view text, const std::string& file_name,
                 const Environment& environment);

// The same for a text that somebody sent, who may not learn what is in the environment: it takes
// only the variables of `named`, others are errors, and no error tells a variable's value.
LoadResult ParseSent(std::string_view text, const std::string& file_name,
                     const Environment& environment, const VariableNames& named);

// `rondo run --listen :8080 --backend 127.0.0.1:3001`: one listener and one upstream, both named
// "default", and a route that sends every request, WebSockets too, there. Backends may be host
// names. An empty `balance` means round_robin. `admin` is an address or "off"; empty means the
// default address, where it is free (Config::admin_optional). The token comes from the variable
// RONDO_ADMIN_TOKEN. Errors name the argument.
struct QuickArguments {
  std::vector<std::string> listen;
  std::vector<std::string> backends;
  std::string balance = {};
  std::string admin = {};
};
LoadResult BuildQuick(const QuickArguments& arguments, const Environment& environment);

// "rondo.yaml:3:5: message"; without the numbers where the error has no place.
std::string FormatError(std::string_view file_name, const Error& error);

}  // namespace rondo::config
