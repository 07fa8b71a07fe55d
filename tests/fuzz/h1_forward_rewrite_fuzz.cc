// Whatever the spelling of a path, rewriting its prefix leads to where the normalised path leads:
// nobody gets out of the replacement, and the query stays as it is.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/fuzz_check.h"
#include "rondo/http/rewrite.h"
#include "rondo/route/normalise.h"
#include "rondo/route/router.h"

namespace {

using namespace rondo;

std::string_view WithoutSlashAtEnd(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

void Check(std::string_view target, std::string_view prefix, std::string_view replacement) {
  route::Scratch scratch;
  const route::NormaliseResult path = route::NormalisePath(target, scratch);
  if (!path.ok()) return;
  const route::Router router({{.host = "", .path = "", .path_prefix = std::string(prefix)}});
  if (router.Match("", path.path) == route::Router::kNone) return;
  const http::PrefixRewrite rewrite{target, path.path, prefix, replacement};
  std::vector<char> out(http::RewritePrefixBound(rewrite));
  const std::string_view written(out.data(), http::RewritePrefix(rewrite, out.data()));
  FUZZ_CHECK(written.size() <= out.size());
  if (path.path == "*") {
    FUZZ_CHECK(written == target);
    return;
  }
  const size_t query = target.find('?');
  FUZZ_CHECK(written.substr(std::min(written.find('?'), written.size())) ==
             target.substr(std::min(query, target.size())));
  FUZZ_CHECK(written.starts_with('/') && !written.starts_with("//"));

  const std::string_view rest = path.path.substr(WithoutSlashAtEnd(prefix).size());
  const std::string joined = rest.empty()
                                 ? std::string(replacement)
                                 : std::string(WithoutSlashAtEnd(replacement)) + std::string(rest);
  route::Scratch expected_scratch;
  route::Scratch found_scratch;
  const route::NormaliseResult expected = route::NormalisePath(joined, expected_scratch);
  const route::NormaliseResult found = route::NormalisePath(written, found_scratch);
  FUZZ_CHECK(expected.ok() && found.ok());
  FUZZ_CHECK(found.path == expected.path);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  constexpr std::string_view kPrefixes[] = {"/", "/v1", "/v1/", "/a/b", "/a%2Fb"};
  constexpr std::string_view kReplacements[] = {"/", "/x", "/x/", "/tenants/a"};
  const std::string_view target(reinterpret_cast<const char*>(data) + 1, size - 1);
  Check(target, kPrefixes[data[0] % 5], kReplacements[data[0] / 5 % 4]);
  return 0;
}
