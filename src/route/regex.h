// Patterns of the configuration: RE2's, so that matching is linear in the text whatever the pattern
// (no backtracking, CWE-1333), and in bounded memory.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace re2 {
class RE2;
}

namespace rondo::route {

// Immutable; any number of threads may match at once.
class Regex {
 public:
  static constexpr size_t kPatternBytesMax = 1024;
  // Each step of matching costs at most this many instructions, see the worst case in Matches.
  static constexpr int kProgramMax = 2000;

  // Nothing, and why in `problem`, as a sentence without a subject: "is no regular expression: ...
  // at character 5".
  static std::unique_ptr<Regex> Compile(std::string_view pattern, std::string& problem);
  ~Regex();
  Regex(const Regex&) = delete;
  Regex& operator=(const Regex&) = delete;

  // Whether the whole text is matched. `.` takes any byte. O(length), a table look-up a byte once
  // such texts were seen; in the worst case (a pattern whose states do not fit into the bound on
  // memory) kProgramMax steps a byte.
  bool Matches(std::string_view text) const;

 private:
  explicit Regex(std::unique_ptr<re2::RE2> compiled);
  std::unique_ptr<re2::RE2> compiled_;
};

}  // namespace rondo::route
