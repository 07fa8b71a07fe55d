// A file's whole content.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"

namespace rondo::control {

inline constexpr size_t kReadFileMax = 4 * 1024 * 1024;

// At most kReadFileMax. An error is the reason alone: "No such file or directory".
absl::StatusOr<std::string> ReadWholeFile(const std::string& path);

// The same, or what a test has in its place.
using FileReader = std::function<absl::StatusOr<std::string>(const std::string& path)>;

}  // namespace rondo::control
