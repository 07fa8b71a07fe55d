// A normalised path is stable, holds nothing that a rule could be got around with, and equals what
// a plain reading of the rules gives: decode once, split at slashes, walk.
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/fuzz_check.h"
#include "rondo/route/normalise.h"

namespace {

using namespace rondo::route;

bool IsUnreserved(unsigned char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
         c == '.' || c == '_' || c == '~';
}

int Hex(char c) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  const size_t at = kDigits.find(c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c);
  return at == std::string_view::npos ? -1 : static_cast<int>(at);
}

// Empty: refused.
std::string Plainly(std::string_view path) {
  path = path.substr(0, path.find('?'));
  if (path == "*") return "*";
  if (path.empty() || path[0] != '/') return {};
  std::vector<std::string> segments(1);
  for (size_t i = 1; i < path.size(); ++i) {
    auto c = static_cast<unsigned char>(path[i]);
    if (c == '/') {
      if (!segments.back().empty()) segments.emplace_back();
      continue;
    }
    if (c < 32 || c == 127 || c == '\\' || c == '#') return {};
    bool keep = IsUnreserved(c) ||
                std::string_view("!$&'()*+,;=:@").find(path[i]) != std::string_view::npos;
    if (c == '%') {
      if (i + 2 >= path.size() || Hex(path[i + 1]) < 0 || Hex(path[i + 2]) < 0) return {};
      c = static_cast<unsigned char>(Hex(path[i + 1]) * 16 + Hex(path[i + 2]));
      if (c == 0 || c == '\\') return {};
      i += 2;
      keep = IsUnreserved(c);
    }
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    if (keep) {
      segments.back() += static_cast<char>(c);
    } else {
      segments.back() += {'%', kDigits[c / 16], kDigits[c % 16]};
    }
  }
  std::vector<std::string> kept;
  for (size_t i = 0; i < segments.size(); ++i) {
    const bool last = i + 1 == segments.size();
    if (segments[i] == "..") {
      if (kept.empty()) return {};
      kept.pop_back();
      if (last) kept.emplace_back();
    } else if (segments[i] == ".") {
      if (last) kept.emplace_back();
    } else {
      kept.push_back(segments[i]);
    }
  }
  std::string result;
  for (const std::string& segment : kept) result += "/" + segment;
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  Scratch scratch;
  const NormaliseResult result = NormalisePath(input, scratch);
  FUZZ_CHECK(result.ok() == !result.path.empty());
  FUZZ_CHECK(result.path == Plainly(input));
  if (!result.ok()) return 0;
  Scratch again;
  FUZZ_CHECK(NormalisePath(result.path, again).path == result.path);
  const std::string fenced = std::string(result.path) + "/";
  FUZZ_CHECK(fenced.find("/./") == std::string::npos && fenced.find("/../") == std::string::npos);
  FUZZ_CHECK(result.path.find("//") == std::string_view::npos);
  return 0;
}
