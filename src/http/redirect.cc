// Where a redirect leads, whose configured URL has places for parts of the request.
#include "head_writer.h"
#include "rondo/http/local_reply.h"

namespace rondo::http {
namespace {

constexpr std::string_view kHost = "{host}";
constexpr std::string_view kUri = "{uri}";

// "[::1]:80" without ":80".
std::string_view WithoutPort(std::string_view host) {
  const size_t from = host.starts_with('[') ? host.find(']') : 0;
  return from == std::string_view::npos ? host : host.substr(0, host.find(':', from));
}

std::string_view UriOf(std::string_view path_and_query) {
  return path_and_query == "*" ? std::string_view() : path_and_query;
}

}  // namespace

bool RedirectNeedsHost(std::string_view to) { return to.find(kHost) != std::string_view::npos; }

size_t RedirectTargetBound(const RedirectTarget& target) {
  const std::string_view longer =
      target.host.size() > target.path_and_query.size() ? target.host : target.path_and_query;
  size_t places = 0;
  for (const char c : target.to) places += c == '{' ? 1 : 0;
  return target.to.size() + places * longer.size();
}

size_t WriteRedirectTarget(const RedirectTarget& target, char* out) {
  HeadWriter writer(out);
  std::string_view rest = target.to;
  while (!rest.empty()) {
    if (rest.starts_with(kHost)) {
      writer.Text(WithoutPort(target.host));
      rest.remove_prefix(kHost.size());
    } else if (rest.starts_with(kUri)) {
      writer.Text(UriOf(target.path_and_query));
      rest.remove_prefix(kUri.size());
    } else {
      writer.Byte(rest.front());
      rest.remove_prefix(1);
    }
  }
  return writer.size();
}

}  // namespace rondo::http
