#include "rondo/http/rewrite.h"

#include "head_writer.h"
#include "rondo/base/check.h"
#include "rondo/http/field.h"

namespace rondo::http {
namespace {

std::string_view WithoutSlashAtEnd(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

// "." and "..", whichever of their dots are escaped.
bool IsDotSegment(std::string_view segment) {
  size_t dots = 0;
  while (!segment.empty()) {
    if (segment.front() == '.') {
      segment.remove_prefix(1);
    } else if (segment.size() >= 3 && EqualsIgnoreCase(segment.substr(0, 3), "%2e")) {
      segment.remove_prefix(3);
    } else {
      return false;
    }
    ++dots;
  }
  return dots == 1 || dots == 2;
}

bool HasDotSegment(std::string_view path) {
  while (!path.empty()) {
    const size_t end = path.find('/');
    if (IsDotSegment(path.substr(0, end))) return true;
    path = end == std::string_view::npos ? std::string_view() : path.substr(end + 1);
  }
  return false;
}

// Whether `path` is the prefix, or goes on behind it in a segment of its own.
bool GoesOnBehind(std::string_view path, std::string_view prefix) {
  return path.starts_with(prefix) && (path.size() == prefix.size() || path[prefix.size()] == '/');
}

// Whether what is behind the prefix may stay as it came: it means the same wherever it stands.
bool MayKeep(std::string_view path, std::string_view prefix) {
  if (!GoesOnBehind(path, prefix)) return false;
  const std::string_view rest = path.substr(prefix.size());
  return !rest.starts_with("//") && !HasDotSegment(rest);
}

}  // namespace

size_t RewritePrefixBound(const PrefixRewrite& rewrite) {
  return rewrite.path_and_query.size() + rewrite.normalised_path.size() +
         rewrite.replacement.size();
}

size_t RewritePrefix(const PrefixRewrite& rewrite, char* out) {
  HeadWriter writer(out);
  const size_t query_at = rewrite.path_and_query.find('?');
  std::string_view path = rewrite.path_and_query.substr(0, query_at);
  if (path == "*") {
    writer.Text(rewrite.path_and_query);
    return writer.size();
  }
  const std::string_view prefix = WithoutSlashAtEnd(rewrite.prefix);
  if (!MayKeep(path, prefix)) path = rewrite.normalised_path;
  RONDO_CHECK(GoesOnBehind(path, prefix));
  const std::string_view rest = path.substr(prefix.size());
  if (rest.empty()) {
    writer.Text(rewrite.replacement);
  } else {
    writer.Text(WithoutSlashAtEnd(rewrite.replacement));
    writer.Text(rest);
  }
  if (query_at != std::string_view::npos) writer.Text(rewrite.path_and_query.substr(query_at));
  return writer.size();
}

}  // namespace rondo::http
