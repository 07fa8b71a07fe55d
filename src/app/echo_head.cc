// The request head of `rondo echo`: strict enough that a proxy in front that lets something
// ambiguous through is found out.
#include <charconv>

#include "app/echo_connection.h"

namespace rondo::app {
namespace {

bool EqualsNoCase(std::string_view text, std::string_view lower) {
  if (text.size() != lower.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] | 0x20) : text[i];
    if (c != lower[i]) return false;
  }
  return true;
}

std::string_view Trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

// Whether the comma-separated `list` names `lower`.
bool ListHas(std::string_view list, std::string_view lower) {
  while (!list.empty()) {
    const size_t comma = list.find(',');
    if (EqualsNoCase(Trim(list.substr(0, comma)), lower)) return true;
    if (comma == std::string_view::npos) return false;
    list.remove_prefix(comma + 1);
  }
  return false;
}

struct Seen {
  int lengths = 0;
  int hosts = 0;
  bool close = false;
  bool keepalive = false;
};

// False where the header cannot be believed.
bool TakeHeader(std::string_view name, std::string_view value, EchoRequest* request, Seen* seen) {
  // The length picks the few names that matter before any byte is compared.
  switch (name.size()) {
    case 4:
      if (EqualsNoCase(name, "host")) ++seen->hosts;
      return true;
    case 6:
      if (EqualsNoCase(name, "expect"))
        request->expects_continue = EqualsNoCase(value, "100-continue");
      return true;
    case 7:
      if (EqualsNoCase(name, "upgrade")) request->websocket = ListHas(value, "websocket");
      return true;
    case 10:
      if (EqualsNoCase(name, "connection")) {
        seen->close = seen->close || ListHas(value, "close");
        seen->keepalive = seen->keepalive || ListHas(value, "keep-alive");
      }
      return true;
    case 14: {
      if (!EqualsNoCase(name, "content-length")) return true;
      ++seen->lengths;
      const char* end = value.data() + value.size();
      const auto [stop, error] = std::from_chars(value.data(), end, request->body_bytes);
      return error == std::errc() && stop == end && value.front() != '-';
    }
    case 17:
      if (EqualsNoCase(name, "sec-websocket-key")) request->websocket_key.assign(value);
      if (!EqualsNoCase(name, "transfer-encoding")) return true;
      request->chunked = EqualsNoCase(value, "chunked");
      return request->chunked;
    default:
      return true;
  }
}

bool ParseRequestLine(std::string_view line, EchoRequest* request) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == 0 || last <= first + 1) return false;
  const std::string_view version = line.substr(last + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return false;
  request->http10 = version.back() == '0';
  request->method.assign(line.substr(0, first));
  std::string_view target = line.substr(first + 1, last - first - 1);
  request->target.assign(target);
  if (const size_t scheme = target.find("://");
      target.front() != '/' && scheme != std::string_view::npos) {
    const size_t slash = target.find('/', scheme + 3);
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  request->path.assign(target.substr(0, target.find('?')));
  return true;
}

}  // namespace

int ParseEchoHead(std::string_view head, EchoRequest* request) {
  request->raw_head.clear();
  request->websocket_key.clear();
  request->body_bytes = 0;
  request->chunked = request->expects_continue = request->websocket = false;
  size_t end = head.find("\r\n");
  if (!ParseRequestLine(head.substr(0, end), request)) return 400;
  Seen seen;
  for (head.remove_prefix(end + 2); (end = head.find('\r')) != 0; head.remove_prefix(end + 2)) {
    // A bare CR, a bare LF and a folded line are three ways to hide a header from one of two
    // readers.
    if (end == std::string_view::npos || end + 1 >= head.size() || head[end + 1] != '\n')
      return 400;
    const std::string_view line = head.substr(0, end);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos || colon == 0 ||
        line.find('\n') != std::string_view::npos) {
      return 400;
    }
    const std::string_view name = line.substr(0, colon);
    if (name.find_first_of(" \t") != std::string_view::npos) return 400;
    if (!TakeHeader(name, Trim(line.substr(colon + 1)), request, &seen)) return 400;
  }
  if (seen.lengths > 1 || (seen.lengths == 1 && request->chunked)) return 400;
  if (seen.hosts > 1 || (seen.hosts == 0 && !request->http10)) return 400;
  if (request->chunked && request->http10) return 400;
  request->keepalive = request->http10 ? seen.keepalive && !seen.close : !seen.close;
  return 0;
}

uint64_t Fnv1a(uint64_t hash, std::string_view data) {
  for (const char c : data) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

}  // namespace rondo::app
