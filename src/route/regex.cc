#include "route/regex.h"

#include <re2/re2.h>

#include <utility>

namespace rondo::route {
namespace {

// For the program and the states found so far. Enough for every pattern that fits kProgramMax;
// where more states are met than fit, they are found anew.
constexpr int64_t kMemoryMax = 1 << 20;

re2::StringPiece ToRe2(std::string_view text) { return {text.data(), text.size()}; }

RE2::Options MakeOptions() {
  RE2::Options options;
  // Fields may hold any byte (RFC 9110 §5.5): in UTF-8 `.*` would not take those that are not, and
  // one such byte would be a way around a route.
  options.set_encoding(RE2::Options::EncodingLatin1);
  options.set_dot_nl(true);  // a decoded parameter may have line ends
  options.set_never_capture(true);
  options.set_log_errors(false);
  options.set_max_mem(kMemoryMax);
  return options;
}

// "character 5" for what RE2 names as the cause, empty where it stands nowhere.
std::string PlaceOf(std::string_view pattern, std::string_view cause) {
  const size_t place = cause.empty() ? std::string_view::npos : pattern.find(cause);
  return place == std::string_view::npos ? std::string()
                                         : " at character " + std::to_string(place + 1);
}

}  // namespace

Regex::Regex(std::unique_ptr<re2::RE2> compiled) : compiled_(std::move(compiled)) {}
Regex::~Regex() = default;

std::unique_ptr<Regex> Regex::Compile(std::string_view pattern, std::string& problem) {
  if (pattern.size() > kPatternBytesMax) {
    problem = "is a regular expression of more than " + std::to_string(kPatternBytesMax) + " bytes";
    return nullptr;
  }
  auto compiled = std::make_unique<RE2>(ToRe2(pattern), MakeOptions());
  if (!compiled->ok()) {
    const bool is_large = compiled->error_code() == RE2::ErrorPatternTooLarge;
    problem = is_large ? "is too large a regular expression: use fewer or smaller repetitions"
                       : "is no regular expression: " + compiled->error() +
                             PlaceOf(pattern, compiled->error_arg());
    return nullptr;
  }
  if (compiled->ProgramSize() > kProgramMax) {
    problem = "is too large a regular expression: use fewer or smaller repetitions";
    return nullptr;
  }
  return std::unique_ptr<Regex>(new Regex(std::move(compiled)));
}

bool Regex::Matches(std::string_view text) const { return RE2::FullMatch(ToRe2(text), *compiled_); }

}  // namespace rondo::route
