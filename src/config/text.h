// Building messages from parts; checks of a whole text; nearest words.
#pragma once

#include <concepts>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace rondo::config {

namespace detail {
inline void Append(std::string& out, std::string_view part) { out.append(part); }
inline void Append(std::string& out, std::integral auto part) { out.append(std::to_string(part)); }
}  // namespace detail

// Strings and whole numbers, one after the other.
template <class... Parts>
std::string Cat(const Parts&... parts) {
  std::string out;
  (detail::Append(out, parts), ...);
  return out;
}

// ASCII letters in lower case.
std::string LowerCase(std::string_view text);

// Where the first byte stands that does not belong to well-formed UTF-8 (no surrogates, no overlong
// forms).
std::optional<size_t> FirstInvalidUtf8(std::string_view text);

// Where the first control character stands that YAML does not allow: all but tab and line ends.
std::optional<size_t> FirstForbiddenControl(std::string_view text);

// The candidate that `word` is most likely a slip of, or nothing where none is near.
std::optional<std::string_view> Nearest(std::string_view word,
                                        std::span<const std::string_view> candidates);

}  // namespace rondo::config
